"""One run from pairs to a folder: load the student, build the task, train, calibrate, save."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.encode.prompts import PROMPT_VERSION
from polyclone.errors import UsageError
from polyclone.normalise import NORMALISER_VERSION
from torch import nn

from ..pairs.values import Pair
from ..traces.report import Trace
from .checkpoint import describe, remove_checkpoint
from .heads import Body, ContrastiveHead, Embedder, JointJudge, binary_judge
from .loading import base_folder, load_model, load_tokenizer, prepare_for_training, tokenizer_json
from .loop import Hook, train
from .options import BINARY, CONTRASTIVE, GENERATE, TrainOptions
from .runs import RUN, RunRecord, read_run, write_run
from .saved import ADAPTER, BASE, CALIBRATED_ON, StudentRecord, save_student
from .score import score_pairs
from .sides import encode_pairs, joint_budget, normalised, single_budget
from .tasks import PairVectors, Task, generate_task, head_task, reads_jointly

log = logging.getLogger(__name__)

#: That a judge aims at where nobody asks for another; as in the encoders' judges.
DEFAULT_PRECISION = 0.9


def train_student(
    pairs: Sequence[Pair],
    valid: Sequence[Pair],
    traces: Mapping[str, Trace],
    options: TrainOptions,
    out: Path,
    hook: Hook = lambda step, loss: None,
) -> RunRecord:
    """Trains or resumes the run in `out`; a finished one with the same options is returned as it is.

    `valid` calibrates heads and is never trained on. Effect: writes the run.
    """
    if (out / RUN).exists():
        done = read_run(out)
        if done.options != options:
            raise UsageError(f"{out} holds a finished run with other options; give another --out.")
        return done
    out.mkdir(parents=True, exist_ok=True)
    _seed(options.seed)
    if options.head == GENERATE:
        return _train_generate(pairs, traces, options, out, hook)
    return _train_head(pairs, valid, options, out, hook)


def _train_generate(
    pairs: Sequence[Pair], traces: Mapping[str, Trace], options: TrainOptions, out: Path, hook: Hook
) -> RunRecord:
    tokenizer = load_tokenizer(options.student)
    task = generate_task(pairs, traces, tokenizer, options)
    _check(task, options)
    model = load_model(options.student, causal=True, four_bit=options.four_bit, bf16=_half(options))
    task = replace(task, shortens="logits_to_keep" in signature(model.forward).parameters)
    module = prepare_for_training(model, options, causal=True)
    size = describe(module)
    trained = train(module, task, options, out, hook)
    whole = options.tune == "full"
    if _main():
        trained.save_pretrained(out / (BASE if whole else ADAPTER), safe_serialization=True)
        tokenizer.save_pretrained(out / BASE if whole else out)
    base = (out / BASE).resolve() if whole else base_folder(options.student)
    return _finish(out, RunRecord(options=options, base=str(base), counts={**task.counts, **size}))


def _train_head(
    pairs: Sequence[Pair], valid: Sequence[Pair], options: TrainOptions, out: Path, hook: Hook
) -> RunRecord:
    tokenizer = tokenizer_json(load_tokenizer(options.student))
    task = head_task(pairs, tokenizer, options)
    _check(task, options)
    module = build_head(options)
    size = describe(module)
    trained = train(_trainee(module, options), task, options, out, hook)
    student = trained.judge if isinstance(trained, PairVectors) else trained
    threshold, scale, calibration, metrics = _calibrate(student, valid, tokenizer, options)
    whole = options.tune == "full"
    base = (out / BASE).resolve() if whole else base_folder(options.student)
    joint = reads_jointly(options)
    embeds = isinstance(student, Embedder)
    student_record = StudentRecord(
        head=CONTRASTIVE if embeds else BINARY,
        token_budget=(joint_budget if joint else single_budget)(options.tokens_per_side),
        normaliser_version=NORMALISER_VERSION,
        prompt_version=PROMPT_VERSION,
        layout=None if embeds else "joint" if joint else "sides",
        dimension=options.dimension if embeds else None,
        dropout=options.dropout,
        base=None if whole else str(base),
        start=options.student,
        calibration=calibration,
        metrics=metrics,
        data={**task.counts, CALIBRATED_ON: "validation pairs" if calibration else "nothing"},
    )
    if _main():
        save_student(out, student_record, student, tokenizer)
    record = RunRecord(
        options=options,
        base=str(base),
        threshold=threshold,
        cosine_scale=scale,
        counts={**task.counts, **size},
        metrics=metrics,
    )
    return _finish(out, record)


def build_head(options: TrainOptions) -> Any:
    """The student with an untrained head, in what precision and with what adapters `options` ask for."""
    model = load_model(options.student, causal=False, four_bit=options.four_bit, bf16=_half(options))
    body = Body(prepare_for_training(model, options, causal=False))
    if options.head == CONTRASTIVE and options.loss == "sides":
        return Embedder(body, ContrastiveHead(body.width, options.dimension))
    return binary_judge(body, "joint" if reads_jointly(options) else "sides", options.dropout)


def _trainee(module: Any, options: TrainOptions) -> nn.Module:
    pairwise = options.head == CONTRASTIVE and isinstance(module, JointJudge)
    return PairVectors(module) if pairwise else module


def _calibrate(
    module: Any, valid: Sequence[Pair], tokenizer: str, options: TrainOptions
) -> tuple[float, tuple[float, float] | None, dict[str, Any] | None, dict[str, float]]:
    """Threshold, cosine scale, calibration of a judge, figures on `valid`. Without both labels: the bare .5."""
    labels = np.array([pair.label for pair in valid], dtype=np.int64)
    if len(set(labels.tolist())) < 2:
        return 0.5, None, None, {}
    encoded = encode_pairs(normalised(valid), tokenizer, options.tokens_per_side, joint=reads_jointly(options))
    scores = score_pairs(module, encoded).values
    from ..evaluation.metrics import ranking_quality

    auc = float(ranking_quality(scores, labels.astype(bool), np.ones((1, len(labels))))["auc"][0])
    metrics = {"valid pairs": float(len(labels)), "valid auc": auc}
    if isinstance(module, Embedder):
        slope, offset = logistic(scores, labels)
        return -offset / slope if slope > 0 else 0.5, (slope, offset), None, metrics
    from ..calibration import calibrate

    return 0.5, None, calibrate(scores.astype(np.float32), labels, DEFAULT_PRECISION), metrics


def logistic(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Slope and offset of p = 1 / (1 + exp(−(slope · score + offset))) (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e4, max_iter=1000).fit(scores[:, None], labels)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _check(task: Task, options: TrainOptions) -> None:
    log.info("%s", json.dumps(dict(task.counts)))
    if task.size < 2:
        raise UsageError(f"there is nothing to train on: {json.dumps(dict(task.counts))}.")
    if task.size < options.batch:
        raise UsageError(f"{task.size} examples are fewer than a batch of {options.batch}; give more, or --batch.")


def _finish(out: Path, record: RunRecord) -> RunRecord:
    if _main():
        write_run(out, record)
        remove_checkpoint(out)
    return record


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def _half(options: TrainOptions) -> bool:
    """Whether the body is held in bf16. Weights that are trained themselves stay in float32, or updates vanish."""
    return options.bf16 and options.tune != "full"


def _main() -> bool:
    """Whether this process writes; with several GPUs one does."""
    from accelerate import PartialState  # type: ignore[import-untyped]

    return bool(PartialState().is_main_process)
