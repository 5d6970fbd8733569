"""Which units meet in a batch. Deterministic by (seed, step), so that a resumed run sees what a whole one does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from .shards import DOC, Shard
from .views import PLAIN, STRONG, View, ViewPolicy, Vocabulary, make_view


@dataclass(frozen=True)
class BatchConfig:
    """`pairs` positives a step; which share of them are clone classes; how often neighbours sit together."""

    pairs: int = 64
    budget: int = 160
    classes: float = 0.7
    neighbours: float = 0.5
    policy: ViewPolicy = ViewPolicy()


@dataclass(frozen=True)
class Batch:
    """2 × pairs views. Tokens and words are 0-padded int64 (b, t) and (b, m); weights float32; labels int64."""

    input_ids: Tensor
    attention_mask: Tensor
    word_ids: Tensor
    word_weights: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


def collate(views: list[View], labels: NDArray[np.int64] | None = None) -> Batch:
    """Pad views to the longest."""
    length = max(len(view.tokens) for view in views)
    width = max(1, max(len(view.words) for view in views))
    tokens = np.zeros((len(views), length), dtype=np.int64)
    mask = np.zeros((len(views), length), dtype=np.int64)
    words = np.zeros((len(views), width), dtype=np.int64)
    weights = np.zeros((len(views), width), dtype=np.float32)
    for row, view in enumerate(views):
        tokens[row, : len(view.tokens)] = view.tokens
        mask[row, : len(view.tokens)] = 1
        words[row, : len(view.words)] = view.words
        weights[row, : len(view.words)] = view.weights
    given = np.arange(len(views)) if labels is None else labels
    return Batch(*map(torch.from_numpy, (tokens, mask, words, weights, given.astype(np.int64))))


class Sampler:
    """Draws positives from clone classes (two programs of one task, mostly of different languages) and from
    single functions (documentation ↔ body, original ↔ renamed body)."""

    def __init__(self, shard: Shard, vocabulary: Vocabulary, config: BatchConfig, seed: int) -> None:
        self.shard, self.vocabulary, self.config, self.seed = shard, vocabulary, config, seed
        units = np.arange(len(shard))
        self.classes = [group for group in _by_label(shard, units) if _programs(shard, group) >= 2]
        self.docs = units[(shard.kind == DOC) & (shard.partner >= 0)]
        self.singles = units[(shard.label < 0) & (shard.kind != DOC)]
        if not self.classes:
            raise ValueError("The shard holds no clone class of two programs; nothing can be learned from it.")
        self.weights = np.array([min(_programs(shard, g), 12) ** 0.5 for g in self.classes])
        self.weights /= self.weights.sum()
        self.neighbours = _class_neighbours(shard, self.classes)

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step))
        wanted = round(self.config.pairs * self.config.classes)
        if not len(self.docs) and not len(self.singles):
            wanted = self.config.pairs
        views: list[View] = []
        labels: list[int] = []
        for chosen in self._draw_classes(rng, wanted):
            left, right = self._class_pair(self.classes[chosen], rng)
            policy = self.config.policy
            views += [self._view(left, policy, rng), self._view(right, policy, rng)]
            labels += [int(self.shard.label[left])] * 2
        for extra in range(self.config.pairs - wanted):
            views += self._single_pair(rng)
            labels += [-1 - extra] * 2
        return collate(views, np.array(labels))

    def _view(self, unit: int, policy: ViewPolicy, rng: Generator) -> View:
        return make_view(self.shard, unit, self.vocabulary, policy, self.config.budget, rng)

    def _draw_classes(self, rng: Generator, count: int) -> list[int]:
        """Half of the draws bring a class whose vocabulary is near that of the one before: hard negatives."""
        chosen: dict[int, None] = {}
        last = -1
        while len(chosen) < min(count, len(self.classes)):
            if last >= 0 and rng.random() < self.config.neighbours:
                last = int(rng.choice(self.neighbours[last]))
            else:
                last = int(rng.choice(len(self.classes), p=self.weights))
            chosen.setdefault(last)
        return list(chosen)

    def _class_pair(self, members: NDArray[np.int64], rng: Generator) -> tuple[int, int]:
        left = int(rng.choice(members))
        others = members[self.shard.program[members] != self.shard.program[left]]
        foreign = others[self.shard.language[others] != self.shard.language[left]]
        pool = foreign if len(foreign) and rng.random() < 0.85 else others
        # Languages weigh alike within a class, however many solutions one of them has.
        languages = self.shard.language[pool]
        language = rng.choice(np.unique(languages))
        return left, int(rng.choice(pool[languages == language]))

    def _single_pair(self, rng: Generator) -> list[View]:
        if len(self.docs) and (not len(self.singles) or rng.random() < 0.4):
            doc = int(rng.choice(self.docs))
            hidden = ViewPolicy(mask_name=1.0, rename_some=0.2, rename_all=0.0, drop_words=0.1)
            return [self._view(doc, PLAIN, rng), self._view(int(self.shard.partner[doc]), hidden, rng)]
        unit = int(rng.choice(self.singles))
        return [self._view(unit, PLAIN, rng), self._view(unit, STRONG, rng)]


def _by_label(shard: Shard, units: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    known = units[shard.label >= 0]
    order = known[np.argsort(shard.label[known], kind="stable")]
    _, starts = np.unique(shard.label[order], return_index=True)
    return np.split(order, starts[1:])


def _programs(shard: Shard, members: NDArray[np.int64]) -> int:
    return len(np.unique(shard.program[members]))


def _class_neighbours(
    shard: Shard, classes: list[NDArray[np.int64]], keep: int = 12, width: int = 192
) -> NDArray[np.int64]:
    """The classes whose mean TF-IDF vector (random projection) is nearest: int64 (classes, keep)."""
    size = int(shard.words.max()) + 1
    frequency = np.bincount(shard.words, minlength=size)
    projection = np.random.default_rng(0).standard_normal((size, width)).astype(np.float32)
    projection *= np.log1p(frequency.sum() / (1.0 + frequency))[:, None].astype(np.float32)
    centroids = np.zeros((len(classes), width), dtype=np.float32)
    for row, members in enumerate(classes):
        for unit in members[:8]:
            at = slice(int(shard.word_offsets[unit]), int(shard.word_offsets[unit + 1]))
            vector = projection[np.unique(shard.words[at])].sum(0)
            centroids[row] += vector / (np.linalg.norm(vector) + 1e-6)
    centroids -= centroids.mean(0)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True) + 1e-6
    nearest = np.empty((len(classes), min(keep, max(1, len(classes) - 1))), dtype=np.int64)
    for start in range(0, len(classes), 1024):
        scores = centroids[start : start + 1024] @ centroids.T
        scores[np.arange(len(scores)), start + np.arange(len(scores))] = -np.inf
        nearest[start : start + 1024] = np.argsort(-scores, axis=1, kind="stable")[:, : nearest.shape[1]]
    return nearest
