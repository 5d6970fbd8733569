"""Pairs → what the heads read: sides as normalised atoms, exactly as the engine serves them later.

Each side has a token budget of its own. What is cut is cut from the middle of that side, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from polyclone.encode.prompts import PromptTokenizer, canonical, pad
from polyclone.extract import extract_snippet

from ..pairs.values import Pair, Side

Rows = list[NDArray[np.int64]]
#: Tokens that the frame of a prompt may take beside its sides.
FRAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Token ids of n pairs. `joint` holds one row a pair, or `left` and `right` do; the others are empty."""

    joint: Rows
    left: Rows
    right: Rows
    cut_pairs: int
    """Pairs of which at least one token was cut."""

    @property
    def tokens(self) -> list[int]:
        """How many tokens a model reads for each pair."""
        if self.joint:
            return [len(row) for row in self.joint]
        return [len(a) + len(b) for a, b in zip(self.left, self.right, strict=True)]


def normalised(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Both sides of each pair as atoms. Each distinct program is read once."""
    known: dict[tuple[str, str], str] = {}

    def atoms(side: Side) -> str:
        key = (side.language, side.code)
        if key not in known:
            known[key] = extract_snippet(side.code, side.language).normalised
        return known[key]

    return [(atoms(pair.left), atoms(pair.right)) for pair in pairs]


def joint_budget(tokens_per_side: int) -> int:
    """The budget of a joint prompt that leaves each side `tokens_per_side`."""
    return 2 * tokens_per_side + FRAME


def encode_pairs(texts: Sequence[tuple[str, str]], tokenizer: str, tokens_per_side: int, *, joint: bool) -> Encoded:
    """`texts`: normalised sides. `tokenizer`: the content of a `tokenizer.json`."""
    if joint:
        reader = PromptTokenizer(tokenizer, joint_budget(tokens_per_side), "the student")
        found = [reader.joint(*canonical(a, b)) for a, b in texts]
        return Encoded(joint=[ids for ids, _ in found], left=[], right=[], cut_pairs=sum(cut > 0 for _, cut in found))
    reader = PromptTokenizer(tokenizer, single_budget(tokens_per_side), "the student")
    cache = {text: reader.single(text) for pair in texts for text in pair}
    sides = [(cache[a], cache[b]) for a, b in (canonical(*pair) for pair in texts)]
    return Encoded(
        joint=[],
        left=[a[0] for a, _ in sides],
        right=[b[0] for _, b in sides],
        cut_pairs=sum(a[1] > 0 or b[1] > 0 for a, b in sides),
    )


def single_budget(tokens_per_side: int) -> int:
    """The budget of a prompt with one side."""
    return tokens_per_side + FRAME // 2


__all__ = ["Encoded", "encode_pairs", "joint_budget", "normalised", "pad", "single_budget"]
