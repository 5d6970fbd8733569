"""What of a unit a model may see: pure functions on its atoms. Names are the usual shortcut; views take them away.

`visible`  everything.
`masked`   the unit's own name is gone, at its definition, in recursive calls and in qualified references.
`renamed`  identifiers are `v1`, `v2`, … by first use, called or not, and strings are gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from polyclone.errors import UsageError
from polyclone.values import ATOM_SEPARATOR

_WORD = re.compile(r"[^\W\d]\w*")


def visible(atoms: list[str], name: str) -> list[str]:
    """`atoms` as they are."""
    return atoms


def masked(atoms: list[str], name: str) -> list[str]:
    """`atoms` without the identifiers (kinds `i` and `c`) that spell `name`.

    A name that is more than a word counts by its word too: `~Stack` hides `Stack`, `find!` hides `find`,
    `swap<int>` hides `swap`. Case matters, as in the languages themselves. Without a name nothing is hidden.
    """
    if not name:
        return atoms
    word = _WORD.search(name)
    own = {name, word.group()} if word else {name}
    return [atom for atom in atoms if atom[0] not in "ic" or atom[1:] not in own]


def renamed(atoms: list[str], name: str) -> list[str]:
    """`atoms` with each distinct identifier numbered by first use, and without strings."""
    numbers: dict[str, str] = {}
    return [
        atom[0] + numbers.setdefault(atom[1:], f"v{len(numbers) + 1}") if atom[0] in "ic" else atom
        for atom in atoms
        if atom[0] != "s"
    ]


View = Callable[[list[str], str], list[str]]
VIEWS: Mapping[str, View] = MappingProxyType({"visible": visible, "masked": masked, "renamed": renamed})
TITLES: Mapping[str, str] = MappingProxyType(
    {"visible": "names visible", "masked": "own name masked", "renamed": "all identifiers renamed"}
)


def check_views(names: Iterable[str]) -> tuple[str, ...]:
    """`names` without repetition, or `UsageError` for one that is not a view."""
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in VIEWS:
            raise UsageError(f"unknown view {name!r}; choose from {', '.join(VIEWS)}.")
    if not chosen:
        raise UsageError(f"no view was chosen; give --views with some of {', '.join(VIEWS)}.")
    return chosen


def apply_view(view: str, normalised: str, name: str) -> str:
    """One normalised unit (atoms joined by `ATOM_SEPARATOR`) as `view` shows it."""
    atoms = normalised.split(ATOM_SEPARATOR) if normalised else []
    return ATOM_SEPARATOR.join(VIEWS[view](atoms, name))
