"""A finished run on pairs: one prediction a pair, with what it took. The rows that evaluation reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from polyclone.errors import UsageError

from ..pairs.jsonl import read_lines, write_atomically
from ..pairs.values import Pair
from .generate import Answered, GenerateOptions, answer_pairs
from .loading import load_model, load_tokenizer
from .options import GENERATE
from .runs import RunRecord, read_run
from .saved import load_student
from .score import score_pairs
from .sides import encode_pairs, normalised
from .tasks import reads_jointly

FREE, FORCED, BINARY, CONTRASTIVE = "generate", "forced conclusion", "binary head", "contrastive head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one system says of one pair."""

    pair: str
    system: str
    verdict: bool | None
    """None is silence."""
    score: float | None
    """Larger is more like a clone; None where a system only says yes or no."""
    elapsed_s: float
    tokens: int
    """Read and written."""
    text: str = ""


Predictor = Callable[[Sequence[Pair]], list[Prediction]]
#: Pairs after which predictions are kept: what a kill may cost.
_CHUNK = 128


def open_run(run: Path, options: GenerateOptions, *, batch: int = 16) -> Predictor:
    """A finished run, loaded. A generate run is two systems: free answers, and the same with forced conclusions."""
    record = read_run(run)
    return _generator(run, record, options) if record.options.head == GENERATE else _scorer(run, record, batch)


def predict(run: Path, pairs: Sequence[Pair], options: GenerateOptions, *, batch: int = 16) -> list[Prediction]:
    """Predictions of a run, kept nowhere."""
    return open_run(run, options, batch=batch)(pairs)


def _generator(run: Path, record: RunRecord, options: GenerateOptions) -> Predictor:
    model, tokenizer = load_generator(run, record)

    def answer(pairs: Sequence[Pair]) -> list[Prediction]:
        found = answer_pairs(model, tokenizer, pairs, record.options, options)
        return [row for pair, said in zip(pairs, found, strict=True) for row in _of_answer(pair, said, options.force)]

    return answer


def _of_answer(pair: Pair, said: Answered, force: bool) -> list[Prediction]:
    read = said.prompt_tokens + said.new_tokens
    free = Prediction(
        pair=pair.id,
        system=FREE,
        verdict=said.verdict,
        score=None,
        elapsed_s=said.elapsed_s,
        tokens=read,
        text=said.text,
    )
    forced = Prediction(
        pair=pair.id,
        system=FORCED,
        verdict=said.forced if said.verdict is None else said.verdict,
        score=said.forced_margin,
        elapsed_s=said.elapsed_s + said.forced_s,
        tokens=read + said.forced_tokens,
    )
    return [free, forced] if force else [free]


def load_generator(run: Path, record: RunRecord) -> tuple[Any, Any]:
    """The language model of a generate run, its adapters merged, on the GPU if there is one; and its tokenizer."""
    import torch

    model = load_model(record.base, causal=True, bf16=record.options.bf16 and torch.cuda.is_available())
    if (run / "adapter").is_dir():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, run / "adapter").merge_and_unload()
    model.config.use_cache = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval(), load_tokenizer(record.base)


def _scorer(run: Path, record: RunRecord, batch: int) -> Predictor:
    import torch

    student = load_student(run)
    module = student.module.to("cuda") if torch.cuda.is_available() else student.module
    embeds = student.record.head == "contrastive"
    joint = reads_jointly(record.options)

    def score(pairs: Sequence[Pair]) -> list[Prediction]:
        encoded = encode_pairs(normalised(pairs), student.tokenizer, record.options.tokens_per_side, joint=joint)
        scores = score_pairs(module, encoded, batch_size=batch)
        each = scores.elapsed_s / max(1, len(pairs))
        values = scores.values if embeds else 1.0 / (1.0 + np.exp(-np.clip(scores.values, -60.0, 60.0)))
        return [
            Prediction(
                pair=pair.id,
                system=_name(record),
                verdict=value >= record.threshold,
                score=value,
                elapsed_s=each,
                tokens=tokens,
            )
            for pair, value, tokens in zip(pairs, values.tolist(), scores.tokens, strict=True)
        ]

    return score


def _name(record: RunRecord) -> str:
    options = record.options
    if options.head == "contrastive":
        return CONTRASTIVE if options.loss == "sides" else f"{CONTRASTIVE}, pair vectors"
    return BINARY if options.layout == "joint" else f"{BINARY}, sides apart"


def predictions_of(
    run: Path, pairs: Sequence[Pair], name: str, options: GenerateOptions, *, batch: int = 16
) -> list[Prediction]:
    """`predict`, or what an earlier call kept. Effect: keeps rows in `<run>/predictions/`, some pairs at a time."""
    record = asdict(read_run(run))
    opened: Predictor | None = None
    rows: list[Prediction] = []
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        asked = json.dumps([asdict(options), [pair.to_json() for pair in part], record])
        digest = hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()[:12]
        path = run / "predictions" / f"{name.replace('/', '-')}-{digest}.jsonl"
        if not path.exists():
            opened = opened or open_run(run, options, batch=batch)
            found = opened(part)
            write_atomically(path, "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in found))
        rows += read_predictions(path)
    return rows


def read_predictions(path: Path) -> list[Prediction]:
    """Rows as `predictions_of` kept them."""

    def parse(raw: Mapping[str, Any]) -> Prediction:
        try:
            return Prediction(**raw)
        except TypeError as error:
            raise UsageError(f"{error}.") from error

    return list(read_lines(path, parse))
