"""The folder that a run of a language-model student leaves: read by export, written by training. No pickle in it.

student.json            what it is: head, layout, budgets, calibration, metrics, data
base/                   the body as `save_pretrained` writes it; absent if student.json names another folder
adapter/                LoRA weights as peft writes them; absent if the body was trained whole
head.safetensors        the head's tensors
tokenizer.json          of Hugging Face `tokenizers`
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from polyclone.errors import UsageError
from torch import nn

from ..pairs.jsonl import write_atomically
from .heads import Body, ContrastiveHead, Embedder, JointJudge, SidesJudge, binary_judge

FORMAT = 1
STUDENT, BASE, ADAPTER, HEAD, TOKENIZER = "student.json", "base", "adapter", "head.safetensors", "tokenizer.json"
HEADS = ("binary", "contrastive")
#: In `StudentRecord.data`: the pairs that the calibration of a binary head holds for.
CALIBRATED_ON = "calibrated on"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentRecord:
    """What a run says of itself. Field by field as in `student.json`."""

    head: str
    """`binary` or `contrastive`."""
    token_budget: int
    normaliser_version: int
    prompt_version: int
    layout: str | None = None
    """Of a binary head: `joint` or `sides`."""
    dimension: int | None = None
    """Of a contrastive head: the length of its vectors."""
    dropout: float = 0.1
    base: str | None = None
    """Where the body lies, if not in `base/`."""
    start: str = "random weights"
    """What the body was trained from, with its licence."""
    calibration: Mapping[str, Any] | None = None
    """Of a binary head: `logits`, `probabilities`, `least_probability`, `precisions`, `default_precision`."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Student:
    """A body with its head, in float32 and evaluation mode, LoRA merged; and what belongs to it."""

    record: StudentRecord
    module: Embedder | JointJudge | SidesJudge
    tokenizer: str
    """The content of `tokenizer.json`."""

    @property
    def architecture(self) -> str:
        """`qwen2`, `phi3`, …: the body's own name for it."""
        return str(self.body.model.config.model_type)

    @property
    def body(self) -> Body:
        body = self.module.body
        assert isinstance(body, Body)
        return body


def save_student(
    folder: Path, record: StudentRecord, module: Embedder | JointJudge | SidesJudge, tokenizer: str
) -> None:
    """Effect: writes a run. A body that carries LoRA adapters is written as adapters beside its base.

    With `record.base` the base is not written again.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    body = module.body
    assert isinstance(body, Body)
    model = body.model
    if hasattr(model, "peft_config"):
        model.save_pretrained(folder / ADAPTER, safe_serialization=True)
        model = model.unload() if record.base is None else model
    if record.base is None:
        model.save_pretrained(folder / BASE, safe_serialization=True)
    head = _head(module)
    save_file({name: value.contiguous() for name, value in head.state_dict().items()}, folder / HEAD)
    (folder / TOKENIZER).write_text(tokenizer, "utf-8")
    write_record(folder, record)


def write_record(folder: Path, record: StudentRecord) -> None:
    """Effect: `student.json` says what `record` says, or what it said before; never a part."""
    content = {"format": FORMAT, **dataclasses.asdict(record)}
    write_atomically(folder / STUDENT, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> StudentRecord:
    """`UsageError` if the folder holds no run, or one that this version cannot read."""
    try:
        raw = json.loads((folder / STUDENT).read_text("utf-8"))
        if raw.pop("format") != FORMAT:
            raise ValueError("another format")
        record = StudentRecord(**raw)
    except OSError as error:
        raise UsageError(f"{folder} holds no student ({STUDENT} is missing); give the folder of a run.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder / STUDENT} cannot be read ({error}); train the student again.") from error
    fits = record.layout in ("joint", "sides") if record.head == "binary" else (record.dimension or 0) > 0
    if record.head not in HEADS or not fits:
        raise UsageError(f"{folder / STUDENT}: a {record.head!r} head without its layout or dimension.")
    return record


def load_student(folder: Path) -> Student:
    """A student as training left it, on the CPU. `UsageError` says what is missing. Opens no connection."""
    from safetensors.torch import load_file
    from transformers import AutoModel

    record = read_record(folder)
    base = Path(record.base) if record.base else folder / BASE
    if not (base / "config.json").exists():
        raise UsageError(f"{base} holds no model; set `base` in {folder / STUDENT} to the folder that does.")
    model = AutoModel.from_pretrained(base, local_files_only=True, use_safetensors=True, attn_implementation="eager")
    model = model.to(torch.float32)
    if (folder / ADAPTER).exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder / ADAPTER).merge_and_unload()
    model.config.use_cache = False
    module = build(Body(model), record)
    _head(module).load_state_dict(load_file(folder / HEAD))
    return Student(record=record, module=module.eval(), tokenizer=(folder / TOKENIZER).read_text("utf-8"))


def build(body: Body, record: StudentRecord) -> Embedder | JointJudge | SidesJudge:
    """A student with an untrained head, as the record describes it."""
    if record.head == "contrastive":
        assert record.dimension is not None
        return Embedder(body, ContrastiveHead(body.width, record.dimension))
    assert record.layout is not None
    return binary_judge(body, record.layout, record.dropout)


def _head(module: Embedder | JointJudge | SidesJudge) -> nn.Module:
    return module.head
