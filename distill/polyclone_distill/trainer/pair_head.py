"""The pair head: standardised features → logit. Needs torch only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PairHead(nn.Module):
    """A small perceptron over the pair features; `hidden` = 0 makes it linear. Standardisation is part of it."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, hidden: int = 48) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.hidden = nn.Linear(features, hidden) if hidden else None
        self.output = nn.Linear(hidden or features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features (n, f) float32 → logits (n,)."""
        x = ((features - self.mean) / self.scale).clamp(-8.0, 8.0) if self.hidden is not None else features
        if self.hidden is not None:
            x = F.gelu(self.hidden(x))
        logits: Tensor = self.output(x).squeeze(-1)
        return logits


def save_pair_head(head: PairHead, path: Path, record: dict[str, Any]) -> None:
    """Effect: writes weights and record; plain tensors and values only."""
    size = head.hidden.out_features if head.hidden is not None else 0
    torch.save({"features": len(head.mean), "hidden": size, "state": head.state_dict(), "record": record}, path)


def load_pair_head(path: Path) -> tuple[PairHead, dict[str, Any]]:
    saved = torch.load(path, map_location="cpu", weights_only=True)
    head = PairHead(saved["features"], saved["hidden"])
    head.load_state_dict(saved["state"])
    return head.eval(), saved["record"]
