"""Losses of the heads in plain torch. Nothing here knows a model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100


def answer_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy over the tokens of answers: (sum float32, number of tokens).

    logits (b, t, v), labels int64 (b, t) with `IGNORED` on the prompt and on padding; position i predicts i + 1.
    A batch without an answer token gives (0, 0).
    """
    shifted, wanted = logits[:, :-1].float(), labels[:, 1:]
    total = F.cross_entropy(shifted.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum")
    return total, (wanted != IGNORED).sum()


def info_nce(left: Tensor, right: Tensor, problems: Tensor, other: Tensor, temperature: float) -> Tensor:
    """InfoNCE with several positives over programs: scalar float32.

    left, right float (b, d) of unit rows; problems int64 (b,) of the left and `other` int64 (b,) of the right
    programs. All 2b programs are anchors; programs of one problem are positives of each other, all others
    negatives (Khosla et al. 2020, eq. 2). Anchors without a positive count for nothing; without any anchor: 0.
    """
    vectors, classes = torch.cat([left, right]).float(), torch.cat([problems, other])
    return supervised_contrastive(vectors, classes, temperature)


def supervised_contrastive(vectors: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """SupCon with the sum outside the logarithm (Khosla et al. 2020, eq. 2), scalar float32.

    vectors (n, d) of unit rows, classes int64 (n,). Anchors without a positive count for nothing.
    """
    own = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    scores = (vectors @ vectors.T / temperature).masked_fill(own, float("-inf"))
    log_p = scores - torch.logsumexp(scores, dim=1, keepdim=True)
    positive = (classes[:, None] == classes[None, :]) & ~own
    count = positive.sum(1)
    anchors = count > 0
    if not bool(anchors.any()):
        return vectors.sum() * 0.0
    each = -log_p.masked_fill(~positive, 0.0).sum(1)[anchors] / count[anchors]
    return each.mean()


def pair_cosine_loss(left: Tensor, right: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Binary cross-entropy of cosine / temperature around the batch's own middle: a pull for hard negatives.

    left, right (b, d) of unit rows, labels (b,) 0 or 1. The middle is the mean cosine of both labels, so that a
    constant added to all cosines changes nothing. A batch of one label gives 0.
    """
    wanted = labels.to(torch.bool)
    cosine = (left.float() * right.float()).sum(1)
    if not bool(wanted.any()) or bool(wanted.all()):
        return cosine.sum() * 0.0
    middle = 0.5 * (cosine[wanted].mean() + cosine[~wanted].mean())
    return F.binary_cross_entropy_with_logits((cosine - middle) / temperature, wanted.float())
