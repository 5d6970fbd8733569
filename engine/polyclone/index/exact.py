"""Exact search: every query against every row, in blocks, with a result that no block size can change.

Codes are multiplied as float32 integers. A sum of products stays an exact integer below 2²⁴, hence the same
in whatever order a matrix product adds it up; longer vectors are cut, and their parts added in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polyclone.index.codes import Codes
from polyclone.index.protocol import Neighbours

_EXACT_DIMENSIONS = 2**24 // 127**2
"""1040: so many products of two codes sum up exactly in float32."""
_BLOCK_QUERIES = 1024
_BLOCK_ROWS = 8192


class ExactIndex:
    """A `VectorIndex` over all of `codes`, by comparing everything with everything.

    Needs no memory of its own but about 100 MB while it searches: scores of `block_queries` × `block_rows`
    (float32), and those rows as float32. Threads are those of numpy's linear algebra library.
    """

    def __init__(self, codes: Codes, *, block_queries: int = _BLOCK_QUERIES, block_rows: int = _BLOCK_ROWS) -> None:
        if block_queries < 1 or block_rows < 1:
            raise ValueError("a block must have at least one query and one row")
        self.codes = codes
        self._block_queries = block_queries
        self._block_rows = block_rows

    def search(self, queries: Codes, k: int) -> Neighbours:
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        if queries.dimension != self.codes.dimension:
            raise ValueError(f"queries have {queries.dimension} dimensions, the index has {self.codes.dimension}")
        indices = np.full((len(queries), k), -1, np.int32)
        similarities = np.full((len(queries), k), -np.inf, np.float32)
        for start in range(0, len(queries), self._block_queries):
            block = slice(start, start + self._block_queries)
            self._search_block(queries.take(block), similarities[block], indices[block])
        return Neighbours(indices=indices, similarities=similarities)

    def _search_block(self, queries: Codes, best: NDArray[np.float32], best_rows: NDArray[np.int32]) -> None:
        """Fill `best` and `best_rows` (both (q, k)), keeping the invariant: they hold the top k so far."""
        left = parts(queries)
        for start in range(0, len(self.codes), self._block_rows):
            rows = self.codes.take(slice(start, start + self._block_rows))
            scores = dots(left, parts(rows))
            scores *= np.multiply.outer(queries.scales, rows.scales)
            _merge(best, best_rows, scores, start)


def parts(codes: Codes) -> list[NDArray[np.float32]]:
    """The codes as float32, cut along the dimension so that products of parts sum up exactly."""
    cuts = range(0, max(codes.dimension, 1), _EXACT_DIMENSIONS)
    return [codes.values[:, cut : cut + _EXACT_DIMENSIONS].astype(np.float32) for cut in cuts]


def dots(left: list[NDArray[np.float32]], right: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """float32 (q, r) dot products; exact integers, rounded once if the vectors were cut."""
    if len(left) == 1:
        return left[0] @ right[0].T
    total = (left[0] @ right[0].T).astype(np.float64)
    for a, b in zip(left[1:], right[1:], strict=True):
        total += a @ b.T
    return total.astype(np.float32)


def _merge(best: NDArray[np.float32], best_rows: NDArray[np.int32], scores: NDArray[np.float32], start: int) -> None:
    """Take into (q, k) `best` what `scores` (q, r), of rows from `start` on, has to offer.

    Blocks come in rising order, so a newcomer must beat the k-th best: a tie goes to the lower index.
    """
    k = best.shape[1]
    better = scores > best[:, -1:]
    newcomers = np.count_nonzero(better)
    if newcomers == 0:
        return
    # In the first block everything is better; there, to select is cheaper than to sort.
    queries, columns = np.nonzero(better) if newcomers <= 4 * best.size else _top(scores, k)
    values = np.concatenate([best.ravel(), scores[queries, columns]])
    rows = np.concatenate([best_rows.ravel(), (columns + start).astype(np.int32)])
    owners = np.concatenate([np.repeat(np.arange(len(best)), k), queries])
    # lexsort is stable, and rows of a query come in rising order: `best` first, then `columns`.
    order = np.lexsort((-values, owners))
    owners = owners[order]
    first = np.searchsorted(owners, np.arange(len(best)))
    order = order[(first[:, None] + np.arange(k)).ravel()]
    best[:] = values[order].reshape(best.shape)
    best_rows[:] = rows[order].reshape(best.shape)


def _top(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions (query, column), in rising order, of each row's `k` best scores; ties by lower column."""
    width = scores.shape[1]
    if width <= k:
        queries, columns = np.nonzero(np.ones_like(scores, dtype=bool))
        return queries, columns
    limit = np.partition(scores, width - k, axis=1)[:, width - k, None]
    chosen = scores >= limit
    # Where several columns tie at the limit, too many are chosen: give up the last of them.
    for query in np.flatnonzero(chosen.sum(axis=1) > k):
        ties = np.flatnonzero(scores[query] == limit[query])
        surplus = int(chosen[query].sum()) - k
        chosen[query, ties[len(ties) - surplus :]] = False
    queries, columns = np.nonzero(chosen)
    return queries, columns
