"""What a study is measured against: TF-IDF and BM25 on the same units, views and pool as the students."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from .evaluation.baselines import bm25, tfidf
from .trainer.run import load_vocabulary
from .trainer.shards import Shard
from .trainer.validation import VIEWS, reciprocal_ranks_of_scores, unseen_units
from .trainer.views import View, make_view


def lexical_baselines(data: Path, programs: int, budget: int) -> dict[str, dict[str, float]]:
    """MRR of each baseline in each view: name → view → MRR across languages.

    They read the words of the lexical channel, of whole units, and have their document frequencies from the pool.
    """
    vocabulary, unseen = load_vocabulary(data), Shard.load(data / "valid.npz")
    units = unseen_units(unseen, programs)
    labels, languages = unseen.label[units], unseen.language[units]
    out: dict[str, dict[str, float]] = {"TF-IDF": {}, "BM25": {}}
    for view, policy in VIEWS:
        draws = (np.random.default_rng((7, int(u))) for u in units)
        seen = [
            make_view(unseen, int(u), vocabulary, policy, budget, rng) for u, rng in zip(units, draws, strict=True)
        ]
        counts = _counts(seen)
        rows = tfidf(counts)
        queries, weights = bm25(counts)
        for name, scores in (("TF-IDF", rows @ rows.T), ("BM25", queries @ weights.T)):
            total, asked = reciprocal_ranks_of_scores(scores.toarray(), labels, languages)
            out[name][view] = total / asked if asked else float("nan")
    return out


def _counts(views: list[View]) -> Any:
    """Word counts, CSR float32 (n, words). A view holds 1 + ln of them."""
    indices = np.concatenate([view.words for view in views])
    counts = np.exp(np.concatenate([view.weights for view in views]) - 1.0)
    offsets = np.cumsum([0, *(len(view.words) for view in views)])
    shape = (len(views), int(indices.max()) + 1)
    return sparse.csr_matrix((counts.astype(np.float32), indices, offsets), shape=shape)
