"""Proof that a graph computes what its module computes: names → axes → shapes → values → task metric.

Each step raises its own error with the worst offender; a bundle is only written with the record of all five.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from polyclone.encode.onnx import INPUTS, OUTPUT, session
from polyclone.errors import PolycloneError
from polyclone.tokenizer import Tokenizer
from polyclone.values import ATOM_SEPARATOR
from polyclone_distill.trainer.model import Encoder


class ParityError(PolycloneError):
    """A graph that differs from its module. The message names the step and the worst offender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Units to compare on: normalised text, clone class and language of each."""

    units: tuple[str, ...]
    classes: tuple[str, ...]
    languages: tuple[str, ...]


def check_names(graph: Any) -> None:
    found = tuple(node.name for node in graph.get_inputs())
    if set(found) != set(INPUTS) or [node.name for node in graph.get_outputs()] != [OUTPUT]:
        outputs = [node.name for node in graph.get_outputs()]
        raise ParityError(f"names: the graph reads {found} and gives {outputs}; expected {INPUTS} and {OUTPUT}.")


def check_axes(graph: Any) -> None:
    fixed = [
        f"{node.name}{node.shape}"
        for node in graph.get_inputs()
        if len(node.shape) != 2 or any(isinstance(size, int) for size in node.shape)
    ]
    if fixed:
        raise ParityError(f"axes: {', '.join(fixed)} should have a dynamic batch and length.")


def feeds(units: Sequence[str], tokenizer: Tokenizer) -> dict[str, NDArray[Any]]:
    """A padded batch of units, as the graph reads it."""
    atoms = [unit.split(ATOM_SEPARATOR) for unit in units]
    ids = [tokenizer.ids(a)[0] for a in atoms]
    bags = [tokenizer.bag(a) for a in atoms]
    length, width = max(map(len, ids)), max(1, *(len(bag.ids) for bag in bags))
    out: dict[str, NDArray[Any]] = {
        "input_ids": np.zeros((len(units), length), np.int64),
        "attention_mask": np.zeros((len(units), length), np.int64),
        "word_ids": np.zeros((len(units), width), np.int64),
        "word_weights": np.zeros((len(units), width), np.float32),
    }
    for row, (tokens, bag) in enumerate(zip(ids, bags, strict=True)):
        out["input_ids"][row, : len(tokens)] = tokens
        out["attention_mask"][row, : len(tokens)] = 1
        out["word_ids"][row, : len(bag.ids)] = bag.ids
        out["word_weights"][row, : len(bag.ids)] = bag.weights
    return out


def run_torch(module: Encoder, feed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    with torch.no_grad():
        return np.asarray(module(*(torch.from_numpy(feed[name]) for name in INPUTS)).numpy())


def run_graph(graph: Any, feed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    try:
        return np.asarray(graph.run([OUTPUT], feed)[0])
    except Exception as error:  # the runtime's own types; what matters is which shape it failed on
        shape = feed["input_ids"].shape
        raise ParityError(f"shapes: the graph fails at batch × tokens {shape}: {error}") from error


def batches(units: Sequence[str]) -> list[list[str]]:
    """Alone and together, the shortest and the longest, mixed lengths."""
    by_length = sorted(units, key=lambda unit: (unit.count(ATOM_SEPARATOR), unit))
    return [
        [by_length[0]],
        [by_length[-1]],
        by_length[:8],
        by_length[-8:],
        [by_length[0], by_length[-1], by_length[len(by_length) // 2]],
        by_length[:: max(1, len(by_length) // 16)],
    ]


def check_values(
    module: Encoder, graph: Any, sample: Sample, tokenizer: Tokenizer, *, least_cosine: float
) -> dict[str, float]:
    """Shapes, then values: every vector must have at least `least_cosine` with the module's."""
    worst, largest, where = 1.0, 0.0, ""
    for batch in batches(sample.units):
        feed = feeds(batch, tokenizer)
        expected, found = run_torch(module, feed), run_graph(graph, feed)
        if found.shape != expected.shape:
            raise ParityError(f"shapes: {found.shape} for a batch of {len(batch)}; expected {expected.shape}.")
        norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
        cosines = (expected * found).sum(1) / np.maximum(norms, 1e-12)
        row = int(cosines.argmin())
        if cosines[row] < worst:
            worst, where = float(cosines[row]), f"{len(batch)} × {feed['input_ids'].shape[1]} tokens, row {row}"
        largest = max(largest, float(np.abs(expected - found).max()))
    if worst < least_cosine:
        raise ParityError(f"values: cosine {worst:.6f} at {where}; at least {least_cosine} is required.")
    return {"least_cosine": round(worst, 7), "largest_difference": round(largest, 7)}


def check_task(
    expected: NDArray[np.float32], graph: Any, sample: Sample, tokenizer: Tokenizer, *, most_loss: float
) -> dict[str, float]:
    """Cross-language MRR of the sample: the module's vectors against the graph's, each unit alone as in use."""
    from polyclone_distill.trainer.loop import cross_language_mrr

    labels = np.unique(np.array(sample.classes), return_inverse=True)[1]
    languages = np.unique(np.array(sample.languages), return_inverse=True)[1]
    found = np.concatenate([run_graph(graph, feeds([unit], tokenizer)) for unit in sample.units])
    before = cross_language_mrr(expected, labels, languages)
    after = cross_language_mrr(found, labels, languages)
    if before - after > most_loss:
        raise ParityError(f"task: MRR falls from {before:.4f} to {after:.4f}; at most {most_loss} may be lost.")
    return {"module_mrr": round(before, 4), "graph_mrr": round(after, 4), "units": float(len(sample.units))}


def module_vectors(module: Encoder, sample: Sample, tokenizer: Tokenizer) -> NDArray[np.float32]:
    """The module's own vectors of the sample, float32 (n, d), in batches of like length."""
    order = sorted(range(len(sample.units)), key=lambda i: len(sample.units[i]))
    vectors = np.zeros((len(order), module.dimension), np.float32)
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        vectors[rows] = run_torch(module, feeds([sample.units[i] for i in rows], tokenizer))
    return vectors


def prove(
    module: Encoder,
    expected: NDArray[np.float32],
    path: Path,
    sample: Sample,
    tokenizer: Tokenizer,
    *,
    precision: str,
) -> dict[str, dict[str, float] | str]:
    """The five steps in order; the record for the manifest. Raises `ParityError` at the first that fails.

    `expected` are the `module_vectors` of the sample.
    """
    graph = session(path.read_bytes(), str(path))
    check_names(graph)
    check_axes(graph)
    least = 0.99999 if precision == "float32" else 0.97
    values = check_values(module, graph, sample, tokenizer, least_cosine=least)
    task = check_task(expected, graph, sample, tokenizer, most_loss=0.001 if precision == "float32" else 0.01)
    return {"precision": precision, "values": values, "task": task}
