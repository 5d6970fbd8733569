"""What each kind of graph is compared on, and what it is for: cases and task metric of encoders, judges and heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.artifact import Calibration
from polyclone.encode.judge import OUTPUT as LOGIT
from polyclone.encode.judge import Pair, judge_feed
from polyclone.encode.llm import INPUTS as TEXT_INPUTS
from polyclone.encode.onnx import INPUTS, OUTPUT, compact_feed
from polyclone.encode.prompts import PromptTokenizer, pad
from polyclone.encode.runtime import Feed
from polyclone.tokenizer import Tokenizer
from polyclone.values import ATOM_SEPARATOR
from polyclone_distill.llm.saved import Student
from polyclone_distill.trainer.model import Encoder
from polyclone_distill.trainer.pair_head import PairHead
from torch import nn

from .llm import interface
from .parity import (
    Bounds,
    Case,
    Record,
    Subject,
    auc,
    check_task,
    check_verdicts,
    make_cases,
    run_graph,
    run_torch,
)
from .samples import Sample

Vectors = NDArray[np.float32]
Task = Callable[[Any, Bounds], Record]
_ROWS = 32


def unit_feed(units: Sequence[str], tokenizer: Tokenizer, left: bool = False) -> dict[str, NDArray[Any]]:
    """A padded batch of units, as the compact graph reads it."""
    atoms = [unit.split(ATOM_SEPARATOR) if unit else [] for unit in units]
    return compact_feed([tokenizer.ids(a)[0] for a in atoms], [tokenizer.bag(a) for a in atoms], left=left)


def text_feed(units: Sequence[str], tokenizer: PromptTokenizer, left: bool = False) -> dict[str, NDArray[Any]]:
    """A padded batch of units, as a language model's graph reads it."""
    ids, mask = pad([tokenizer.single(unit)[0] for unit in units], left=left)
    return {"input_ids": ids, "attention_mask": mask}


def encoder_subject(encoder: Encoder, sample: Sample, tokenizer: Tokenizer) -> Subject:
    """A compact encoder against its graph."""
    return Subject(
        module=encoder,
        axes=dict.fromkeys(INPUTS, (None, None)),
        output=OUTPUT,
        cases=make_cases(sample.units, lambda units, left: unit_feed(units, tokenizer, left), _atoms),
    )


def embedder_subject(student: Student, sample: Sample, tokenizer: PromptTokenizer) -> Subject:
    """A language model with a contrastive head against its graph."""
    return Subject(
        module=student.module,
        axes=dict.fromkeys(TEXT_INPUTS, (None, None)),
        output=OUTPUT,
        cases=make_cases(sample.units, lambda units, left: text_feed(units, tokenizer, left), _atoms),
    )


def judge_subject(student: Student, pairs: Sequence[Pair], tokenizer: PromptTokenizer) -> Subject:
    """A language model with a binary head against its graph."""
    layout = student.record.layout or "joint"
    return Subject(
        module=student.module,
        axes=dict.fromkeys(interface(student)[0], (None, None)),
        output=LOGIT,
        cases=make_cases(
            pairs,
            lambda some, left: judge_feed(some, layout, tokenizer, left=left)[0],
            lambda pair: sum(map(_atoms, pair)),
        ),
        vectors=False,
    )


def head_subject(head: PairHead, features: NDArray[np.float32]) -> Subject:
    """A pair head against its graph, on features of real pairs, far outside of them, and in the engine's blocks."""
    wild = 5 * np.random.default_rng(1).standard_normal((256, features.shape[1])).astype(np.float32)
    block = np.resize(features, (256, features.shape[1]))
    rows = {"one pair": features[:1], "all pairs": features, "a block": block, "wild features": wild}
    return Subject(
        module=head,
        axes={"features": (None, features.shape[1])},
        output="logit",
        cases=tuple(Case(name=name, feed={"features": values}) for name, values in rows.items()),
        vectors=False,
    )


def module_vectors(
    module: nn.Module, units: Sequence[str], feed: Callable[[Sequence[str]], Feed], inputs: Sequence[str]
) -> Vectors:
    """The module's own vectors of the units, float32 (n, d), in batches of like length."""
    order = sorted(range(len(units)), key=lambda i: len(units[i]))
    found: dict[int, Vectors] = {}
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        made = feed([units[i] for i in rows])
        found.update(zip(rows, run_torch(module, [made[name] for name in inputs]), strict=True))
    return np.stack([found[i] for i in range(len(units))])


def retrieval_task(expected: Vectors, sample: Sample, feed: Callable[[Sequence[str]], Feed]) -> Task:
    """Cross-language MRR of the sample: the module's vectors against the graph's, each unit alone as in use."""
    from polyclone_distill.trainer.loop import cross_language_mrr

    def task(graph: Any, bounds: Bounds) -> Record:
        found = np.concatenate([run_graph(graph, feed([unit]), OUTPUT) for unit in sample.units])
        before, after = (cross_language_mrr(v, sample.labels, sample.language_numbers) for v in (expected, found))
        return {**check_task("MRR", before, after, bounds), "units": len(sample.units)}

    return task


def judge_task(
    module: nn.Module,
    pairs: Sequence[Pair],
    same: NDArray[np.bool_],
    feed: Callable[[Sequence[Pair]], Feed],
    inputs: Sequence[str],
    threshold: float,
) -> Task:
    """Area under the ROC curve over labelled pairs, each alone as in use, and verdicts at the threshold logit."""

    feeds = [feed([pair]) for pair in pairs]

    @cache
    def expected() -> Vectors:
        return np.concatenate([run_torch(module, [made[name] for name in inputs]) for made in feeds])

    def task(graph: Any, bounds: Bounds) -> Record:
        before = expected()
        after = np.concatenate([run_graph(graph, made, LOGIT) for made in feeds])
        record = check_task("AUC", auc(before, same), auc(after, same), bounds)
        return {**record, "verdicts": check_verdicts(before >= threshold, after >= threshold, bounds)}

    return task


def head_task(head: PairHead, features: NDArray[np.float32], calibration: Calibration) -> Task:
    """Verdicts on the features of real pairs at the default threshold."""

    def task(graph: Any, bounds: Bounds) -> Record:
        least = calibration.threshold()
        before = calibration.apply(run_torch(head, [features])) >= least
        after = calibration.apply(run_graph(graph, {"features": features}, "logit")) >= least
        return {"verdicts": check_verdicts(before, after, bounds)}

    return task


def _atoms(unit: str) -> int:
    return unit.count(ATOM_SEPARATOR)
