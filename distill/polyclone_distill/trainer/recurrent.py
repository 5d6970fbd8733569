"""Bidirectional GRU. The way back starts at each unit's own end, so padding needs no packing and exports."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .architecture import Body, EncoderConfig, TokenEmbedding


def mirror(attention_mask: Tensor) -> Tensor:
    """attention_mask (b, t), padding on the right → int64 (b, t): position i ↦ n − 1 − i within the first n tokens.

    Gathering by it twice gives back what was there; padding stays where it is.
    """
    steps = torch.arange(attention_mask.shape[1], device=attention_mask.device)[None, :]
    count = attention_mask.sum(1, keepdim=True)
    return torch.where(steps < count, count - 1 - steps, steps)


def reorder(x: Tensor, positions: Tensor) -> Tensor:
    """x (b, t, d), positions int64 (b, t) → x[b, positions[b, t]]."""
    return torch.gather(x, 1, positions.unsqueeze(-1).expand(-1, -1, x.shape[2]))


class RecurrentLayer(nn.Module):
    """A GRU forth and one back (Cho et al. 2014; Schuster & Paliwal 1997), half the width each, with a residual."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.forth = nn.GRU(width, width // 2, batch_first=True)
        self.back = nn.GRU(width, width // 2, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """x (b, t, d), positions as `mirror` gives them → (b, t, d)."""
        forth, _ = self.forth(x)
        back, _ = self.back(reorder(x, positions))
        both = torch.cat([forth, reorder(back, positions)], dim=-1)
        added: Tensor = self.norm(x + self.dropout(both))
        return added


class BiGru(Body):
    """Stacked bidirectional GRU layers over token embeddings; pooled by the masked mean."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.tokens = TokenEmbedding(config)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(RecurrentLayer(config.width, config.dropout) for _ in range(config.layers))

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        positions = mirror(attention_mask)
        out = [self.dropout(self.tokens(input_ids))]
        for layer in self.layers:
            out.append(layer(out[-1], positions))
        return tuple(out)

    def scores(self, states: Tensor) -> Tensor:
        return self.tokens.scores(states)
