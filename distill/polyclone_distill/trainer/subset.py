"""A smaller shard of the same make, so that a study of small budgets has a teacher that can read all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from .shards import DOC, Shard

_RAGGED = {
    "token_offsets": ("tokens", "token_owner", "token_start"),
    "word_offsets": ("words", "word_owner"),
    "owner_offsets": ("called",),
}


def choose_units(shard: Shard, count: int, seed: int = 0) -> NDArray[np.int64]:
    """At most `count` units, ascending: half of them whole clone classes with one program a language, half others.

    Nested: what is chosen for a smaller count is among what is chosen for a larger one. A unit and the documentation
    of it come together.
    """
    rng = np.random.default_rng(seed)
    labelled = np.flatnonzero(shard.label >= 0)
    order = labelled[np.argsort(shard.label[labelled], kind="stable")]
    classes = np.split(order, np.flatnonzero(np.diff(shard.label[order])) + 1) if len(order) else []
    chosen = _fill((_one_program_a_language(shard, classes[i]) for i in rng.permutation(len(classes))), count // 2)
    documented = {int(shard.partner[doc]): int(doc) for doc in np.flatnonzero(shard.kind == DOC)}
    alone = np.flatnonzero((shard.label < 0) & (shard.kind != DOC))
    others = ([int(unit), documented[int(unit)]] if int(unit) in documented else [int(unit)]
              for unit in rng.permutation(alone))  # fmt: skip
    return np.array(sorted({*chosen, *_fill(others, count - count // 2)}), dtype=np.int64)


def take_units(shard: Shard, units: NDArray[np.int64]) -> Shard:
    """The shard of just these units, in this order. A partner that is left out is −1."""
    arrays = {field.name: getattr(shard, field.name)[units] for field in fields(shard) if _is_column(field.name)}
    for offsets, names in _RAGGED.items():
        bounds = getattr(shard, offsets)
        lengths = np.diff(bounds)[units]
        arrays[offsets] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.repeat(bounds[:-1][units] - arrays[offsets][:-1], lengths) + np.arange(int(lengths.sum()))
        arrays |= {name: getattr(shard, name)[at] for name in names}
    position = np.full(len(shard) + 1, -1, dtype=np.int32)
    position[units] = np.arange(len(units), dtype=np.int32)
    return replace(shard, **{**arrays, "partner": position[arrays["partner"]]})


def _is_column(name: str) -> bool:
    return name not in _RAGGED and not any(name in names for names in _RAGGED.values())


def _one_program_a_language(shard: Shard, members: NDArray[np.int64]) -> list[int]:
    first: dict[int, int] = {}
    for unit in members.tolist():
        first.setdefault(int(shard.language[unit]), int(shard.program[unit]))
    return [unit for unit in members.tolist() if int(shard.program[unit]) == first[int(shard.language[unit])]]


def _fill(groups: Iterable[list[int]], count: int) -> list[int]:
    """Whole groups, in their order, until one does not fit any more."""
    found: list[int] = []
    for group in groups:
        if len(found) + len(group) > count:
            break
        found += group
    return found
