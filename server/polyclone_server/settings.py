"""What the client sets, validated key by key, and what a folder's own configuration file may add. Asks nobody.

A wrong value costs nothing but itself: the last good one stays, and a `Problem` says so. Only the client names a
model, a device or a number of processes; `polyclone.config` refuses all of these in a file of the workspace.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from polyclone import checks
from polyclone.config import FileSettings, find_config, load_config, merge
from polyclone.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The client's settings, all of them good. Names follow `protocol.Settings`."""

    enable: bool = True
    min_probability: float | None = None
    precision: float | None = None
    same_language: bool | None = None
    """None where the client says nothing, so that the folder's file may."""
    languages: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    diagnostics: bool = True
    severity: str = "information"
    diagnostic_mode: str = "openFilesOnly"
    code_lens: bool = True
    hover: bool = True
    debounce_ms: int = 200
    across_folders: bool = True
    jobs: int | None = None
    model: str | None = None
    device: str = "cpu"


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A value that cannot be used, for the user to read."""

    key: str
    """Dotted, as the user wrote it; or the path of a file."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What holds in one folder: the client's settings laid over the folder's own file."""

    settings: Settings = DEFAULTS
    min_probability: float | None = None
    precision: float | None = None
    same_language: bool = False
    min_atoms: int | None = None
    languages: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_base: str | None = None
    """The folder that the file's patterns are relative to; None for the workspace folder itself."""
    include_generated: bool = False
    include_vendored: bool = False
    max_file_bytes: int = 1_000_000
    baseline: str | None = None
    """Path of the file of accepted pairs; None for the workspace's own."""
    file: FileSettings | None = None
    """The configuration file that took part, as it was when it was last sound."""


def read(raw: object, last: Settings = DEFAULTS) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings in `raw`, the JSON value of the section. A wrong value is a problem and keeps that of `last`.

    Absent and `null` mean the default. Keys that are not the server's (a client has its own) are passed over.
    """
    if raw is None:
        return DEFAULTS, ()
    if not isinstance(raw, Mapping):
        return last, (_problem("polyclone", raw, "an object of settings"),)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, rule in _RULES.items():
        value = _dig(raw, key)
        if value is None:
            continue
        try:
            values[rule.name] = rule.parse(value)
        except ValueError:
            problems.append(_problem(f"polyclone.{key}", value, rule.allowed))
            values[rule.name] = getattr(last, rule.name)
    found = Settings(**values)
    if found.min_probability is not None and found.precision is not None:
        message = "polyclone.minProbability and polyclone.precision are two ways to say one thing; keep one of them."
        problems.append(Problem(key="polyclone.precision", message=f"{message} The probability counts."))
        found = replace(found, precision=None)
    return found, tuple(problems)


def scope(folder: str, settings: Settings, last: Scope | None = None) -> tuple[Scope, tuple[Problem, ...]]:
    """What holds in `folder`. A configuration file that is wrong is a problem, and counts as it last was.

    Effect: reads the configuration file that governs the folder.
    """
    problems: tuple[Problem, ...] = ()
    try:
        found = find_config(Path(folder))
        file = load_config(found) if found else None
    except ConfigError as error:
        problems = (Problem(key="configuration file", message=f"{error}. The last good values are kept."),)
        file = last.file if last else None
    config = merge(file=file, command_line=_given(settings)).config
    # The client's patterns are relative to the workspace folder; where both say something, the file's folder rules.
    base = str(file.path.parent) if file is not None and "exclude" in file.values else None
    merged = Scope(
        settings=settings,
        min_probability=config.min_probability,
        precision=config.precision,
        same_language=config.same_language,
        min_atoms=config.min_atoms,
        languages=config.languages,
        exclude=config.exclude,
        exclude_base=base,
        include_generated=config.include_generated,
        include_vendored=config.include_vendored,
        max_file_bytes=config.max_file_bytes,
        baseline=config.baseline,
        file=file,
    )
    return merged, problems


def _given(settings: Settings) -> Mapping[str, object]:
    """What the client says, by field name of the engine's configuration."""
    return {
        "min_probability": settings.min_probability,
        "precision": settings.precision,
        "same_language": settings.same_language,
        "languages": settings.languages or None,
        "exclude": settings.exclude or None,
    }


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    allowed: str
    parse: Callable[[Any], object] = field(repr=False)


def _whole(low: int, high: int) -> Callable[[object], int]:
    parse = checks.whole(low, high)
    # JSON has one kind of number.
    return lambda value: parse(int(value) if isinstance(value, float) and value.is_integer() else value)


def _folder(value: object) -> str | None:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value or None


_LANGUAGES = "a list of languages that `polyclone languages` lists"
_SEVERITIES = ("hint", "information", "warning")
_MODES = ("openFilesOnly", "workspace")
_DEVICES = ("cpu", "cuda")
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "enable": _Rule("enable", checks.FLAG, checks.flag),
        "minProbability": _Rule("min_probability", checks.PROBABILITY, checks.number(0, 1)),
        "precision": _Rule("precision", checks.PROBABILITY, checks.number(0, 1)),
        "sameLanguage": _Rule("same_language", checks.FLAG, checks.flag),
        "languages": _Rule("languages", _LANGUAGES, checks.language_names),
        "exclude": _Rule("exclude", "a list of patterns in gitignore syntax", checks.strings),
        "diagnostics.enable": _Rule("diagnostics", checks.FLAG, checks.flag),
        "diagnostics.severity": _Rule("severity", f"one of {', '.join(_SEVERITIES)}", checks.one_of(_SEVERITIES)),
        "diagnosticMode": _Rule("diagnostic_mode", f"one of {', '.join(_MODES)}", checks.one_of(_MODES)),
        "codeLens.enable": _Rule("code_lens", checks.FLAG, checks.flag),
        "hover.enable": _Rule("hover", checks.FLAG, checks.flag),
        "debounceMs": _Rule("debounce_ms", "a whole number of milliseconds from 0 to 10000", _whole(0, 10_000)),
        "acrossFolders": _Rule("across_folders", checks.FLAG, checks.flag),
        "jobs": _Rule("jobs", "a whole number from 1 to 256", _whole(1, 256)),
        "model": _Rule("model", "the path of a model's folder", _folder),
        "device": _Rule("device", f"one of {', '.join(_DEVICES)}", checks.one_of(_DEVICES)),
    }
)
KEYS = tuple(_RULES)
"""Dotted keys below the section."""
assert {rule.name for rule in _RULES.values()} == {item.name for item in fields(Settings)}


def _dig(raw: Mapping[Any, Any], dotted: str) -> object:
    """The value at a dotted key, which a client may also have sent undivided."""
    if dotted in raw:
        return raw[dotted]
    value: object = raw
    for part in dotted.split("."):
        if not isinstance(value, Mapping):
            return value  # `"codeLens": true` is wrong, and told as it stands.
        value = value.get(part)
    return value


def _problem(key: str, value: object, allowed: str) -> Problem:
    said = json.dumps(value, ensure_ascii=False, default=str)
    said = said if len(said) <= 80 else said[:79] + "…"
    return Problem(key=key, message=f"{key}: {said} is not {allowed}. The last good value is kept.")
