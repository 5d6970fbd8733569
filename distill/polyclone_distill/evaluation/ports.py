"""Hand-written ports in a workspace as a benchmark: which function of another language is the counterpart?

Two functions are counterparts when their class (for a free function: its file) and name agree after folding
case and underscores. Every other function of the workspace is a distractor, however similar it may be, and a
counterpart that was given another name counts as wrong: figures are lower bounds.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from polyclone import languages
from polyclone.discover import DiscoverOptions, discover
from polyclone.errors import UsageError
from polyclone.extract import extract
from polyclone.values import Function

from .pool import Item, Pool, sort_items

CONSTRUCTOR = "constructor"
MIN_ATOMS = 16
_GO_PACKAGE = re.compile(rb"^package\s+(\w+)", re.MULTILINE)
_NOT_NAME = re.compile(r"[\W_]+")

#: Class and name, folded.
Key = tuple[str, str]


def fold(name: str) -> str:
    """Case and underscores do not count: `adaptive_predict` and `AdaptivePredict` are one name."""
    return _NOT_NAME.sub("", name).casefold()


def owner_of(function: Function) -> str:
    """The innermost class around a method or constructor, `` for a free function.

    Namespaces, packages and outer classes in front of it do not count.
    """
    if function.kind not in ("method", "constructor"):
        return ""
    parts = function.qualified_name.split(".")
    if function.name in parts:
        # An accessor (`Text.get`) and a constructor (`Stack.Stack`) have their name in the last parts.
        parts = parts[: len(parts) - 1 - parts[::-1].index(function.name)]
    else:
        parts = parts[:-1]
    return parts[-1] if parts else ""


def keys_of(function: Function, package: str = "") -> tuple[Key, ...]:
    """Under which keys a function may have counterparts, empty if it has no name.

    A constructor is called `constructor` in every language, Go's `NewStack` and Rust's `Stack::new` too. Go
    callers write `s2.Cap` for what others call `S2Cap`, so a Go function has a second key with `package` in
    front of its class.
    """
    if not function.name or function.kind in ("lambda", "script", "snippet"):
        return ()
    owner, name = owner_of(function), fold(function.name)
    if function.kind == "constructor" or (function.language == "rust" and owner and name == "new"):
        name = CONSTRUCTOR
    elif function.language == "go" and not owner and function.name[:3] in ("New", "new") and function.name[3:]:
        owner, name = function.name[3:], CONSTRUCTOR
    place = fold(owner or PurePosixPath(function.path).name.split(".", 1)[0])
    if not place or not name:
        return ()
    return ((place, name), (fold(package) + place, name)) if package else ((place, name),)


def choose_keys(candidates: Sequence[tuple[str, tuple[Key, ...]]]) -> list[Key | None]:
    """One key a function, from (language, possible keys): that which most other languages have too.

    Of equals the last, which is the more specific one. Languages with a single possible key decide.
    """
    spoken: defaultdict[Key, set[str]] = defaultdict(set)
    for language, keys in candidates:
        if len(keys) == 1:
            spoken[keys[0]].add(language)
    chosen: list[Key | None] = []
    for language, keys in candidates:
        support = {key: len(spoken[key] - {language}) if key in spoken else 0 for key in keys}
        chosen.append(max(reversed(keys), key=support.__getitem__, default=None))
    return chosen


def load_workspace(
    roots: Iterable[Path], *, min_atoms: int = MIN_ATOMS, only: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Pool:
    """Functions of a workspace, as a scan would find them. `UsageError` if no two languages are left.

    Left out and counted: functions of fewer than `min_atoms` atoms, and scripts. Several functions of one
    language under one key are all kept, and all relevant; such keys are counted as ambiguous.
    """
    wanted = frozenset(languages.resolve(name).name for name in only) or None
    paths = list(roots)
    found = discover(paths, DiscoverOptions(languages=wanted, exclude=tuple(exclude)))
    functions: list[Function] = []
    packages: list[str] = []
    failures = len(found.failures)
    for file in found.files:
        try:
            source = Path(file.location).read_bytes()
        except OSError:
            failures += 1
            continue
        extraction = extract(source, file.language, file.path, deadline_s=10.0)
        failures += len(extraction.failures)
        functions += extraction.functions
        package = _GO_PACKAGE.search(source) if file.language == "go" else None
        packages += [package.group(1).decode() if package else ""] * len(extraction.functions)
    large = [i for i, f in enumerate(functions) if f.kind != "script" and len(f.atoms) >= min_atoms]
    if len({functions[i].language for i in large}) < 2:
        raise UsageError(
            f"{', '.join(map(str, paths))}: functions of at least {min_atoms} atoms in fewer than two languages;"
            " give a workspace that is ported, or lower --min-atoms."
        )
    keys = choose_keys([(functions[i].language, keys_of(functions[i], packages[i])) for i in large])
    held = Counter((key, functions[i].language) for i, key in zip(large, keys, strict=True) if key)
    spoken = Counter(key for key, _ in held)
    counts = {
        "files": len(found.files),
        "files skipped": sum(found.skipped.values()),
        "failures": failures,
        "functions": len(functions),
        "scripts left out": sum(f.kind == "script" for f in functions),
        "too small": sum(f.kind != "script" and len(f.atoms) < min_atoms for f in functions),
        "units": len(large),
        "keys in several languages": sum(n > 1 for n in spoken.values()),
        "of them ambiguous": len({key for (key, _), n in held.items() if n > 1 and spoken[key] > 1}),
    }
    items = []
    for i, key in zip(large, keys, strict=True):
        function = functions[i]
        place = fold(PurePosixPath(function.path).name.split(".", 1)[0])
        items.append(
            Item(
                normalised=function.normalised,
                language=function.language,
                group=".".join(key) if key and spoken[key] > 1 else "",
                name=function.name,
                origin=f"{function.path}:{function.span.start_line0 + 1}",
                cluster=key[0] if key else place,
                file=function.path,
            )
        )
    return Pool(items=sort_items(items), counts=counts)
