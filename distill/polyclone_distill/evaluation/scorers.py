"""Scores of every unit against every unit, a block of queries at a time. No score matrix is ever whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from polyclone.index.agreement import PARTS, SMOOTHING, Words
from polyclone.index.columns import AGREEMENT, CROWD, NEAREST
from polyclone.index.consensus import CONSENSUS, Ballot, consensus, numbered
from scipy import sparse

from .baselines import bm25, tfidf

Scores = NDArray[np.float32]
Rows = NDArray[np.int64]
_ROWS = 512
_AHEAD = 10.0
"""What puts the nearest ones before all others."""


class Scorer(Protocol):
    """Ranks the pool for a query, and judges pairs irrespective of their order."""

    @property
    def size(self) -> int: ...

    def block(self, rows: slice) -> Scores:
        """float32 (b, n): how well each unit of the pool answers each query in `rows`."""
        ...

    def symmetric(self, rows: slice, block: Scores) -> Scores:
        """float32 (b, n), the same for (a, b) and (b, a). `block` is what `block(rows)` gave."""
        ...

    def pairs(self, left: Rows, right: Rows) -> Scores:
        """float32 (m,): the symmetric score of each pair of positions."""
        ...


class DenseScorer:
    """Cosine of unit vectors (n, d)."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = np.ascontiguousarray(vectors, dtype=np.float32)

    @property
    def size(self) -> int:
        return len(self._vectors)

    def block(self, rows: slice) -> Scores:
        return self._vectors[rows] @ self._vectors.T

    def symmetric(self, rows: slice, block: Scores) -> Scores:
        return block

    def pairs(self, left: Rows, right: Rows) -> Scores:
        return np.asarray((self._vectors[left] * self._vectors[right]).sum(axis=1), dtype=np.float32)


class TfidfScorer:
    """Cosine of TF-IDF rows."""

    def __init__(self, counts: Any) -> None:
        self._rows = tfidf(counts)
        self._columns = self._rows.T.tocsr()

    @property
    def size(self) -> int:
        return int(self._rows.shape[0])

    def block(self, rows: slice) -> Scores:
        return _product(self._rows[rows], self._columns)

    def symmetric(self, rows: slice, block: Scores) -> Scores:
        return block

    def pairs(self, left: Rows, right: Rows) -> Scores:
        return _row_products(self._rows[left], self._rows[right])


class Bm25Scorer:
    """BM25 for ranking; for pairs its mean of both directions over the geometric mean of the self-scores.

    A raw BM25 score grows with the query, so it ranks documents but cannot be compared between queries.
    """

    def __init__(self, counts: Any) -> None:
        self._queries, self._documents = bm25(counts)
        self._query_columns = self._queries.T.tocsr()
        self._document_columns = self._documents.T.tocsr()
        own = _row_products(self._queries, self._documents)
        self._scale = (1.0 / np.sqrt(np.maximum(own, 1e-12))).astype(np.float32)

    @property
    def size(self) -> int:
        return int(self._queries.shape[0])

    def block(self, rows: slice) -> Scores:
        return _product(self._queries[rows], self._document_columns)

    def symmetric(self, rows: slice, block: Scores) -> Scores:
        both = block + _product(self._documents[rows], self._query_columns)
        return np.asarray(both * (0.5 * self._scale[rows, None] * self._scale), dtype=np.float32)

    def pairs(self, left: Rows, right: Rows) -> Scores:
        there = _row_products(self._queries[left], self._documents[right])
        back = _row_products(self._documents[left], self._queries[right])
        return np.asarray(0.5 * (there + back) * self._scale[left] * self._scale[right], dtype=np.float32)


