"""Confidence intervals by resampling clusters (tasks, classes of a workspace), all resamples at once.

The percentile bootstrap of Efron & Tibshirani 1993, ch. 13: draw as many clusters as there are, with
repetition; a cluster drawn twice counts twice. Units of one task succeed or fail together, so resampling them
one by one would promise too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEVEL = 0.95
#: Memory of one block of weights, in numbers.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its interval. All three are NaN where there was nothing to measure."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return bool(np.isfinite(self.value))


UNKNOWN = Estimate(value=float("nan"), low=float("nan"), high=float("nan"))


class Bootstrap:
    """How often each of `clusters` clusters is drawn in each of `resamples` resamples. Equal seeds, equal draws.

    Two systems measured with the same object are resampled alike, so their difference has an interval too.
    """

    def __init__(self, clusters: int, resamples: int = 1000, seed: int = 1) -> None:
        if clusters < 1:
            raise ValueError("there is nothing to resample: no cluster")
        rng = np.random.default_rng(seed)
        share = np.full(clusters, 1.0 / clusters)
        self.weights: NDArray[np.float32] = rng.multinomial(clusters, share, size=resamples).astype(np.float32)

    @property
    def resamples(self) -> int:
        return len(self.weights)

    def of(self, samples: Floats, value: float) -> Estimate:
        """The interval of `samples` (resamples,) around `value`; resamples without a figure (NaN) are left out."""
        good = samples[np.isfinite(samples)]
        if not np.isfinite(value):
            return UNKNOWN
        if not len(good):
            return Estimate(value=float(value), low=float("nan"), high=float("nan"))
        low, high = np.quantile(good, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(value=float(value), low=float(low), high=float(high))

    def mean_samples(self, values: Floats, clusters: Ints) -> Floats:
        """Means of `values` (q,) or (q, m) in every resample: (resamples,) or (resamples, m).

        `clusters` (q,) names the cluster of each value: Σ w·Σ values / Σ w·count, w the draws of the cluster.
        """
        table = values if values.ndim == 2 else values[:, None]
        sums = np.zeros((self.weights.shape[1], table.shape[1]))
        np.add.at(sums, clusters, table)
        counts = np.bincount(clusters, minlength=self.weights.shape[1]).astype(np.float64)
        total = (self.weights @ counts)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(total > 0, (self.weights @ sums) / total, np.nan)
        return means if values.ndim == 2 else means[:, 0]

    def means(self, columns: Mapping[str, Floats], clusters: Ints) -> dict[str, Estimate]:
        """Mean and interval of each named column (q,)."""
        if not len(clusters):
            return dict.fromkeys(columns, UNKNOWN)
        samples = self.mean_samples(np.stack(list(columns.values()), axis=1), clusters)
        return {
            name: self.of(samples[:, i], float(values.mean())) for i, (name, values) in enumerate(columns.items())
        }

    def blocks(self, width: int) -> list[NDArray[np.float32]]:
        """The rows of `weights` in blocks, small enough to expand each row to `width` numbers."""
        step = max(1, _BLOCK // max(width, 1))
        return [self.weights[i : i + step] for i in range(0, len(self.weights), step)]
