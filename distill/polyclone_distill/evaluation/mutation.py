"""One change of behaviour in a unit, made on its atoms: what a clone detector should no longer call a clone.

The same changes as in the source: normalised code has no parentheses, so `if (!(a < b))` and a `not` behind the
`if` are one thing. Whether a change can be seen from outside is not proved; a few mutants behave as before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from polyclone.values import ATOM_SEPARATOR

_FLIPPED = {"o<": "o>", "o>": "o<", "o<=": "o>=", "o>=": "o<=", "o==": "o!=", "o!=": "o=="}
_SHIFTED = {"o<": "o<=", "o<=": "o<", "o>": "o>=", "o>=": "o>"}
_TRUTH = {"ktrue": "kfalse", "kfalse": "ktrue"}
_BRANCHES = frozenset({"kif", "kwhile"})
_NEGATION = "knot"
#: Digits of the longest number that is changed; a longer one is data.
_DIGITS = 18

Change = Callable[[Sequence[str], random.Random], list[str] | None]


def _replaced(
    atoms: Sequence[str], places: Sequence[int], new: Callable[[str], str], rng: random.Random
) -> list[str]:
    at = rng.choice(places)
    return [*atoms[:at], new(atoms[at]), *atoms[at + 1 :]]


def _by_table(table: Mapping[str, str]) -> Change:
    def change(atoms: Sequence[str], rng: random.Random) -> list[str] | None:
        places = [i for i, atom in enumerate(atoms) if atom in table]
        return _replaced(atoms, places, table.__getitem__, rng) if places else None

    return change


def _branch(atoms: Sequence[str], rng: random.Random) -> list[str] | None:
    """`not` goes in behind an `if` or `while`, or out: what was done is left out, and the other way round."""
    places = [i for i, atom in enumerate(atoms[:-1]) if atom in _BRANCHES]
    if not places:
        return None
    after = rng.choice(places) + 1
    if atoms[after] == _NEGATION:
        return [*atoms[:after], *atoms[after + 1 :]]
    return [*atoms[:after], _NEGATION, *atoms[after:]]


def _constant(atoms: Sequence[str], rng: random.Random) -> list[str] | None:
    places = [i for i, atom in enumerate(atoms) if atom in _TRUTH or _is_integer(atom)]
    return _replaced(atoms, places, lambda atom: _other_constant(atom, rng), rng) if places else None


def _is_integer(atom: str) -> bool:
    return atom[:1] == "n" and atom[1:].isascii() and atom[1:].isdigit() and len(atom) <= _DIGITS + 1


def _other_constant(atom: str, rng: random.Random) -> str:
    if atom in _TRUTH:
        return _TRUTH[atom]
    value = int(atom[1:])
    return f"n{rng.choice([value + 1, value + 2, 2 * value + 3, *([value - 1] if value else [])])}"


CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "comparison flipped": _by_table(_FLIPPED),
        "off by one": _by_table(_SHIFTED),
        "branches swapped": _branch,
        "constant changed": _constant,
    }
)


def mutate(normalised: str, kind: str, seed: int = 1) -> str | None:
    """The unit with one change of `kind` (of `CHANGES`), the same in every call; None where there is no place."""
    rng = random.Random(f"{seed}/{kind}/{normalised}")
    changed = CHANGES[kind](normalised.split(ATOM_SEPARATOR), rng)
    return None if changed is None else ATOM_SEPARATOR.join(changed)
