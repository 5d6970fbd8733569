"""The student encoders in plain torch: a BERT-style dense channel beside a learned lexical channel.

Nothing here reads configuration or files; `build` turns a plain dataclass into a module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder. `layers` is how many Transformer blocks; the rest is as in BERT."""

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


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, §3.2)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x (b, t, d), bias (b, 1, 1, t) additive: 0 for a token, very negative for padding → (b, t, d)."""
        batch, length, width = x.shape
        size = width // self.heads
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (1.0 / math.sqrt(size)) + bias
        mixed = scores.softmax(-1) @ v
        projected: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return projected


class Block(nn.Module):
    """A post-norm Transformer block, as BERT has it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.norm1 = nn.LayerNorm(config.width, eps=1e-12)
        self.up = nn.Linear(config.width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout(self.attention(x, bias)))
        added: Tensor = self.norm2(x + self.dropout(self.down(F.gelu(self.up(x)))))
        return added


class Encoder(nn.Module):
    """Token ids and a weighted bag of words → one unit vector of `width + lexical_width` dimensions."""

    share: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.positions, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.lexicon = nn.Embedding(config.lexicon, config.lexical_width)
        self.register_buffer("share", torch.tensor(float(config.lexical_share)))

    @property
    def dimension(self) -> int:
        return self.config.width + self.config.lexical_width

    def dense(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids, attention_mask int64 (b, t) → unit vectors (b, width): masked mean of the last layer."""
        mask = attention_mask.to(self.words.weight.dtype)
        steps = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.dropout(self.norm(self.words(input_ids) + self.positions(steps)))
        bias = (1.0 - mask)[:, None, None, :] * -1e4
        for block in self.blocks:
            x = block(x, bias)
        pooled = (x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1.0)
        return F.normalize(pooled.float(), dim=-1, eps=1e-6)

    def lexical(self, word_ids: Tensor, word_weights: Tensor) -> Tensor:
        """word_ids int64 (b, m), 0 = padding; word_weights float (b, m), 0 at padding → unit (b, lexical)."""
        summed = (self.lexicon(word_ids) * word_weights.unsqueeze(-1)).sum(1)
        return F.normalize(summed.float(), dim=-1, eps=1e-6)

    def combine(self, dense: Tensor, lexical: Tensor) -> Tensor:
        """The two channels side by side; a unit without words keeps a zero lexical part, so renormalise."""
        share = self.share
        joined = torch.cat([dense * torch.sqrt(1.0 - share), lexical * torch.sqrt(share)], dim=-1)
        return F.normalize(joined, dim=-1, eps=1e-6)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, word_ids: Tensor, word_weights: Tensor) -> Tensor:
        return self.combine(self.dense(input_ids, attention_mask), self.lexical(word_ids, word_weights))
