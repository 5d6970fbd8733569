"""What an encoder makes of a batch: vectors of both channels, and states where somebody compares them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .batches import Batch
from .model import Encoder
from .settings import TrainConfig


@dataclass(frozen=True)
class Outputs:
    """What one encoder makes of a batch. `states` is empty where no method asks for it, `known` bool (b,) False where
    a teacher has no vector of a row.
    """

    dense: Tensor
    combined: Tensor
    lexical: Tensor
    states: tuple[Tensor, ...]
    known: Tensor


def dense_by_length(model: Encoder, batch: Batch, groups: int) -> Tensor:
    """Dense vectors (b, width) in the order of the batch, computed in `groups` of like length.

    Short units are not padded to the longest of the batch; on a CPU that is a third of the time.
    """
    lengths = batch.attention_mask.sum(1)
    order = lengths.argsort(stable=True)
    parts = []
    for rows in order.chunk(groups):
        longest = int(lengths[rows].max())
        parts.append(model.dense(batch.input_ids[rows, :longest], batch.attention_mask[rows, :longest]))
    return torch.cat(parts)[order.argsort()]


def read(model: Encoder, batch: Batch, config: TrainConfig, *, states: bool) -> Outputs:
    """Effect: none. The vectors of a batch, and the states of all layers if asked for."""
    with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=config.bf16):
        if states:
            layers = model.body.states(batch.input_ids, batch.attention_mask)
            dense = model.pooled(layers[-1], batch.attention_mask)
        else:
            layers, dense = (), dense_by_length(model, batch, config.length_groups)
    lexical = model.lexical(batch.word_ids, batch.word_weights)
    known = torch.ones_like(batch.labels, dtype=torch.bool)
    return Outputs(dense, model.combine(dense, lexical), lexical, tuple(layer.float() for layer in layers), known)
