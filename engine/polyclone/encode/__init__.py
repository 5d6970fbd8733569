"""Normalised units → unit vectors. The protocol, without any runtime behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Advance = Callable[[int], None]
"""Called with the number of units done since the last call; may raise to cancel."""


class Encoded(NamedTuple):
    """Rows of unit norm, float32 (n, dimension); and how many tokens of each unit went unread, int32 (n,)."""

    vectors: NDArray[np.float32]
    cut: NDArray[np.int32]


class Encoder(Protocol):
    """Turns units into vectors. The vector of a unit depends on nothing but the unit."""

    @property
    def dimension(self) -> int: ...

    def encode(self, units: Sequence[str], *, advance: Advance | None = None) -> Encoded:
        """Normalised units (atoms joined by `ATOM_SEPARATOR`) → one vector each, in their order."""
        ...
