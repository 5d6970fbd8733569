"""A deterministic encoder without a model: hashed bags of words. For tests and as a floor to beat."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from polyclone.encode import Advance, Encoded
from polyclone.tokenizer import lexical_words
from polyclone.values import ATOM_SEPARATOR


class HashingEncoder:
    """Each lexical word adds ±1 to one of `dimension` places, by its CRC-32 (Weinberger et al. 2009)."""

    def __init__(self, dimension: int = 256) -> None:
        self._dimension = dimension

    @property
    def dimension(self) -> int:
        return self._dimension

    def encode(self, units: Sequence[str], *, advance: Advance | None = None) -> Encoded:
        vectors = np.zeros((len(units), self._dimension), dtype=np.float32)
        for row, unit in enumerate(units):
            for atom in unit.split(ATOM_SEPARATOR) if unit else ():
                for word in lexical_words(atom):
                    code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
                    vectors[row, (code >> 1) % self._dimension] += 1.0 if code & 1 else -1.0
            if advance:
                advance(1)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = np.asarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float32)
        return Encoded(rows, np.zeros(len(units), dtype=np.int32))
