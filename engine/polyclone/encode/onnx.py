"""The compact encoder of a bundle on onnxruntime, loaded when first used.

On the CPU units go through the graph one by one, the longest first, on as many threads as asked for, each with a
single intra-op thread. One by one, because int8 activations are scaled over the whole input of a matrix product: in
a batch, a vector would depend on its neighbours, and a cached vector would differ from a computed one. It costs
nothing: nothing is padded, and a core is as fast at 1 × 64 tokens as at 16 × 64. A GPU gets batches by tokens.
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

__all__ = ["INPUTS", "OUTPUT", "OnnxEncoder", "compact_feed", "session"]

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
        self.tokenizer = Tokenizer(wordpiece, lexicon, bundle.manifest.token_budget)

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
            atoms = [units[row].split(ATOM_SEPARATOR) if units[row] else [] for row in rows]
            read = [self.tokenizer.ids(a) for a in atoms]
            feed = compact_feed([ids for ids, _ in read], [self.tokenizer.bag(a) for a in atoms])
            found = self.graph.run(feed)
            try:
                vectors[rows] = found
            except ValueError as error:  # a result of another width
                raise self.graph.failure(error) from error
            cut[rows] = [missing for _, missing in read]

        # Characters rise with tokens, and are known before anything is split.
        lengths = [len(unit) for unit in units] if limit is None else [self._length(unit) for unit in units]
        run_groups(group(lengths, limit), some, threads=self._threads, advance=advance)
        return Encoded(vectors, cut)

    def _length(self, unit: str) -> int:
        return len(self.tokenizer.ids(unit.split(ATOM_SEPARATOR) if unit else [])[0])


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
