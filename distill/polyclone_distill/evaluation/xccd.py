"""Judging pairs of two languages as X-CCD does: verdicts, silence, time, tokens; and two systems against each other.

Plain arrays in, figures out. A verdict is 1, 0, or −1 for silence. Every figure comes twice: over the pairs that
were judged, and with silence counted as "no".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from polyclone.errors import UsageError

from .alerts import with_intervals
from .bootstrap import Bootstrap, Estimate
from .metrics import ranking_quality

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SILENT = -1
FIGURES = ("precision", "recall", "f1", "accuracy", "mcc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one system says of n pairs."""

    system: str
    verdicts: Ints
    """(n,): 1, 0, or `SILENT`."""
    scores: Floats | None
    """(n,), larger is more like a clone; None for a system without one for every pair."""
    seconds: Floats
    tokens: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One system on one set."""

    set: str
    system: str
    pairs: int
    judged: Mapping[str, Estimate]
    """`FIGURES` over judged pairs."""
    silent_is_no: Mapping[str, Estimate]
    """`FIGURES` over all pairs."""
    response_rate: Estimate
    auc: Estimate | None
    seconds: float
    """A pair, mean."""
    tokens: float
    """A pair, mean."""


def evaluate_set(
    name: str,
    labels: NDArray[np.bool_],
    problems: Sequence[str],
    systems: Sequence[Judged],
    resamples: int,
    seed: int,
) -> list[Row]:
    """All systems on one set. `problems` (n,) of the left programs are what is resampled.

    Systems share the resamples, so that rows of one set can be compared.
    """
    number = {problem: i for i, problem in enumerate(sorted(set(problems)))}
    clusters = np.array([number[problem] for problem in problems], dtype=np.int64)
    bootstrap = Bootstrap(len(number), resamples, seed)
    return [_row(name, labels, clusters, system, bootstrap) for system in systems]


def _row(name: str, labels: NDArray[np.bool_], clusters: Ints, system: Judged, bootstrap: Bootstrap) -> Row:
    answered = system.verdicts != SILENT
    said = system.verdicts == 1

    def figures(draws: NDArray[np.float32]) -> dict[str, Floats]:
        weights = draws[:, clusters].astype(np.float64)
        found = {f"judged {k}": v for k, v in confusion(said, labels, weights * answered).items()}
        found |= {f"all {k}": v for k, v in confusion(said, labels, weights).items()}
        with np.errstate(invalid="ignore", divide="ignore"):
            found["response rate"] = weights @ answered / weights.sum(1)
        if system.scores is not None:
            found["auc"] = ranking_quality(system.scores, labels, weights)["auc"]
        return found

    estimates = with_intervals(figures, bootstrap, len(labels))
    return Row(
        set=name,
        system=system.system,
        pairs=len(labels),
        judged={key: estimates[f"judged {key}"] for key in FIGURES},
        silent_is_no={key: estimates[f"all {key}"] for key in FIGURES},
        response_rate=estimates["response rate"],
        auc=estimates.get("auc"),
        seconds=float(system.seconds.mean()),
        tokens=float(system.tokens.mean()),
    )


def confusion(said: NDArray[np.bool_], labels: NDArray[np.bool_], weights: Floats) -> dict[str, Floats]:
    """`FIGURES` of yes/no verdicts (n,) under b weightings (b, n): float64 (b,) each.

    Nothing called a clone: precision NaN, F1 0. MCC with an empty row or column: 0 (Chicco & Jurman 2020).
    """
    tp = weights @ (said & labels).astype(np.float64)
    fp = weights @ (said & ~labels).astype(np.float64)
    fn = weights @ (~said & labels).astype(np.float64)
    tn = weights @ (~said & ~labels).astype(np.float64)
    total = tp + fp + fn + tn
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * tp / (2 * tp + fp + fn)
        mcc = np.where(product > 0, (tp * tn - fp * fn) / np.sqrt(np.maximum(product, 1e-300)), 0.0)
        return {
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": f1,
            "accuracy": (tp + tn) / total,
            "mcc": np.where(total > 0, mcc, np.nan),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Two systems on the same pairs, silence counted as "no"."""

    only_first: int
    """Pairs that only the first one has right."""
    only_second: int
    p_value: float
    """Exact, two-sided: of so uneven a split, or a more uneven one, if both were equally good."""


def mcnemar(first: Ints, second: Ints, labels: NDArray[np.bool_]) -> McNemar:
    """McNemar's test in its exact form (McNemar 1947; Edwards 1948): verdicts (n,) of both, labels (n,)."""
    if not len(first) == len(second) == len(labels):
        raise UsageError("two systems can be compared on the same pairs only.")
    right = [(verdicts == 1) == labels for verdicts in (first, second)]
    b, c = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    return McNemar(only_first=b, only_second=c, p_value=binomial_two_sided(min(b, c), b + c))


def binomial_two_sided(k: int, n: int) -> float:
    """P of k or fewer, or n − k or more, heads in n throws of a fair coin."""
    if n == 0:
        return 1.0
    return min(1.0, float(2 * sum(comb(n, i) for i in range(k + 1)) / 2**n))
