"""A loaded bundle: vectors of code, probabilities of pairs. The lower rungs of the public API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyclone.artifact import Bundle, load_bundle
from polyclone.encode import Encoder
from polyclone.encode.onnx import OnnxEncoder
from polyclone.errors import UsageError
from polyclone.extract import extract_snippet
from polyclone.index import quantise
from polyclone.languages import resolve
from polyclone.values import ModelInfo
from polyclone.verify import Verifier

Code = tuple[str, str]
"""A piece of code and the name of its language."""


class Model:
    """An encoder and a pair head from one bundle. Thread-safe. Made by `load_model`."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, device: str = "cpu") -> None:
        self.bundle = bundle
        self._onnx = OnnxEncoder(bundle, threads=threads, device=device)
        self.encoder: Encoder = self._onnx
        self.verifier = Verifier(bundle, self._onnx.tokenizer.lexicon)

    @property
    def info(self) -> ModelInfo:
        """Name, version and digest of the bundle. Does not load the graph."""
        manifest = self.bundle.manifest
        return ModelInfo(
            name=manifest.name,
            kind=manifest.kind,
            version=manifest.version,
            digest=self.bundle.digest,
            dimension=manifest.dimension,
        )

    @property
    def provider(self) -> str:
        """The execution provider that runs the encoder. Loads the graph."""
        return self._onnx.provider

    @property
    def min_atoms(self) -> int:
        return self.bundle.manifest.min_atoms

    @property
    def token_budget(self) -> int:
        return self.bundle.manifest.token_budget

    def encode(self, codes: Sequence[Code]) -> NDArray[np.float32]:
        """[(code, language)] → float32 (n, d), rows of unit norm.

        Any snippet: a function, several, a whole program without one. `UsageError` for an unknown language.
        """
        return self.encode_normalised(_normalise(codes))

    def encode_normalised(self, units: Sequence[str]) -> NDArray[np.float32]:
        """The same for units that `polyclone.normalise` has already been over."""
        return self.encoder.encode(units).vectors

    def pair_probability(self, codes_a: Sequence[Code], codes_b: Sequence[Code]) -> NDArray[np.float32]:
        """Two lists of n (code, language) → float32 (n,): the calibrated probability that each pair are clones.

        Calibrated for pairs a search would propose, at the rate clones have among those. `UsageError` if the
        lists differ in length.
        """
        return self.pair_probability_normalised(_normalise(codes_a), _normalise(codes_b))

    def pair_probability_normalised(self, left: Sequence[str], right: Sequence[str]) -> NDArray[np.float32]:
        """The same for normalised units."""
        if len(left) != len(right):
            raise UsageError(f"A pair needs two sides: got {len(left)} left and {len(right)} right.")
        distinct = sorted({*left, *right})
        position = {unit: i for i, unit in enumerate(distinct)}
        codes = quantise(self.encode_normalised(distinct))
        judged = self.verifier.prepare(codes, distinct)
        rows_a = np.array([position[unit] for unit in left], dtype=np.int64)
        rows_b = np.array([position[unit] for unit in right], dtype=np.int64)
        return self.verifier.probabilities(self.verifier.features(judged, rows_a, rows_b))


def _normalise(codes: Sequence[Code]) -> list[str]:
    return [extract_snippet(code, resolve(language).name).normalised for code, language in codes]


def load_model(path: Path | str | None = None, *, threads: int = 1, device: str = "cpu") -> Model:
    """The default bundle, or the one at `path` (a folder or a zip). `ModelError` says what is wrong with it.

    `threads`: how many units are encoded at a time. `device`: `cpu`, or `cuda` where onnxruntime-gpu finds one.
    """
    if device not in ("cpu", "cuda"):
        raise UsageError(f"Unknown device {device!r}; use cpu or cuda.")
    return Model(load_bundle(path), threads=threads, device=device)
