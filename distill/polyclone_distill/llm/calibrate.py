"""A binary head's probabilities at the prevalence of retrieved pairs, measured as those of a pair head are.

Training calibrates a head on its own validation pairs, half of which are clones. Of the pairs that a search proposes
in a workspace few are, and those that are none look alike; so a head that goes into a bundle is calibrated here.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from polyclone.errors import UsageError
from polyclone.model import load_model

from ..cross_judge import calibrate_held, top_of_draws
from ..judge import JudgeConfig, Pairs, Pool, draw_pairs, encode_pool, read_pool
from .options import BINARY
from .runs import read_run
from .saved import CALIBRATED_ON, Student, load_student, write_record
from .score import score_pairs
from .sides import encode_pairs

log = logging.getLogger(__name__)

#: The half of classes and libraries that no pair head of the same data was trained on.
_HELD = 1


def calibrate_on_retrieved(
    run: Path, bundle: Path, prepared: Path, config: JudgeConfig, judged_per_draw: int
) -> dict[str, Any]:
    """Draws made-up workspaces from `prepared`, searches them with `bundle`, and calibrates the judge in `run` on the
    `judged_per_draw` nearest pairs of each: on the even draws. Returns its figures on the odd ones.

    `UsageError` if the run has another head, or if no clone is found. Effect: rewrites the run's `student.json`, and
    keeps the vectors of the pool beside it.
    """
    student = load_student(run)
    if student.record.head != BINARY:
        raise UsageError(f"{run} has a {student.record.head} head, which judges no pairs; give one of --head binary.")
    model = load_model(bundle)
    pool = read_pool(prepared, config, model.min_atoms)
    codes = encode_pool(model, pool, run / f"codes-{model.bundle.encoder_digest[:16]}.npz")
    drawn = draw_pairs(pool, codes, model, _HELD, config)
    held = top_of_draws(drawn, judged_per_draw)
    log.info("judging %d pairs (%d clones)", len(held.labels), held.labels.sum())
    logits = judge_logits(student, read_run(run).options.tokens_per_side, pool, held)
    calibration, figures = calibrate_held(logits, held, config)
    figures |= {
        "prevalence": round(float(held.labels.mean()), 4),
        "left out of the judgement": len(drawn.labels) - len(held.labels),
    }
    record = student.record
    changed = replace(
        record,
        calibration=calibration,
        metrics={**record.metrics, "retrieved pairs": figures},
        data={**record.data, CALIBRATED_ON: "retrieved pairs"},
    )
    write_record(run, changed)
    return figures


def judge_logits(student: Student, tokens_per_side: int, pool: Pool, pairs: Pairs) -> NDArray[np.float32]:
    """Logits (n,) of `pairs` of the pool. A pair that several draws propose is read once."""
    distinct, places = np.unique(np.stack([pairs.left, pairs.right], axis=1), axis=0, return_inverse=True)
    texts = [(pool.normalised[left], pool.normalised[right]) for left, right in distinct.tolist()]
    joint = student.record.layout == "joint"
    encoded = encode_pairs(texts, student.tokenizer, tokens_per_side, joint=joint)
    module = student.module.to("cuda" if torch.cuda.is_available() else "cpu")
    return score_pairs(module, encoded).values.astype(np.float32)[places.ravel()]
