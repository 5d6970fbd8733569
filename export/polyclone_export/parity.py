"""Proof that a graph computes what its module computes: names → axes → shapes → values → task metric.

Each step has an error of its own, which tells the worst offender. The graph runs in a session with the options of
production. A bundle is only written with the record of all steps for each of its graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from polyclone.encode.runtime import Feed, run
from polyclone.errors import PolycloneError
from torch import nn

from .split import digest, open_graph

T = TypeVar("T")
Record = dict[str, Any]


class ParityError(PolycloneError):
    """A graph that differs from its module. The message names the step and the worst offender."""


class NamesError(ParityError):
    """Step 1: other inputs or another output than the engine feeds and reads."""


class AxesError(ParityError):
    """Step 2: a fixed axis where any size must do."""


class ShapesError(ParityError):
    """Step 3: a batch that the graph fails on, or answers in another shape."""


class ValuesError(ParityError):
    """Step 4: values too far from the module's."""


class TaskError(ParityError):
    """Step 5: what the values are for gets worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A batch that both sides run. `name` says how it was made."""

    name: str
    feed: Feed

    @property
    def shape(self) -> str:
        return ", ".join(f"{name} {'×'.join(map(str, values.shape))}" for name, values in self.feed.items())


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A module, how its graph is called, and on what the two are compared.

    `axes` says for every input which sizes are fixed: None is any size. `vectors` says whether rows are compared as
    unit vectors (b, d), by cosine, or as logits (b,), by difference.
    """

    module: nn.Module
    axes: Mapping[str, tuple[int | None, ...]]
    output: str
    cases: tuple[Case, ...]
    vectors: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.axes)

    @cached_property
    def expected(self) -> tuple[NDArray[np.float32], ...]:
        """What the module gives for every case; run once, for the graphs of all precisions."""
        return tuple(run_torch(self.module, [case.feed[name] for name in self.inputs]) for case in self.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a precision may cost. The values of rounded graphs only need to be sane: the task decides."""

    least_cosine: float
    most_difference: float
    """Largest absolute difference: of components of unit vectors, or of logits."""
    most_loss: float
    """Of the task metric."""
    most_changed: float
    """Share of verdicts that may change at the threshold."""


BOUNDS = {
    "float32": Bounds(least_cosine=0.99999, most_difference=1e-3, most_loss=0.001, most_changed=0.002),
    "fp16": Bounds(least_cosine=0.999, most_difference=0.1, most_loss=0.005, most_changed=0.02),
    "int8": Bounds(least_cosine=0.97, most_difference=1.0, most_loss=0.01, most_changed=0.03),
    "int4": Bounds(least_cosine=0.9, most_difference=2.0, most_loss=0.02, most_changed=0.05),
}


