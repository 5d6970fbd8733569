"""What an index answers and how it is asked. Both the exact and any approximate index keep to this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from polyclone.index.codes import Codes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """The k nearest rows of the index for each of q queries, with their similarities."""

    indices: NDArray[np.int32]
    """(q, k), the nearest first, ties by lower index; -1 where the index holds fewer than k rows."""
    similarities: NDArray[np.float32]
    """(q, k), cosine, not increasing along a row; -inf where `indices` is -1."""


class VectorIndex(Protocol):
    """Rows to search among."""

    def search(self, queries: Codes, k: int) -> Neighbours:
        """The `k` rows most similar to each query. Raises `ValueError` for another dimension or `k` < 1."""
