"""Views that behave otherwise: one comparison, operator, constant or branch changed, on tokens alone.

They look like their origin and are no clones of it. Which tokens stand for what is read from the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

#: Spelling → spellings it may turn into: flipped and shifted comparisons, other operators, other truth values.
SWAPS: Mapping[str, tuple[str, ...]] = {
    "<": ("[<=]", ">", "[>=]"),
    ">": ("[>=]", "<", "[<=]"),
    "[<=]": ("<", ">"),
    "[>=]": (">", "<"),
    "[==]": ("[!=]",),
    "[!=]": ("[==]",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/", "+"),
    "/": ("*",),
    "[+=]": ("[-=]",),
    "[-=]": ("[+=]",),
    "and": ("or",),
    "or": ("and",),
    "true": ("false",),
    "false": ("true",),
}
#: A token after which `not` goes in or out: the branches change places.
BRANCHES = ("if", "while")
NEGATION = "not"
#: Single-token numbers up to here turn into their neighbours: off by one.
_MAX_NUMBER = 200


@dataclass(frozen=True)
class Mutations:
    """What can be changed, in token ids. Empty where the vocabulary is not known: then nothing can."""

    swaps: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    branches: frozenset[int] = frozenset()
    negation: int = -1

    @classmethod
    def of(cls, vocabulary: Mapping[str, int]) -> Mutations:
        """The mutations that a WordPiece vocabulary can spell in one token."""
        table = {
            vocabulary[a]: tuple(vocabulary[b] for b in others if b in vocabulary)
            for a, others in SWAPS.items()
            if a in vocabulary
        }
        for number in range(_MAX_NUMBER):
            near = [str(n) for n in (number - 1, number + 1, number * 2) if n >= 0 and n != number]
            if str(number) in vocabulary:
                table[vocabulary[str(number)]] = tuple(vocabulary[n] for n in near if n in vocabulary)
        return cls(
            swaps={token: others for token, others in table.items() if others},
            branches=frozenset(vocabulary[word] for word in BRANCHES if word in vocabulary),
            negation=vocabulary.get(NEGATION, -1),
        )

    def apply(
        self,
        tokens: NDArray[np.int64],
        owner: NDArray[np.int64],
        first: NDArray[np.int64],
        room: int,
        rng: Generator,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
        """Tokens, owners and atom starts with one change, each (t,) or one longer or shorter; None without a place.

        Only whole atoms that no identifier owns are changed, and only where the view will still show it: in a unit
        that does not fit into `room` tokens, within the first half of them.
        """
        end = len(tokens) if len(tokens) <= room * 3 // 4 else room // 2
        whole = (owner[:end] < 0) & (first[:end] == 1) & np.append(first[1:], 1)[:end].astype(bool)
        # One chance a place, so that a unit full of ones does not lose its comparisons.
        places = [i for i in np.flatnonzero(whole).tolist() if self._possible(int(tokens[i]))]
        if not places:
            return None
        at = int(rng.choice(places))
        if int(tokens[at]) in self.branches:
            return self._negate(tokens, owner, first, at)
        changed = tokens.copy()
        changed[at] = rng.choice(self.swaps[int(tokens[at])])
        return changed, owner, first

    def _possible(self, token: int) -> bool:
        return token in self.swaps or (token in self.branches and self.negation >= 0)

    def _negate(
        self, tokens: NDArray[np.int64], owner: NDArray[np.int64], first: NDArray[np.int64], at: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        after = at + 1
        if after < len(tokens) and tokens[after] == self.negation and owner[after] < 0:
            return np.delete(tokens, after), np.delete(owner, after), np.delete(first, after)
        return np.insert(tokens, after, self.negation), np.insert(owner, after, -1), np.insert(first, after, 1)
