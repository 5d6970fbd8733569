"""The binary head of a language-model student: pairs of units → logits, as many as the time allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyclone.artifact import JUDGE, LLM_TOKENIZER, Bundle
from polyclone.encode.batching import DEVICE_TOKENS, group
from polyclone.encode.graph import Graph
from polyclone.encode.llm import check_prompt_version
from polyclone.encode.prompts import PromptTokenizer, canonical, pad
from polyclone.errors import ModelError

JOINT_INPUTS = ("input_ids", "attention_mask")
SIDES_INPUTS = ("left_ids", "left_mask", "right_ids", "right_mask")
OUTPUT = "logit"

#: Pairs that are sorted by length together where a device wants batches: few, as their order is one of importance.
_BLOCK = 64

Pair = tuple[str, str]
"""Two normalised units."""


class Logits(NamedTuple):
    """Of n pairs: logits float32 (n,), NaN where time was up; and how many tokens of each went unread, int32 (n,)."""

    values: NDArray[np.float32]
    cut: NDArray[np.int32]


def judge_inputs(layout: str) -> tuple[str, ...]:
    """The graph's inputs for a layout, `joint` or `sides`."""
    return JOINT_INPUTS if layout == "joint" else SIDES_INPUTS


def judge_feed(
    pairs: Sequence[Pair], layout: str, tokenizer: PromptTokenizer, *, left: bool = False
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int32]]:
    """Pairs → what the graph reads, and how many tokens of each the budget cut away, int32 (n,)."""
    ordered = [canonical(a, b) for a, b in pairs]
    if layout == "joint":
        read = [tokenizer.joint(a, b) for a, b in ordered]
        ids, mask = pad([row for row, _ in read], left=left)
        return {"input_ids": ids, "attention_mask": mask}, np.array([missing for _, missing in read], np.int32)
    feed: dict[str, NDArray[np.int64]] = {}
    cut = np.zeros(len(pairs), np.int32)
    for side, name in enumerate(("left", "right")):
        read = [tokenizer.single(pair[side]) for pair in ordered]
        feed[f"{name}_ids"], feed[f"{name}_mask"] = pad([row for row, _ in read], left=left)
        cut += np.array([missing for _, missing in read], np.int32)
    return feed, cut


class PairJudge:
    """Symmetric by construction: both sides are read in one canonical order. Loads the graph at the first pair.

    `batch_tokens` bounds the padded tokens of one run; None leaves it to the device.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, device: str = "cpu", batch_tokens: int | None = None
    ) -> None:
        spec = bundle.manifest.llm and bundle.manifest.llm.judge
        if not spec:
            raise ModelError(f"{bundle.location} has no binary head; export one with --judge.")
        check_prompt_version(bundle)
        self.spec = spec
        self._batch_tokens = batch_tokens
        self.graph = Graph(bundle, JUDGE, judge_inputs(spec.layout), OUTPUT, device=device)
        self.tokenizer = PromptTokenizer(bundle.text(LLM_TOKENIZER), spec.token_budget, bundle.location)

    def logits(
        self,
        pairs: Sequence[Pair],
        *,
        budget_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Logits:
        """Logits of the pairs, which are taken in their order, the most important first, until the time is up.

        At least one run is made, so that a small budget still gets on. A run that has begun is finished.
        """
        started = clock()
        values, cut = np.full(len(pairs), np.nan, np.float32), np.zeros(len(pairs), np.int32)
        for runs, rows in enumerate(self._runs(pairs)):
            if runs and budget_s is not None and clock() - started >= budget_s:
                break
            feed, cut[rows] = judge_feed([pairs[row] for row in rows], self.spec.layout, self.tokenizer)
            values[rows] = self._checked(self.graph.run(feed), len(rows))
        return Logits(values, cut)

    def _runs(self, pairs: Sequence[Pair]) -> Iterator[list[int]]:
        """Positions of the pairs of each run: one at a time on the CPU, by tokens elsewhere."""
        limit = self._batch_tokens or (DEVICE_TOKENS if pairs and self.graph.batches else None)
        if limit is None:
            yield from ([row] for row in range(len(pairs)))
            return
        for start in range(0, len(pairs), _BLOCK):
            for rows in group(self._lengths(pairs[start : start + _BLOCK]), limit):
                yield [start + row for row in rows]

    def _lengths(self, pairs: Sequence[Pair]) -> list[int]:
        if self.spec.layout == "joint":
            return [len(self.tokenizer.joint(*canonical(*pair))[0]) for pair in pairs]
        return [max(len(self.tokenizer.single(unit)[0]) for unit in pair) * 2 for pair in pairs]

    def _checked(self, values: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
        if values.shape != (rows,) or not np.isfinite(values).all():
            raise self.graph.failure(ValueError(f"it gives {values.shape} for {rows} pairs, or no finite numbers"))
        return values.astype(np.float32)
