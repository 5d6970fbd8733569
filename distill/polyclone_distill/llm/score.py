"""Trained heads on pairs: a score each, in batches of like length. Nothing here trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .heads import Embedder
from .sides import Encoded
from .tasks import batch

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One number a pair, and what it took."""

    values: Floats
    """Logits of a judge, cosines of an embedder, (n,)."""
    elapsed_s: float
    tokens: tuple[int, ...]
    """Read for each pair."""


@torch.no_grad()
def score_pairs(module: nn.Module, encoded: Encoded, *, batch_size: int = 16) -> Scores:
    """Scores in the order of `encoded`. An embedder reads both sides of every pair, none of them twice remembered."""
    module.eval()
    device = next(module.parameters()).device
    tokens = encoded.tokens
    order = np.argsort(tokens, kind="stable")
    values = np.zeros(len(tokens))
    started = time.monotonic()
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size].tolist()
        values[rows] = _scores(module, encoded, rows, device)
    return Scores(values=values, elapsed_s=time.monotonic() - started, tokens=tuple(tokens))


def _scores(module: nn.Module, encoded: Encoded, rows: Sequence[int], device: torch.device) -> Floats:
    if encoded.joint:
        return _plain(module(*batch(encoded.joint, rows, device)))
    if isinstance(module, Embedder):
        vectors = module(*batch([*encoded.left, *encoded.right], _both(rows, len(encoded.left)), device))
        return _plain((vectors[: len(rows)] * vectors[len(rows) :]).sum(1))
    return _plain(module(*batch(encoded.left, rows, device), *batch(encoded.right, rows, device)))


def _both(rows: Sequence[int], n: int) -> list[int]:
    return [*rows, *(row + n for row in rows)]


def _plain(values: torch.Tensor) -> Floats:
    return values.float().cpu().numpy().astype(np.float64)
