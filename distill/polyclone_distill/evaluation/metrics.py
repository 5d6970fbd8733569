"""The figures themselves. Plain arrays in, numbers out; nothing here knows a model, a file or a language.

Functions with `weights` (b, n) compute the figure for b weightings of the n items at once: a row of ones is
the figure, rows of bootstrap draws are its resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Weights = NDArray[np.float32] | NDArray[np.float64]


def query_metrics(ranks: Ints, offsets: Ints) -> dict[str, Floats]:
    """Figures of each query from the 1-based ranks of what is relevant to it.

    `ranks` (p,) holds, query after query, ranks in rising order; query i owns `offsets[i]:offsets[i + 1]`,
    which must not be empty. Returns (q,) each:

    mrr    1 / rank of the first relevant unit
    r@1    1 if the first rank is relevant, else 0
    r@10   1 if one of the first ten is relevant, else 0
    map@r  (1/R) Σ over relevant i with rank_i ≤ R of i / rank_i, R = number of relevant units
           (Musgrave et al. 2020, "A metric learning reality check", §3)
    """
    starts = offsets[:-1]
    sizes = np.diff(offsets)
    if not len(sizes):
        return {name: np.zeros(0) for name in ("mrr", "r@1", "r@10", "map@r")}
    first = ranks[starts]
    position = np.arange(len(ranks)) - np.repeat(starts, sizes) + 1
    inside = ranks <= np.repeat(sizes, sizes)
    precision = np.where(inside, position / ranks, 0.0)
    return {
        "mrr": 1.0 / first,
        "r@1": (first <= 1).astype(np.float64),
        "r@10": (first <= 10).astype(np.float64),
        "map@r": np.add.reduceat(precision, starts) / sizes,
    }


def alert_order(relevant: Bools, *scores: NDArray[np.floating]) -> Ints:
    """Best of the first score first, equals by the next one, as a report lists them.

    Of what is equal in all the wrong ones come first, so that luck with ties earns nothing.
    """
    return np.lexsort((relevant, *(-score.astype(np.float64) for score in reversed(scores))))


def precision_at(relevant: Bools, k: int, weights: Weights) -> Floats:
    """Share of relevant alerts among the first `k`, float64 (b,). `relevant` (n,) is in order of alarm.

    A weighting takes alerts until their weights add up to k; NaN where there are fewer.
    """
    reached = np.cumsum(weights, axis=1, dtype=np.float64)
    if not reached.shape[1]:
        return np.full(len(weights), np.nan)
    taken = np.diff(np.minimum(reached, k), axis=1, prepend=0.0)
    hits = taken @ relevant.astype(np.float64)
    return np.where(reached[:, -1] >= k, hits / k, np.nan)


def recall_at_precision(
    relevant: Bools, found: Floats, total: Floats, weights: Weights, precision: float = 0.9
) -> tuple[Floats, Ints]:
    """The largest recall of any cut whose alerts have at least `precision`, float64 (b,); and that cut's length.

    `relevant` (n,) in order of alarm; `found` (n,) how much of what there is to find an alert is the first to
    find; `total` (b,) how much there is. No such cut: recall 0, length 0.
    """
    if not len(relevant):
        return np.zeros(len(weights)), np.zeros(len(weights), dtype=np.int64)
    hits = np.cumsum(weights * relevant, axis=1, dtype=np.float64)
    alerts = np.cumsum(weights, axis=1, dtype=np.float64)
    recalls = np.cumsum(weights * found, axis=1, dtype=np.float64)
    good = (hits >= precision * alerts - 1e-9) & (alerts > 0)
    reached = np.where(good, recalls, 0.0)
    best = reached.max(axis=1)
    cut = np.where(best > 0, reached.argmax(axis=1) + 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, best / total, np.nan), cut


def ranking_quality(scores: NDArray[np.floating], labels: Bools, weights: Weights) -> dict[str, Floats]:
    """`auc`, `pr_auc`, `best_f1` and `recall@p90` of scores (n,) against labels (n,); float64 (b,) each.

    auc        probability that a clone scores above a non-clone, ties count half (Fawcett 2006, §7)
    pr_auc     average precision Σ (R_i − R_{i−1})·P_i over distinct scores, no interpolation
    best_f1    largest F1 over all thresholds: an upper bound, its threshold is chosen on this very set
    recall@p90 largest recall at a threshold with precision of at least .9, 0 if there is none
    """
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    weighted = weights[:, order].astype(np.float64)
    truth = labels[order]
    positive = np.add.reduceat(weighted * truth, starts, axis=1)
    negative = np.add.reduceat(weighted * ~truth, starts, axis=1)
    tp, fp = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
    positives, negatives = tp[:, -1:], fp[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        beaten = negatives - fp + negative / 2
        auc = (positive * beaten).sum(axis=1) / (positives * negatives)[:, 0]
        precision = np.where(tp + fp > 0, tp / (tp + fp), 0.0)
        recall = tp / positives
        pr_auc = (positive / positives * precision).sum(axis=1)
        f1 = 2 * tp / (tp + fp + positives)
        good = np.where(precision >= 0.9 - 1e-9, recall, 0.0)
    known = (positives[:, 0] > 0) & (negatives[:, 0] > 0)
    figures = {"auc": auc, "pr_auc": pr_auc, "best_f1": f1.max(axis=1), "recall@p90": good.max(axis=1)}
    return {name: np.where(known, values, np.nan) for name, values in figures.items()}


def decision_quality(decided: Bools, labels: Bools, weights: Weights) -> dict[str, Floats]:
    """Precision, recall and F1 of yes/no decisions (n,), float64 (b,) each. Nothing decided: precision NaN, F1 0."""
    w = weights.astype(np.float64)
    hit = w @ (decided & labels).astype(np.float64)
    said, true = w @ decided.astype(np.float64), w @ labels.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"precision": hit / said, "recall": hit / true, "f1": 2 * hit / (said + true)}


def calibration_error(probabilities: NDArray[np.floating], labels: Bools, weights: Weights, bins: int = 15) -> Floats:
    """Expected calibration error Σ_bins (n_bin / n)·|share of clones − mean probability|, float64 (b,).

    Naeini et al. 2015 / Guo et al. 2017, eq. 3, with `bins` bins of equal width.
    """
    p = probabilities.astype(np.float64)
    where = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.zeros((len(p), bins))
    gap[np.arange(len(p)), where] = labels.astype(np.float64) - p
    w = weights.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(w @ gap).sum(axis=1) / w.sum(axis=1))


def reliability(probabilities: NDArray[np.floating], labels: Bools, bins: int = 15) -> list[dict[str, float]]:
    """The filled bins of a reliability diagram: bounds, number of pairs, mean probability, share of clones."""
    where = np.clip(np.ceil(probabilities.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = []
    for number in np.unique(where).tolist():
        inside = where == number
        rows.append(
            {
                "low": number / bins,
                "high": (number + 1) / bins,
                "pairs": int(inside.sum()),
                "mean_probability": float(probabilities[inside].mean()),
                "clones": float(labels[inside].mean()),
            }
        )
    return rows
