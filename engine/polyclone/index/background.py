"""Mean and deviation of a query's similarity to all rows of an index, without comparing it to any of them.

With rows v, the mean of q·v is q·mean(v), and the mean of (q·v)² is qᵀ·M·q with M the mean of v·vᵀ. Both are
kept as integers in float64 that no sum below can push past 2⁵³: every sum is exact, so its order is free.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polyclone.index.codes import Codes

_UNIT_BITS = 16
"""Unit vectors are rounded to multiples of 2⁻¹⁶. A sum of 2²⁰ products of two of them stays below 2⁵³."""
_ROWS = 4096


class Background:
    """The distribution of an index's rows. Costs n·d² to make and d² a query; holds d² numbers."""

    def __init__(self, codes: Codes) -> None:
        dimension = codes.dimension
        total = np.zeros(dimension)
        moment = np.zeros((dimension, dimension))
        for start in range(0, len(codes), _ROWS):
            rows = codes.take(slice(start, start + _ROWS))
            unit = np.rint(rows.values * rows.scales[:, None].astype(np.float64) * 2.0**_UNIT_BITS)
            total += unit.sum(axis=0)
            moment += unit.T @ unit
        # |code|² ≤ 127²·d and M's eigenvalues ≤ 1: `codeᵀ·M·code` has log2(127²·d) bits before the point.
        self._moment_bits = min(26, 51 - int(np.ceil(np.log2(127**2 * max(dimension, 1)))))
        count = max(len(codes), 1)
        self._mean = np.rint(total * (2.0**self._moment_bits / (count * 2.0**_UNIT_BITS)))
        self._moment = np.rint(moment * (2.0**self._moment_bits / (count * 4.0**_UNIT_BITS)))

    def of(self, queries: Codes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation, float32 (q,) each, of the queries' similarities to all rows."""
        mean = np.zeros(len(queries), np.float32)
        std = np.zeros(len(queries), np.float32)
        for start in range(0, len(queries), _ROWS):
            block = slice(start, start + _ROWS)
            values = queries.values[block].astype(np.float64)
            scales = queries.scales[block].astype(np.float64)
            first = (values @ self._mean) * 2.0**-self._moment_bits * scales
            second = np.einsum("ij,ij->i", values @ self._moment, values) * 2.0**-self._moment_bits
            mean[block] = first
            std[block] = np.sqrt(np.maximum(second * scales * scales - first * first, 0.0))
        return mean, std
