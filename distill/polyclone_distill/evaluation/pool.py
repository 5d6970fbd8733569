"""From a parquet of programs to the units of an evaluation: extracted, clustered, freed of duplicates, capped.

Everything left out on the way is counted, and the counts are part of every result.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from polyclone import languages
from polyclone.errors import UsageError

from ..data.classes import cluster_tasks, drop_duplicates, task_key
from ..data.programs import read_parquet
from ..data.units import Unit, extract_units
from .ranking import Labels

UNITS = ("program", "function")
#: Collections whose tasks are numbered by a judge: another number is another task, whatever the title says.
JUDGED = ("atcoder/",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Which programs of a parquet file, and what of them."""

    unit: str = "program"
    """`program`: the whole file; `function`: its main function."""
    split: str | None = None
    source_prefix: str = ""
    """Keep tasks that start with this."""
    languages: tuple[str, ...] = ()
    per_task_language: int | None = 3
    """At most so many units of one class and language; None for all."""
    max_units: int | None = None
    """Whole classes, drawn at random, until there are so many units; None for all."""
    seed: int = 1
    jobs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One unit of the pool."""

    normalised: str
    language: str
    group: str
    """Its class; `` if it belongs to none."""
    name: str
    origin: str
    """Where it stands, for people."""
    cluster: str = ""
    """What is resampled as one; `` for the class itself."""
    file: str = ""
    """In which file of a workspace it stands; `` if it is alone in its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Items in order of language, and the account of what did not come in."""

    items: tuple[Item, ...]
    counts: Mapping[str, int]

    def labels(self) -> Labels:
        """Classes, languages and clusters as numbers."""
        names = tuple(sorted({item.language for item in self.items}))
        number = {name: i for i, name in enumerate(names)}
        groups = {group: i for i, group in enumerate(sorted({item.group for item in self.items} - {""}))}
        clusters = {name: i for i, name in enumerate(sorted({item.cluster or item.group for item in self.items}))}
        return Labels(
            classes=np.array([groups.get(item.group, -1) for item in self.items], dtype=np.int64),
            languages=np.array([number[item.language] for item in self.items], dtype=np.int64),
            clusters=np.array([clusters[item.cluster or item.group] for item in self.items], dtype=np.int64),
            names=names,
        )

    def files(self) -> NDArray[np.int64]:
        """(n,): the file of each item by a number."""
        names = [item.file or f"\0{position}" for position, item in enumerate(self.items)]
        return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


def load_pool(path: Path, options: PoolOptions) -> Pool:
    """Units of the parquet file at `path` as `options` say. `UsageError` if nothing comparable is left."""
    if options.unit not in UNITS:
        raise UsageError(f"unknown unit {options.unit!r}; choose from {', '.join(UNITS)}.")
    wanted = [languages.resolve(name).name for name in options.languages]
    splits = [options.split] if options.split else None
    rows = list(read_parquet(path, splits=splits, languages=wanted or None))
    programs = [row for row in rows if row.task is not None and row.task.startswith(options.source_prefix)]
    if not programs:
        raise UsageError(
            f"{path} has no program with a task"
            + (f" of split {options.split!r}" if options.split else "")
            + (f" starting with {options.source_prefix!r}" if options.source_prefix else "")
            + "; drop --split, --source-prefix or --languages, or give another file."
        )
    extracted = list(extract_units(programs, library=False, jobs=options.jobs))
    classes = classes_of(extracted)
    units = [unit for unit in extracted if unit.role == options.unit]
    distinct = drop_duplicates(units, classes)
    kept = _cap(distinct, classes, options)
    chosen = _sample(kept, classes, options)
    if len({unit.language for unit in chosen}) < 2:
        raise UsageError(f"{path}: fewer than two languages are left to compare; widen the choice of programs.")
    counts = {
        "programs": len(programs),
        "without a task or outside the prefix": len(rows) - len(programs),
        f"too small, or without a main {options.unit}" if options.unit == "function" else "too small": len(programs)
        - len(units),
        "duplicates dropped": len(units) - len(distinct),
        "over the cap per task and language": len(distinct) - len(kept),
        "not sampled": len(kept) - len(chosen),
        "units": len(chosen),
        "tasks": len({task_key(unit) for unit in chosen}),
        "classes": len({classes[task_key(unit)] for unit in chosen}),
    }
    items = [_item(unit, classes[task_key(unit)]) for unit in chosen]
    return Pool(items=sort_items(items), counts=counts)


def sort_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """In order of language, then class, then place: the order every evaluation works in."""
    return tuple(sorted(items, key=lambda item: (item.language, item.group, item.origin, item.normalised)))


def classes_of(units: Sequence[Unit]) -> dict[str, str]:
    """Task key → class. Tasks of a judge are their own class, all others are clustered by title and code."""
    judged = {task_key(unit): task_key(unit) for unit in units if (unit.task or "").startswith(JUDGED)}
    clustered, _ = cluster_tasks([unit for unit in units if task_key(unit) not in judged])
    return {**clustered, **judged}


def _cap(units: Sequence[Unit], classes: Mapping[str, str], options: PoolOptions) -> list[Unit]:
    if options.per_task_language is None:
        return list(units)
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for position, unit in enumerate(units):
        groups[(classes[task_key(unit)], unit.language)].append(position)
    chosen: list[int] = []
    for key, positions in groups.items():
        random.Random(f"{options.seed}/{key}").shuffle(positions)
        chosen += positions[: options.per_task_language]
    return [units[position] for position in sorted(chosen)]


def _sample(units: Sequence[Unit], classes: Mapping[str, str], options: PoolOptions) -> list[Unit]:
    if options.max_units is None or len(units) <= options.max_units:
        return list(units)
    sizes = Counter(classes[task_key(unit)] for unit in units)
    names = sorted(sizes)
    random.Random(f"{options.seed}/classes").shuffle(names)
    chosen: set[str] = set()
    total = 0
    for name in names:
        if total + sizes[name] <= options.max_units:
            chosen.add(name)
            total += sizes[name]
    return [unit for unit in units if classes[task_key(unit)] in chosen]


def _item(unit: Unit, group: str) -> Item:
    origin = f"{unit.source}/{unit.path}"
    return Item(normalised=unit.normalised, language=unit.language, group=group, name=unit.name, origin=origin)
