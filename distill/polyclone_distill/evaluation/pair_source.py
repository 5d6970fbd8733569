"""Labelled pairs: read from JSONL, or sampled from the classes of a pool."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.errors import UsageError
from polyclone.extract import extract, extract_snippet
from polyclone.languages import resolve

from ..data.units import MIN_ATOMS, main_function
from .baselines import count_words
from .pool import Item, Pool
from .scorers import TfidfScorer

Ints = NDArray[np.int64]
CLONE, RANDOM, HARD = "clone", "random", "retrieved"
#: Draws without a new pair after which a pool counts as exhausted.
_PATIENCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """m labelled pairs over a pool of items. `kinds` say where a pair comes from; `clusters` are resampled."""

    items: tuple[Item, ...]
    left: Ints
    right: Ints
    labels: NDArray[np.bool_]
    kinds: tuple[str, ...]
    clusters: Ints
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """How many pairs, and of what kind."""

    pairs: int = 2000
    prevalence: float = 0.5
    """Share of clones."""
    hard_share: float = 0.0
    """Share of the other pairs that retrieval proposes, instead of chance."""
    hard_k: int = 10
    """Such a pair takes one of this many best by TF-IDF, of other tasks and languages."""
    seed: int = 1


def read_pairs(path: Path) -> Pairs:
    """Pairs of a JSONL file: `{"left": {"code", "language"}, "right": {…}, "label": 0 | 1}` a line.

    Optional: `"kind"` (figures are also given for each kind), `"task"` in a side (what is resampled; without
    it, each left program). A pair with a side that holds no code at all is left out and counted.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist; give a JSONL file of pairs, or --parquet FILE to sample some.")
    items: dict[tuple[str, str], int] = {}
    kept: list[Item] = []
    rows: list[tuple[int, int, bool, str, str]] = []
    empty = small = 0
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            raw, label = _parse(line, path, number)
            sides = []
            for side in (raw["left"], raw["right"]):
                key = (side["language"], side["code"])
                if key not in items:
                    items[key] = len(kept)
                    kept.append(_item(side["code"], side["language"], f"{path.name}:{number}"))
                sides.append(items[key])
            a, b = kept[sides[0]], kept[sides[1]]
            if not a.normalised or not b.normalised:
                empty += 1
                continue
            small += any(item.normalised.count("\x1f") + 1 < MIN_ATOMS for item in (a, b))
            task = str(raw["left"].get("task", "")) or hashlib.sha256(raw["left"]["code"].encode()).hexdigest()
            kind = str(raw.get("kind") or (CLONE if label else "other"))
            rows.append((sides[0], sides[1], label, kind, task))
    if not rows:
        raise UsageError(f"{path} holds no pair that can be judged; one JSON object a line is expected.")
    counts = {"pairs": len(rows), "clones": sum(row[2] for row in rows), "programs": len(kept)}
    return _pairs(tuple(kept), rows, {**counts, "with a side that is small": small, "without code, left out": empty})


def _parse(line: str, path: Path, number: int) -> tuple[dict[str, Any], bool]:
    """One line, checked."""
    try:
        raw = json.loads(line)
        for side in ("left", "right"):
            if not isinstance(raw[side]["code"], str):
                raise TypeError(f"{side}.code is not a string")
            raw[side]["language"] = resolve(raw[side]["language"]).name
        if raw["label"] not in (0, 1):
            raise ValueError(f"label {raw['label']!r} is neither 0 nor 1")
    except UsageError as error:
        raise UsageError(f"{path}, line {number}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f'{path}, line {number}: {what}; expected {{"left": {{"code", "language"}}, "right": …, "label": 0|1}}.'
        ) from error
    return raw, bool(raw["label"])


def _item(code: str, language: str, origin: str) -> Item:
    whole = extract_snippet(code, language)
    main = main_function(extract(code.encode("utf-8", "surrogatepass"), language).functions)
    name = main.name if main else ""
    return Item(normalised=whole.normalised, language=language, group="", name=name, origin=origin)


