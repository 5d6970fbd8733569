"""From a judge's logits to probabilities at natural prevalence: the curve, what it promises, where it is unsure.

Pure functions of logits and labels. Nothing here knows what gave the logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.errors import UsageError
from sklearn.isotonic import IsotonicRegression

PRECISIONS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99)
#: A pair below the unsure band is called no clone; so many of the clones may lie there.
MISSED = 0.1
#: Nothing is more certain than this, or less than its complement.
CEILING = 1.0 - 1e-4


def calibrate(logits: NDArray[np.float32], labels: NDArray[np.int64], default_precision: float) -> dict[str, Any]:
    """Isotonic curve through at most 100 points, the least probability for each precision of `PRECISIONS`, and the
    band of probabilities in which a pair is neither. `UsageError` without a single clone.

    Clones are rare, so most points stand where the clones are and not where the pairs are.
    """
    _some_clones(labels)
    model = IsotonicRegression(y_min=1.0 - CEILING, y_max=CEILING, out_of_bounds="clip").fit(logits, labels)
    wide = logits.astype(np.float64)
    grid = np.unique(
        np.concatenate(
            [np.quantile(wide, np.linspace(0.0, 1.0, 30)), np.quantile(wide[labels == 1], np.linspace(0.0, 1.0, 70))]
        )
    )
    fitted = model.predict(wide)
    best = fitted >= fitted.max() - 1e-9
    # n pairs without an error are no proof of more than (n + 1) / (n + 2), the rule of succession.
    known = (labels[best].sum() + 1.0) / (best.sum() + 2.0)
    curve = np.maximum.accumulate(_smooth(np.minimum(model.predict(grid), known)))
    curve = spread_top(grid, curve)
    # Beyond the highest score seen certainty still grows, so that equal probabilities stay rare.
    xs = [*grid.tolist(), float(grid[-1]) + 6.0]
    ys = [*curve.tolist(), max(float(curve[-1]), CEILING)]
    probabilities = np.interp(wide, xs, ys)
    precisions = precision_thresholds(probabilities, labels)
    return {
        "logits": [round(x, 5) for x in xs],
        "probabilities": [round(min(max(y, 0.0), 1.0), 5) for y in ys],
        "precisions": precisions,
        "default_precision": default_precision,
        "unsure": unsure_band(probabilities, labels, precisions, default_precision),
    }


def surest(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The least logit of the highest level of an isotonic fit: from here on the pairs show no order by the logit.

    As a rule all of them are clones. `UsageError` without a single clone.
    """
    _some_clones(labels)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(logits, labels).predict(logits)
    return float(logits[fitted >= fitted.max() - 1e-9].min())


def spread_top(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
    """`ys`, ascending over ascending `xs`, with the flat stretch at its end tilted around its level.

    A quarter of the clones may share the highest level, and a person who sorts by probability wants an order among
    them. The mean stays, and the stretch stays above what is below it.
    """
    level = float(ys[-1])
    first = int(np.flatnonzero(ys >= level - 1e-9)[0])
    if first == len(ys) - 1:
        return ys
    below = float(ys[first - 1]) if first else 0.0
    reach = min((level - below) / 2.0, (CEILING - level) / 2.0)
    place = (xs[first:] - xs[first]) / (xs[-1] - xs[first])
    return np.concatenate([ys[:first], level + max(reach, 0.0) * (2.0 * place - 1.0)])


def unsure_band(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], precisions: list[list[float]], wished: float
) -> list[float]:
    """[low, high]: from `high` on pairs are clones at the wished precision, below `low` lie at most a tenth of the
    clones, and in between nobody should be sure. Empty (low = high) where the two meet; high is 1 where the wished
    precision is never reached.
    """
    high = next((least for reached, least in precisions if reached >= wished - 1e-9), 1.0)
    clones = np.sort(probabilities[labels == 1])
    low = float(np.floor(clones[int(MISSED * len(clones))] * 1e4) / 1e4)
    return [round(min(low, high), 4), round(high, 4)]


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moving average over five points: isotonic steps become slopes, order stays."""
    padded = np.pad(values, 2, mode="edge")
    return np.asarray(np.convolve(padded, np.ones(5) / 5.0, mode="valid"))


def precision_thresholds(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[list[float]]:
    """For each wished precision the least probability above which all reported pairs together reach it."""
    order = np.argsort(-probabilities, kind="stable")
    sorted_p = probabilities[order]
    precision = np.cumsum(labels[order]) / np.arange(1, len(order) + 1)
    # Only where the probability changes can a threshold stand.
    ends = np.append(np.flatnonzero(np.diff(sorted_p) < 0), len(order) - 1)
    ends = ends[ends >= 19]
    out: list[list[float]] = []
    for wished in PRECISIONS:
        good = ends[precision[ends] >= wished]
        if len(good):
            out.append([wished, round(float(np.floor(sorted_p[good[-1]] * 1e4) / 1e4), 4)])
    return out


def average_precision(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    ordered = labels[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(ordered)
    return float((hits / np.arange(1, len(ordered) + 1))[ordered == 1].mean()) if ordered.any() else float("nan")


def recall_at_precision(scores: NDArray[np.float64], labels: NDArray[np.int64], wished: float) -> float:
    """Largest share of the clones found by a threshold whose precision is at least `wished`."""
    hits = np.cumsum(labels[np.argsort(-scores, kind="stable")])
    good = np.flatnonzero(hits / np.arange(1, len(hits) + 1) >= wished)
    return float(hits[good[-1]] / max(1, hits[-1])) if len(good) else 0.0


def expected_calibration_error(p: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 15) -> float:
    """Σ |bin| / n · |mean p − share of clones| over equal-width bins (Guo et al. 2017, eq. 3)."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [
        abs(float(p[which == b].mean() - labels[which == b].mean())) * float((which == b).mean()) for b in set(which)
    ]
    return float(sum(gaps))


def _some_clones(labels: NDArray[np.int64]) -> None:
    if not labels.any():
        raise UsageError(
            f"none of the {len(labels):,} retrieved pairs is a clone, so nothing can be calibrated;"
            " give `prepare` more exercises of the validation split, or raise --draws."
        )
