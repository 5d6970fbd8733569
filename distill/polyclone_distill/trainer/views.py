"""Views of a unit: the same behaviour, with other names. Pure functions of arrays and a generator."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .mutation import Mutations
from .settings import ViewPolicy
from .shards import Shard

__all__ = [
    "NAME_MASKED",
    "PLAIN",
    "RENAMED",
    "STRONG",
    "View",
    "ViewPolicy",
    "Vocabulary",
    "make_mutant",
    "make_view",
]


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
    mask: int = 1
    """The token that hides another one: that of what the vocabulary cannot spell."""
    mutations: Mutations = Mutations()


@dataclass(frozen=True)
class View:
    """What the encoder reads of one unit: token ids with frame, distinct word ids and their weights."""

    tokens: NDArray[np.int64]
    words: NDArray[np.int64]
    weights: NDArray[np.float32]


PLAIN = ViewPolicy(mask_name=0.0, rename_some=0.0, rename_all=0.0, drop_words=0.0)
NAME_MASKED = ViewPolicy(mask_name=1.0, rename_some=0.0, rename_all=0.0, drop_words=0.0)
RENAMED = ViewPolicy(mask_name=0.0, rename_some=0.0, rename_all=1.0, drop_words=0.0)
STRONG = ViewPolicy(mask_name=1.0, rename_some=0.6, rename_all=0.4, drop_words=0.15)


@dataclass(frozen=True)
class _Unit:
    """Tokens and words of one unit, each with the identifier it came from; `first` marks where an atom begins."""

    tokens: NDArray[np.int64]
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    words: NDArray[np.int64]
    word_owner: NDArray[np.int64]


def make_view(
    shard: Shard,
    unit: int,
    vocabulary: Vocabulary,
    policy: ViewPolicy,
    budget: int,
    rng: Generator,
    *,
    headless: bool = False,
) -> View:
    """One view of `shard[unit]`.

    Own name removed: its tokens become `[name]`, its words vanish. Some renamed: each identifier that is
    never called, with probability one half. All renamed: every identifier, consistently. `headless` leaves out
    what stands before the body.
    """
    read = _read(shard, unit)
    if headless:
        read = _behead(read, int(shard.signature_tokens[unit]), int(shard.signature_words[unit]))
    return _view(read, shard, unit, vocabulary, policy, budget, rng)


def make_mutant(
    shard: Shard, unit: int, vocabulary: Vocabulary, policy: ViewPolicy, budget: int, rng: Generator
) -> View | None:
    """A view of `shard[unit]` with its behaviour changed in one place; None where there is no place for that.

    The words are those of the unit: a mutant is one for the dense channel only.
    """
    read = _read(shard, unit)
    changed = vocabulary.mutations.apply(read.tokens, read.owner, read.first, budget - 2, rng)
    if changed is None:
        return None
    return _view(_Unit(*changed, read.words, read.word_owner), shard, unit, vocabulary, policy, budget, rng)


def _view(
    read: _Unit, shard: Shard, unit: int, vocabulary: Vocabulary, policy: ViewPolicy, budget: int, rng: Generator
) -> View:
    tokens, words = read.tokens, read.words
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
        tokens = _rename_tokens(tokens, read.owner, read.first, renamed, hidden, stand_in, vocabulary)
        words = _rename_words(words, read.word_owner, renamed, hidden, stand_in, vocabulary)
    if policy.drop_words and len(words):
        distinct = np.unique(words)
        dropped = distinct[rng.random(len(distinct)) < policy.drop_words]
        words = words[~np.isin(words, dropped)]
    counts = Counter(words.tolist())
    ids = np.array(sorted(counts), dtype=np.int64)
    weights = np.array([1.0 + np.log(counts[i]) for i in ids.tolist()], dtype=np.float32)
    return View(_frame(tokens, vocabulary, budget), ids, weights)


def _read(shard: Shard, unit: int) -> _Unit:
    at = slice(int(shard.token_offsets[unit]), int(shard.token_offsets[unit + 1]))
    of = slice(int(shard.word_offsets[unit]), int(shard.word_offsets[unit + 1]))
    columns = (shard.tokens[at], shard.token_owner[at], shard.token_start[at], shard.words[of], shard.word_owner[of])
    return _Unit(*(column.astype(np.int64) for column in columns))


def _behead(unit: _Unit, tokens: int, words: int) -> _Unit:
    """Without its first `tokens` and `words`; where those are unknown, without all up to its own name."""
    if not tokens and (unit.owner == 0).any():
        tokens = _end_of_first_run(unit.owner)
        words = _end_of_first_run(unit.word_owner)
    return _Unit(
        unit.tokens[tokens:], unit.owner[tokens:], unit.first[tokens:], unit.words[words:], unit.word_owner[words:]
    )


def _end_of_first_run(owner: NDArray[np.int64]) -> int:
    """Where the first stretch of identifier 0 ends; 0 if it does not occur."""
    own = owner == 0
    if not own.any():
        return 0
    start = int(own.argmax())
    after = ~own[start:]
    return start + int(after.argmax()) if after.any() else len(owner)


def _frame(tokens: NDArray[np.int64], vocabulary: Vocabulary, budget: int) -> NDArray[np.int64]:
    room = budget - 2
    if len(tokens) > room:
        head = room * 5 // 8
        tokens = np.concatenate([tokens[:head], tokens[len(tokens) - (room - head) :]])
    return np.concatenate([[vocabulary.cls], tokens, [vocabulary.sep]])


def _rename_tokens(
    tokens: NDArray[np.int64],
    owner: NDArray[np.int64],
    first: NDArray[np.int64],
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
