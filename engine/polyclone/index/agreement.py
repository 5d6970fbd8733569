"""How far the words of two units agree. Finer than a vector, which has little room for rare words, and dearer: it is
asked only about the few that a search found near."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
"""Distinct ids of one unit's words, ascending, below `IDS`."""
IDS = 1 << 20
PARTS = 2**16
"""Weights are whole numbers of 2⁻¹⁶: what is added up is then the same in every order."""
SMOOTHING = 20.0
"""Weight of some four rare words: what agrees in next to nothing but has next to nothing else agrees little."""


class Bags:
    """The words of units, by handle. Not thread-safe."""

    def __init__(self, weights: NDArray[np.int64] | None = None) -> None:
        """`weights` (w,): by id, in `PARTS`; ids beyond have the last one. Without them no word counts."""
        self._weights = np.zeros(1, np.int64) if weights is None else weights
        self._words: dict[int, Words] = {}
        self._whole: dict[int, float] = {}
        self._mark = np.zeros(IDS, np.int64)

    def put(self, handles: Sequence[int], words: Sequence[Words]) -> None:
        every, lengths = flatten(words)
        ends = np.cumsum(lengths, dtype=np.int64)
        sums = np.concatenate([[0], np.cumsum(self._weigh(every))])
        whole = np.sqrt((sums[ends] - sums[ends - lengths]) / PARTS)
        self._words.update(zip(handles, words, strict=True))
        self._whole.update(zip(handles, whole.tolist(), strict=True))

    def drop(self, handles: Iterable[int]) -> None:
        for handle in handles:
            del self._words[handle], self._whole[handle]

    def words(self, handles: Iterable[int]) -> list[Words]:
        return [self._words[handle] for handle in handles]

    def agree(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
        """Pairs of handles (m,) → float32 (m,), 0…1, the same for both orders.

        Σ idf of shared words / (√(Σ idf of a's words · Σ idf of b's words) + `SMOOTHING`).
        """
        if len(np.unique(right)) < len(np.unique(left)):
            left, right = right, left
        order = np.argsort(left, kind="stable")
        askers, starts = np.unique(left[order], return_index=True)
        found = np.zeros(len(left), np.float32)
        for asker, group in zip(askers.tolist(), np.split(order, starts[1:]), strict=True):
            found[group] = self._agree_with(asker, right[group].tolist())
        return found

    def _agree_with(self, one: int, others: Sequence[int]) -> NDArray[np.float64]:
        mine = self._words[one]
        theirs = self.words(others)
        lengths = [len(bag) for bag in theirs]
        ends = np.cumsum(lengths)
        self._mark[mine] = self._weigh(mine)
        sums = np.concatenate([[0], np.cumsum(self._mark[np.concatenate(theirs)])])
        self._mark[mine] = 0
        shared = (sums[ends] - sums[ends - lengths]) / PARTS
        whole = np.array([self._whole[other] for other in others])
        return np.asarray(shared / (self._whole[one] * whole + SMOOTHING))

    def _weigh(self, bag: Words) -> NDArray[np.int64]:
        return self._weights[np.minimum(bag, len(self._weights) - 1)]


def flatten(bags: Sequence[Words]) -> tuple[Words, NDArray[np.int32]]:
    """Bags as two arrays that can be kept: all words, and how many each has."""
    lengths = np.array([len(bag) for bag in bags], np.int32)
    return np.concatenate(bags) if bags else np.zeros(0, np.uint32), lengths


def bags_of(words: Words, lengths: NDArray[np.int32]) -> list[Words]:
    """The inverse of `flatten`. `ValueError` if the arrays do not fit together or hold ids that there are not."""
    if len(words) != lengths.sum() or (lengths < 0).any() or (len(words) and words.max() >= IDS):
        raise ValueError("words and their counts do not fit together")
    return np.split(words, np.cumsum(lengths)[:-1]) if len(lengths) else []
