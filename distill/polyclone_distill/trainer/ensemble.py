"""Encoders that were trained apart, read side by side: their errors differ, so that together they make fewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architecture import Body, EncoderConfig


class Ensemble(Body):
    """Several bodies over the same tokens; cosines are added by the members' shares (Perrone & Cooper 1993, BEM)."""

    def __init__(self, config: EncoderConfig, members: Sequence[Body]) -> None:
        super().__init__(config)
        self.members = nn.ModuleList(members)
        self.widths = [member.width for member in config.members]
        self.shares = config.shares

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Of the last layers alone, (b, t, sum of the widths): members need not have as many layers as each other."""
        return (torch.cat([member.states(input_ids, attention_mask)[-1] for member in self._bodies()], dim=-1),)

    def pool(self, last: Tensor, attention_mask: Tensor) -> Tensor:
        """Each member's own unit vector, times the root of its share: a unit vector again, (b, sum of the widths)."""
        parts = zip(self._bodies(), torch.split(last, self.widths, dim=-1), self.shares, strict=True)
        return torch.cat(
            [
                F.normalize(member.pool(states, attention_mask).float(), dim=-1, eps=1e-6) * share**0.5
                for member, states, share in parts
            ],
            dim=-1,
        )

    def _bodies(self) -> list[Body]:
        return cast(list[Body], list(self.members))
