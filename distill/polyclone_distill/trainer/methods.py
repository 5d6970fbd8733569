"""Distillation methods as pure functions of tensors. Each gives a `Ratio`: the sum of its terms and their count.

A mask says which rows, entries or tokens exist; what is masked contributes nothing, and where all is masked the
loss is 0. Teacher tensors are detached here, so that no gradient can reach a teacher. *Logits* of an encoder are
the scaled cosines of a row of the batch with the other rows; any (rows, classes) matrix will do.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .losses import Ratio, info_nce

__all__ = [
    "contextual",
    "contrastive",
    "dist",
    "fine_tuning",
    "hint",
    "kd",
    "margin_mse",
    "max_softmax",
    "patient",
    "rkd_angle",
    "rkd_distance",
    "similarity",
]

_MASKED = -1e9


def fine_tuning(vectors: Tensor, labels: Tensor, temperature: float) -> Ratio:
    """FT: hard labels only, no teacher. The contrastive loss of Khosla et al. 2020, eq. 2 (`losses.info_nce`)."""
    return info_nce(vectors, labels, temperature)


def kd(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor) -> Ratio:
    """Knowledge distillation: τ² Σ_c p_c log(p_c / q_c), p = softmax(teacher / τ), q = softmax(student / τ).

    student, teacher logits (n, c); mask bool (n, c). One term a row. Hinton, Vinyals & Dean 2015, §2; the factor
    τ² keeps the size of the gradient. Up to the teacher's entropy it is the cross-entropy with soft targets.
    """
    p, log_p = _softmax(teacher.detach(), temperature, mask)
    _, log_q = _softmax(student, temperature, mask)
    per_row = (p * (log_p - log_q) * mask).sum(1) * temperature**2
    return _over_rows(per_row, mask.any(1))


def max_softmax(student: Tensor, teacher: Tensor, mask: Tensor) -> Ratio:
    """The teacher's arg-max as a label, weighted by its confidence: −max_c p_c · log q_{argmax p}.

    student, teacher logits (n, c); mask bool (n, c). One term a row. Pseudo-labels (Lee 2013, eq. 15) with the
    maximum softmax probability (Hendrycks & Gimpel 2017) as weight, as in Wang et al. 2025.
    """
    p, _ = _softmax(teacher.detach(), 1.0, mask)
    _, log_q = _softmax(student, 1.0, mask)
    confidence, label = p.max(1)
    return _over_rows(-confidence * log_q.gather(1, label[:, None]).squeeze(1), mask.any(1))


def dist(student: Tensor, teacher: Tensor, temperature: float, beta: float, gamma: float, mask: Tensor) -> Ratio:
    """DIST: β · mean_rows(1 − ρ(q_i·, p_i·)) + γ · mean_columns(1 − ρ(q_·c, p_·c)), ρ Pearson's correlation.

    student, teacher logits (n, c), softmax with temperature τ; mask bool (n, c). Huang et al. 2022, eq. 7–10.
    The count is that of the rows.
    """
    p, _ = _softmax(teacher.detach(), temperature, mask)
    q, _ = _softmax(student, temperature, mask)
    between = _over_rows(1.0 - _pearson(q, p, mask, dim=1), mask.any(1))
    within = _over_rows(1.0 - _pearson(q, p, mask, dim=0), mask.any(0))
    return Ratio((beta * between.mean() + gamma * within.mean()) * between.terms, between.terms)


def hint(student: Tensor, teacher: Tensor, mask: Tensor) -> Ratio:
    """FitNets: ½ ‖r(student) − teacher‖², mean over the width. Romero et al. 2015, eq. 3.

    student (b, t, d) is already regressed to the teacher's width, teacher (b, t, d), mask (b, t). One term a token.
    """
    per_token = 0.5 * (student - teacher.detach()).pow(2).mean(-1)
    return _over_rows(per_token.flatten(), mask.bool().flatten())


def rkd_distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Ratio:
    """RKD-D: Huber(ψ_S(i, j), ψ_T(i, j)), ψ the distance of rows i and j over the mean distance of all pairs.

    student (n, d), teacher (n, e), mask bool (n,). One term an ordered pair. Park et al. 2019, eq. 5–8.
    """
    pair = _pairs(mask)
    return _over_rows(
        _huber(_relative_distance(student, pair), _relative_distance(teacher.detach(), pair)).flatten(),
        pair.flatten(),
    )


def rkd_angle(student: Tensor, teacher: Tensor, mask: Tensor) -> Ratio:
    """RKD-A: Huber(cos ∠_S(i, j, k), cos ∠_T(i, j, k)) over triples of distinct rows with the angle at j.

    student (n, d), teacher (n, e), mask bool (n,). One term a triple; needs n³ numbers. Park et al. 2019, eq. 9–11.
    """
    pair = _pairs(mask)
    triple = pair[:, :, None] & pair[:, None, :] & pair[None, :, :]
    gap = _huber(_row_angles(student), _row_angles(teacher.detach()))
    return _over_rows(gap.flatten(), triple.flatten())


def patient(student: Tensor, teacher: Tensor, mask: Tensor) -> Ratio:
    """PKD: ‖s/‖s‖ − t/‖t‖‖² of one state a layer. Sun et al. 2019, eq. 7.

    student (l, b, d) already mapped to the teacher's width, teacher (l, b, d), mask bool (b,). One term a layer and
    row. The paper takes the state of [CLS]; where nothing is trained to gather there, give the pooled one.
    """
    s, t = F.normalize(student, dim=-1, eps=1e-6), F.normalize(teacher.detach(), dim=-1, eps=1e-6)
    per_state = (s - t).pow(2).sum(-1)
    return _over_rows(per_state.flatten(), mask.bool()[None, :].expand_as(per_state).flatten())


def contextual(student: Tensor, teacher: Tensor, mask: Tensor, window: int = 10) -> Ratio:
    """Contextual KD: squared gaps of cosines of pairs and of cosines of angles of triples, within a window.

    student (g, s, d), teacher (g, s, e): g sequences of s items; mask (g, s). With tokens as items this is the word
    relation of Park et al. 2021 (eq. 2–4), with the layers of one token as items the layer transforming relation
    (eq. 5–7). The value is the mean over pairs plus the mean over triples; the count is that of the pairs.
    """
    present = mask.bool()
    near = (torch.arange(mask.shape[1], device=mask.device)[:, None] - torch.arange(
        mask.shape[1], device=mask.device)[None, :]).abs().le(window)  # fmt: skip
    distinct = near & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    pair = present[:, :, None] & present[:, None, :] & distinct
    pairs = _over_rows((_cosines(student) - _cosines(teacher.detach())).pow(2).flatten(), pair.flatten())
    around, valid = _windows(present, window)
    triple = valid[:, :, :, None] & valid[:, :, None, :] & ~torch.eye(
        around.shape[1], dtype=torch.bool, device=mask.device)  # fmt: skip
    triple = triple & present[:, :, None, None]
    gap = (_window_angles(student, around) - _window_angles(teacher.detach(), around)).pow(2)
    triples = _over_rows(gap.flatten(), triple.flatten())
    return Ratio((pairs.mean() + triples.mean()) * pairs.terms, pairs.terms)


def contrastive(student: Tensor, teacher: Tensor, temperature: float, labels: Tensor, mask: Tensor) -> Ratio:
    """Contrastive KD: −log exp(s_i·t_i / τ) / Σ_j exp(s_i·t_j / τ): the teacher's vector of the same row is right.

    student, teacher (n, d) unit norm; labels int64 (n,): other rows of the same label are left out, they are no
    negatives; mask bool (n,). One term a row. CRD (Tian et al. 2020, §3.1) with the rows of the batch as
    negatives, i.e. InfoNCE (van den Oord et al. 2018, eq. 4) in place of a memory bank.
    """
    own = torch.eye(len(labels), dtype=torch.bool, device=student.device)
    allowed = (own | (labels[:, None] != labels[None, :])) & mask[None, :]
    logits = (student @ teacher.detach().T / temperature).masked_fill(~allowed, _MASKED)
    return _over_rows(-logits.log_softmax(1).diagonal(), mask)


def similarity(student: Tensor, teacher: Tensor, mask: Tensor) -> Ratio:
    """In-batch similarity: (S_ij − T_ij)², S and T the cosines of all pairs of rows.

    student (n, d), teacher (n, e), unit norm; mask bool (n,). One term an ordered pair. Similarity-preserving
    distillation (Tung & Mori 2019, eq. 2–4) without the row norm, which unit vectors make unnecessary.
    """
    gap = (student @ student.T - (teacher @ teacher.T).detach()).pow(2)
    return _over_rows(gap.flatten(), _pairs(mask).flatten())


def margin_mse(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], mask: Tensor) -> Ratio:
    """Margin-MSE: ((s⁺ − s⁻) − (t⁺ − t⁻))². Hofstätter et al. 2020, eq. 5.

    Each side gives its scores of the positives and of the negatives, (n,) each; mask bool (n,). One term a triple.
    """
    wanted = (teacher[0] - teacher[1]).detach()
    return _over_rows((student[0] - student[1] - wanted).pow(2), mask)


def _over_rows(values: Tensor, kept: Tensor) -> Ratio:
    """Sum and count of `values` where `kept`; the rest is cut off from the gradient, too."""
    chosen = kept.bool()
    return Ratio(torch.where(chosen, values, torch.zeros_like(values)).sum(), chosen.sum().to(values.dtype))


def _softmax(logits: Tensor, temperature: float, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and their logarithms over the entries of `mask`; 0 and very negative elsewhere."""
    log_probability = (logits / temperature).masked_fill(~mask, _MASKED).log_softmax(1)
    return log_probability.exp() * mask, log_probability


