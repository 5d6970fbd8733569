"""What a user would be shown: mutually best pairs, best first; how many are right and how much is found.

Protocol. For every pair of languages, a unit and its best partner in the other language are reported if the
preference is mutual. All language pairs share one list, ordered by score, and one threshold. An alert is right
if its units are of one class. There is one thing to find for every class and pair of languages in which the
class has units; the first right alert of such a combination finds it. Recall is the share found.

Where names decide what is a counterpart, many alerts cannot be judged: neither side has a unit of its class in
the other's language. They count as wrong, except in `precision_known` and `p@50_known` (100, 500), which
leave them out.

An alert belongs to the class of its left unit when classes are resampled. A right alert has the same on both
sides; for a wrong one this counts the chance of one of its two classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bootstrap import UNKNOWN, Bootstrap, Estimate
from .metrics import alert_order, calibration_error, precision_at, recall_at_precision
from .ranking import Labels, Partners

Ints = NDArray[np.int64]
AT = (50, 100, 500)
PRECISION = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Mutually best pairs, unordered. Positions `left`, `right` (k,), scores float32 (k,)."""

    left: Ints
    right: Ints
    scores: NDArray[np.float32]


def mutual_best(partners: Partners, labels: Labels) -> Alerts:
    """Pairs of units of two languages, each the other's best in that language. Left is the earlier language."""
    lefts, rights, scores = [], [], []
    positions = np.arange(len(labels.languages))
    for right_language in range(1, len(labels.names)):
        left = positions[labels.languages < right_language]
        right = partners.rows[left, right_language]
        mutual = partners.rows[right, labels.languages[left]] == left
        lefts.append(left[mutual])
        rights.append(right[mutual])
        scores.append(partners.scores[left[mutual], right_language])
    if not lefts:
        return Alerts(left=np.zeros(0, np.int64), right=np.zeros(0, np.int64), scores=np.zeros(0, np.float32))
    return Alerts(left=np.concatenate(lefts), right=np.concatenate(rights), scores=np.concatenate(scores))


def combinations(labels: Labels) -> Ints:
    """Things to find, (c, 3): class and the two languages (ascending) of each combination."""
    known = labels.classes >= 0
    present = np.unique(np.stack([labels.classes[known], labels.languages[known]], axis=1), axis=0)
    rows = []
    for group in np.split(present, np.flatnonzero(np.diff(present[:, 0])) + 1):
        low, high = np.triu_indices(len(group), k=1)
        rows.append(np.stack([group[low, 0], group[low, 1], group[high, 1]], axis=1))
    return np.concatenate(rows) if rows else np.zeros((0, 3), dtype=np.int64)


