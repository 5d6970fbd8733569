"""The compact encoder of a bundle on onnxruntime, loaded when first used.

On the CPU units go through the graph one by one, the longest first, on as many threads as asked for, each with a
single intra-op thread. One by one, because int8 activations are scaled over the whole input of a matrix product: in
a batch, a vector would depend on its neighbours, and a cached vector would differ from a computed one. It costs
nothing: nothing is padded, and a core is as fast at 1 × 64 tokens as at 16 × 64. A GPU gets batches by tokens.

A unit that is longer than the encoder reads at once is read in several windows, whose dense channels are averaged.
The lexical channel has all words in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.artifact import ENCODER, LEXICON, TOKENIZER, Bundle
from polyclone.encode import Advance, Encoded
from polyclone.encode.batching import DEVICE_TOKENS, group, run_groups
from polyclone.encode.graph import Graph
from polyclone.encode.prompts import pad
from polyclone.encode.runtime import session
from polyclone.tokenizer import Bag, Lexicon, Tokenizer, WordPiece
from polyclone.values import ATOM_SEPARATOR

__all__ = ["INPUTS", "OUTPUT", "OnnxEncoder", "compact_feed", "mean_of_windows", "session"]

INPUTS = ("input_ids", "attention_mask", "word_ids", "word_weights")
OUTPUT = "sentence_embedding"


class OnnxEncoder:
    """Encoder over a bundle. Thread-safe; the graph is loaded at the first call.

    `batch_tokens` bounds the padded tokens of one run; None leaves it to the device.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, device: str = "cpu", batch_tokens: int | None = None
    ) -> None:
        self._bundle = bundle
        self._threads = max(1, threads)
        self._batch_tokens = batch_tokens
        self.graph = Graph(bundle, ENCODER, INPUTS, OUTPUT, device=device)
        wordpiece = WordPiece.from_json(bundle.text(TOKENIZER))
        lexicon = Lexicon.from_text(bundle.text(LEXICON))
        manifest = bundle.manifest
        self.tokenizer = Tokenizer(wordpiece, lexicon, manifest.token_budget, manifest.windows)

    @property
    def dimension(self) -> int:
        return self._bundle.manifest.dimension

    @property
    def provider(self) -> str:
        """The execution provider in use; loads the graph."""
        return self.graph.provider

    def encode(self, units: Sequence[str], *, advance: Advance | None = None) -> Encoded:
        """Normalised units → one vector each, on the CPU independent of the others to the bit."""
        vectors = np.zeros((len(units), self.dimension), dtype=np.float32)
        cut = np.zeros(len(units), dtype=np.int32)
        if not units:
            return Encoded(vectors, cut)
        limit = self._batch_tokens or (DEVICE_TOKENS if self.graph.batches else None)

        def some(rows: Sequence[int]) -> None:
            atoms = [_atoms(units[row]) for row in rows]
            read = [self.tokenizer.read(a) for a in atoms]
            windows = [window for reading in read for window in reading.windows]
            bags = [bag for a, r in zip(atoms, read, strict=True) for bag in [self.tokenizer.bag(a)] * len(r.windows)]
            found = self._run(windows, bags, together=limit is not None)
            start = 0
            for row, reading in zip(rows, read, strict=True):
                end = start + len(reading.windows)
                vectors[row] = mean_of_windows(found[start:end], reading.windows, self._bundle.manifest.dense_width)
                cut[row] = reading.cut
                start = end

        # Characters rise with tokens, and are known before anything is split.
        lengths = [len(unit) for unit in units] if limit is None else [self._length(unit) for unit in units]
        run_groups(group(lengths, limit), some, threads=self._threads, advance=advance)
        return Encoded(vectors, cut)

    def _run(
        self, windows: Sequence[NDArray[np.int64]], bags: Sequence[Bag], *, together: bool
    ) -> NDArray[np.float32]:
        """One vector a window, float32 (n, dimension): in one run of the graph, or in one each."""
        if together:
            runs = [self.graph.run(compact_feed(windows, bags))]
        else:
            runs = [self.graph.run(compact_feed([ids], [bag])) for ids, bag in zip(windows, bags, strict=True)]
        found = np.concatenate(runs)
        if found.shape != (len(windows), self.dimension):
            raise self.graph.failure(ValueError(f"vectors of the shape {found.shape}"))
        return found

    def _length(self, unit: str) -> int:
        """Tokens of a unit once its windows are padded to the longest."""
        windows = self.tokenizer.read(_atoms(unit)).windows
        return len(windows) * max(map(len, windows))


def mean_of_windows(
    found: NDArray[np.float32], windows: Sequence[NDArray[np.int64]], dense_width: int
) -> NDArray[np.float32]:
    """Vectors of a unit's windows (n, d) → its vector (d,): the mean of their dense channels by their tokens, as long
    as one of them is. The lexical channel is the same in all.
    """
    first: NDArray[np.float32] = found[0]
    if len(found) == 1:
        return first
    dense = np.average(found[:, :dense_width], axis=0, weights=[len(window) - 2 for window in windows])
    norm = np.linalg.norm(dense)
    if norm > 0.0:
        dense *= np.linalg.norm(first[:dense_width]) / norm
    return np.concatenate([dense.astype(np.float32), first[dense_width:]])


def _atoms(unit: str) -> list[str]:
    return unit.split(ATOM_SEPARATOR) if unit else []


def compact_feed(
    ids: Sequence[NDArray[np.int64]], bags: Sequence[Bag], *, left: bool = False
) -> dict[str, NDArray[Any]]:
    """Token ids and bags of n units → what the graph reads, padded on the right, or on the left."""
    width = max(1, *(len(bag.ids) for bag in bags))
    words = np.zeros((len(bags), width), np.int64)
    weights = np.zeros((len(bags), width), np.float32)
    for row, bag in enumerate(bags):
        words[row, : len(bag.ids)] = bag.ids
        weights[row, : len(bag.ids)] = bag.weights
    input_ids, mask = pad(ids, left=left)
    return {"input_ids": input_ids, "attention_mask": mask, "word_ids": words, "word_weights": weights}