def _pearson(a: Tensor, b: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Correlation along `dim` over the entries of `mask`; 0 where either side does not vary."""
    weight = mask.to(a.dtype)
    count = weight.sum(dim, keepdim=True).clamp(min=1.0)
    left = (a - (a * weight).sum(dim, keepdim=True) / count) * weight
    right = (b - (b * weight).sum(dim, keepdim=True) / count) * weight
    scale = (left.pow(2).sum(dim) * right.pow(2).sum(dim)).clamp(min=1e-16).sqrt()
    return (left * right).sum(dim) / scale


def _pairs(mask: Tensor) -> Tensor:
    """mask bool (n,) → (n, n): ordered pairs of distinct rows that both exist."""
    rows = mask.bool()
    return rows[:, None] & rows[None, :] & ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)


def _huber(a: Tensor, b: Tensor) -> Tensor:
    return F.smooth_l1_loss(a, b, reduction="none")


def _relative_distance(x: Tensor, pair: Tensor) -> Tensor:
    """x (n, d) → distances over their mean among `pair`, (n, n)."""
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") * pair
    return distance / (distance.sum() / pair.sum().clamp(min=1)).clamp(min=1e-6)


def _row_angles(x: Tensor) -> Tensor:
    """x (n, d) → cosine of the angle at j between i and k: (n_j, n_i, n_k)."""
    toward = F.normalize(x[None, :, :] - x[:, None, :], dim=-1, eps=1e-6)
    return toward @ toward.transpose(1, 2)


def _cosines(x: Tensor) -> Tensor:
    """x (g, s, d) → cosines (g, s, s)."""
    unit = F.normalize(x, dim=-1, eps=1e-6)
    return unit @ unit.transpose(1, 2)


def _windows(present: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """present bool (g, s) → positions (s, w) around each item without itself, and which exist (g, s, w)."""
    length = present.shape[1]
    reach = min(window, max(1, length - 1))
    offsets = [o for o in range(-reach, reach + 1) if o]
    steps = torch.arange(length, device=present.device)
    around = steps[:, None] + torch.tensor(offsets, device=present.device)[None, :]
    inside = (around >= 0) & (around < length)
    around = around.clamp(0, length - 1)
    return around, present[:, around] & inside[None]


def _window_angles(x: Tensor, around: Tensor) -> Tensor:
    """x (g, s, d) → cosine of the angle at each item between each two of its window: (g, s, w, w).

    By way of inner products, ⟨a − c, b − c⟩ = ab − ac − bc + cc, so that no differences are kept.
    """
    gram = x @ x.transpose(1, 2)
    sequence = torch.arange(x.shape[1], device=x.device)
    centre = gram[:, sequence, sequence]
    to_centre = gram[:, sequence[:, None], around]
    among = gram[:, around[:, :, None], around[:, None, :]]
    dots = among - to_centre[:, :, :, None] - to_centre[:, :, None, :] + centre[:, :, None, None]
    squares = (centre[:, around] - 2 * to_centre + centre[:, :, None]).clamp(min=1e-8)
    return dots / (squares[:, :, :, None] * squares[:, :, None, :]).sqrt()
