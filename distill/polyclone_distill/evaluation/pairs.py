"""Judging labelled pairs: calibrated probability, cosine, TF-IDF and BM25 on the same pairs in every view."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from polyclone.errors import UsageError

from .alerts import with_intervals
from .baselines import count_words
from .bootstrap import Bootstrap, Estimate
from .metrics import calibration_error, decision_quality, ranking_quality, reliability
from .model import Model
from .pair_source import Pairs
from .scorers import Bm25Scorer, DenseScorer, TfidfScorer
from .views import apply_view, check_views

log = logging.getLogger(__name__)

Scores = NDArray[np.float32]
PROBABILITY, COSINE = "probability", "cosine"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """One system in one view."""

    view: str
    system: str
    metrics: Mapping[str, Estimate]
    """auc, pr_auc, best_f1, recall@p90; for the probability also precision, recall and f1 at the threshold, ece."""
    kinds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of each kind of pair: how many, mean score; of kinds that are no clones the AUC of all clones against
    them; for the probability the share called clones."""
    language_pairs: Sequence[Mapping[str, object]] = ()
    reliability: Sequence[Mapping[str, float]] = ()
    asymmetry: float | None = None
    """Largest |p(a, b) − p(b, a)|."""


def evaluate_pairs(
    pairs: Pairs,
    model: Model | None,
    *,
    views: Sequence[str],
    threshold: float = 0.5,
    resamples: int = 1000,
    seed: int = 1,
) -> list[PairResult]:
    """All systems in every view. A pair counts as called a clone from the probability `threshold` on."""
    if not pairs.labels.any() or pairs.labels.all():
        raise UsageError("the pairs are all of one label; give clones and pairs that are not.")
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"--threshold must lie in 0…1, not {threshold:g}.")
    bootstrap = Bootstrap(int(pairs.clusters.max()) + 1, resamples, seed)
    results: list[PairResult] = []
    for view in check_views(views):
        texts = [apply_view(view, item.normalised, item.name) for item in pairs.items]
        if model is not None:
            results += _model_results(view, model, texts, pairs, threshold, bootstrap)
        counts = count_words(texts)
        for system, scorer in (("tfidf", TfidfScorer(counts)), ("bm25", Bm25Scorer(counts))):
            scores = scorer.pairs(pairs.left, pairs.right)
            results.append(_measure(view, system, scores, pairs, bootstrap))
        log.info("%s: done", view)
    return results


def _model_results(
    view: str, model: Model, texts: Sequence[str], pairs: Pairs, threshold: float, bootstrap: Bootstrap
) -> list[PairResult]:
    used, inverse = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
    left, right = np.split(inverse, 2)
    vectors = DenseScorer(model.encode_normalised([texts[i] for i in used.tolist()]))
    a = [texts[i] for i in pairs.left.tolist()]
    b = [texts[i] for i in pairs.right.tolist()]
    # Both orders in one call, so that a model which encodes each distinct unit once does so once.
    there, back = np.split(model.pair_probability_normalised([*a, *b], [*b, *a]), 2)
    return [
        _measure(view, PROBABILITY, there, pairs, bootstrap, threshold, float(np.abs(there - back).max())),
        _measure(view, COSINE, vectors.pairs(left, right), pairs, bootstrap),
    ]


def _measure(
    view: str,
    system: str,
    scores: Scores,
    pairs: Pairs,
    bootstrap: Bootstrap,
    threshold: float | None = None,
    asymmetry: float | None = None,
) -> PairResult:
    labels = pairs.labels

    def figures(draws: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        weights = draws[:, pairs.clusters]
        values = ranking_quality(scores, labels, weights)
        if threshold is not None:
            values |= decision_quality(scores >= threshold, labels, weights)
            values["ece"] = calibration_error(scores, labels, weights)
        return values

    return PairResult(
        view=view,
        system=system,
        metrics=with_intervals(figures, bootstrap, len(labels)),
        kinds=_by_kind(scores, pairs, threshold),
        language_pairs=_by_languages(scores, pairs),
        reliability=reliability(scores, labels) if threshold is not None else (),
        asymmetry=asymmetry,
    )


def _by_kind(scores: Scores, pairs: Pairs, threshold: float | None) -> dict[str, dict[str, float]]:
    kinds = np.array(pairs.kinds)
    rows: dict[str, dict[str, float]] = {}
    for kind in sorted(set(pairs.kinds)):
        here = kinds == kind
        row = {"pairs": float(here.sum()), "mean_score": float(scores[here].mean())}
        if threshold is not None:
            row["called_clones"] = float((scores[here] >= threshold).mean())
        if not pairs.labels[here].any():
            part = here | pairs.labels
            one = np.ones((1, int(part.sum())))
            row["auc"] = float(ranking_quality(scores[part], pairs.labels[part], one)["auc"][0])
        rows[kind] = row
    return rows


def _by_languages(scores: Scores, pairs: Pairs) -> list[dict[str, object]]:
    names = [
        tuple(sorted((pairs.items[a].language, pairs.items[b].language)))
        for a, b in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    ]
    rows: list[dict[str, object]] = []
    for both in sorted(set(names)):
        here = np.array([name == both for name in names])
        quality = ranking_quality(scores[here], pairs.labels[here], np.ones((1, int(here.sum()))))
        rows.append(
            {
                "languages": list(both),
                "pairs": int(here.sum()),
                "clones": int(pairs.labels[here].sum()),
                **{name: float(quality[name][0]) for name in ("auc", "pr_auc")},
            }
        )
    return rows
