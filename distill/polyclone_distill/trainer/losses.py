"""Contrastive losses over a batch of labelled unit vectors. Pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def multi_positive_info_nce(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss, L_out of Khosla et al. 2020 (eq. 2), over one batch.

    vectors (n, d) unit norm, labels int64 (n,). Every other row of the same label is a positive, every row
    of another label a negative; a row without a positive does not count. Returns a scalar, 0 when no row
    has a positive.
    """
    n = len(labels)
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(n, dtype=torch.bool, device=vectors.device)
    positive = same & ~itself
    logits = (vectors @ vectors.T / temperature).masked_fill(itself, float("-inf"))
    log_probability = logits - logits.logsumexp(dim=1, keepdim=True)
    count = positive.sum(1)
    summed = torch.where(positive, log_probability, torch.zeros_like(log_probability)).sum(1)
    rows = count > 0
    if not bool(rows.any()):
        return vectors.sum() * 0.0
    return -(summed[rows] / count[rows]).mean()