class AgreementScorer:
    """How far the words of two units agree, as `polyclone.index.agreement` has it."""

    def __init__(self, words: Sequence[Words], weights: NDArray[np.int64]) -> None:
        """`words[i]`: ids of unit i; `weights`: by id, ids beyond have the last one."""
        ids, columns = np.unique(np.concatenate([*words, np.zeros(0, np.uint32)]), return_inverse=True)
        weighed = weights[np.minimum(ids, len(weights) - 1)] / PARTS
        ends = np.cumsum([0, *map(len, words)])
        shape = (len(words), max(1, len(ids)))
        self._rows = sparse.csr_matrix((np.sqrt(weighed)[columns].astype(np.float32), columns, ends), shape=shape)
        self._columns = self._rows.T.tocsr()
        self._whole = np.sqrt(_row_products(self._rows, self._rows))

    @property
    def size(self) -> int:
        return int(self._rows.shape[0])

    def block(self, rows: slice) -> Scores:
        shared = _product(self._rows[rows], self._columns)
        return np.asarray(shared / (self._whole[rows, None] * self._whole + SMOOTHING), dtype=np.float32)

    def symmetric(self, rows: slice, block: Scores) -> Scores:
        return block

    def pairs(self, left: Rows, right: Rows) -> Scores:
        shared = _row_products(self._rows[left], self._rows[right])
        return np.asarray(shared / (self._whole[left] * self._whole[right] + SMOOTHING), dtype=np.float32)


class CslsScorer:
    """Another scorer's symmetric scores, corrected for hubs.

    Cross-domain similarity local scaling (Conneau et al. 2018, eq. 3): 2·s(q, d) − r(q) − r(d), where r is the mean
    of a unit's ten best scores in the other's language. Where a language has fewer units, those that lack count as 0.

    `languages` int64 (n,), ascending.
    """

    def __init__(self, inner: Scorer, languages: NDArray[np.int64]) -> None:
        self._inner, self._languages = inner, languages
        present, starts = np.unique(languages, return_index=True)
        bounds = [*starts.tolist(), len(languages)]
        # By language and unit: how crowded the unit is by units of that language.
        self._crowding = np.zeros((int(present.max(initial=-1)) + 1, inner.size), dtype=np.float32)
        for first in range(0, inner.size, _ROWS):
            rows = slice(first, min(first + _ROWS, inner.size))
            scores = inner.symmetric(rows, inner.block(rows))
            for language, start, end in zip(present.tolist(), bounds, bounds[1:], strict=False):
                count = min(CROWD, end - start)
                best = np.partition(scores[:, start:end], end - start - count, axis=1)[:, end - start - count :]
                self._crowding[language, rows] = best.sum(axis=1) / CROWD

    @property
    def size(self) -> int:
        return self._inner.size

    def block(self, rows: slice) -> Scores:
        scores = self._inner.symmetric(rows, self._inner.block(rows))
        return np.asarray(
            2.0 * scores - self._crowding[self._languages[rows]] - self._crowding[:, rows].T[:, self._languages],
            dtype=np.float32,
        )

    def symmetric(self, rows: slice, block: Scores) -> Scores:
        return block

    def pairs(self, left: Rows, right: Rows) -> Scores:
        crowding, languages = self._crowding, self._languages
        both = crowding[languages[left], right] + crowding[languages[right], left]
        return np.asarray(2.0 * self._inner.pairs(left, right) - both, dtype=np.float32)


