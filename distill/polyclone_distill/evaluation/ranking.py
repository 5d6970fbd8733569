"""One pass over all scores: where the relevant units rank, and each unit's best partner in every language."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scorers import Scorer

Ints = NDArray[np.int64]
_BLOCK_SCORES = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What is relevant to what. Units stand in order of language.

    `classes` (n,): units of one class and of different languages are relevant to each other; −1 is relevant to
    nothing. `languages` (n,): ascending positions in `names`. `clusters` (n,): what is resampled as one.
    """

    classes: Ints
    languages: Ints
    clusters: Ints
    names: tuple[str, ...]

    @property
    def starts(self) -> Ints:
        """First unit of each language (languages,)."""
        return np.searchsorted(self.languages, np.arange(len(self.names)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """One row for each (query, relevant unit), sorted by query and rank. All arrays (p,).

    `mixed` is the 1-based rank among all units of other languages, `directed` that among the units of the
    relevant unit's own language `target`. Of equal scores the irrelevant come first.
    """

    query: Ints
    target: Ints
    mixed: Ints
    directed: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Partners:
    """Best partner of each unit in each language: positions (n, languages), scores float32 (n, languages)."""

    rows: Ints
    scores: NDArray[np.float32]


def rank(scorer: Scorer, labels: Labels) -> tuple[Ranks, Partners]:
    """Scores everything against everything, in blocks of at most 32 MB."""
    n, languages = scorer.size, len(labels.names)
    starts = labels.starts
    members = _members(labels.classes)
    found: list[tuple[Ints, Ints, NDArray[np.float32], Ints, Ints]] = []
    rows = np.zeros((n, languages), dtype=np.int64)
    best = np.zeros((n, languages), dtype=np.float32)
    step = max(1, _BLOCK_SCORES // max(n, 1))
    for first in range(0, n, step):
        block = slice(first, min(first + step, n))
        scores = scorer.block(block)
        for position in range(block.start, block.stop):
            own = labels.classes[position]
            if own < 0:
                continue
            relevant = members[own][labels.languages[members[own]] != labels.languages[position]]
            if len(relevant):
                found.append(_count_above(scores[position - first], position, relevant, labels, starts))
        symmetric = scorer.symmetric(block, scores)
        for language, start in enumerate(starts.tolist()):
            end = int(starts[language + 1]) if language + 1 < languages else n
            part = symmetric[:, start:end]
            where = part.argmax(axis=1)
            rows[block, language] = start + where
            best[block, language] = part[np.arange(len(part)), where]
    return _ranks(found), Partners(rows=rows, scores=best)


def _members(classes: Ints) -> dict[int, Ints]:
    order = np.argsort(classes, kind="stable")
    labels, starts = np.unique(classes[order], return_index=True)
    return {int(name): part for name, part in zip(labels, np.split(order, starts[1:]), strict=True) if name >= 0}


def _count_above(
    scores: NDArray[np.float32], query: int, relevant: Ints, labels: Labels, starts: Ints
) -> tuple[Ints, Ints, NDArray[np.float32], Ints, Ints]:
    """Per relevant unit (r,): query, target, score, irrelevant units at least as good — in all, in the target."""
    own = scores[relevant]
    above = np.add.reduceat(scores >= own[:, None], starts, axis=1, dtype=np.int64)
    target = labels.languages[relevant]
    alike = np.zeros_like(above)
    np.add.at(alike.T, target, (own >= own[:, None]).T)
    above -= alike
    above[:, labels.languages[query]] = 0
    return (
        np.full(len(relevant), query),
        target,
        own,
        above.sum(axis=1),
        above[np.arange(len(relevant)), target],
    )


def _ranks(found: list[tuple[Ints, Ints, NDArray[np.float32], Ints, Ints]]) -> Ranks:
    if not found:
        empty = np.zeros(0, dtype=np.int64)
        return Ranks(query=empty, target=empty, mixed=empty, directed=empty)
    query, target, score, everywhere, there = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((-score, query))
    query, target, everywhere, there = query[order], target[order], everywhere[order], there[order]
    place = np.arange(len(query))
    mixed = everywhere + place - np.searchsorted(query, query) + 1
    # The place among the relevant of one language: order by (query, target), count, and put back.
    group = query * (int(target.max()) + 1) + target
    by_group = np.argsort(group, kind="stable")
    inner = np.zeros(len(query), dtype=np.int64)
    inner[by_group] = place - np.searchsorted(group[by_group], group[by_group]) + 1
    return Ranks(query=query, target=target, mixed=mixed, directed=there + inner)
