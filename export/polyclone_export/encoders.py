"""The encoder of a bundle, whichever kind it is: what export, parity and manifest need of it, in one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polyclone.artifact import LEXICON, LLM_TOKENIZER, TOKENIZER
from polyclone.encode.onnx import OUTPUT, compact_feed, mean_of_windows
from polyclone.encode.prompts import PromptTokenizer
from polyclone.encode.runtime import Feed, session
from polyclone.errors import UsageError
from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece
from polyclone.values import ATOM_SEPARATOR
from polyclone_distill.llm.saved import load_student
from polyclone_distill.trainer.joining import describe_start
from polyclone_distill.trainer.run import load_encoder
from torch import nn

from . import llm
from .graphs import OPSET, export_encoder
from .parity import Subject, run_graph
from .samples import Sample
from .subjects import embedder_subject, encoder_subject, module_vectors, text_feed, unit_feed

TOKEN_BUDGET = 256
#: Of one unit at most; the middle of what is longer than 4,064 tokens is cut.
WINDOWS = 16
Run = Callable[[Feed], NDArray[np.float32]]
"""One run of a graph."""
#: Integer products of codes are exact in float32 up to here.
MAX_DIMENSION = 1040


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderPart:
    """An encoder with its sample. `files` are texts that the bundle takes over; `training` is for the manifest."""

    kind: str
    """`compact` or `llm`."""
    module: nn.Module
    dimension: int
    dense_width: int
    token_budget: int
    sample: Sample
    subject: Subject
    feed: Callable[[Sequence[str]], Feed]
    export: Callable[..., None]
    """(path, *, road, opset, max_bytes). Effect: writes the float32 graph."""
    read: Callable[[Run, str], NDArray[np.float32]]
    """A run of the graph, and a unit → its vector (d,) as in use, window by window."""
    files: dict[str, str]
    training: dict[str, Any]
    own_width: int = 0
    """Of the dense channel, what is the first member's of an ensemble; 0: all of it."""
    windows: int = 1

    @cached_property
    def expected(self) -> NDArray[np.float32]:
        """The module's vectors of the sample, float32 (n, d)."""
        return module_vectors(self.module, self.sample.units, self.feed, self.subject.inputs)

    def vectors(self, path: Path, units: Sequence[str]) -> NDArray[np.float32]:
        """A graph's vectors of the units in one window, each unit alone, float32 (n, d): what `expected` is of."""
        graph = session(path.read_bytes(), str(path))
        return np.concatenate([run_graph(graph, self.feed([unit]), OUTPUT) for unit in units])

    def whole_vectors(self, path: Path, units: Sequence[str]) -> NDArray[np.float32]:
        """A graph's vectors of the units, each unit alone and read whole, as in use, float32 (n, d)."""
        graph = session(path.read_bytes(), str(path))
        return np.stack([self.read(lambda feed: run_graph(graph, feed, OUTPUT), unit) for unit in units])


def compact_part(path: Path, prepared: Path, sample: Sample) -> EncoderPart:
    """An encoder that `polyclone-distill` trained, from its `best.pt`."""
    encoder = load_encoder(path).eval()
    texts = {file: (prepared / file).read_text("utf-8") for file in (TOKENIZER, LEXICON)}
    tokenizer = Tokenizer(
        WordPiece.from_json(texts[TOKENIZER]), Lexicon.from_text(texts[LEXICON]), TOKEN_BUDGET, WINDOWS
    )
    dense_width = encoder.config.width

    def read(run: Run, unit: str) -> NDArray[np.float32]:
        atoms = unit.split(ATOM_SEPARATOR) if unit else []
        windows, bag = tokenizer.read(atoms).windows, tokenizer.bag(atoms)
        return mean_of_windows(np.concatenate([run(compact_feed([w], [bag])) for w in windows]), windows, dense_width)

    def export(path: Path, *, road: str, opset: int, max_bytes: int) -> None:
        export_encoder(encoder, path, opset=opset, max_bytes=max_bytes)

    return EncoderPart(
        kind="compact",
        module=encoder,
        dimension=encoder.dimension,
        dense_width=dense_width,
        token_budget=TOKEN_BUDGET,
        own_width=encoder.config.members[0].width if encoder.config.members else 0,
        windows=WINDOWS,
        read=read,
        sample=sample,
        subject=encoder_subject(encoder, sample, tokenizer),
        feed=lambda units: unit_feed(units, tokenizer),
        export=export,
        files=texts,
        training={
            "start": describe_start(path, encoder.config.architecture),
            "parameters": sum(p.numel() for p in encoder.parameters()),
            "encoder": dataclasses.asdict(encoder.config),
        },
    )


def contrastive_part(folder: Path, prepared: Path, sample: Sample) -> EncoderPart:
    """A language model with a contrastive head, from the folder of its run."""
    student = load_student(folder)
    record = student.record
    if record.head != "contrastive":
        raise UsageError(f"{folder} has a {record.head} head, which gives no vectors; give it as --judge.")
    assert record.dimension is not None
    if record.dimension > MAX_DIMENSION:
        raise UsageError(
            f"{folder} gives vectors of {record.dimension} dimensions; search compares up to {MAX_DIMENSION}. Train a"
            " head that projects to fewer."
        )
    tokenizer = PromptTokenizer(student.tokenizer, record.token_budget, str(folder))
    # The lexicon still says which words are rare; the pair head weighs shared words by it.
    texts = {LLM_TOKENIZER: student.tokenizer, LEXICON: (prepared / LEXICON).read_text("utf-8")}
    return EncoderPart(
        kind="llm",
        module=student.module,
        dimension=record.dimension,
        dense_width=record.dimension,
        token_budget=record.token_budget,
        sample=sample,
        subject=embedder_subject(student, sample, tokenizer),
        feed=lambda units: text_feed(units, tokenizer),
        read=lambda run, unit: run(text_feed([unit], tokenizer))[0],
        export=partial(llm.export_student, student),
        files=texts,
        training={
            "start": record.start,
            "parameters": sum(p.numel() for p in student.module.parameters()),
            "encoder": {"architecture": student.architecture, "head": record.head, "metrics": dict(record.metrics)},
        },
    )


def load_part(path: Path, prepared: Path, sample: Sample) -> EncoderPart:
    """A compact encoder from a file, a language model from a folder."""
    return contrastive_part(path, prepared, sample) if path.is_dir() else compact_part(path, prepared, sample)


__all__ = ["OPSET", "TOKEN_BUDGET", "EncoderPart", "compact_part", "contrastive_part", "load_part"]
