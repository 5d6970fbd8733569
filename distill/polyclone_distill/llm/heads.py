"""Heads of language-model students in plain torch: binary over pairs, contrastive over single functions.

A body here is any module that maps `input_ids`, `attention_mask` int64 (b, t) to last-layer states (b, t, d), as
`Body` makes one of a Hugging Face decoder. Nothing here reads files.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYOUTS = ("joint", "sides")


class Body(nn.Module):
    """A Hugging Face decoder without its language-model head, as a plain function of ids and mask."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.width = int(model.config.hidden_size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids, attention_mask int64 (b, t) → float (b, t, d). Keeps no cache of keys and values."""
        states: Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False, return_dict=True
        ).last_hidden_state
        return states


def masked_mean(states: Tensor, attention_mask: Tensor) -> Tensor:
    """states (b, t, d), attention_mask (b, t) → float32 (b, d): the mean over the tokens that the mask keeps."""
    mask = attention_mask.to(torch.float32).unsqueeze(-1)
    return (states.float() * mask).sum(1) / mask.sum(1).clamp(min=1.0)


def compare(u: Tensor, v: Tensor) -> Tensor:
    """u, v (b, d) → [u, v, |u − v|, u ∗ v] (b, 4 d) (Conneau et al. 2017, §3.1)."""
    return torch.cat([u, v, (u - v).abs(), u * v], dim=-1)


class BinaryHead(nn.Module):
    """Linear → tanh → dropout → Linear: pooled states to one logit."""

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        """pooled (b, w) → logits (b,)."""
        logits: Tensor = self.output(self.dropout(torch.tanh(self.dense(pooled)))).squeeze(-1)
        return logits


class ContrastiveHead(nn.Module):
    """Masked mean → projection → unit length."""

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, dimension, bias=False)

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """states (b, t, d), attention_mask (b, t) → float32 (b, dimension), rows of unit norm."""
        return F.normalize(self.projection(masked_mean(states, attention_mask)), dim=-1, eps=1e-6)


class Embedder(nn.Module):
    """A body with a contrastive head."""

    def __init__(self, body: nn.Module, head: ContrastiveHead) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids, attention_mask int64 (b, t) → float32 (b, dimension), rows of unit norm."""
        embedded: Tensor = self.head(self.body(input_ids, attention_mask), attention_mask)
        return embedded


class JointHead(nn.Module):
    """Masked mean of a pair in one prompt → logit. Its binary head has the width of the body."""

    def __init__(self, head: BinaryHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """states (b, t, d), attention_mask (b, t) → logits (b,)."""
        logits: Tensor = self.head(masked_mean(states, attention_mask))
        return logits


class JointJudge(nn.Module):
    """A body with a binary head over pairs in one prompt."""

    def __init__(self, body: nn.Module, head: BinaryHead) -> None:
        super().__init__()
        self.body, self.head = body, JointHead(head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids, attention_mask int64 (b, t), a pair in each row → logits (b,)."""
        logits: Tensor = self.head(self.body(input_ids, attention_mask), attention_mask)
        return logits


class SidesJudge(nn.Module):
    """A body with a binary head, 4 d wide, over two functions that were read apart."""

    def __init__(self, body: nn.Module, head: BinaryHead) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, left_ids: Tensor, left_mask: Tensor, right_ids: Tensor, right_mask: Tensor) -> Tensor:
        """Ids and masks int64 (b, t) of the left sides and (b, s) of the right ones → logits (b,)."""
        u = masked_mean(self.body(left_ids, left_mask), left_mask)
        v = masked_mean(self.body(right_ids, right_mask), right_mask)
        logits: Tensor = self.head(compare(u, v))
        return logits


def binary_judge(body: Body, layout: str, dropout: float = 0.1) -> JointJudge | SidesJudge:
    """A judge with an untrained binary head of the width that the layout needs. `ValueError` for another layout."""
    if layout == "joint":
        return JointJudge(body, BinaryHead(body.width, dropout))
    if layout == "sides":
        return SidesJudge(body, BinaryHead(4 * body.width, dropout))
    raise ValueError(f"layout {layout!r} is unknown; use {' or '.join(LAYOUTS)}")
