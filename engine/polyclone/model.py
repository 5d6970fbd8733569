"""A loaded bundle: vectors of code, probabilities of pairs. The lower rungs of the public API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyclone.artifact import LEXICON, Bundle, load_bundle
from polyclone.encode import Encoder
from polyclone.encode.judge import PairJudge
from polyclone.encode.llm import LlmEncoder
from polyclone.encode.onnx import OnnxEncoder
from polyclone.encode.runtime import CPU, PROVIDERS
from polyclone.errors import UsageError
from polyclone.extract import extract_snippet
from polyclone.index import quantise
from polyclone.languages import resolve
from polyclone.rerank import BUDGET_S, Reranker, Verification
from polyclone.tokenizer import Lexicon
from polyclone.values import ModelInfo
from polyclone.verify import Verifier
from polyclone.words import Vocabulary

Code = tuple[str, str]
"""A piece of code and the name of its language."""


class Model:
    """An encoder and a pair head from one bundle. Thread-safe. Made by `load_model`."""

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, device: str = "cpu", judge_budget_s: float = BUDGET_S
    ) -> None:
        llm = bundle.manifest.llm
        self._graphs: OnnxEncoder | LlmEncoder
        if llm is not None and llm.encoder == "llm":
            self._graphs = LlmEncoder(bundle, threads=threads, device=device)
            lexicon = Lexicon.from_text(bundle.text(LEXICON))
        else:
            self._graphs = OnnxEncoder(bundle, threads=threads, device=device)
            lexicon = self._graphs.tokenizer.lexicon
        # Vectors of another device are other vectors: the cache has to know where the graph runs in the end.
        runs_elsewhere = device != "cpu" and self._graphs.provider != CPU
        self.bundle = bundle.on(device) if runs_elsewhere else bundle
        self.encoder: Encoder = self._graphs
        self.vocabulary = Vocabulary(lexicon)
        self.verifier: Verifier
        if llm is not None and llm.judge is not None:
            judge = PairJudge(bundle, threads=threads, device=device)
            self.verifier = Reranker(bundle, lexicon, judge, budget_s=judge_budget_s)
        else:
            self.verifier = Verifier(bundle, lexicon)

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
        return self._graphs.provider

    @property
    def verification(self) -> Verification | None:
        """What became of the pairs that the bundle's language model was asked about; None if it has no judge."""
        return self.verifier.verification if isinstance(self.verifier, Reranker) else None

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


def load_model(
    path: Path | str | None = None, *, threads: int = 1, device: str = "cpu", judge_budget_s: float = BUDGET_S
) -> Model:
    """The default bundle, or the one at `path` (a folder or a zip). `ModelError` says what is wrong with it.

    `threads`: how many units are encoded at a time. `device`: `cpu`, or `cuda` where onnxruntime-gpu finds one.
    `judge_budget_s`: seconds that the judge of a bundle of kind `llm` may begin with; it gets a quarter of the time
    that passes after that. What it did not come to is counted in `Model.verification`.
    """
    if device not in PROVIDERS:
        raise UsageError(f"Unknown device {device!r}; use cpu or cuda.")
    return Model(load_bundle(path), threads=threads, device=device, judge_budget_s=judge_budget_s)
