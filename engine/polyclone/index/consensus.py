"""How far the other functions of two files think that the files belong together.

Counterparts come in company: where a class was ported, most of its methods have theirs in one file of the other
language. So each function votes, by its own nearest one, for a file, and a pair of functions counts for more where
the others of its files agree (neighbourhood consensus; after Melnik et al. 2002, "Similarity flooding", and Rocco et
al. 2018). Votes are whole numbers: the same in every order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CONSENSUS = 0.75
"""How much full consensus counts beside twice the likeness."""
STRANGERS = 2
"""So many functions that voted for no file each file is taken to have besides its own: few voters prove little."""
DEVIATIONS = 2.0
"""Votes count beyond what chance gives a file of its size, and so many standard deviations of that."""
_DENSE = 1 << 20
"""Up to so many pairs of files are counted in a table of all."""

Rows = NDArray[np.int64]


class Ballot:
    """How the rows of one language voted for the files of another one."""

    def __init__(self, files: Rows, other_files: Rows, nearest: Rows) -> None:
        """`files` (n,), `other_files` (m,): the file of each row of either language, as `numbered` has them.
        `nearest` (n,): the row of the other language that each row is nearest to, -1 for none.
        """
        self._files, self._other_files = files, other_files
        self._others = np.bincount(files) - 1
        self._shares = np.bincount(other_files) / max(1, len(other_files))
        self._own = np.where(nearest >= 0, other_files[nearest], -1)
        voting = nearest >= 0
        size = len(self._others) * len(self._shares)
        self._votes = _Counts(files[voting] * len(self._shares) + self._own[voting], size)

    def support(self, rows: Rows, candidates: Rows) -> NDArray[np.float64]:
        """How far the others of a row's file vote for the file of a candidate, a row of the other language: 0…1.

        `rows` and `candidates` are broadcast against each other.
        """
        files, other_files = self._files[rows], self._other_files[candidates]
        others, share = self._others[files], self._shares[other_files]
        votes = self._votes[files * len(self._shares) + other_files] - (self._own[rows] == other_files)
        chance = others * share
        beyond = np.maximum(votes - chance - DEVIATIONS * np.sqrt(chance), 0.0)
        return np.asarray(beyond / (others + STRANGERS))


def consensus(ballot: Ballot, other: Ballot, rows: Rows, candidates: Rows) -> NDArray[np.float64]:
    """The mean of what both files think, 0…1. `other`: how the language of the candidates voted."""
    return (ballot.support(rows, candidates) + other.support(candidates, rows)) / 2


def numbered(files: NDArray[np.uint64]) -> Rows:
    """Files by any number → files by numbers without gaps."""
    return np.unique(files, return_inverse=True)[1].astype(np.int64)


class _Counts:
    """How often each number is among some, all of them below `size`."""

    def __init__(self, numbers: Rows, size: int) -> None:
        self._known: Rows | None = None
        if size <= _DENSE:
            self._counts: Rows = np.bincount(numbers, minlength=size)
        else:
            # The last one is larger than all that will be asked for.
            self._known, counts = np.unique(np.append(numbers, size), return_counts=True)
            self._counts = counts

    def __getitem__(self, wanted: Rows) -> Rows:
        if self._known is None:
            return np.asarray(self._counts[wanted])
        place = np.searchsorted(self._known, wanted)
        return np.where(self._known[place] == wanted, self._counts[place], 0)
