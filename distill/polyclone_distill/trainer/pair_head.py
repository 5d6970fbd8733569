"""The pair head: standardised features → logit. Needs torch only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Deviations from the mean beyond which a feature says no more.
_REACH = 8.0
#: A ceiling that no logit reaches.
_NONE = 1e9


class PairHead(nn.Module):
    """A small perceptron over the pair features; `hidden` = 0 makes it linear. Standardisation is part of it.

    With `rising`, positions of features, the logit never falls as one of those rises: a linear part, and a bounded
    one of `hidden` units, both with weights that `project` keeps from being negative (Sill 1998, "Monotonic
    networks"). Far from the training pairs the linear part decides.

    From `ceiling` on such a head has no evidence for an order of its own; `lift`, a small weight for each
    standardised feature, then decides. Both are set after the training; before, they do nothing.
    """

    mean: Tensor
    scale: Tensor
    ceiling: Tensor
    lift: Tensor

    def __init__(self, features: int, hidden: int = 48, rising: Sequence[int] = ()) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.hidden = nn.Linear(features, hidden) if hidden else None
        self.output = nn.Linear(hidden or features, 1)
        self.rising = tuple(rising)
        self.skip = nn.Linear(features, 1, bias=False) if rising and hidden else None
        if self.skip is not None:
            self.register_buffer("ceiling", torch.tensor(_NONE))
            self.register_buffer("lift", torch.zeros(features))
            nn.init.zeros_(self.skip.weight)
            with torch.no_grad():
                self.output.weight.abs_()
                if self.hidden is not None:
                    columns = list(self.rising)
                    self.hidden.weight[:, columns] = self.hidden.weight[:, columns].abs()

    def forward(self, features: Tensor) -> Tensor:
        """features (n, f) float32 → logits (n,)."""
        if self.hidden is None:
            logits: Tensor = self.output(features).squeeze(-1)
            return logits
        x = ((features - self.mean) / self.scale).clamp(-_REACH, _REACH)
        if self.skip is None:
            logits = self.output(F.gelu(self.hidden(x))).squeeze(-1)
        else:
            own = (self.skip(x) + self.output(torch.tanh(self.hidden(x)))).squeeze(-1)
            logits = torch.minimum(own, self.ceiling) + x @ self.lift
        return logits

    def project(self) -> None:
        """Effect: weights that would let the logit fall as a rising feature rises become 0."""
        if self.skip is None or self.hidden is None:
            return
        columns = list(self.rising)
        with torch.no_grad():
            self.output.weight.clamp_(min=0.0)
            for layer in (self.hidden, self.skip):
                layer.weight[:, columns] = layer.weight[:, columns].clamp(min=0.0)


def save_pair_head(head: PairHead, path: Path, record: dict[str, Any]) -> None:
    """Effect: writes weights and record; plain tensors and values only."""
    size = head.hidden.out_features if head.hidden is not None else 0
    sizes = {"features": len(head.mean), "hidden": size, "rising": list(head.rising)}
    torch.save({**sizes, "state": head.state_dict(), "record": record}, path)


def load_pair_head(path: Path) -> tuple[PairHead, dict[str, Any]]:
    """What `save_pair_head` wrote; files of before there were rising features load too."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    head = PairHead(saved["features"], saved["hidden"], saved.get("rising", ()))
    head.load_state_dict(saved["state"])
    return head.eval(), saved["record"]
