"""The mean of trained encoders. Effect: reads and writes weights.

What a run gains on one kind of view it may lose on another. Between two checkpoints of one lineage the loss is nearly
convex, so that their mean can keep both gains at the cost of one encoder ("model soups", Wortsman et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from polyclone.errors import UsageError

from .trainer.starting import load_encoder, mean_state, pack


def average(encoders: Sequence[Path], out: Path, weights: Sequence[float] | None = None) -> None:
    """Writes Σ wᵢ·θᵢ / Σ wᵢ, in half precision, to `out`; each file is what a run calls `best.pt`.

    `UsageError` for one encoder alone, encoders of different sizes, or weights that do not fit.
    """
    shares = [1.0] * len(encoders) if weights is None else list(weights)
    if len(encoders) < 2 or len(shares) != len(encoders) or min(shares) < 0.0 or sum(shares) <= 0.0:
        raise UsageError(
            f"{len(encoders)} encoders and {len(shares)} weights: give at least two encoders, and none or as many"
            " weights, not negative and not all zero."
        )
    models = [load_encoder(path) for path in encoders]
    for path, model in zip(encoders, models, strict=True):
        if model.config != models[0].config:
            raise UsageError(
                f"{path} and {encoders[0]} are encoders of different sizes; only one lineage can be averaged."
            )
    mean = mean_state([model.state_dict() for model in models], shares)
    torch.save(pack(models[0].config, mean), out)
