"""Which units meet in a batch. Deterministic by (seed, step), so that a resumed run sees what a whole one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from .errors import TrainerError
from .settings import BatchConfig
from .shards import DOC, Shard
from .views import PLAIN, STRONG, View, ViewPolicy, Vocabulary, make_mutant, make_view

__all__ = ["MUTANT", "Batch", "BatchConfig", "Row", "Sampler", "collate", "collate_rows"]

#: Labels from here on downwards are of mutants: each is alone, and only the dense channel may tell it apart.
MUTANT = -1_000_000
#: What a body hides when documentation is to find it.
_UNNAMED = ViewPolicy(mask_name=1.0, rename_some=0.2, rename_all=0.0, drop_words=0.1)


@dataclass(frozen=True)
class Batch:
    """Views: the positives side by side in the first rows, lone negatives after them.

    Tokens and words are 0-padded int64 (b, t) and (b, m); weights float32; labels, languages and units int64 (b,).
    A unit is the position in the shard that a view shows, or −1 where it shows none as it stands.
    """

    input_ids: Tensor
    attention_mask: Tensor
    word_ids: Tensor
    word_weights: Tensor
    labels: Tensor
    languages: Tensor
    units: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


class Row(NamedTuple):
    """One view of a batch to be, and what is known of it."""

    view: View
    label: int
    language: int = 0
    unit: int = -1


def collate(views: Sequence[View]) -> Batch:
    """Views without further ado: each has a label of its own."""
    return collate_rows([Row(view, label) for label, view in enumerate(views)])


def collate_rows(rows: Sequence[Row]) -> Batch:
    """Pad views to the longest."""
    views = [row.view for row in rows]
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
    known = np.array([row[1:] for row in rows], dtype=np.int64).T.copy()
    return Batch(*map(torch.from_numpy, (tokens, mask, words, weights, *known)))


class Sampler:
    """Draws positives from clone classes (two programs of one task, mostly of different languages) and from
    single functions (documentation ↔ body, original ↔ renamed body)."""

    def __init__(
        self, shard: Shard, vocabulary: Vocabulary, config: BatchConfig, seed: int, *, rank: int = 0
    ) -> None:
        self.shard, self.vocabulary, self.config, self.seed, self.rank = shard, vocabulary, config, seed, rank
        units = np.arange(len(shard))
        self.classes = [group for group in _by_label(shard, units) if _programs(shard, group) >= 2]
        self.docs = units[(shard.kind == DOC) & (shard.partner >= 0)]
        self.singles = units[(shard.label < 0) & (shard.kind != DOC)]
        if not self.classes:
            raise TrainerError(
                "The shard holds no clone class of two programs; nothing can be learned from it. Run `prepare` with"
                " more exercises."
            )
        self.weights = np.array([min(_programs(shard, g), 12) ** 0.5 for g in self.classes])
        self.weights /= self.weights.sum()
        self.neighbours = _class_neighbours(shard, self.classes)
        self.negatives: dict[int, NDArray[np.int64]] = {}
        """Mined: class → units of other classes that look like it."""

    def batch(self, step: int) -> Batch:
        """The batch of a step: a function of (seed, rank, step), and of what was mined."""
        rng = np.random.default_rng((self.seed, step, self.rank) if self.rank else (self.seed, step))
        wanted = round(self.config.pairs * self.config.classes)
        if not len(self.docs) and not len(self.singles):
            wanted = self.config.pairs
        rows: list[Row] = []
        lone: list[Row] = []
        for chosen in self._draw_classes(rng, wanted):
            left, right = self._class_pair(self.classes[chosen], rng)
            rows += [self._row(left, rng), self._row(right, rng)]
            lone += self._negatives_of(left, rng)
        for extra in range(self.config.pairs - wanted):
            rows += [row._replace(label=-1 - extra) for row in self._single_pair(rng)]
        # Every mutant is alone with its label.
        lone = [row._replace(label=MUTANT - i) if row.label == MUTANT else row for i, row in enumerate(lone)]
        return collate_rows([*rows, *lone])

    def drawn(self, steps: int) -> NDArray[np.int64]:
        """The units that batches 0…steps−1 show, ascending, but for those that are mined."""
        seen = [self.batch(step).units.numpy() for step in range(steps)]
        units = np.unique(np.concatenate(seen))
        return units[units >= 0]

    def _row(self, unit: int, rng: Generator) -> Row:
        return self._of(unit, self._view(unit, self.config.policy, rng))

    def _of(self, unit: int, view: View) -> Row:
        return Row(view, int(self.shard.label[unit]), int(self.shard.language[unit]), unit)

    def _negatives_of(self, unit: int, rng: Generator) -> list[Row]:
        """A mutant of the unit, perhaps, and mined units that look like its class."""
        out: list[Row] = []
        if self.config.mutants and rng.random() < self.config.mutants:
            made = make_mutant(self.shard, unit, self.vocabulary, self.config.policy, self.config.budget, rng)
            if made is not None:
                out.append(Row(made, MUTANT, int(self.shard.language[unit])))
        mined = self.negatives.get(int(self.shard.label[unit]), np.zeros(0, dtype=np.int64))
        if self.config.hard_negatives and len(mined):
            count = min(self.config.hard_negatives, len(mined))
            out += [self._row(int(u), rng) for u in rng.choice(mined, count, replace=False)]
        return out

    def _view(self, unit: int, policy: ViewPolicy, rng: Generator, *, headless: bool = False) -> View:
        return make_view(self.shard, unit, self.vocabulary, policy, self.config.budget, rng, headless=headless)

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

    def _single_pair(self, rng: Generator) -> list[Row]:
        """Two views of a unit: its documentation and its body, or its body twice."""
        if len(self.docs) and (not len(self.singles) or rng.random() < self.config.documents):
            doc = int(rng.choice(self.docs))
            unit = int(self.shard.partner[doc])
            headless = bool(self.config.headless) and rng.random() < self.config.headless
            told = self._view(doc, PLAIN, rng)
            return [self._of(doc, told), self._of(unit, self._view(unit, _UNNAMED, rng, headless=headless))]
        unit = int(rng.choice(self.singles))
        return [self._of(unit, self._view(unit, policy, rng)) for policy in (PLAIN, STRONG)]


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
