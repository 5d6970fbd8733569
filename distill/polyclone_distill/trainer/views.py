"""Views of a unit: the same behaviour, with other names. Pure functions of arrays and a generator."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .shards import Shard


@dataclass(frozen=True)
class Vocabulary:
    """The ids that views need to know. `letters` are tokens and words that stand in for renamed identifiers."""

    pad: int
    cls: int
    sep: int
    name: int
    stand_in_tokens: NDArray[np.int64]
    """(k, w) token ids of k neutral or random identifiers, 0-padded."""
    stand_in_words: NDArray[np.int64]
    """(k,) word id of the same identifiers."""
    size: int


@dataclass(frozen=True)
class View:
    """What the encoder reads of one unit: token ids with frame, distinct word ids and their weights."""

    tokens: NDArray[np.int64]
    words: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class ViewPolicy:
    """How often names are hidden. Probabilities are per view."""

    mask_name: float = 0.35
    rename_some: float = 0.30
    rename_all: float = 0.15
    drop_words: float = 0.10


PLAIN = ViewPolicy(mask_name=0.0, rename_some=0.0, rename_all=0.0, drop_words=0.0)
NAME_MASKED = ViewPolicy(mask_name=1.0, rename_some=0.0, rename_all=0.0, drop_words=0.0)
RENAMED = ViewPolicy(mask_name=0.0, rename_some=0.0, rename_all=1.0, drop_words=0.0)
STRONG = ViewPolicy(mask_name=1.0, rename_some=0.6, rename_all=0.4, drop_words=0.15)


def make_view(
    shard: Shard, unit: int, vocabulary: Vocabulary, policy: ViewPolicy, budget: int, rng: Generator
) -> View:
    """One view of `shard[unit]`.

    Own name removed: its tokens become `[name]`, its words vanish. Some renamed: each identifier that is
    never called, with probability one half. All renamed: every identifier, consistently.
    """
    tokens, owner = _slice(shard.tokens, shard.token_owner, shard.token_offsets, unit)
    words, word_owner = _slice(shard.words, shard.word_owner, shard.word_offsets, unit)
    called = shard.called[shard.owner_offsets[unit] : shard.owner_offsets[unit + 1]]
    roll = rng.random()
    renamed = np.zeros(len(called), dtype=bool)
    if roll < policy.rename_all:
        renamed[:] = True
    elif roll < policy.rename_all + policy.rename_some:
        renamed = (called == 0) & (rng.random(len(called)) < 0.5)
    hidden = bool(shard.named[unit]) and rng.random() < policy.mask_name
    stand_in = rng.choice(len(vocabulary.stand_in_words), size=len(called), replace=True)
    if renamed.any() or hidden:
        first = shard.token_start[shard.token_offsets[unit] : shard.token_offsets[unit + 1]]
        tokens = _rename_tokens(tokens, owner, first, renamed, hidden, stand_in, vocabulary)
        words = _rename_words(words, word_owner, renamed, hidden, stand_in, vocabulary)
    if policy.drop_words and len(words):
        distinct = np.unique(words)
        dropped = distinct[rng.random(len(distinct)) < policy.drop_words]
        words = words[~np.isin(words, dropped)]
    counts = Counter(words.tolist())
    ids = np.array(sorted(counts), dtype=np.int64)
    weights = np.array([1.0 + np.log(counts[i]) for i in ids.tolist()], dtype=np.float32)
    return View(_frame(tokens, vocabulary, budget), ids, weights)


def _slice(
    values: NDArray[np.uint16], owner: NDArray[np.int16], offsets: NDArray[np.int64], unit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    at = slice(int(offsets[unit]), int(offsets[unit + 1]))
    return values[at].astype(np.int64), owner[at].astype(np.int64)


def _frame(tokens: NDArray[np.int64], vocabulary: Vocabulary, budget: int) -> NDArray[np.int64]:
    room = budget - 2
    if len(tokens) > room:
        head = room * 5 // 8
        tokens = np.concatenate([tokens[:head], tokens[len(tokens) - (room - head) :]])
    return np.concatenate([[vocabulary.cls], tokens, [vocabulary.sep]])


def _rename_tokens(
    tokens: NDArray[np.int64],
    owner: NDArray[np.int64],
    first: NDArray[np.uint8],
    renamed: NDArray[np.bool_],
    hidden: bool,
    stand_in: NDArray[np.int64],
    vocabulary: Vocabulary,
) -> NDArray[np.int64]:
    out: list[int] = []
    previous = -1
    for token, who, begins in zip(tokens.tolist(), owner.tolist(), first.tolist(), strict=True):
        if who == 0 and hidden:
            if begins or previous != 0:
                out.append(vocabulary.name)
        elif who >= 0 and renamed[who]:
            if begins or previous != who:
                out.extend(t for t in vocabulary.stand_in_tokens[stand_in[who]].tolist() if t)
        else:
            out.append(token)
        previous = who
    return np.array(out, dtype=np.int64)


def _rename_words(
    words: NDArray[np.int64],
    owner: NDArray[np.int64],
    renamed: NDArray[np.bool_],
    hidden: bool,
    stand_in: NDArray[np.int64],
    vocabulary: Vocabulary,
) -> NDArray[np.int64]:
    has = owner >= 0
    change = np.zeros(len(words), dtype=bool)
    change[has] = renamed[owner[has]]
    gone = (owner == 0) & hidden
    kept = words[~change & ~gone]
    whose = owner[change & ~gone]
    return np.concatenate([kept, vocabulary.stand_in_words[stand_in[whose]]])
