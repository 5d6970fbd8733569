"""Transformer bodies: post-norm as in BERT and MiniLM, and pre-norm with rotary positions and gated layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architecture import Body, EncoderConfig, RmsNorm, TokenEmbedding


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1). q, k, v (b, h, t, s); bias (b, 1, 1, t) additive."""
    scores = q @ k.transpose(-1, -2) * (1.0 / math.sqrt(q.shape[-1])) + bias
    return scores.softmax(-1) @ v


def padding_bias(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """attention_mask (b, t) → (b, 1, 1, t): 0 for a token, very negative for padding."""
    return (1.0 - attention_mask.to(dtype))[:, None, None, :] * -1e4


class SelfAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, §3.2) with one matrix for queries, keys and values."""

    def __init__(self, config: EncoderConfig, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=bias)
        self.out = nn.Linear(config.width, config.width, bias=bias)

    def forward(self, x: Tensor, bias: Tensor, turn: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """x (b, t, d), bias (b, 1, 1, t); `turn` is the rotary (cos, sin), each (t, s) → (b, t, d)."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        if turn is not None:
            q, k = rotate(q, *turn), rotate(k, *turn)
        projected: Tensor = self.out(attend(q, k, v, bias).transpose(1, 2).reshape(batch, length, width))
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


class MiniLm(Body):
    """BERT's encoder with absolute positions: the shape of all-MiniLM-L6-v2, whose weights it can take."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.positions, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        steps = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.dropout(self.norm(self.words(input_ids) + self.positions(steps)))
        bias = padding_bias(attention_mask, self.words.weight.dtype)
        out = [x]
        for block in self.blocks:
            out.append(block(out[-1], bias))
        return tuple(out)

    def scores(self, states: Tensor) -> Tensor:
        return states @ self.words.weight.T


def rotary(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (t, size) of the rotary embedding (Su et al. 2021, eq. 15), base 10,000."""
    rates = 10_000.0 ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    angles = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rates[None, :]
    twice = torch.cat([angles, angles], dim=-1)
    return twice.cos(), twice.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (b, h, t, s) turned by its position; the halves of a head are the two coordinates."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos.to(x.dtype) + turned * sin.to(x.dtype)


class GatedBlock(nn.Module):
    """Pre-norm block with rotary attention and GeGLU (Shazeer 2020), without biases: ModernBERT's, all global."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.norm1 = RmsNorm(config.width)
        self.attention = SelfAttention(config, bias=False)
        self.norm2 = RmsNorm(config.width)
        self.up = nn.Linear(config.width, 2 * config.feed_forward, bias=False)
        self.down = nn.Linear(config.feed_forward, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, bias: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), bias, turn))
        gate, value = self.up(self.norm2(x)).chunk(2, dim=-1)
        added: Tensor = x + self.dropout(self.down(F.gelu(gate) * value))
        return added


class Modern(Body):
    """A Transformer after ModernBERT (Warner et al. 2024): rotary positions, GeGLU, pre-norm, no biases.

    Unlike there all layers attend globally (units are short) and the norm is by root mean square.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.tokens = TokenEmbedding(config)
        self.norm = RmsNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(GatedBlock(config) for _ in range(config.layers))
        self.last = RmsNorm(config.width)

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        x = self.dropout(self.norm(self.tokens(input_ids)))
        return tuple(self._layers(x, attention_mask, self._turn(input_ids.shape[1], input_ids.device)))

    def encode(self, embedded: Tensor, attention_mask: Tensor, lengths: tuple[int, ...]) -> Tensor:
        """Last states (b, t, width) of `embedded` (b, t, width): stretches of `lengths`, each counted from 0."""
        turns = [self._turn(length, embedded.device) for length in lengths]
        turn = (torch.cat([cos for cos, _ in turns]), torch.cat([sin for _, sin in turns]))
        return self._layers(self.dropout(self.norm(embedded)), attention_mask, turn)[-1]

    def _turn(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        return rotary(length, self.config.width // self.config.heads, device)

    def _layers(self, x: Tensor, attention_mask: Tensor, turn: tuple[Tensor, Tensor]) -> list[Tensor]:
        bias = padding_bias(attention_mask, x.dtype)
        out = [x]
        for block in self.blocks:
            out.append(block(out[-1], bias, turn))
        out[-1] = self.last(out[-1])
        return out

    def scores(self, states: Tensor) -> Tensor:
        return self.tokens.scores(states)
