"""Pairs of clones of which one side was changed in its behaviour: how many are still called clones, and which.

Clones and other pairs come from `sample_pairs`. Of every pair of clones one side, by chance, gets one change of
each kind that it has a place for; the other side, in another language, stays. A share of mutants called clones
says something only beside the share of the unchanged pairs that are called clones: both are given, at one threshold.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from polyclone.errors import UsageError

from .baselines import count_words
from .bootstrap import UNKNOWN, Bootstrap, Estimate
from .model import Model
from .mutation import CHANGES, mutate
from .pair_source import Pairs
from .scorers import Bm25Scorer, DenseScorer, Scorer, TfidfScorer
from .views import apply_view, check_views
from .xccd_systems import best_threshold

Ints = NDArray[np.int64]
PROBABILITY, COSINE = "probability", "cosine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutants:
    """m changed pairs. `texts` (m,) are the changed sides; `origins` (m,) positions in the sampled pairs."""

    texts: tuple[str, ...]
    origins: Ints
    left: NDArray[np.bool_]
    """Whether it is the left side that was changed."""
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Of some mutants, shares with intervals by task."""

    mutants: int
    recall: Estimate
    """Of the unchanged pairs behind them, called clones."""
    called: Estimate
    """Of the mutants, called clones."""
    still: Estimate
    """Of the mutants whose unchanged pair is called a clone, still called one."""
    lower: Estimate
    """Of the mutants, those that score below their unchanged pair: 0 says that a system sees no change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantResult:
    """One system in one view at one threshold."""

    view: str
    system: str
    threshold: float
    recall: Estimate
    """Of all sampled clones."""
    false_calls: Estimate
    """Of the sampled pairs of different tasks, called clones."""
    total: Shares
    kinds: Mapping[str, Shares]
    languages: Mapping[str, Shares]
    """By the language of the changed side."""


def make_mutants(pairs: Pairs, seed: int = 1) -> Mutants:
    """One mutant a kind for every pair of clones that has a place for it. `UsageError` if none has."""
    texts: list[str] = []
    origins: list[int] = []
    left: list[bool] = []
    kinds: list[str] = []
    for position in np.flatnonzero(pairs.labels).tolist():
        on_the_left = random.Random(f"{seed}/side/{position}").random() < 0.5
        side = pairs.left if on_the_left else pairs.right
        text = pairs.items[int(side[position])].normalised
        for kind in CHANGES:
            changed = mutate(text, kind, seed)
            if changed is None or changed == text:
                continue
            texts.append(changed)
            origins.append(position)
            left.append(on_the_left)
            kinds.append(kind)
    if not texts:
        raise UsageError("no clone has a comparison, a branch or a constant to change; give other programs.")
    return Mutants(texts=tuple(texts), origins=np.array(origins), left=np.array(left), kinds=tuple(kinds))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """What is scored: `texts` of items, then of mutants; positions of both sides of all pairs, then of mutants."""

    texts: list[str]
    left: Ints
    right: Ints


def _shown(view: str, pairs: Pairs, mutants: Mutants) -> _Texts:
    changed = np.where(mutants.left, pairs.left[mutants.origins], pairs.right[mutants.origins])
    kept = np.where(mutants.left, pairs.right[mutants.origins], pairs.left[mutants.origins])
    names = [pairs.items[row].name for row in changed.tolist()]
    texts = [apply_view(view, item.normalised, item.name) for item in pairs.items]
    texts += [apply_view(view, text, name) for text, name in zip(mutants.texts, names, strict=True)]
    new = len(pairs.items) + np.arange(len(mutants.texts))
    return _Texts(texts=texts, left=np.concatenate([pairs.left, new]), right=np.concatenate([pairs.right, kept]))


def evaluate_mutants(
    pairs: Pairs,
    model: Model | None,
    *,
    views: Sequence[str],
    threshold: float,
    resamples: int = 1000,
    seed: int = 1,
) -> list[MutantResult]:
    """Probability at `threshold`; cosine, TF-IDF and BM25 at the threshold of the highest accuracy on these pairs.

    The latter is chosen on the very clones and others that are reported, which favours those three.
    """
    mutants = make_mutants(pairs, seed)
    bootstrap = Bootstrap(int(pairs.clusters.max()) + 1, resamples, seed)
    results: list[MutantResult] = []
    for view in check_views(views):
        shown = _shown(view, pairs, mutants)
        if model is not None:
            left, right = ([shown.texts[i] for i in side.tolist()] for side in (shown.left, shown.right))
            scores = model.pair_probability_normalised(left, right).astype(np.float64)
            results.append(_measure(view, PROBABILITY, scores, threshold, pairs, mutants, bootstrap))
        for system, scorer in _scorers(shown.texts, model).items():
            scores = scorer.pairs(shown.left, shown.right).astype(np.float64)
            own = best_threshold(scores[: len(pairs.labels)], pairs.labels)
            results.append(_measure(view, system, scores, own, pairs, mutants, bootstrap))
    return results


def _scorers(texts: Sequence[str], model: Model | None) -> dict[str, Scorer]:
    counts = count_words(texts)
    dense: dict[str, Scorer] = {COSINE: DenseScorer(model.encode_normalised(texts))} if model is not None else {}
    return {**dense, "tfidf": TfidfScorer(counts), "bm25": Bm25Scorer(counts)}


def _measure(
    view: str,
    system: str,
    scores: NDArray[np.float64],
    threshold: float,
    pairs: Pairs,
    mutants: Mutants,
    bootstrap: Bootstrap,
) -> MutantResult:
    own, changed = scores[: len(pairs.labels)], scores[len(pairs.labels) :]
    called = (own >= threshold).astype(np.float64)
    clones = np.flatnonzero(pairs.labels)
    others = np.flatnonzero(~pairs.labels)
    side = np.where(mutants.left, pairs.left[mutants.origins], pairs.right[mutants.origins])
    languages = np.array([pairs.items[row].language for row in side.tolist()])
    kinds = np.array(mutants.kinds)

    def shares(here: NDArray[np.bool_]) -> Shares:
        origins = mutants.origins[here]
        found, still = called[origins], (changed[here] >= threshold).astype(np.float64)
        clusters = pairs.clusters[origins]
        kept = found > 0
        return Shares(
            mutants=int(here.sum()),
            recall=_mean(found, clusters, bootstrap),
            called=_mean(still, clusters, bootstrap),
            still=_mean(still[kept], clusters[kept], bootstrap),
            lower=_mean((changed[here] < own[origins]).astype(np.float64), clusters, bootstrap),
        )

    return MutantResult(
        view=view,
        system=system,
        threshold=threshold,
        recall=_mean(called[clones], pairs.clusters[clones], bootstrap),
        false_calls=_mean(called[others], pairs.clusters[others], bootstrap),
        total=shares(np.ones(len(changed), dtype=bool)),
        kinds={kind: shares(kinds == kind) for kind in CHANGES if (kinds == kind).any()},
        languages={name: shares(languages == name) for name in sorted(set(languages.tolist()))},
    )


def _mean(values: NDArray[np.float64], clusters: Ints, bootstrap: Bootstrap) -> Estimate:
    return bootstrap.means({"": values}, clusters)[""] if len(values) else UNKNOWN
