"""What the vectors of one language know of those of another: the nearest of them, and sums over all.

The nearest are kept exactly, and so that most changes need no search: there are some in reserve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UNIT = 2.0**16
"""Similarities are summed in multiples of 2⁻¹⁶: 2²⁰ squares of them stay below 2⁵³, where float64 is exact."""
CROWD = 10
"""How crowded a vector is, so many nearest ones tell, as in the paper. Where a language has fewer, those that lack
count as likeness 0: one of few is not crowded."""
NEAREST = 16
"""Among so many nearest ones of each other language the one that counts is chosen."""
HELD = NEAREST + 6
"""So many are kept, so that a few may go before a row has to search again."""
NOBODY = -1
AGREEMENT = 0.5
"""How much the agreement of words counts beside the similarity of vectors where the nearest are told apart."""
_UNKNOWN = np.float32(np.nan)

Handles = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Column:
    """What the rows of one language know of another language. Arrays of n rows, the language's own."""

    best: NDArray[np.int32]
    """(n, k) handles of the nearest, the nearest first, ties by key; -1 where no more are known of."""
    similarity: NDArray[np.float32]
    """(n, k), how near they are; -inf where there is nobody."""
    likeness: NDArray[np.float32]
    """(n, k), how alike they are by vectors and words; NaN as long as nobody asked, -inf where there is nobody."""
    unasked: NDArray[np.bool_]
    """Whether some of a row's nearest may have a likeness that nobody asked for."""
    short: NDArray[np.bool_]
    """Whether there may be more than the row knows of: some went, nobody took their place. The nearest stand."""
    total: NDArray[np.int64]
    """Sum of the similarities to all of the other language, in units of 2⁻¹⁶."""
    squares: NDArray[np.int64]
    """Sum of their squares, in units of 2⁻³²."""

    @classmethod
    def empty(cls, length: int) -> Column:
        return cls(
            np.full((length, HELD), NOBODY, np.int32),
            np.full((length, HELD), -np.inf, np.float32),
            np.full((length, HELD), -np.inf, np.float32),
            np.zeros(length, np.bool_),
            np.zeros(length, np.bool_),
            np.zeros(length, np.int64),
            np.zeros(length, np.int64),
        )

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return (self.best, self.similarity, self.likeness, self.unasked, self.short, self.total, self.squares)

    def compare_words(self, mine: Handles, agree: Callable[[Handles, Handles], NDArray[np.float32]]) -> None:
        """Ask how far the words of the first rows (their handles) and of their nearest agree, where nobody has."""
        asking = np.flatnonzero(self.unasked[: len(mine)])
        rows, ranks = np.nonzero(np.isnan(self.likeness[asking, :NEAREST]))
        rows = asking[rows]
        if len(rows):
            agreement = agree(mine[rows], self.best[rows, ranks].astype(np.int64))
            likeness = self.similarity[rows, ranks].astype(np.float64) + AGREEMENT * agreement
            self.likeness[rows, ranks] = likeness.astype(np.float32)
        self.unasked[asking] = False

    def crowding(self, count: int) -> NDArray[np.float64]:
        """(count,): the mean likeness of the first rows and their nearest ones. Added up in one fixed order."""
        total = np.zeros(count)
        for rank in range(CROWD):
            near = self.likeness[:count, rank]
            total += np.where(near > -np.inf, near, 0.0)
        return total / CROWD

    def reset(self, rows: slice | NDArray[np.intp]) -> None:
        """Know of nobody."""
        self.best[rows], self.similarity[rows], self.likeness[rows] = NOBODY, -np.inf, -np.inf
        self.unasked[rows] = self.short[rows] = False

    def without(self, count: int, gone: Handles) -> NDArray[np.intp]:
        """Forget some handles. Returns those of the first rows that have to search again."""
        hits = np.isin(self.best[:count], gone)
        rows = np.flatnonzero(hits.any(axis=1))
        if not len(rows):
            return rows
        hits = hits[rows]
        best, similarity, likeness = self.best[rows], self.similarity[rows], self.likeness[rows]
        self.short[rows] |= best[:, -1] != NOBODY
        order = np.argsort(hits, axis=1, kind="stable")
        best[hits], similarity[hits], likeness[hits] = NOBODY, -np.inf, -np.inf
        self.best[rows] = np.take_along_axis(best, order, 1)
        self.similarity[rows] = np.take_along_axis(similarity, order, 1)
        self.likeness[rows] = np.take_along_axis(likeness, order, 1)
        self.unasked[rows] = True
        wanting: NDArray[np.intp] = rows[self.short[rows] & (self.best[rows, NEAREST - 1] == NOBODY)]
        return wanting

    def offer(
        self,
        rows: slice | NDArray[np.intp],
        scores: NDArray[np.float32],
        handles: Handles,
        keys: NDArray[np.uint64],
    ) -> None:
        """Let q rows know of m vectors, none of which they were told of before.

        `scores` (q, m) is how similar they are, -inf for nobody. `keys` by handle.
        """
        asking, chosen = _newcomers(scores, self.similarity[rows])
        owners = np.arange(rows.start, rows.stop)[asking] if isinstance(rows, slice) else rows[asking]
        if self.short[owners].any():
            kept = self._come_before_last(owners, scores[asking, chosen], handles[chosen], keys)
            asking, chosen, owners = asking[kept], chosen[kept], owners[kept]
        if not len(owners):
            return
        touched, numbers = np.unique(owners, return_inverse=True)
        names = np.concatenate([self.best[touched].ravel(), handles[chosen]])
        values = np.concatenate([self.similarity[touched].ravel(), scores[asking, chosen]])
        likeness = np.concatenate([self.likeness[touched].ravel(), np.full(len(owners), _UNKNOWN)])
        numbers = np.concatenate([np.repeat(np.arange(len(touched)), HELD), numbers])
        order = np.lexsort((np.where(names == NOBODY, np.iinfo(np.uint64).max, keys[names]), -values, numbers))
        first = np.searchsorted(numbers[order], np.arange(len(touched)))
        top = order[first[:, None] + np.arange(HELD)]
        self.best[touched], self.similarity[touched], self.likeness[touched] = names[top], values[top], likeness[top]
        self.unasked[touched] = True
        self.short[touched] &= names[top[:, -1]] == NOBODY

    def _come_before_last(
        self, rows: NDArray[np.intp], scores: NDArray[np.float32], handles: Handles, keys: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """(m,): whether vectors come before the last that a short row knows of; behind it others may come first."""
        last = np.count_nonzero(self.best[rows] != NOBODY, axis=1) - 1
        similarity, name = self.similarity[rows, last], self.best[rows, last]
        before = (scores > similarity) | ((scores == similarity) & (keys[handles] < keys[name]))
        kept: NDArray[np.bool_] = ~self.short[rows] | before
        return kept

    def limit(self, rows: NDArray[np.intp], size: int, deviations: float) -> NDArray[np.float64]:
        """Mean of all similarities of `rows` to the other language of `size`, and so many deviations above it."""
        mean = self.total[rows] / (size * _UNIT)
        square = self.squares[rows] / (size * _UNIT**2)
        return mean + deviations * np.sqrt(np.maximum(square - mean * mean, 0.0))

    def resized(self, length: int) -> Column:
        made = Column.empty(length)
        for old, new in zip(self.arrays, made.arrays, strict=True):
            new[: min(length, len(old))] = old[:length]
        return made


def add(
    mine: Column | None,
    rows: slice,
    theirs: Column | None,
    columns: slice,
    scores: NDArray[np.float32],
    sign: int,
) -> None:
    """Add similarities to the sums of the rows, of the columns, or of both."""
    whole = np.rint(scores * np.float32(_UNIT)).astype(np.float64)
    squared = whole * whole
    for column, where, axis in ((mine, rows, 1), (theirs, columns, 0)):
        if column is not None:
            column.total[where] += sign * whole.sum(axis=axis).astype(np.int64)
            column.squares[where] += sign * squared.sum(axis=axis).astype(np.int64)


def _newcomers(
    scores: NDArray[np.float32], similarity: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions (row, column) in `scores` (n, m) that may belong among the nearest `similarity` (n, k), by row.

    All that do are among them, and few others: a tie with the last one may be decided by its key.
    """
    wanted = scores >= similarity[:, -1:]
    width = scores.shape[1]
    if width > HELD and np.count_nonzero(wanted) > 4 * similarity.size:
        # At first everybody is a newcomer; there, to select is cheaper than to sort.
        wanted &= scores >= np.partition(scores, width - HELD, axis=1)[:, width - HELD, None]
    rows, columns = np.nonzero(wanted)
    real = scores[rows, columns] > -np.inf
    return rows[real], columns[real]
