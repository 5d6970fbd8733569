"""What a run is judged by while it trains: retrieval on unseen tasks, and hidden tokens of unseen units."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from .batches import collate
from .masking import IGNORED, MaskedSampler
from .model import Encoder
from .settings import BatchConfig, TrainConfig
from .shards import DOC, Shard
from .views import NAME_MASKED, PLAIN, RENAMED, ViewPolicy, Vocabulary, make_view

VIEWS = (("plain", PLAIN), ("masked", NAME_MASKED), ("renamed", RENAMED))


def encode_units(
    model: Encoder, shard: Shard, units: np.ndarray, vocabulary: Vocabulary, policy: ViewPolicy, budget: int
) -> tuple[np.ndarray, np.ndarray]:
    """Dense (n, width) and lexical (n, lexical_width) float32 vectors of views of `units`, in their order."""
    views = [make_view(shard, int(u), vocabulary, policy, budget, np.random.default_rng((7, int(u)))) for u in units]
    order = sorted(range(len(views)), key=lambda i: len(views[i].tokens))
    dense = np.zeros((len(views), model.config.width), dtype=np.float32)
    lexical = np.zeros((len(views), model.config.lexical_width), dtype=np.float32)
    training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            batch = collate([views[i] for i in rows]).to(model.device)
            with torch.autocast(model.device.type, torch.bfloat16):
                dense[rows] = model.dense(batch.input_ids, batch.attention_mask).cpu().numpy()
            lexical[rows] = model.lexical(batch.word_ids, batch.word_weights).cpu().numpy()
    model.train(training)
    return dense, lexical


def combine_channels(dense: np.ndarray, lexical: np.ndarray, share: float) -> np.ndarray:
    """Both channels side by side at the weight of `share`, as `Encoder.combine` does: (n, d)."""
    return np.concatenate([dense * math.sqrt(1 - share), lexical * math.sqrt(share)], axis=1)


def cross_language_mrr(vectors: np.ndarray, labels: np.ndarray, languages: np.ndarray) -> float:
    """Mean reciprocal rank of the first unit of the same label among all units of *other* languages."""
    total, asked = reciprocal_ranks(vectors, labels, languages)
    return total / asked if asked else float("nan")


def reciprocal_ranks(vectors: np.ndarray, labels: np.ndarray, languages: np.ndarray) -> tuple[float, int]:
    """Sum of the reciprocal ranks, and how many units have one."""
    return reciprocal_ranks_of_scores(vectors @ vectors.T, labels, languages)


def reciprocal_ranks_of_scores(scores: np.ndarray, labels: np.ndarray, languages: np.ndarray) -> tuple[float, int]:
    """`reciprocal_ranks` of any scores (n, n): row i is what unit i gives to all units."""
    foreign = languages[:, None] != languages[None, :]
    relevant = (labels[:, None] == labels[None, :]) & foreign
    asked = np.flatnonzero(relevant.any(1))
    best = np.where(relevant, scores, -np.inf).max(1)
    rank = 1 + (foreign & (scores > best[:, None])).sum(1)
    return float((1.0 / rank[asked]).sum()), len(asked)


def unseen_units(shard: Shard, limit: int) -> np.ndarray:
    """The first unit of each labelled program, at most `limit`, always the same ones, ascending."""
    units = np.flatnonzero((shard.label >= 0) & (shard.kind != DOC))
    first = units[np.unique(shard.program[units], return_index=True)[1]]
    return np.sort(np.random.default_rng(3).permutation(first)[:limit])


def validate(model: Encoder, shard: Shard, vocabulary: Vocabulary, budget: int, limit: int) -> dict[str, float]:
    """MRR on unseen tasks for plain, name-masked and renamed views; dense, lexical and combined."""
    units = unseen_units(shard, limit)
    labels, languages = shard.label[units], shard.language[units]
    out: dict[str, float] = {}
    for name, policy in VIEWS:
        dense, lexical = encode_units(model, shard, units, vocabulary, policy, budget)
        both = combine_channels(dense, lexical, float(model.share))
        for channel, vectors in (("dense", dense), ("lexical", lexical), ("combined", both)):
            out[f"{name}_{channel}"] = cross_language_mrr(vectors, labels, languages)
    return out


def validate_masked(
    model: Encoder, shard: Shard, vocabulary: Vocabulary, batches: BatchConfig, train: TrainConfig, limit: int
) -> dict[str, float]:
    """Of hidden tokens of at most `limit` unseen units: share guessed right (`score`), cross-entropy, count."""
    sampler = MaskedSampler(shard, vocabulary, batches, train, units=unseen_units(shard, limit))
    right, lost, count = 0.0, 0.0, 0
    training = model.training
    model.eval()
    with torch.no_grad():
        for step in range(max(1, math.ceil(limit / (2 * batches.pairs)))):
            batch = sampler.batch(step).to(model.device)
            hidden = batch.targets != IGNORED
            states = model.body.states(batch.input_ids, batch.attention_mask)[-1]
            scores = model.body.scores(states[hidden])
            wanted = batch.targets[hidden]
            right += float((scores.argmax(1) == wanted).sum())
            lost += float(F.cross_entropy(scores, wanted, reduction="sum"))
            count += len(wanted)
    model.train(training)
    return {"score": right / max(1, count), "cross_entropy": lost / max(1, count), "hidden_tokens": count}
