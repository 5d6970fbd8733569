"""Static embedding: a weighted bag of sub-words and a small perceptron. Blind to order, and nearly free."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architecture import Body, EncoderConfig, TokenEmbedding


class Static(Body):
    """Each token has a vector and a learned weight; their weighted mean goes through `layers` residual layers."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.tokens = TokenEmbedding(config)
        self.weights = nn.Embedding(config.vocabulary, 1)
        nn.init.zeros_(self.weights.weight)
        self.dropout = nn.Dropout(config.dropout)
        self.ups = nn.ModuleList(nn.Linear(config.width, config.feed_forward) for _ in range(config.layers))
        self.downs = nn.ModuleList(nn.Linear(config.feed_forward, config.width) for _ in range(config.layers))

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        plain = self.tokens(input_ids)
        return plain, plain * torch.exp(self.weights(input_ids).clamp(-8.0, 4.0))

    def pool(self, last: Tensor, attention_mask: Tensor) -> Tensor:
        # The sum, not the mean: the direction is the same, and the perceptron sees it normalised.
        summed = (last.float() * attention_mask.float().unsqueeze(-1)).sum(1)
        x = F.normalize(summed, dim=-1, eps=1e-6)
        for up, down in zip(self.ups, self.downs, strict=True):
            x = x + self.dropout(down(F.gelu(up(x))))
        return x

    def scores(self, states: Tensor) -> Tensor:
        return self.tokens.scores(states)
