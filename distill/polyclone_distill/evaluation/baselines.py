"""Lexical baselines over the very atoms a model sees: TF-IDF and BM25 on `polyclone.tokenizer.lexical_words`.

Document frequencies come from the evaluated pool itself, which is more than a model is given: a baseline that
is beaten here is beaten under conditions that favour it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.tokenizer import lexical_words
from polyclone.values import ATOM_SEPARATOR
from scipy import sparse

K1, B = 1.2, 0.75


def words_of(normalised: str) -> list[str]:
    """Lexical words of one normalised unit, with repetition, in order."""
    if not normalised:
        return []
    return [word for atom in normalised.split(ATOM_SEPARATOR) for word in lexical_words(atom)]


def count_words(units: Sequence[str]) -> Any:
    """Normalised units → word counts, CSR float32 (n, words). Columns are in order of first use."""
    columns: dict[str, int] = {}
    indices: list[int] = []
    counts: list[int] = []
    offsets = [0]
    for unit in units:
        found = Counter(words_of(unit))
        indices.extend(columns.setdefault(word, len(columns)) for word in found)
        counts.extend(found.values())
        offsets.append(len(indices))
    shape = (len(units), max(len(columns), 1))
    return sparse.csr_matrix((np.array(counts, dtype=np.float32), indices, offsets), shape=shape)


def tfidf(counts: Any) -> Any:
    """CSR float32 (n, words) of unit rows: (1 + ln tf) · (ln((1 + n) / (1 + df)) + 1), L2-normalised.

    Spärck Jones 1972 in the smoothed form of scikit-learn: the same as its
    `TfidfVectorizer(sublinear_tf=True)`. A unit without words is a zero row.
    """
    documents = counts.shape[0]
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log((1 + documents) / (1 + frequency)) + 1.0
    weights = counts.copy()
    weights.data = ((1.0 + np.log(weights.data)) * idf[weights.indices]).astype(np.float32)
    norms = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    return _scale_rows(weights, 1.0 / np.maximum(norms, 1e-12))


def bm25(counts: Any) -> tuple[Any, Any]:
    """Query and document weights, CSR float32 (n, words) each; a score is their inner product.

    Robertson & Zaragoza 2009, eq. 3.15, with Lucene's never negative idf ln(1 + (n − df + ½) / (df + ½)):
    Σ over distinct query words of idf · tf·(k₁ + 1) / (tf + k₁·(1 − b + b·length / mean length)). A word of
    the query counts once however often it stands there: a query that is a whole function repeats its loop
    variables most, and counting those makes this baseline weaker.
    """
    documents = counts.shape[0]
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log1p((documents - frequency + 0.5) / (frequency + 0.5))
    lengths = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    norm = K1 * (1.0 - B + B * lengths / max(lengths.mean(), 1e-12))
    weights = counts.copy()
    tf = weights.data.astype(np.float64)
    rows = np.repeat(np.arange(documents), np.diff(weights.indptr))
    weights.data = (idf[weights.indices] * tf * (K1 + 1.0) / (tf + norm[rows])).astype(np.float32)
    queries = counts.copy()
    queries.data = np.ones_like(queries.data)
    return queries, weights


def _scale_rows(matrix: Any, factors: NDArray[np.float64]) -> Any:
    """A CSR matrix with row i multiplied by `factors[i]`. Effect: changes `matrix`."""
    matrix.data *= np.repeat(factors, np.diff(matrix.indptr)).astype(np.float32)
    return matrix
