"""The part of a loaded model that evaluation needs, so that tests can do without a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from polyclone.index import Words
from polyclone.values import ModelInfo


class Vocabulary(Protocol):
    """As `polyclone.words.Vocabulary`."""

    @property
    def weights(self) -> NDArray[np.int64]: ...

    def ids(self, normalised: str, /) -> Words: ...


class Model(Protocol):
    """What `polyclone.load_model` returns, as far as it is used here."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def encode_normalised(self, units: Sequence[str], /) -> NDArray[np.float32]:
        """Normalised units → float32 (n, d), rows of unit norm."""
        ...

    def pair_probability_normalised(self, left: Sequence[str], right: Sequence[str], /) -> NDArray[np.float32]:
        """Calibrated probability of each pair of normalised units, float32 (n,)."""
        ...
