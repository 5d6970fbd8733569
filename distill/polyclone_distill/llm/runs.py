"""The folder of a run: `run.json` beside what `saved.py` describes, and `log.jsonl`, the loss curve.

A run of the generate head holds `adapter/` (or `base/` if it was trained whole) and the tokenizer; the others hold
what `save_student` writes. `checkpoint/` is there only while a run is unfinished.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polyclone.errors import UsageError

from ..pairs.jsonl import write_atomically
from .options import LoraOptions, TrainOptions

FORMAT_VERSION = 1
RUN, LOG, CHECKPOINT = "run.json", "log.jsonl", "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a finished run says of itself."""

    options: TrainOptions
    base: str
    """The folder whose weights the adapter belongs to, or the run's own if the body was trained whole."""
    threshold: float = 0.5
    """Of the probability (binary) or the cosine (contrastive) from which a pair is called a clone."""
    cosine_scale: tuple[float, float] | None = None
    """`contrastive`: (slope, offset) of the logistic curve that turns a cosine into a probability."""
    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def write_run(folder: Path, record: RunRecord) -> None:
    """Effect: writes `run.json`; from then on the run counts as finished."""
    content = {"format_version": FORMAT_VERSION, **dataclasses.asdict(record)}
    write_atomically(folder / RUN, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_run(folder: Path) -> RunRecord:
    """`UsageError` if the folder holds no finished run, or one that this version cannot read."""
    path = folder / RUN
    if not path.is_file():
        state = "unfinished; run the same command again" if (folder / CHECKPOINT).exists() else "no run"
        raise UsageError(f"{folder} is {state}; {RUN} is missing.")
    try:
        raw = json.loads(path.read_text("utf-8"))
        if raw.pop("format_version") != FORMAT_VERSION:
            raise ValueError("another format")
        options = read_options(raw.pop("options"))
        scale = raw.pop("cosine_scale")
        return RunRecord(options=options, cosine_scale=tuple(scale) if scale else None, **raw)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); train again.") from error


def read_options(raw: Mapping[str, Any]) -> TrainOptions:
    """Inverse of `dataclasses.asdict`."""
    lora = dict(raw["lora"])
    lora["targets"] = tuple(lora["targets"])
    return TrainOptions(**{**raw, "lora": LoraOptions(**lora)})


def read_log(folder: Path) -> list[dict[str, float]]:
    """Step, loss and learning rate of each step, in order."""
    path = folder / LOG
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
