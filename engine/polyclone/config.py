"""Settings: found in a repository, validated, merged with the command line, explained. Acts on nothing.

A file that arrives with a repository may set thresholds, paths to skip and display, and nothing else: it can
never choose an executable or a model, or send code anywhere.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from polyclone import checks
from polyclone.errors import ConfigError, UsageError

FILE_NAME = "polyclone.toml"
PYPROJECT = "pyproject.toml"

FORMATS = ("text", "json", "sarif", "html", "github", "markdown")
COLORS = ("auto", "always", "never")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a scan is told besides its paths and its model."""

    min_probability: float | None = None
    """Report pairs from this probability on; None for the bundle's own threshold."""
    precision: float | None = None
    """Report as much as keeps this precision, by the bundle's calibration. Excludes `min_probability`."""
    same_language: bool = False
    """Report pairs of one language too."""
    min_atoms: int | None = None
    """Functions of fewer atoms are too small to judge; None for the bundle's own limit."""
    languages: tuple[str, ...] = ()
    """Canonical names, sorted; empty for all."""
    exclude: tuple[str, ...] = ()
    """Patterns in gitignore syntax, relative to the folder of the file that sets them."""
    include_generated: bool = False
    include_vendored: bool = False
    max_file_bytes: int = 1_000_000
    baseline: str | None = None
    """File of accepted findings. A configuration file gives it relative to its own folder, and inside it."""
    format: str = "text"
    color: str = "auto"
    max_groups: int | None = None
    """Show this many groups at most, the most probable ones; None for all."""
    jobs: int | None = None
    """Worker processes; None for one per core. Command line only."""
    parse_timeout_s: float = 10.0
    """Give up on a file after this many seconds. Command line only."""


DEFAULTS = Config()


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a value is checked. `parse` returns the value to keep or raises `ValueError`."""

    allowed: str
    parse: Callable[[object], object]
    in_file: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """The values one configuration file sets, validated, by field name of `Config`."""

    path: Path
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A configuration and where each of its values comes from."""

    config: Config
    sources: Mapping[str, str]
    """Field name → `default`, `command line`, or the path of a file."""
    exclude_base: Path | None = None
    """The folder that `config.exclude` is relative to; None if no file set it."""

    def explain(self) -> str:
        """One line a setting: key, value in TOML notation, and source. For people."""
        rows = [(_key(name), _toml(getattr(self.config, name)), self.sources[name]) for name in sorted(self.sources)]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(f"{key:{widths[0]}}  {value:{widths[1]}}  {source}" for key, value, source in rows)


def find_config(start: Path) -> Path | None:
    """The configuration file that governs the file or folder `start`: nearest wins, upwards.

    In one folder `polyclone.toml` comes before `pyproject.toml`, and a `pyproject.toml` without a
    `[tool.polyclone]` table is passed over. The search ends at the folder that holds `.git`.
    """
    start = start.absolute()
    for folder in ([] if start.is_file() else [start]) + list(start.parents):
        if (candidate := folder / FILE_NAME).is_file():
            return candidate
        if (candidate := folder / PYPROJECT).is_file() and _mentions_polyclone(candidate):
            return candidate
        if (folder / ".git").exists():
            return None
    return None


