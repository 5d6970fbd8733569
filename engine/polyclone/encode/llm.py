"""The contrastive head of a language-model student: vectors through the same protocol as the compact encoder's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polyclone.artifact import ENCODER, LLM_TOKENIZER, Bundle
from polyclone.encode import Advance, Encoded
from polyclone.encode.batching import DEVICE_TOKENS, group, run_groups
from polyclone.encode.graph import Graph
from polyclone.encode.prompts import PROMPT_VERSION, PromptTokenizer, pad
from polyclone.errors import ModelError

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"


class LlmEncoder:
    """Encoder over a bundle of kind `llm`. Thread-safe; graph and tokenizer are loaded at the first call.

    `batch_tokens` bounds the padded tokens of one run; None leaves it to the device: units alone on the CPU, where a
    vector then depends on its unit to the bit, and `DEVICE_TOKENS` on a GPU.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, device: str = "cpu", batch_tokens: int | None = None
    ) -> None:
        check_prompt_version(bundle)
        self._bundle = bundle
        self._threads = max(1, threads)
        self._batch_tokens = batch_tokens
        self.graph = Graph(bundle, ENCODER, INPUTS, OUTPUT, device=device)
        self.tokenizer = PromptTokenizer(bundle.text(LLM_TOKENIZER), bundle.manifest.token_budget, bundle.location)

    @property
    def dimension(self) -> int:
        return self._bundle.manifest.dimension

    @property
    def provider(self) -> str:
        """The execution provider in use; loads the graph."""
        return self.graph.provider

    def encode(self, units: Sequence[str], *, advance: Advance | None = None) -> Encoded:
        """Normalised units → one vector each, in their order."""
        vectors = np.zeros((len(units), self.dimension), dtype=np.float32)
        if not units:
            return Encoded(vectors, np.zeros(0, dtype=np.int32))
        read = [self.tokenizer.single(unit) for unit in units]
        limit = self._batch_tokens or (DEVICE_TOKENS if self.graph.batches else None)

        def some(rows: Sequence[int]) -> None:
            ids, mask = pad([read[row][0] for row in rows])
            found = self.graph.run({"input_ids": ids, "attention_mask": mask})
            try:
                vectors[rows] = found
            except ValueError as error:  # a result of another width
                raise self.graph.failure(error) from error

        groups = group([len(ids) for ids, _ in read], limit)
        run_groups(groups, some, threads=self._threads, advance=advance)
        return Encoded(vectors, np.array([missing for _, missing in read], dtype=np.int32))


def check_prompt_version(bundle: Bundle) -> None:
    """`ModelError` if the students of a bundle were trained on other prompts than this polyclone writes."""
    llm = bundle.manifest.llm
    if llm is None or llm.prompt_version != PROMPT_VERSION:
        found = "none" if llm is None else llm.prompt_version
        raise ModelError(
            f"{bundle.location} was trained on prompts of version {found}, this polyclone writes version"
            f" {PROMPT_VERSION}. Use the polyclone it was made for, or train and export it again."
        )