def measure_alerts(
    alerts: Alerts, labels: Labels, bootstrap: Bootstrap, probabilities: NDArray[np.float32] | None = None
) -> tuple[dict[str, Estimate], list[dict[str, object]]]:
    """Figures of the list, and one row for each pair of languages.

    `recall@p90`, `p@50`, `p@100`, `p@500` (unknown if there are fewer alerts), `precision` and `recall` of the
    whole list, `precision_known`, and where not all can be judged `p@50_known` and so on. With `probabilities` (k,)
    the list is ordered by them, equals by score, and `ece` is added. The rows give precision and recall of all
    alerts, and of those above the threshold behind `recall@p90`.
    """
    scores = (alerts.scores,) if probabilities is None else (probabilities, alerts.scores)
    right = (labels.classes[alerts.left] == labels.classes[alerts.right]) & (labels.classes[alerts.left] >= 0)
    order = alert_order(right, *scores)
    left, relevant = alerts.left[order], right[order]
    keys = np.stack([labels.classes[left], labels.languages[left], labels.languages[alerts.right[order]]], axis=1)
    first = _first_of_each(keys, relevant)
    wanted = combinations(labels)
    per_cluster = np.zeros(bootstrap.weights.shape[1])
    if len(wanted):
        cluster_of = np.zeros(int(labels.classes.max()) + 1, dtype=np.int64)
        known = labels.classes >= 0
        cluster_of[labels.classes[known]] = labels.clusters[known]
        per_cluster = np.bincount(cluster_of[wanted[:, 0]], minlength=len(per_cluster)).astype(np.float64)
    clusters = labels.clusters[left]
    judged = _judged(left, alerts.right[order], labels)

    def figures(draws: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        weights = draws[:, clusters]
        total = draws @ per_cluster
        values = {"recall@p90": recall_at_precision(relevant, first, total, weights, PRECISION)[0]}
        values |= {f"p@{k}": precision_at(relevant, k, weights) for k in AT}
        if not judged.all():
            values |= {f"p@{k}_known": precision_at(relevant, k, weights * judged) for k in AT}
        with np.errstate(invalid="ignore", divide="ignore"):
            values["precision"] = (weights @ relevant.astype(np.float64)) / weights.sum(axis=1)
            values["precision_known"] = (weights @ relevant.astype(np.float64)) / (weights @ judged)
            values["recall"] = (weights @ first) / total
        if probabilities is not None:
            values["ece"] = calibration_error(probabilities[order], relevant, weights)
        return values

    estimates = with_intervals(figures, bootstrap, len(order))
    one = np.ones((1, len(order)))
    cut = int(recall_at_precision(relevant, first, np.array([max(len(wanted), 1)]), one, PRECISION)[1][0])
    return estimates, _by_languages(keys, relevant, first, wanted, cut, labels)


def with_intervals(
    figures: Callable[[NDArray[np.float32]], dict[str, NDArray[np.float64]]], bootstrap: Bootstrap, width: int
) -> dict[str, Estimate]:
    """`figures` maps draws (b, clusters) to named values (b,); here are its values for all and their intervals.

    `width` is the number of items that one draw is expanded to: it decides how many draws are taken at once.
    """
    if not width:
        return dict.fromkeys(figures(np.ones((1, bootstrap.weights.shape[1]), np.float32)), UNKNOWN)
    values = figures(np.ones((1, bootstrap.weights.shape[1]), np.float32))
    parts = [figures(block) for block in bootstrap.blocks(width)]
    return {
        name: bootstrap.of(np.concatenate([part[name] for part in parts]), float(value[0]))
        for name, value in values.items()
    }


def _first_of_each(keys: Ints, relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1.0 where a right alert is the first of its combination, else 0.0."""
    first = np.zeros(len(keys))
    rows = np.flatnonzero(relevant)
    if len(rows):
        _, where = np.unique(keys[rows], axis=0, return_index=True)
        first[rows[where]] = 1.0
    return first


def _judged(left: Ints, right: Ints, labels: Labels) -> NDArray[np.float64]:
    """1.0 where the class of one side has a unit in the other side's language, else 0.0; (k,)."""
    has = np.zeros((int(labels.classes.max(initial=0)) + 2, len(labels.names)), dtype=bool)
    has[labels.classes, labels.languages] = True
    has[-1] = False  # Class −1 is no class.
    there = has[labels.classes[left], labels.languages[right]]
    back = has[labels.classes[right], labels.languages[left]]
    return (there | back).astype(np.float64)


def _by_languages(
    keys: Ints,
    relevant: NDArray[np.bool_],
    first: NDArray[np.float64],
    wanted: Ints,
    cut: int,
    labels: Labels,
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    above = np.arange(len(keys)) < cut
    for low, high in sorted({(int(a), int(b)) for a, b in wanted[:, 1:]}):
        here = (keys[:, 1] == low) & (keys[:, 2] == high)
        there_are = int(((wanted[:, 1] == low) & (wanted[:, 2] == high)).sum())
        row: dict[str, object] = {"languages": [labels.names[low], labels.names[high]], "to_find": there_are}
        for name, part in (("all", here), ("at_p90", here & above)):
            reported = int(part.sum())
            row[name] = {
                "reported": reported,
                "precision": float(relevant[part].mean()) if reported else None,
                "recall": float(first[part].sum()) / there_are,
            }
        rows.append(row)
    return rows