def load_config(path: Path) -> FileSettings:
    """Read and validate a configuration file. Raises `ConfigError` naming file, key, value and remedy."""
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    table: object = document
    if path.name == PYPROJECT:
        tool = document.get("tool", {})
        table = tool.get("polyclone", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: `tool.polyclone` must be a table, not {_toml(table)}")
    values = {}
    for key, value in table.items():
        name = _field_for(path, key)
        values[name] = _checked(name, value, f"{path}: `{key}`", ConfigError)
    _refuse_both_thresholds(values, str(path), ConfigError)
    if "baseline" in values:
        baseline = path.parent / str(values["baseline"])
        if not baseline.resolve().is_relative_to(path.parent.resolve()):
            raise ConfigError(f"{path}: `baseline` leads out of the file's folder through a link; name another file")
        values["baseline"] = str(baseline)
    return FileSettings(path=path, values=MappingProxyType(values))


def merge(
    defaults: Config = DEFAULTS,
    file: FileSettings | None = None,
    command_line: Mapping[str, object] = MappingProxyType({}),
) -> Resolved:
    """Lay the file's values over the defaults, and the command line's over both.

    `command_line` maps field names to values; None means that the option was not given. An `exclude`
    given there adds to the file's. `min_probability` on one layer silences `precision` on the layers
    below, and the other way round. Raises `UsageError` for a bad value or name on the command line.
    """
    given = {name: value for name, value in command_line.items() if value is not None}
    for name in given:
        if name not in _RULES:
            raise UsageError(f"there is no setting {name!r}{checks.suggestion(name, _RULES)}")
    given = {name: _checked(name, value, f"--{_key(name)}", UsageError) for name, value in given.items()}
    _refuse_both_thresholds(given, "command line", UsageError)

    config = defaults
    sources = {field.name: "default" for field in fields(Config)}
    layers: list[tuple[str, Mapping[str, object]]] = [("command line", given)]
    if file is not None:
        layers.insert(0, (str(file.path), file.values))
    for source, values in layers:
        for name, value in values.items():
            if name == "exclude" and sources[name] != "default":
                config = replace(config, exclude=(*config.exclude, *checks.strings(value)))
                sources[name] = f"{sources[name]} + {source}"
                continue
            config = replace(config, **{name: value})  # type: ignore[arg-type]
            sources[name] = source
            other = _RIVALS.get(name)
            if other is not None and getattr(config, other) is not None:
                config = replace(config, **{other: None})  # type: ignore[arg-type]
                sources[other] = f"{source} (set aside by {_key(name)})"
    base = file.path.parent if file is not None and "exclude" in file.values else None
    return Resolved(config=config, sources=MappingProxyType(sources), exclude_base=base)


_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "min_probability": _Rule(checks.PROBABILITY, checks.number(0, 1)),
        "precision": _Rule(checks.PROBABILITY, checks.number(0, 1)),
        "same_language": _Rule(checks.FLAG, checks.flag),
        "min_atoms": _Rule("a whole number, 1 or more", checks.whole(1)),
        "languages": _Rule("a list of language names", checks.language_names),
        "exclude": _Rule("a list of patterns in gitignore syntax", checks.strings),
        "include_generated": _Rule(checks.FLAG, checks.flag),
        "include_vendored": _Rule(checks.FLAG, checks.flag),
        "max_file_bytes": _Rule("a whole number of bytes, 1 or more", checks.whole(1)),
        "baseline": _Rule("the path of a file", checks.text),
        "format": _Rule(f"one of {', '.join(FORMATS)}", checks.one_of(FORMATS)),
        "color": _Rule(f"one of {', '.join(COLORS)}", checks.one_of(COLORS)),
        "max_groups": _Rule("a whole number, 1 or more", checks.whole(1)),
        "jobs": _Rule("a whole number, 1 or more", checks.whole(1), in_file=False),
        "parse_timeout_s": _Rule(
            "a number of seconds above 0 and at most 3600", checks.number(0, 3600), in_file=False
        ),
    }
)
_RIVALS = {"min_probability": "precision", "precision": "min_probability"}

_REFUSED = frozenset(
    {
        *(
            "model",
            "model_dir",
            "bundle",
            "provider",
            "device",
            "executable",
            "command",
            "python",
            "interpreter",
        ),
        *(
            "path",
            "server",
            "server_path",
            "plugin",
            "plugins",
            "hooks",
            "url",
            "endpoint",
            "proxy",
            "api_key",
        ),
        *("token", "teacher", "telemetry", "cache", "cache_dir", "no_cache", "output", "log_file", "env"),
    }
)
"""Names somebody may expect to work here. Each would let a repository run, fetch, write or send something."""


def _field_for(path: Path, key: str) -> str:
    """The field a key of a file stands for. Raises `ConfigError` for refused and unknown keys."""
    name = key.replace("-", "_").lower()
    rule = _RULES.get(name)
    if name in _REFUSED or (rule is not None and not rule.in_file):
        raise ConfigError(
            f"{path}: `{key}` is refused: a configuration file that comes with a repository may only set "
            f"thresholds, paths to skip and display. Give `--{_key(name)}` on the command line, or set it in "
            "your editor's own settings"
        )
    allowed = [_key(field) for field, rule in _RULES.items() if rule.in_file]
    if key not in allowed:
        raise ConfigError(f"{path}: unknown key `{key}`{checks.suggestion(key, allowed) or _listing(allowed)}")
    return name


def _checked(name: str, value: object, where: str, error: type[ConfigError] | type[UsageError]) -> object:
    rule = _RULES[name]
    try:
        parsed = rule.parse(value)
    except ValueError as trouble:
        raise error(f"{where}: {_toml(value)} is not {rule.allowed}{trouble}") from None
    if name == "baseline" and error is ConfigError and not _stays_inside(str(parsed)):
        raise error(f"{where}: {_toml(value)} must be a relative path that stays inside the file's folder")
    return parsed


def _refuse_both_thresholds(
    values: Mapping[str, object], where: str, error: type[ConfigError] | type[UsageError]
) -> None:
    if "min_probability" in values and "precision" in values:
        raise error(f"{where}: `min-probability` and `precision` are two ways to say one thing; keep one of them")


def _stays_inside(path: str) -> bool:
    pure = PurePosixPath(path.replace("\\", "/"))
    return not pure.is_absolute() and ".." not in pure.parts and not re.match(r"[A-Za-z]:", path)


def _mentions_polyclone(path: Path) -> bool:
    """True if a `pyproject.toml` has the table, or seems to and is broken, which `load_config` reports."""
    try:
        data = path.read_bytes()
        tool = tomllib.loads(data.decode("utf-8-sig")).get("tool")
    except OSError:
        return False
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return b"[tool.polyclone]" in data
    return isinstance(tool, dict) and "polyclone" in tool


def _key(name: str) -> str:
    return name.replace("_", "-")


def _listing(known: list[str]) -> str:
    return f"; known keys are {', '.join(known)}"


def _toml(value: object) -> str:
    """`value` as it would stand in a TOML file, near enough for a message."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return "-" if value is None else str(value)
