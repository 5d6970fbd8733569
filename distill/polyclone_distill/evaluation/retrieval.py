"""Finding what does the same among the units of all other languages, and alerting on it.

Every unit with a relevant unit in another language is a query. Its pool is all units of other languages at
once; each direction (language of the query → language of the pool) is measured beside it. Figures are means
over queries, intervals come from resampling clusters. Alerts: see `alerts`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from polyclone.errors import UsageError

from .alerts import Alerts, measure_alerts, mutual_best
from .baselines import count_words
from .bootstrap import Bootstrap, Estimate
from .metrics import Floats, Ints, query_metrics
from .model import Model
from .pool import Pool
from .ranking import Labels, Ranks, rank
from .scorers import AgreementScorer, Bm25Scorer, CslsScorer, DenseScorer, ScanScorer, Scorer, TfidfScorer
from .views import apply_view, check_views

log = logging.getLogger(__name__)

BASELINES: Mapping[str, Callable[[object], Scorer]] = {"tfidf": TfidfScorer, "bm25": Bm25Scorer}
MODEL, CSLS, SCAN, HEAD = "model", "model+csls", "model+scan", "model+head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """Figures of queries in one language against units of another."""

    query: str
    target: str
    queries: int
    pool: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemResult:
    """One system in one view."""

    view: str
    system: str
    queries: int
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    """mrr, r@1, r@10, map@r in the pool of all other languages; mean over queries."""
    directed: Mapping[str, Estimate] = field(default_factory=dict)
    """The same in the pool of one other language; mean over (query, language with something relevant)."""
    gain: Mapping[str, Estimate] = field(default_factory=dict)
    """`metrics` minus those of TF-IDF in the same view, resampled together."""
    directions: tuple[Direction, ...] = ()
    alerts: Mapping[str, Estimate] = field(default_factory=dict)
    alert_count: int = 0
    language_pairs: Sequence[Mapping[str, object]] = ()


def evaluate_pool(
    pool: Pool,
    model: Model | None,
    *,
    views: Sequence[str],
    resamples: int = 1000,
    seed: int = 1,
) -> list[SystemResult]:
    """Model (if there is one), TF-IDF and BM25 in every view, each with and without correction for hubs.

    The model also as a scan compares, and the pair head on what that proposes.

    `UsageError` if nothing is relevant to anything.
    """
    labels = pool.labels()
    if not len(_queries(labels)):
        raise UsageError(
            "no unit has a counterpart in another language; choose more tasks or languages, or another input."
        )
    bootstrap = Bootstrap(int(labels.clusters.max()) + 1, resamples, seed)
    results: list[SystemResult] = []
    for view in check_views(views):
        texts = [apply_view(view, item.normalised, item.name) for item in pool.items]
        counts = count_words(texts)
        reference: dict[str, Floats] | None = None
        for system, make in BASELINES.items():
            scorer = make(counts)
            result, columns, _ = _measure(view, system, scorer, labels, bootstrap, reference)
            reference = reference or columns
            scaled = CslsScorer(scorer, labels.languages)
            results += [result, _measure(view, f"{system}+csls", scaled, labels, bootstrap, reference)[0]]
            log.info("%s, %s: done", view, system)
        if model is not None:
            scorer = DenseScorer(model.encode_normalised(texts))
            results.append(_measure(view, MODEL, scorer, labels, bootstrap, reference)[0])
            scaled = CslsScorer(scorer, labels.languages)
            results.append(_measure(view, CSLS, scaled, labels, bootstrap, reference)[0])
            # A scan compares so, and has the head judge what is mutually best then.
            vocabulary = model.vocabulary
            agreement = AgreementScorer([vocabulary.ids(text) for text in texts], vocabulary.weights)
            compared = ScanScorer(scorer, agreement, labels.languages, pool.files())
            result, _, alerts = _measure(view, SCAN, compared, labels, bootstrap, reference)
            results += [result, _judge(view, model, texts, alerts, labels, bootstrap)]
            log.info("%s, %s: done", view, MODEL)
    return results


def _queries(labels: Labels) -> Ints:
    """Positions of the units that have a relevant unit in another language."""
    known = np.flatnonzero(labels.classes >= 0)
    pairs = np.unique(np.stack([labels.classes[known], labels.languages[known]], axis=1), axis=0)
    spoken = np.bincount(pairs[:, 0], minlength=int(labels.classes.max(initial=0)) + 1)
    return known[spoken[labels.classes[known]] > 1]


def _measure(
    view: str,
    system: str,
    scorer: Scorer,
    labels: Labels,
    bootstrap: Bootstrap,
    reference: Mapping[str, Floats] | None,
) -> tuple[SystemResult, dict[str, Floats], Alerts]:
    ranks, partners = rank(scorer, labels)
    queries, offsets = _groups(ranks.query)
    columns = query_metrics(ranks.mixed, offsets)
    clusters = labels.clusters[queries]
    gain = {name: columns[name] - reference[name] for name in columns} if reference is not None else {}
    directed, directions = _directions(ranks, labels, bootstrap)
    alerts = mutual_best(partners, labels)
    figures, rows = measure_alerts(alerts, labels, bootstrap)
    result = SystemResult(
        view=view,
        system=system,
        queries=len(queries),
        metrics=bootstrap.means(columns, clusters),
        directed=directed,
        gain=bootstrap.means(gain, clusters) if gain else {},
        directions=directions,
        alerts=figures,
        alert_count=len(alerts.left),
        language_pairs=tuple(rows),
    )
    return result, columns, alerts


def _judge(
    view: str,
    model: Model,
    texts: Sequence[str],
    alerts: Alerts,
    labels: Labels,
    bootstrap: Bootstrap,
) -> SystemResult:
    """The alerts of a scan, ordered by the calibrated probability of its pair head."""
    left = [texts[i] for i in alerts.left.tolist()]
    right = [texts[i] for i in alerts.right.tolist()]
    probabilities = model.pair_probability_normalised(left, right)
    figures, rows = measure_alerts(alerts, labels, bootstrap, probabilities)
    return SystemResult(
        view=view, system=HEAD, queries=0, alerts=figures, alert_count=len(left), language_pairs=tuple(rows)
    )


def _groups(keys: Ints) -> tuple[Ints, Ints]:
    """Distinct values of sorted `keys`, and where each begins (one more for the end)."""
    values, starts = np.unique(keys, return_index=True)
    return values, np.append(starts, len(keys))


def _directions(
    ranks: Ranks, labels: Labels, bootstrap: Bootstrap
) -> tuple[dict[str, Estimate], tuple[Direction, ...]]:
    """Figures over all (query, target language), and one row for each direction."""
    languages = len(labels.names)
    order = np.lexsort((ranks.directed, ranks.target, ranks.query))
    keys, offsets = _groups((ranks.query * languages + ranks.target)[order])
    columns = query_metrics(ranks.directed[order], offsets)
    queries, targets = keys // languages, keys % languages
    clusters = labels.clusters[queries]
    direction = labels.languages[queries] * languages + targets
    sizes = np.bincount(labels.languages, minlength=languages)
    rows = []
    for number in np.unique(direction).tolist():
        here = direction == number
        rows.append(
            Direction(
                query=labels.names[number // languages],
                target=labels.names[number % languages],
                queries=int(here.sum()),
                pool=int(sizes[number % languages]),
                metrics=bootstrap.means({name: values[here] for name, values in columns.items()}, clusters[here]),
            )
        )
    return bootstrap.means(columns, clusters), tuple(rows)