class ScanScorer:
    """Compares as a scan does: of each language the `NEAREST` by cosine, these by CSLS of their likeness, and by
    how far the others of their files agree.

    Likeness is the cosine and `AGREEMENT` times how far the words agree. What is not among the nearest of a query
    comes after them, by the cosine; a score is therefore the same for both orders only where both are.
    `languages` int64 (n,), ascending; `files` (n,), any number for each file: without it, each unit is alone in one.
    """

    def __init__(
        self, cosine: Scorer, agreement: Scorer, languages: NDArray[np.int64], files: NDArray[np.int64] | None = None
    ) -> None:
        self._cosine, self._agreement, self._languages = cosine, agreement, languages
        present, starts = np.unique(languages, return_index=True)
        bounds = [*starts.tolist(), len(languages)]
        self._shelves = list(zip(present.tolist(), bounds, bounds[1:], strict=False))
        count = int(present.max(initial=-1)) + 1
        self._crowding = np.zeros((count, cosine.size), dtype=np.float32)
        blocks = [slice(first, min(first + _ROWS, cosine.size)) for first in range(0, cosine.size, _ROWS)]
        for rows in blocks:
            near, likeness, _ = self._compare(rows, CROWD)
            for language, start, end in self._shelves:
                close = np.where(near[:, start:end], likeness[:, start:end], 0.0)
                self._crowding[language, rows] = close.sum(axis=1) / CROWD
        self._files = _FileVotes(self._shelves, files if files is not None else np.arange(cosine.size))
        # By unit and language: the nearest, without what its file says.
        votes = np.full((cosine.size, count), -1, dtype=np.int64)
        for rows in blocks:
            near, scores, _ = self._score(rows)
            for language, start, end in self._shelves:
                best = np.where(near[:, start:end], scores[:, start:end], -np.inf)
                votes[rows, language] = np.where(np.isinf(best.max(axis=1)), -1, best.argmax(axis=1))
        self._files.cast(votes)

    @property
    def size(self) -> int:
        return self._cosine.size

    def block(self, rows: slice) -> Scores:
        near, scores, cosine = self._score(rows)
        asking, candidates = np.nonzero(near)
        scores[asking, candidates] += self._files.consensus(asking + rows.start, candidates)
        return np.asarray(np.where(near, _AHEAD + scores, cosine), dtype=np.float32)

    def symmetric(self, rows: slice, block: Scores) -> Scores:
        return block

    def pairs(self, left: Rows, right: Rows) -> Scores:
        likeness = self._cosine.pairs(left, right) + AGREEMENT * self._agreement.pairs(left, right)
        crowding, languages = self._crowding, self._languages
        both = crowding[languages[left], right] + crowding[languages[right], left]
        counted = self._files.consensus(left, right)
        return np.asarray(_AHEAD + 2.0 * likeness - both + counted, dtype=np.float32)

    def _score(self, rows: slice) -> tuple[NDArray[np.bool_], Scores, Scores]:
        """(b, n): who is among the `NEAREST` of its language, CSLS of the likeness, cosine."""
        near, likeness, cosine = self._compare(rows, NEAREST)
        crowding = self._crowding[self._languages[rows]] + self._crowding[:, rows].T[:, self._languages]
        return near, 2.0 * likeness - crowding, cosine

    def _compare(self, rows: slice, wanted: int) -> tuple[NDArray[np.bool_], Scores, Scores]:
        """(b, n): who is among so many nearest of its language, likeness, cosine."""
        cosine = self._cosine.block(rows)
        near = np.zeros(cosine.shape, dtype=bool)
        own = cosine.copy()
        own[np.arange(len(own)), np.arange(rows.start, rows.stop)] = -np.inf
        for _, start, end in self._shelves:
            count = min(wanted, end - start)
            nearest = np.argsort(-own[:, start:end], axis=1, kind="stable")[:, :count]
            np.put_along_axis(near[:, start:end], nearest, values=True, axis=1)
        return near, cosine + np.float32(AGREEMENT) * self._agreement.block(rows), cosine


class _FileVotes:
    """What the consensus of files counts, for every two languages."""

    def __init__(self, shelves: Sequence[tuple[int, int, int]], files: NDArray[np.int64]) -> None:
        self._shelves = shelves
        self._numbered = {name: numbered(files[start:end].astype(np.uint64)) for name, start, end in shelves}
        self._ballots: dict[tuple[int, int], Ballot] = {}

    def cast(self, nearest: NDArray[np.int64]) -> None:
        """`nearest` (n, languages): the place that the nearest of a unit has in its language, -1 for none."""
        for name, start, end in self._shelves:
            for other, _, _ in self._shelves:
                if other != name:
                    files = (self._numbered[name], self._numbered[other])
                    self._ballots[name, other] = Ballot(*files, nearest[start:end, other])

    def consensus(self, left: Rows, right: Rows) -> Scores:
        """(m,) for pairs of positions; 0 for two of one language."""
        found = np.zeros(len(left), dtype=np.float32)
        for name, start, end in self._shelves:
            mine = np.flatnonzero((left >= start) & (left < end))
            for other, first, last in self._shelves:
                if other != name:
                    rows = mine[(right[mine] >= first) & (right[mine] < last)]
                    ballots = self._ballots[name, other], self._ballots[other, name]
                    found[rows] = CONSENSUS * consensus(*ballots, left[rows] - start, right[rows] - first)
        return found


def _product(rows: Any, columns: Any) -> Scores:
    return np.asarray((rows @ columns).toarray(), dtype=np.float32)


def _row_products(left: Any, right: Any) -> Scores:
    return np.asarray(left.multiply(right).sum(axis=1), dtype=np.float32).ravel()
