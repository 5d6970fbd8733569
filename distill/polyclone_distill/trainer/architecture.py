"""What all encoders share: their sizes, and what a body owes. A body turns token ids into states, layer by layer.

Nothing here reads configuration or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder. What an architecture has no use for, it ignores."""

    vocabulary: int
    lexicon: int
    layers: int = 6
    width: int = 384
    heads: int = 12
    feed_forward: int = 1536
    positions: int = 512
    lexical_width: int = 256
    lexical_share: float = 0.3
    """Share of the lexical channel in the squared norm of the vector, i.e. its weight in the cosine."""
    dropout: float = 0.1
    architecture: str = "minilm"
    embedding: int = 0
    """Width of the token embedding; a linear map leads from it to `width`. 0: the same, and no map."""
    kernel: int = 7
    """Tokens a convolution sees at once; odd."""
    lexicon_rows: int = 0
    """Rows of the lexicon's table. Words beyond five eighths of them share the rest by remainder. 0: one each."""
    members: tuple[EncoderConfig, ...] = ()
    """Of an ensemble: whose bodies it is made of. Its width is the sum of theirs; of their lexicons it has none."""
    shares: tuple[float, ...] = ()
    """How much the cosine of each member counts; they add up to one."""

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> EncoderConfig:
        """From what `dataclasses.asdict` made of it."""
        members = tuple(map(cls.of, saved.get("members", ())))
        return cls(**{**saved, "members": members, "shares": tuple(saved.get("shares", ()))})


class Body(nn.Module):
    """Token ids → states of each layer → one vector. Padding is on the right and must not matter."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """input_ids, attention_mask int64 (b, t) → states (b, t, width): of the embedding, then of each layer."""
        raise NotImplementedError

    def pool(self, last: Tensor, attention_mask: Tensor) -> Tensor:
        """last (b, t, width), attention_mask (b, t) → (b, width). Masked mean, unless a body knows better."""
        return masked_mean(last, attention_mask)

    def scores(self, states: Tensor) -> Tensor:
        """states (n, width) → one score a token of the vocabulary (n, v), with the table of the input."""
        raise NotImplementedError


def masked_mean(states: Tensor, attention_mask: Tensor) -> Tensor:
    """states (b, t, d), attention_mask (b, t) 0 or 1 → mean over the tokens (b, d); zeros where there is none."""
    mask = attention_mask.float()
    return (states.float() * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1.0)


class TokenEmbedding(nn.Module):
    """Token ids → vectors, through a narrower table where `embedding` says so (Lan et al. 2020, §3.1)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        inner = config.embedding or config.width
        self.table = nn.Embedding(config.vocabulary, inner)
        nn.init.normal_(self.table.weight, std=inner**-0.5)
        self.widen = nn.Linear(inner, config.width, bias=False) if inner != config.width else None

    def forward(self, input_ids: Tensor) -> Tensor:
        """input_ids int64 (b, t) → (b, t, width)."""
        x: Tensor = self.table(input_ids)
        return x if self.widen is None else self.widen(x)

    def scores(self, states: Tensor) -> Tensor:
        """states (n, width) → one score a token of the vocabulary (n, v): the table serves both ways."""
        inner = states if self.widen is None else states @ self.widen.weight
        return inner @ self.table.weight.T


class RmsNorm(nn.Module):
    """Root-mean-square norm without a bias (Zhang & Sennrich 2019, eq. 4), in operations every opset has."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight
