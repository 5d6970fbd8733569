"""Losses against plain references, hand-computed values, and inputs with nothing to learn from."""

from __future__ import annotations

import math

import pytest
import torch
from polyclone_distill.llm.losses import (
    IGNORED,
    answer_loss,
    info_nce,
    pair_cosine_loss,
    supervised_contrastive,
)
from torch.nn import functional as F

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_answer_loss_is_over_answers_alone() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7, requires_grad=True)
    labels = torch.tensor([[IGNORED, IGNORED, 3, 4, IGNORED], [IGNORED, 1, 2, 3, 4]])
    total, count = answer_loss(logits, labels)
    expected = sum(
        -F.log_softmax(logits[row, position - 1], dim=-1)[label]
        for row in range(2)
        for position, label in enumerate(labels[row].tolist())
        if label != IGNORED and position
    )
    assert int(count) == 6
    torch.testing.assert_close(total, expected)
    total.backward()
    assert logits.grad is not None
    # What predicts the prompt, and what follows the answer, gets no gradient.
    assert not logits.grad[0, 0].any() and not logits.grad[0, 3:].any()


def test_an_answer_loss_without_answers_is_nothing() -> None:
    total, count = answer_loss(torch.randn(1, 3, 5), torch.full((1, 3), IGNORED))
    assert float(total) == 0.0 and int(count) == 0


def reference(vectors: torch.Tensor, classes: list[int], temperature: float) -> float:
    losses = []
    for i in range(len(vectors)):
        others = [j for j in range(len(vectors)) if j != i]
        positives = [j for j in others if classes[j] == classes[i]]
        if positives:
            scores = {j: float(vectors[i] @ vectors[j]) / temperature for j in others}
            norm = math.log(sum(math.exp(score) for score in scores.values()))
            losses.append(sum(norm - scores[j] for j in positives) / len(positives))
    return sum(losses) / len(losses)


def test_the_contrastive_loss_is_its_definition() -> None:
    torch.manual_seed(1)
    vectors = F.normalize(torch.randn(6, 4), dim=-1)
    classes = [0, 1, 0, 2, 1, 0]
    found = supervised_contrastive(vectors, torch.tensor(classes), 0.5)
    assert float(found) == pytest.approx(reference(vectors, classes, 0.5), rel=1e-5)
    both = info_nce(vectors[:3], vectors[3:], torch.tensor(classes[:3]), torch.tensor(classes[3:]), 0.5)
    assert float(both) == pytest.approx(float(found), rel=1e-6)


def test_two_pairs_by_hand() -> None:
    """Orthogonal problems, equal sides: every anchor has one positive at 1/τ and two negatives at 0."""
    left = torch.eye(2)
    found = info_nce(left, left, torch.tensor([0, 1]), torch.tensor([0, 1]), 1.0)
    assert float(found) == pytest.approx(math.log(math.e + 2) - 1)


def test_nothing_to_compare_is_no_loss() -> None:
    vectors = torch.eye(3, requires_grad=True)
    loss = supervised_contrastive(vectors, torch.arange(3), 0.1)
    loss.backward()
    assert float(loss) == 0.0 and vectors.grad is not None and not vectors.grad.any()
    assert float(pair_cosine_loss(torch.eye(2), torch.eye(2), torch.tensor([1, 1]), 0.1)) == 0.0


def test_the_pair_loss_knows_no_constant() -> None:
    """Cosines .6 (clone) and .2 at τ .1 lie ±2 around their middle."""
    left = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    right = torch.tensor([[0.6, 0.8], [0.2, math.sqrt(0.96)]])
    found = pair_cosine_loss(left, right, torch.tensor([1, 0]), 0.1)
    assert float(found) == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)
    turned = pair_cosine_loss(left, right, torch.tensor([0, 1]), 0.1)
    assert float(turned) == pytest.approx(math.log(1 + math.exp(2)), rel=1e-5)
