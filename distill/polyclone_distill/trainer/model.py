"""The encoder: a dense channel, whose body is chosen by name, beside a learned lexical channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architecture import EncoderConfig
from .students import build_body

__all__ = ["Encoder", "EncoderConfig", "upgrade_state"]


class Encoder(nn.Module):
    """Token ids and a weighted bag of words → one unit vector of `width + lexical_width` dimensions."""

    share: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.body = build_body(config)
        self.lexicon = nn.Embedding(config.lexicon_rows or config.lexicon, config.lexical_width)
        self.register_buffer("share", torch.tensor(float(config.lexical_share)))

    @property
    def dimension(self) -> int:
        return self.config.width + self.config.lexical_width

    @property
    def device(self) -> torch.device:
        return self.lexicon.weight.device

    def dense(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids, attention_mask int64 (b, t), padding on the right → unit vectors (b, width)."""
        return self.pooled(self.body.states(input_ids, attention_mask)[-1], attention_mask)

    def pooled(self, last: Tensor, attention_mask: Tensor) -> Tensor:
        """The body's last states (b, t, width) → unit vectors (b, width)."""
        return F.normalize(self.body.pool(last, attention_mask).float(), dim=-1, eps=1e-6)

    def lexical(self, word_ids: Tensor, word_weights: Tensor) -> Tensor:
        """word_ids int64 (b, m), 0 = padding; word_weights float (b, m), 0 at padding → unit (b, lexical)."""
        summed = (self.lexicon(self.rows(word_ids)) * word_weights.unsqueeze(-1)).sum(1)
        return F.normalize(summed.float(), dim=-1, eps=1e-6)

    def rows(self, word_ids: Tensor) -> Tensor:
        """Word ids → rows of the table. Ids ascend with rarity, so that it is rare words that share a row."""
        total = self.config.lexicon_rows
        if not total or total >= self.config.lexicon:
            return word_ids
        own = total * 5 // 8
        return torch.where(word_ids < own, word_ids, own + (word_ids - own) % (total - own))

    def combine(self, dense: Tensor, lexical: Tensor) -> Tensor:
        """The two channels side by side; a unit without words keeps a zero lexical part, so renormalise."""
        share = self.share
        joined = torch.cat([dense * torch.sqrt(1.0 - share), lexical * torch.sqrt(share)], dim=-1)
        return F.normalize(joined, dim=-1, eps=1e-6)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, word_ids: Tensor, word_weights: Tensor) -> Tensor:
        return self.combine(self.dense(input_ids, attention_mask), self.lexical(word_ids, word_weights))


def upgrade_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of before there was more than one architecture → as they are called now."""
    if any(name.startswith("body.") for name in state):
        return state
    kept = ("lexicon.", "share")
    return {name if name.startswith(kept) else f"body.{name}": value for name, value in state.items()}
