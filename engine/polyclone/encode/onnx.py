"""The encoder of a bundle on onnxruntime, loaded when first used.

Units go through the graph one by one, the longest first, on as many threads as asked for, each with a single
intra-op thread. One by one, because int8 activations are scaled over the whole input of a matrix product: in
a batch, a vector would depend on its neighbours, and a cached vector would differ from a computed one. It
costs nothing: nothing is padded, and a core is as fast at 1 × 64 tokens as at 16 × 64.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.artifact import ENCODER, LEXICON, TOKENIZER, Bundle
from polyclone.encode import Advance, Encoded
from polyclone.errors import ModelError
from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece
from polyclone.values import ATOM_SEPARATOR

log = logging.getLogger(__name__)

INPUTS = ("input_ids", "attention_mask", "word_ids", "word_weights")
OUTPUT = "sentence_embedding"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def runtime() -> Any:
    """The onnxruntime module; `ModelError` with the remedy when there is none."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "No ONNX runtime is installed: pip install onnxruntime (CPU), or onnxruntime-gpu (CUDA), never both."
        ) from error
    return onnxruntime


def session(graph: bytes, where: str, *, device: str = "cpu") -> Any:
    """An inference session over a graph in memory; `ModelError` if the runtime refuses it.

    Graphs that keep weights outside the file cannot be loaded: a bundle's digests would not cover them.
    """
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.use_deterministic_compute = True
    # Weights beside the graph would be looked for in the working directory, which may be the code that is scanned.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    wanted = [PROVIDERS[device]] if device == "cpu" else [PROVIDERS[device], PROVIDERS["cpu"]]
    try:
        made = ort.InferenceSession(graph, options, providers=wanted)
    except Exception as error:  # onnxruntime raises several unrelated types for a bad graph
        reason = str(error).splitlines()[0]
        raise ModelError(f"{where}: the runtime refuses the graph ({reason}). Export the bundle again.") from error
    if made.get_providers()[0] != wanted[0]:
        log.warning("%s is not available here; running on the CPU instead.", wanted[0])
    return made


class OnnxEncoder:
    """Encoder over a bundle. Thread-safe; the graph is loaded at the first call."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, device: str = "cpu") -> None:
        self._bundle = bundle
        self._threads = max(1, threads)
        self._device = device
        self._lock = threading.Lock()
        self._session: Any = None
        self.tokenizer = Tokenizer(
            WordPiece.from_json(bundle.text(TOKENIZER)),
            Lexicon.from_text(bundle.text(LEXICON)),
            bundle.manifest.token_budget,
        )

    @property
    def dimension(self) -> int:
        return self._bundle.manifest.dimension

    @property
    def provider(self) -> str:
        """The execution provider in use; loads the graph."""
        return str(self._graph().get_providers()[0])

    def _graph(self) -> Any:
        with self._lock:
            if self._session is None:
                made = session(self._bundle.read(ENCODER), self._bundle.location, device=self._device)
                names = {node.name for node in made.get_inputs()}
                if names != set(INPUTS) or made.get_outputs()[0].name != OUTPUT:
                    raise ModelError(
                        f"{self._bundle.location}: {ENCODER} reads {sorted(names)}; expected {sorted(INPUTS)} and"
                        f" an output {OUTPUT!r}. Export the bundle again."
                    )
                self._session = made
            return self._session

    def encode(self, units: Sequence[str], *, advance: Advance | None = None) -> Encoded:
        """Normalised units → one vector each, independent of the others."""
        vectors = np.zeros((len(units), self.dimension), dtype=np.float32)
        cut = np.zeros(len(units), dtype=np.int32)
        if not units:
            return Encoded(vectors, cut)
        graph = self._graph()

        def one(row: int) -> None:
            try:
                vectors[row], cut[row] = self._encode_unit(graph, units[row])
            except Exception as error:  # the runtime's own types, or a result of another width
                reason = str(error).splitlines()[0]
                raise ModelError(f"{self._bundle.location}: {ENCODER} fails ({reason}). Export it again.") from error

        order = sorted(range(len(units)), key=lambda i: -len(units[i]))
        if self._threads == 1:
            for row in order:
                one(row)
                if advance:
                    advance(1)
            return Encoded(vectors, cut)
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                for _ in pool.map(one, order):
                    if advance:
                        advance(1)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return Encoded(vectors, cut)

    def _encode_unit(self, graph: Any, unit: str) -> tuple[NDArray[np.float32], int]:
        atoms = unit.split(ATOM_SEPARATOR) if unit else []
        ids, cut = self.tokenizer.ids(atoms)
        bag = self.tokenizer.bag(atoms)
        word_ids, weights = (
            (bag.ids, bag.weights) if len(bag.ids) else (np.zeros(1, np.int64), np.zeros(1, np.float32))
        )
        (vectors,) = graph.run(
            [OUTPUT],
            {
                "input_ids": ids[None],
                "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
                "word_ids": word_ids[None],
                "word_weights": weights[None],
            },
        )
        return np.asarray(vectors[0], dtype=np.float32), cut
