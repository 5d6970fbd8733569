"""The scaling study: the same student on nested subsets × difficulty × correctness of the traces.

After He et al. 2025, "The valley of code reasoning": a smaller subset is part of every larger one, so that a curve
shows the effect of more data and not of other data. Nothing here trains; `scaling_command.py` wires it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from polyclone.errors import UsageError

from .llm.tasks import difficulties_of
from .pairs.values import Pair
from .traces.report import Trace

ALL, EASY, HARD = "all", "easy", "hard"
DIFFICULTIES = (ALL, EASY, HARD)
ANY, CORRECT, INCORRECT = "any", "correct", "incorrect"
CORRECTNESS = (ANY, CORRECT, INCORRECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One training run of the study."""

    size: int
    difficulty: str
    correctness: str
    pairs: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.size}-{self.difficulty}-{self.correctness}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What came of one cell."""

    size: int
    difficulty: str
    correctness: str
    figures: Mapping[str, float]
    """`f1`, `accuracy`, `response rate`, …; with silence counted as "no"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Valley:
    """A curve that falls before it rises."""

    start: float
    """Its figure without training, or at its smallest size."""
    bottom_size: int
    bottom: float
    end: float


def cells(
    pairs: Sequence[Pair],
    traces: Mapping[str, Trace],
    sizes: Sequence[int],
    difficulties: Sequence[str],
    correctness: Sequence[str],
    seed: int,
) -> tuple[list[Cell], dict[str, int]]:
    """The cells there are pairs for, and how many pairs each stratum has.

    Easy and hard are the halves below and above the median difficulty: the problem's rating where all pairs have
    one, else the length of the solutions. Within a stratum the order is fixed by the seed and the pair's id, and
    each size takes the first so many.
    """
    for name, chosen, known in (
        ("difficulty", difficulties, DIFFICULTIES),
        ("correctness", correctness, CORRECTNESS),
    ):
        if set(chosen) - set(known):
            raise UsageError(f"unknown {name} {', '.join(set(chosen) - set(known))}; choose from {', '.join(known)}.")
    if not sizes or min(sizes) < 1 or len(set(sizes)) < len(sizes):
        raise UsageError("--sizes must be different numbers above 0.")
    ordered = sorted(pairs, key=lambda pair: hashlib.sha256(f"{seed}/{pair.id}".encode()).hexdigest())
    found, strata = [], {}
    for difficulty in difficulties:
        for right in correctness:
            stratum = [pair for pair in _of_difficulty(ordered, difficulty) if _of_correctness(pair, traces, right)]
            strata[f"{difficulty}, {right}"] = len(stratum)
            found += [
                Cell(size=size, difficulty=difficulty, correctness=right, pairs=tuple(stratum[:size]))
                for size in sorted(sizes)
                if size <= len(stratum)
            ]
    if not found:
        raise UsageError(f"no stratum has {min(sizes)} pairs: {strata}; give smaller --sizes or more pairs.")
    return found, strata


def _of_difficulty(pairs: Sequence[Pair], wanted: str) -> list[Pair]:
    if wanted == ALL:
        return list(pairs)
    values = difficulties_of(pairs)
    median = float(np.median(values))
    return [pair for pair, value in zip(pairs, values, strict=True) if (value <= median) == (wanted == EASY)]


def _of_correctness(pair: Pair, traces: Mapping[str, Trace], wanted: str) -> bool:
    trace = traces.get(pair.id)
    if not traces:
        return wanted == ANY
    if trace is None or trace.correct is None:
        return False
    return wanted == ANY or trace.correct == (wanted == CORRECT)


def valley(points: Sequence[Point], figure: str, untrained: float | None = None) -> Valley | None:
    """The valley of one curve, or None where it does not fall below its start and rise again.

    `points` of one stratum in any order; `untrained` is the figure at size 0, where it was measured.
    """
    ordered = sorted(points, key=lambda point: point.size)
    curve = [(0, untrained)] if untrained is not None else []
    curve += [(point.size, point.figures[figure]) for point in ordered]
    known = [(size, value) for size, value in curve if value is not None and np.isfinite(value)]
    if len(known) < 3:
        return None
    inner = known[1:-1]
    bottom_size, bottom = min(inner, key=lambda item: (item[1], item[0]))
    start, end = known[0][1], known[-1][1]
    if not bottom < min(start, end):
        return None
    return Valley(start=start, bottom_size=bottom_size, bottom=bottom, end=end)


def curves(points: Sequence[Point]) -> dict[str, list[Point]]:
    """`difficulty, correctness` → its points by size."""
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda p: (p.difficulty, p.correctness, p.size)):
        found.setdefault(f"{point.difficulty}, {point.correctness}", []).append(point)
    return found