def sample_pairs(pool: Pool, options: SampleOptions) -> Pairs:
    """Pairs of different languages from a pool, deterministic by seed.

    A clone: a class at random, a unit of it, a unit of it in another language. A random pair: the left side
    drawn in the same way, the right one from another class and another language, drawn likewise. A retrieved
    pair: the right one is among the `hard_k` nearest to the left by TF-IDF; chosen against TF-IDF, such pairs
    are harder for it than for others. No pair comes twice.
    """
    if not 0.0 < options.prevalence < 1.0:
        raise UsageError(f"--prevalence must lie between 0 and 1, not {options.prevalence:g}.")
    if not 0.0 <= options.hard_share <= 1.0 or options.hard_k < 1 or options.pairs < 2:
        raise UsageError("--hard-share must lie in 0…1, --hard-k must be at least 1 and --pairs at least 2.")
    drawer = _Drawer(pool, random.Random(f"{options.seed}/pairs"))
    if not drawer.classes:
        raise UsageError("no task has programs in two languages; choose more tasks or languages.")
    clones = max(1, round(options.pairs * options.prevalence))
    hard = round((options.pairs - clones) * options.hard_share)
    nearest = _nearest(pool, options.hard_k) if hard else None
    drawn = [(*pair, True, CLONE) for pair in drawer.draw(clones, drawer.clone)]
    if nearest is not None:
        drawn += [(*pair, False, HARD) for pair in drawer.draw(hard, lambda: drawer.near(nearest))]
    drawn += [(*pair, False, RANDOM) for pair in drawer.draw(options.pairs - clones - hard, drawer.stranger)]
    kinds = Counter(row[3] for row in drawn)
    if not kinds[CLONE] or len(drawn) == kinds[CLONE]:
        raise UsageError("clones and other pairs are both needed; choose more tasks, or another --prevalence.")
    counts = {
        **pool.counts,
        "pairs": len(drawn),
        **{f"{kind} pairs": kinds[kind] for kind in (CLONE, HARD, RANDOM)},
        "pairs asked for that the pool does not have": options.pairs - len(drawn),
    }
    return _pairs(pool.items, [(*row, pool.items[row[0]].group) for row in drawn], counts)


class _Drawer:
    """Draws units: first a class, then one of its units, so that large classes do not speak for all."""

    def __init__(self, pool: Pool, rng: random.Random) -> None:
        self.items, self.rng = pool.items, rng
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for position, item in enumerate(pool.items):
            groups[item.group].append(position)
        groups.pop("", None)
        self.groups = dict(groups)
        self.all = sorted(groups)
        self.classes = [name for name in self.all if len({pool.items[i].language for i in groups[name]}) > 1]
        self.seen: set[tuple[int, int]] = set()

    def draw(self, wanted: int, one: Any) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        misses = 0
        while len(found) < wanted and misses < _PATIENCE * max(wanted, 20):
            pair = one()
            key = None if pair is None else (min(pair), max(pair))
            if key is None or key in self.seen:
                misses += 1
                continue
            self.seen.add(key)
            found.append(pair)
        return found

    def clone(self) -> tuple[int, int] | None:
        left = self._left()
        others = [i for i in self.groups[self.items[left].group] if self._foreign(left, i)]
        return (left, self.rng.choice(others)) if others else None

    def stranger(self) -> tuple[int, int] | None:
        left = self._left()
        right = self.rng.choice(self.groups[self.rng.choice(self.all)])
        other = self.items[left].group != self.items[right].group
        return (left, right) if other and self._foreign(left, right) else None

    def near(self, nearest: Ints) -> tuple[int, int] | None:
        left = self._left()
        right = int(self.rng.choice(nearest[left].tolist()))
        return (left, right) if right >= 0 else None

    def _left(self) -> int:
        return self.rng.choice(self.groups[self.rng.choice(self.classes)])

    def _foreign(self, left: int, right: int) -> bool:
        return self.items[left].language != self.items[right].language


def _nearest(pool: Pool, k: int) -> Ints:
    """Positions of the k best by TF-IDF of other classes and languages, (n, k); −1 where there are fewer."""
    scorer = TfidfScorer(count_words([item.normalised for item in pool.items]))
    labels = pool.labels()
    nearest = np.full((scorer.size, k), -1, dtype=np.int64)
    for start in range(0, scorer.size, 1024):
        rows = slice(start, min(start + 1024, scorer.size))
        scores = scorer.block(rows)
        scores[labels.languages[rows, None] == labels.languages] = -1.0
        scores[labels.classes[rows, None] == labels.classes] = -1.0
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, best, axis=1) > 0.0
        nearest[rows, : best.shape[1]] = np.where(found, best, -1)
    return nearest


def _pairs(items: tuple[Item, ...], rows: list[tuple[int, int, bool, str, str]], counts: Mapping[str, int]) -> Pairs:
    left, right, labels, kinds, tasks = zip(*rows, strict=True)
    number = {task: i for i, task in enumerate(sorted(set(tasks)))}
    return Pairs(
        items=items,
        left=np.array(left, dtype=np.int64),
        right=np.array(right, dtype=np.int64),
        labels=np.array(labels, dtype=bool),
        kinds=tuple(kinds),
        clusters=np.array([number[task] for task in tasks], dtype=np.int64),
        counts=counts,
    )
