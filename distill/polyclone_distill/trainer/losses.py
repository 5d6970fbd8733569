"""Contrastive losses over a batch of labelled unit vectors. Pure functions of tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Ratio(NamedTuple):
    """A loss as sum and count, so that means over several batches or devices weigh every term alike."""

    total: Tensor
    """Scalar."""
    terms: Tensor
    """Scalar: how many terms were summed. 0 where everything was masked."""

    def mean(self) -> Tensor:
        """total / terms; 0, with a zero gradient, where nothing was counted."""
        return self.total / self.terms.clamp(min=1.0)


def multi_positive_info_nce(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean of `info_nce`: a scalar, 0 when no row has a positive."""
    return info_nce(vectors, labels, temperature).mean()


def info_nce(vectors: Tensor, labels: Tensor, temperature: float) -> Ratio:
    """Supervised contrastive loss, L_out of Khosla et al. 2020 (eq. 2), over one batch.

    vectors (n, d) unit norm, labels int64 (n,). Every other row of the same label is a positive, every row
    of another label a negative; a row without a positive counts only as a negative.
    """
    itself = torch.eye(len(labels), dtype=torch.bool, device=vectors.device)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    logits = (vectors @ vectors.T / temperature).masked_fill(itself, float("-inf"))
    return _mean_positive(logits, positive)


def block_info_nce(vectors: Tensor, labels: Tensor, languages: Tensor, temperature: float) -> Ratio:
    """The same with one softmax for each pair of languages.

    languages int64 (n,). A row of language a is compared with the rows of one language b at a time, and each
    (row, b) in which the row has a positive is one term. So the language a unit is written in says nothing
    about which candidate is right.
    """
    itself = torch.eye(len(labels), dtype=torch.bool, device=vectors.device)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    logits = vectors @ vectors.T / temperature
    parts = []
    for language in torch.unique(languages):
        inside = (languages == language)[None, :] & ~itself
        # A row without any candidate would have no softmax; it has no positive either.
        rows = inside.any(1)
        parts.append(
            _mean_positive(logits[rows].masked_fill(~inside[rows], float("-inf")), (positive & inside)[rows])
        )
    return Ratio(sum_of([p.total for p in parts], vectors), sum_of([p.terms for p in parts], vectors))


def sum_of(parts: list[Tensor], like: Tensor) -> Tensor:
    """Sum of scalars; 0 that still hangs on `like` when there are none."""
    return torch.stack(parts).sum() if parts else like.sum() * 0.0


def _mean_positive(logits: Tensor, positive: Tensor) -> Ratio:
    """Per row the mean over its positives of −log softmax; rows without a positive do not count."""
    log_probability = logits - logits.logsumexp(dim=1, keepdim=True)
    count = positive.sum(1)
    # The diagonal is −∞ − finite; `where` keeps it, and its gradient, out.
    summed = torch.where(positive, log_probability, torch.zeros_like(log_probability)).sum(1)
    rows = count > 0
    if not bool(rows.any()):
        return Ratio(logits.masked_fill(logits == float("-inf"), 0.0).sum() * 0.0, rows.sum().to(logits.dtype))
    return Ratio(-(summed[rows] / count[rows]).sum(), rows.sum().to(logits.dtype))
