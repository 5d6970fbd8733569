"""Nearest programs of other problems by TF-IDF: the hard negatives that a search would show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evaluation.baselines import count_words, tfidf
from .programs import Program

_BLOCK = 512


def nearest(lefts: Sequence[Program], rights: Sequence[Program], k: int) -> dict[str, list[Program]]:
    """Id of a left program → its `k` nearest right programs of other clusters, best first.

    Programs without a word in common are no neighbours.
    """
    rows = tfidf(count_words([program.normalised for program in (*lefts, *rights)]))
    queries, pool = rows[: len(lefts)], rows[len(lefts) :].T.tocsr()
    number = {cluster: i for i, cluster in enumerate(sorted({p.cluster for p in (*lefts, *rights)}))}
    of_left = np.array([number[program.cluster] for program in lefts])
    of_right = np.array([number[program.cluster] for program in rights])
    found: dict[str, list[Program]] = {}
    for start in range(0, len(lefts), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = np.asarray((queries[block] @ pool).toarray())
        scores[of_left[block, None] == of_right] = 0.0
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        for row, program in enumerate(lefts[block]):
            found[program.submission.id] = [rights[j] for j in best[row].tolist() if scores[row, j] > 0.0]
    return found
