"""The systems of an X-CCD evaluation: finished runs, and TF-IDF with a threshold from validation pairs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..llm.generate import GenerateOptions
from ..llm.predict import Prediction, predictions_of
from ..llm.sides import normalised
from ..pairs.values import Pair
from .baselines import count_words
from .scorers import TfidfScorer
from .xccd import SILENT, Judged

BASELINE = "TF-IDF"


def of_run(
    run: Path, name: str, pairs: Sequence[Pair], set_name: str, options: GenerateOptions, batch: int
) -> list[Judged]:
    """The systems of one run on one set, called `name: system`."""
    rows = predictions_of(run, pairs, set_name, options, batch=batch)
    systems = list(dict.fromkeys(row.system for row in rows))
    return [_judged(f"{name}: {system}", [row for row in rows if row.system == system], pairs) for system in systems]


def _judged(name: str, rows: Sequence[Prediction], pairs: Sequence[Pair]) -> Judged:
    by_pair = {row.pair: row for row in rows}
    ordered = [by_pair[pair.id] for pair in pairs]
    scored = all(row.score is not None for row in ordered)
    return Judged(
        system=name,
        verdicts=np.array([SILENT if row.verdict is None else int(row.verdict) for row in ordered], dtype=np.int64),
        scores=np.array([row.score for row in ordered], dtype=np.float64) if scored else None,
        seconds=np.array([row.elapsed_s for row in ordered]),
        tokens=np.array([row.tokens for row in ordered], dtype=np.float64),
    )


def tfidf_scores(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Cosine of each pair. Document frequencies come from these very pairs, which favours the baseline."""
    texts = normalised(pairs)
    units = sorted({text for pair in texts for text in pair})
    number = {text: i for i, text in enumerate(units)}
    left = np.array([number[a] for a, _ in texts])
    right = np.array([number[b] for _, b in texts])
    return TfidfScorer(count_words(units)).pairs(left, right).astype(np.float64)


def best_threshold(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """The middle of the gap at which accuracy is largest; of several the lowest."""
    order = np.argsort(scores, kind="stable")
    ordered, truth = scores[order], labels[order].astype(np.float64)
    below = np.concatenate([[0.0], np.cumsum(1.0 - truth)])
    above = truth.sum() - np.concatenate([[0.0], np.cumsum(truth)])
    cuts = np.concatenate([[ordered[0] - 1.0], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1.0]])
    possible = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    return float(cuts[int(np.argmax(np.where(possible, below + above, -1.0)))])


def baseline(pairs: Sequence[Pair], threshold: float) -> Judged:
    """TF-IDF on one set."""
    started = time.monotonic()
    scores = tfidf_scores(pairs)
    each = (time.monotonic() - started) / len(pairs)
    return Judged(
        system=BASELINE,
        verdicts=(scores >= threshold).astype(np.int64),
        scores=scores,
        seconds=np.full(len(pairs), each),
        tokens=np.zeros(len(pairs)),
    )
