"""A small cross-encoder: both units in one sequence, tokens budgeted for each side, judged in both orders."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .architecture import EncoderConfig, masked_mean
from .errors import TrainerError
from .transformer import Modern


@dataclass(frozen=True)
class CrossConfig:
    """Sizes. `side` is how many tokens of each unit are read, so that a long one cannot push out the other."""

    vocabulary: int
    layers: int = 4
    width: int = 256
    heads: int = 8
    feed_forward: int = 512
    embedding: int = 128
    side: int = 160
    dropout: float = 0.1


class CrossEncoder(nn.Module):
    """`[CLS] a [SEP] b [SEP]` → one logit; a second table says which side a token is of (Devlin et al. 2019, §3)."""

    def __init__(self, config: CrossConfig) -> None:
        super().__init__()
        self.config = config
        sizes = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "side"}
        self.body = Modern(EncoderConfig(lexicon=1, architecture="modernbert", **sizes))
        self.sides = nn.Embedding(2, config.width)
        nn.init.normal_(self.sides.weight, std=0.02)
        self.hidden = nn.Linear(2 * config.width, config.width)
        self.output = nn.Linear(config.width, 1)

    def forward(self, a: Tensor, mask_a: Tensor, b: Tensor, mask_b: Tensor) -> Tensor:
        """a (n, t), b (n, u) token ids with their frames, masks of padding; int64 → logits (n,) of this order."""
        a, mask_a, b, mask_b = (x[:, : self.config.side] for x in (a, mask_a, b, mask_b))
        ids, mask = torch.cat([a, b], dim=1), torch.cat([mask_a, mask_b], dim=1)
        side = torch.cat([torch.zeros_like(a), torch.ones_like(b)], dim=1)
        # Each side counts its positions from its own start; the tables tell the sides apart.
        last = self.body.encode(self.body.tokens(ids) + self.sides(side), mask, (a.shape[1], b.shape[1]))
        left, right = last[:, : a.shape[1]], last[:, a.shape[1] :]
        pooled = torch.cat([masked_mean(left, mask_a), masked_mean(right, mask_b)], dim=-1)
        logits: Tensor = self.output(torch.tanh(self.hidden(pooled))).squeeze(-1)
        return logits

    def symmetric(self, a: Tensor, mask_a: Tensor, b: Tensor, mask_b: Tensor) -> Tensor:
        """The mean of both orders: logits (n,), the same for (a, b) and (b, a)."""
        mean: Tensor = 0.5 * (self(a, mask_a, b, mask_b) + self(b, mask_b, a, mask_a))
        return mean


def pair_inputs(ids: Tensor, mask: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of a padded batch as pairs: ids, mask (b, t) and positions (n,) → a, mask_a, b, mask_b."""
    return ids[left], mask[left], ids[right], mask[right]


def save_cross_encoder(model: CrossEncoder, path: Path, record: dict[str, Any]) -> None:
    """Effect: writes weights and record; plain tensors and values only."""
    config = dataclasses.asdict(model.config)
    torch.save({"cross_encoder": config, "state": model.state_dict(), "record": record}, path)


def load_cross_encoder(path: Path) -> tuple[CrossEncoder, dict[str, Any]]:
    """What `save_cross_encoder` wrote; `TrainerError` for another file."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}; run `polyclone-distill train cross-encoder`.") from error
    if "cross_encoder" not in saved:
        raise TrainerError(f"{path} holds no cross-encoder; run `polyclone-distill train cross-encoder`.")
    model = CrossEncoder(CrossConfig(**saved["cross_encoder"]))
    model.load_state_dict(saved["state"])
    return model.eval(), saved["record"]
