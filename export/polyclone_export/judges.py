"""The binary head of a bundle: from the folder of a run to a proven graph and its description in the manifest."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.artifact import Judge
from polyclone.encode.judge import Pair, judge_feed
from polyclone.encode.prompts import PromptTokenizer
from polyclone.encode.runtime import Feed
from polyclone.errors import UsageError
from polyclone_distill.llm.saved import Student, load_student

from .parity import Subject
from .samples import Sample, labelled_pairs
from .subjects import Task, judge_subject, judge_task

log = logging.getLogger(__name__)

#: Stands in until a run brings a calibration: the logit is taken at its word.
LOGISTIC = tuple((logit, 1 / (1 + math.exp(-logit))) for logit in (-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0))
LEAST_PROBABILITY = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a bundle says of its verdicts: the fields of `polyclone.artifact.Calibration` of the same names."""

    precisions: tuple[tuple[float, float], ...]
    default_precision: float
    unsure: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgePart:
    """A language model with a binary head, and the labelled pairs on which its graph is compared."""

    student: Student
    spec: Judge
    pairs: list[Pair]
    same: NDArray[np.bool_]
    tokenizer: PromptTokenizer

    @cached_property
    def subject(self) -> Subject:
        return judge_subject(self.student, self.pairs, self.tokenizer)

    def feed(self, pairs: Sequence[Pair]) -> Feed:
        return judge_feed(pairs, self.spec.layout, self.tokenizer)[0]

    @property
    def task(self) -> Task:
        """AUC, and verdicts at the logit that stands for a probability of one half."""
        threshold = float(np.interp(0.5, self.spec.probabilities, self.spec.logits))
        return judge_task(self.student.module, self.pairs, self.same, self.feed, self.subject.inputs, threshold)

    @property
    def promise(self) -> Promise | None:
        """What the run measured with its judge, in place of what the pair head promises; None if it reached nothing.

        The default is the precision that the run wished for, or the best that it reached.
        """
        found = self.student.record.calibration or {}
        reached = tuple((float(a), float(b)) for a, b in found.get("precisions", ()))
        if not reached:
            log.warning("the judge's run measured no precision; the pair head's thresholds are taken for its own")
            return None
        wished, best = float(found["default_precision"]), max(precision for precision, _ in reached)
        if best < wished:
            log.warning("the judge's run reached a precision of %g, not the wished %g", best, wished)
        default = min(wished, best)
        unsure = None
        if "unsure" in found:
            high = min(least for precision, least in reached if precision >= default)
            unsure = (min(float(found["unsure"][0]), high), high)
        return Promise(precisions=reached, default_precision=default, unsure=unsure)

    @property
    def training(self) -> dict[str, Any]:
        record = self.student.record
        return {
            "start": record.start,
            "parameters": sum(p.numel() for p in self.student.module.parameters()),
            "architecture": self.student.architecture,
            "layout": record.layout,
            "metrics": dict(record.metrics),
            "data": dict(record.data),
        }


def judge_part(folder: Path, sample: Sample) -> JudgePart:
    """`UsageError` if the folder holds another head."""
    student = load_student(folder)
    record = student.record
    if record.head != "binary" or record.layout is None:
        raise UsageError(f"{folder} has a {record.head} head, which judges no pairs; give it as --encoder.")
    found = record.calibration or {}
    pairs, same = labelled_pairs(sample)
    spec = Judge(
        layout=record.layout,
        token_budget=record.token_budget,
        least_probability=float(found.get("least_probability", LEAST_PROBABILITY)),
        logits=tuple(map(float, found.get("logits", [logit for logit, _ in LOGISTIC]))),
        probabilities=tuple(map(float, found.get("probabilities", [p for _, p in LOGISTIC]))),
    )
    tokenizer = PromptTokenizer(student.tokenizer, record.token_budget, str(folder))
    return JudgePart(student=student, spec=spec, pairs=pairs, same=same, tokenizer=tokenizer)
