"""Batches for the masked objective: hidden tokens, and identifiers hidden at every place they occur.

All that is chosen is replaced by the mask, never by itself or by a random token (Zhang et al. 2024, CodeSage, §3.2),
and an identifier that is hidden everywhere cannot be copied from another place (Lachaux et al. 2021, DOBF, §3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from .errors import TrainerError
from .settings import BatchConfig, TrainConfig
from .shards import DOC, Shard
from .views import Vocabulary

#: The target of a token that was not hidden.
IGNORED = -100


@dataclass(frozen=True)
class MaskedBatch:
    """Token ids with masks in them, 0-padded int64 (b, t), the mask of padding, and what was hidden or −100."""

    input_ids: Tensor
    attention_mask: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> MaskedBatch:
        return MaskedBatch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


class MaskedSampler:
    """Twice as many units a batch as a contrastive batch has pairs, of all kinds but documentation."""

    def __init__(
        self,
        shard: Shard,
        vocabulary: Vocabulary,
        config: BatchConfig,
        train: TrainConfig,
        *,
        rank: int = 0,
        units: NDArray[np.int64] | None = None,
    ) -> None:
        self.shard, self.vocabulary, self.config, self.train, self.rank = shard, vocabulary, config, train, rank
        self.units = np.flatnonzero(shard.kind != DOC) if units is None else units
        if not len(self.units):
            raise TrainerError("The shard holds no unit of code; run `prepare` again.")

    def batch(self, step: int) -> MaskedBatch:
        """The batch of a step: a function of (seed, rank, step)."""
        rng = np.random.default_rng((self.train.seed, step, self.rank, 5))
        chosen = rng.choice(self.units, 2 * self.config.pairs)
        return pad_masked([self._masked(int(unit), rng) for unit in chosen])

    def _masked(self, unit: int, rng: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        at = slice(int(self.shard.token_offsets[unit]), int(self.shard.token_offsets[unit + 1]))
        tokens, owner = self.shard.tokens[at].astype(np.int64), self.shard.token_owner[at].astype(np.int64)
        room = self.config.budget - 2
        start = int(rng.integers(0, len(tokens) - room + 1)) if len(tokens) > room else 0
        tokens, owner = tokens[start : start + room], owner[start : start + room]
        names = np.unique(owner[owner >= 0])
        hidden = rng.random(len(tokens)) < self.train.mask_tokens
        hidden |= np.isin(owner, names[rng.random(len(names)) < self.train.mask_names])
        read = np.where(hidden, self.vocabulary.mask, tokens)
        frame = self.vocabulary.cls, self.vocabulary.sep
        targets = np.where(hidden, tokens, IGNORED)
        return np.concatenate([[frame[0]], read, [frame[1]]]), np.concatenate([[IGNORED], targets, [IGNORED]])


def pad_masked(rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> MaskedBatch:
    """(tokens, targets) of each unit → one batch as long as the longest."""
    length = max(len(tokens) for tokens, _ in rows)
    tokens = np.zeros((len(rows), length), dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    targets = np.full((len(rows), length), IGNORED, dtype=np.int64)
    for row, (ids, wanted) in enumerate(rows):
        tokens[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        targets[row, : len(ids)] = wanted
    return MaskedBatch(*map(torch.from_numpy, (tokens, mask, targets)))
