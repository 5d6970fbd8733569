"""A model without a bundle: hashed words for vectors, their cosine for a probability. Quick and deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from polyclone.artifact import Calibration
from polyclone.encode.hashing import HashingEncoder
from polyclone.index import Codes
from polyclone.tokenizer import Lexicon
from polyclone.values import ModelInfo, Reason
from polyclone.words import Vocabulary

CALIBRATION = Calibration(
    logits=(0.0, 1.0), probabilities=(0.0, 1.0), precisions=((0.5, 0.3), (0.9, 0.6)), default_precision=0.9
)


class _Verifier:
    def prepare(self, vectors: Codes, normalised: Sequence[str]) -> Codes:
        return vectors

    def features(self, judged: Codes, left: Any, right: Any, margin: Any = None) -> Any:
        vectors = judged.to_vectors()
        return (vectors[left] * vectors[right]).sum(axis=1, keepdims=True)

    def probabilities(self, features: Any) -> Any:
        return np.clip(np.round(features[:, 0], 4), 0.0, 1.0)

    def is_unverified(self, left: str, right: str) -> bool:
        return False

    def reasons(
        self, left: str, right: str, similarity: float, *, names: tuple[str, str] = ("", "")
    ) -> tuple[Reason, ...]:
        return (Reason(kind="vectors", text="same words", score=similarity),)


class FakeModel:
    """What `Workspace` asks of a model."""

    min_atoms = 12
    provider = "none"

    def __init__(self) -> None:
        self.bundle: Any = SimpleNamespace(
            digest="f" * 64,
            encoder_digest="e" * 64,
            location="nowhere",
            manifest=SimpleNamespace(calibration=CALIBRATION),
        )
        self.encoder = HashingEncoder()
        self.verifier = _Verifier()
        self.vocabulary = Vocabulary(Lexicon([("value", 40), ("count", 9)], documents=100, buckets=4))
        self.info = ModelInfo(name="fake", kind="compact", version="0", digest="f" * 64, dimension=256)