def make_cases(
    items: Sequence[T], feed: Callable[[Sequence[T], bool], Feed], length: Callable[[T], int]
) -> tuple[Case, ...]:
    """Alone and together, the shortest and the longest, mixed lengths; padded on the right and on the left."""
    order = sorted(items, key=length)
    made: dict[str, list[T]] = {
        "the shortest": [order[0]],
        "the longest": [order[-1]],
        "eight short": order[:8],
        "eight long": order[-8:],
        "short, long, middle": [order[0], order[-1], order[len(order) // 2]],
        "all lengths": order[:: max(1, len(order) // 16)],
    }
    return tuple(
        Case(name=f"{name}, padded on the {'left' if left else 'right'}", feed=feed(batch, left))
        for name, batch in made.items()
        for left in (False, True)
        if len(batch) > 1 or not left
    )


def check_names(graph: Any, subject: Subject) -> None:
    found = tuple(node.name for node in graph.get_inputs())
    outputs = [node.name for node in graph.get_outputs()]
    if set(found) != set(subject.inputs) or outputs != [subject.output]:
        raise NamesError(
            f"names: the graph reads {found} and gives {outputs}; expected {subject.inputs} and {subject.output}."
        )


def check_axes(graph: Any, subject: Subject) -> None:
    wrong = [
        f"{node.name}{node.shape}"
        for node in graph.get_inputs()
        if len(node.shape) != len(subject.axes[node.name])
        or any(
            (size != wanted) if wanted is not None else isinstance(size, int)
            for size, wanted in zip(node.shape, subject.axes[node.name], strict=True)
        )
    ]
    if wrong:
        dynamic = "dynamic batch and length" if subject.vectors or len(subject.axes) > 1 else "dynamic number of rows"
        raise AxesError(f"axes: {', '.join(wrong)} should have a {dynamic}.")


def check_shapes(graph: Any, subject: Subject, expected: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """What the graph gives for every case; each must run, and have the module's shape."""
    found = []
    for case, wanted in zip(subject.cases, expected, strict=True):
        got = run_graph(graph, case.feed, subject.output)
        if got.shape != wanted.shape:
            raise ShapesError(f"shapes: {got.shape} for {case.name} ({case.shape}); expected {wanted.shape}.")
        found.append(got)
    return found


def check_values(
    subject: Subject, expected: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]], bounds: Bounds
) -> Record:
    """The worst row over all cases, against the bounds of the precision."""
    worst_cosine, worst_difference = (1.0, ""), (0.0, "")
    for case, wanted, got in zip(subject.cases, expected, found, strict=True):
        difference = np.abs(wanted - got)
        if not np.isfinite(difference).all():
            raise ValuesError(f"values: no finite numbers for {case.name} ({case.shape}).")
        rows = difference.reshape(len(got), -1).max(1)
        worst_difference = max(worst_difference, (float(rows.max()), f"{case.name}, row {int(rows.argmax())}"))
        if subject.vectors:
            norms = np.linalg.norm(wanted, axis=1) * np.linalg.norm(got, axis=1)
            cosines = (wanted * got).sum(1) / np.maximum(norms, 1e-12)
            worst_cosine = min(worst_cosine, (float(cosines.min()), f"{case.name}, row {int(cosines.argmin())}"))
    if worst_cosine[0] < bounds.least_cosine:
        raise ValuesError(
            f"values: cosine {worst_cosine[0]:.6f} at {worst_cosine[1]}; at least {bounds.least_cosine} is required."
        )
    if worst_difference[0] > bounds.most_difference:
        raise ValuesError(
            f"values: a difference of {worst_difference[0]:.6f} at {worst_difference[1]}; at most"
            f" {bounds.most_difference} is allowed."
        )
    record: Record = {"largest_difference": round(worst_difference[0], 7), "cases": len(subject.cases)}
    return {"least_cosine": round(worst_cosine[0], 7), **record} if subject.vectors else record


def check_task(metric: str, before: float, after: float, bounds: Bounds) -> Record:
    """The module's figure against the graph's."""
    if not before - after <= bounds.most_loss:
        raise TaskError(
            f"task: {metric} falls from {before:.4f} to {after:.4f}; at most {bounds.most_loss} may be lost."
        )
    return {f"module_{metric.lower()}": round(before, 4), f"graph_{metric.lower()}": round(after, 4)}


def check_verdicts(before: NDArray[np.bool_], after: NDArray[np.bool_], bounds: Bounds) -> Record:
    """How many pairs are on another side of the threshold than by the module."""
    changed = int(np.count_nonzero(before != after))
    if changed > bounds.most_changed * len(before):
        raise TaskError(
            f"task: {changed} of {len(before)} verdicts change at the threshold; at most"
            f" {bounds.most_changed:.1%} may."
        )
    return {"pairs": len(before), "clones": int(np.count_nonzero(before)), "changed": changed}


def prove(
    subject: Subject,
    path: Path,
    *,
    precision: str,
    task: Callable[[Any, Bounds], Record],
) -> Record:
    """The five steps in order; the record for the manifest. Raises the step's own `ParityError`.

    `task` runs the graph on what it is for and raises `TaskError` if that suffers.
    """
    graph = open_graph(path)
    bounds = BOUNDS[precision]
    check_names(graph, subject)
    check_axes(graph, subject)
    found = check_shapes(graph, subject, subject.expected)
    values = check_values(subject, subject.expected, found, bounds)
    return {
        "precision": precision,
        "sha256": digest(path),
        "values": values,
        "task": task(graph, bounds),
    }


def run_torch(module: nn.Module, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    with torch.no_grad():
        return np.asarray(module(*map(torch.from_numpy, inputs)).numpy())


def run_graph(graph: Any, feed: Feed, output: str) -> NDArray[np.float32]:
    try:
        return np.asarray(run(graph, feed, output))
    except Exception as error:  # the runtime's own types; what matters is which shape it failed on
        shapes = ", ".join(f"{name} {'×'.join(map(str, values.shape))}" for name, values in feed.items())
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ShapesError(f"shapes: the graph fails at {shapes}: {reason}") from error


def auc(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive scores above a negative, ties half (Hanley & McNeil 1982). 1.0 without both."""
    if positive.all() or not positive.any():
        return 1.0
    _, position, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[position]
    p = int(positive.sum())
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * (len(positive) - p)))


def unproven(parity: Mapping[str, Any], files: Mapping[str, str]) -> list[str]:
    """Graphs among `files` (name → hex SHA-256) whose very bytes no record of `parity` covers."""
    proven = {record.get("sha256") for record in parity.values() if isinstance(record, Mapping)}
    return sorted(name for name, digest in files.items() if name.endswith(".onnx") and digest not in proven)
