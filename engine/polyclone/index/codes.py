"""Vectors as int8 codes, and the exact cosine of two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST_CODE = 127
_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """n vectors of d dimensions. `values[i] * scales[i]` is vector i again, brought to unit length.

    Raises `ValueError` when made from arrays of other shapes or types, or holding the value -128.
    """

    values: NDArray[np.int8]
    """(n, d), each in -127…127, so that the negative of a code is a code."""
    scales: NDArray[np.float32]
    """(n,), 1 / Euclidean length of the row of `values`; 0 for a row of zeros."""

    def __post_init__(self) -> None:
        if self.values.dtype != np.int8 or self.values.ndim != 2:
            raise ValueError(f"values must be int8 (n, d), not {self.values.dtype} {self.values.shape}")
        if self.scales.dtype != np.float32 or self.scales.shape != self.values.shape[:1]:
            raise ValueError(
                f"scales must be float32 ({len(self.values)},), not {self.scales.dtype} {self.scales.shape}"
            )
        if self.values.size and self.values.min() < -_LARGEST_CODE:
            raise ValueError("values must not hold -128")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dimension(self) -> int:
        return int(self.values.shape[1])

    @classmethod
    def view(cls, values: NDArray[np.int8], scales: NDArray[np.float32]) -> Codes:
        """Codes of arrays that are known to be sound, without looking at them."""
        made = object.__new__(cls)
        object.__setattr__(made, "values", values)
        object.__setattr__(made, "scales", scales)
        return made

    def take(self, rows: Sequence[int] | slice | NDArray[np.intp]) -> Codes:
        """The given rows, in the given order."""
        return Codes.view(self.values[rows], self.scales[rows])

    def to_vectors(self) -> NDArray[np.float32]:
        """float32 (n, d), unit length up to rounding."""
        return self.values * self.scales[:, None]


def codes_of(values: NDArray[np.int8]) -> Codes:
    """Complete int8 (n, d) values, e.g. from the cache, with their scales.

    Sum and square root are exact or correctly rounded, so equal values have equal scales everywhere.
    """
    squares = np.einsum("ij,ij->i", values, values, dtype=np.int64)
    lengths = np.sqrt(squares.astype(np.float64))
    scales = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return Codes(values, scales.astype(np.float32))


def quantise(vectors: NDArray[np.float32]) -> Codes:
    """Codes for float32 (n, d) vectors: each is stretched so that its largest component becomes ±127.

    Rounds half to even. Only directions are kept: the scale is derived from the code and not from the
    vector, so that a code's similarity to itself is 1 up to float32 rounding, for vectors of any length.
    Zero vectors are allowed and similar to nothing (0). Raises `ValueError` for another shape, NaN, infinity.
    """
    if vectors.ndim != 2:
        raise ValueError(f"vectors must have shape (n, d), not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite")
    values = np.empty(vectors.shape, np.int8)
    for start in range(0, len(vectors), _ROWS):
        wide = vectors[start : start + _ROWS].astype(np.float64)
        largest = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
        unit = np.divide(wide, largest, out=np.zeros_like(wide), where=largest > 0)
        values[start : start + _ROWS] = np.rint(unit * _LARGEST_CODE)
    return codes_of(values)


def similarity(a: Codes, i: int, b: Codes, j: int) -> np.float32:
    """Cosine of row `i` of `a` and row `j` of `b`: exactly the bits that a search reports.

    dot · (scale of a · scale of b), each step rounded to float32; so it is the same from either side.
    """
    dot = np.dot(a.values[i].astype(np.int64), b.values[j].astype(np.int64))
    return np.float32(np.float32(dot) * np.float32(a.scales[i] * b.scales[j]))
