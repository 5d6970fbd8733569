"""Writes a bundle: graphs, vocabularies, reference vectors, manifest, model card. Nothing without parity."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from polyclone.artifact import (
    BACKGROUND,
    CARD,
    ENCODER,
    HALF,
    JUDGE,
    LLM_TOKENIZER,
    MANIFEST,
    PAIR_HEAD,
    Calibration,
    Llm,
    Manifest,
    load_bundle,
)
from polyclone.encode.prompts import PROMPT_VERSION
from polyclone.errors import UsageError
from polyclone.languages import LANGUAGES
from polyclone.normalise import NORMALISER_VERSION
from polyclone.verify import FEATURES
from polyclone_distill.llm.saved import read_record
from polyclone_distill.trainer.pair_head import PairHead, load_pair_head

from . import llm
from .card import model_card
from .encoders import TOKEN_BUDGET, EncoderPart, load_part
from .graphs import OPSET, export_pair_head
from .judges import JudgePart, judge_part
from .parity import BOUNDS, ParityError, Record, Subject, prove, unproven
from .rounding import MAKERS
from .samples import probes, read_reference, read_sample
from .split import MAX_GRAPH_BYTES, check_weights, digest, remove, weight_bytes
from .subjects import Task, head_subject, head_task, retrieval_task
from .verdicts import compare_verdicts, near_pairs, pair_features

log = logging.getLogger(__name__)

__all__ = ["NEUTRAL", "TOKEN_BUDGET", "Recipe", "write_bundle"]

#: A unit of fewer atoms is too small to judge: below, chance agreement is common.
MIN_ATOMS = 20
#: Stands in until a head is trained: probability rises with the cosine, and no precision is promised.
NEUTRAL = Calibration(
    logits=(-6.0, 6.0), probabilities=(0.0025, 0.9975), precisions=((0.5, 0.5),), default_precision=0.5
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a bundle is made of. `encoder` is a compact encoder's file, or the folder of a language model's run."""

    encoder: Path
    prepared: Path
    pair_head: Path | None = None
    """Without one the bundle is provisional: to train one with."""
    judge: Path | None = None
    """The folder of a language model's run with a binary head."""
    int8: bool = True
    int4: bool = False
    """The graphs of language models in blocks of 4 bits; a compact encoder stays as `int8` says."""
    fp16: bool = False
    """A second graph beside each, for a GPU."""
    max_graph_bytes: int = MAX_GRAPH_BYTES
    """What one file can hold."""
    opset: int = OPSET
    road: str = "dynamo"
    """Of language models: one of `llm.ROADS`."""
    name: str | None = None
    version: str = "1"
    metrics: dict[str, Any] = field(default_factory=dict)

    def precision(self, *, is_llm: bool) -> str:
        """Of a graph that the CPU runs."""
        if self.int4 and is_llm:
            return "int4"
        return "int8" if self.int8 else "float32"

    def check(self) -> None:
        """`UsageError` for a part that is not there."""
        parts = (self.encoder, self.prepared / "prepared.json", self.pair_head, self.judge)
        missing = [path for path in parts if path is not None and not path.exists()]
        if missing:
            raise UsageError(f"{missing[0]} does not exist; run `polyclone-distill` to make it.")
        if self.road not in llm.ROADS:
            raise UsageError(f"Unknown road {self.road!r}; use {', '.join(llm.ROADS)}.")
        for folder in (self.encoder, self.judge):
            if folder is not None and folder.is_dir():
                _check_versions(folder)


def write_bundle(recipe: Recipe, out: Path) -> Manifest:
    """Exports, proves parity, writes and reloads.

    Effect: replaces the folder `out`, once everything has passed. Raises `ParityError`, `UsageError`.
    """
    recipe.check()
    if out.exists() and not (out / MANIFEST).exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds something else than a bundle; give an empty or a new folder.")
    sample = probes() + read_sample(recipe.prepared)
    encoder = load_part(recipe.encoder, recipe.prepared, sample)
    judge = judge_part(recipe.judge, sample) if recipe.judge else None
    with tempfile.TemporaryDirectory(dir=out.parent if out.parent.exists() else None) as folder:
        staging = Path(folder)
        parity = _write_graphs(staging, recipe, encoder, judge)
        head, calibration, head_record = load_head(recipe.pair_head)
        export_pair_head(head, len(FEATURES), staging / PAIR_HEAD, opset=recipe.opset)
        _write_texts(staging, encoder, judge)
        manifest = _manifest(recipe, encoder, judge, calibration, head_record)
        _write_background(staging, recipe, encoder, manifest)
        parity["pair_head"] = _prove_head(staging, encoder, head, calibration)
        _compare(staging, encoder, parity)
        manifest = dataclasses.replace(manifest, parity=parity)
        (staging / CARD).write_text(model_card(manifest), "utf-8")
        manifest = seal(staging, manifest)
        require_parity(manifest)
        load_bundle(staging)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(staging, out)
        out.chmod(0o755)
    return manifest


def require_parity(manifest: Manifest) -> None:
    """`ParityError` if any graph of a bundle is not, to the byte, one that was proven."""
    open_questions = unproven(manifest.parity, manifest.files)
    if open_questions:
        raise ParityError(f"parity: nothing proves {', '.join(open_questions)}; the bundle is not written.")


def _write_graphs(staging: Path, recipe: Recipe, encoder: EncoderPart, judge: JudgePart | None) -> dict[str, Any]:
    """Effect: the graphs of encoder and judge in every precision; returns the records of their parity."""
    task = retrieval_task(encoder.expected, encoder.sample, encoder.feed)
    is_llm = encoder.kind == "llm"
    parity = _precisions(
        staging, recipe, ENCODER, encoder.export, encoder.subject, task, is_llm=is_llm, has_roads=is_llm
    )
    if judge is None:
        return parity

    export = partial(llm.export_student, judge.student)
    joint = judge.spec.layout == "joint"
    found = _precisions(staging, recipe, JUDGE, export, judge.subject, judge.task, is_llm=True, has_roads=joint)
    return {**parity, **{f"judge_{precision}": record for precision, record in found.items()}}


def _precisions(
    staging: Path,
    recipe: Recipe,
    name: str,
    export: Callable[..., None],
    subject: Subject,
    task: Task,
    *,
    is_llm: bool,
    has_roads: bool,
) -> dict[str, Record]:
    """Effect: writes `name`, and its half-precision twin if wanted. Each graph is proven before the next is made."""
    wanted = {recipe.precision(is_llm=is_llm): name, **({"fp16": HALF[name]} if recipe.fp16 else {})}
    for precision, file in wanted.items():
        check_weights(weight_bytes(subject.module), precision, file, recipe.max_graph_bytes)
    both = has_roads and recipe.road == "both"
    parity: dict[str, Record] = {}
    with tempfile.TemporaryDirectory(dir=staging) as folder:
        full, other = Path(folder) / "float32.onnx", Path(folder) / "other.onnx"
        settings = {"opset": recipe.opset, "max_bytes": recipe.max_graph_bytes}
        export(full, road="dynamo" if both or not has_roads else recipe.road, **settings)
        parity["float32"] = prove(subject, full, precision="float32", task=task)
        log.info("%s in float32: %s", name, parity["float32"])
        if both:
            export(other, road="optimum", **settings)
            parity["roads"] = llm.check_roads(subject, full, other)
            remove(other)
        # Float32 comes last: it takes the graph away that the others are made of.
        for precision, file in sorted(wanted.items(), key=lambda item: item[0] == "float32"):
            MAKERS[precision](full, staging / file, max_bytes=recipe.max_graph_bytes)
            if precision == "float32" and digest(staging / file) == parity["float32"]["sha256"]:
                continue
            parity[precision] = prove(subject, staging / file, precision=precision, task=task)
            log.info("%s in %s: %s", name, precision, parity[precision])
    return parity


def _write_texts(staging: Path, encoder: EncoderPart, judge: JudgePart | None) -> None:
    texts = dict(encoder.files)
    if judge is not None:
        known = texts.setdefault(LLM_TOKENIZER, judge.student.tokenizer)
        if known != judge.student.tokenizer:
            raise UsageError("Encoder and judge have different tokenizers; train both from one model.")
    for file, text in texts.items():
        (staging / file).write_text(text, "utf-8")


def _write_background(staging: Path, recipe: Recipe, encoder: EncoderPart, manifest: Manifest) -> None:
    """Effect: the vectors of the reference functions, by the very graph that the CPU runs; a sealed folder."""
    vectors = encoder.whole_vectors(staging / ENCODER, read_reference(recipe.prepared))
    np.save(staging / BACKGROUND, vectors.astype(np.float16), allow_pickle=False)
    (staging / CARD).write_text("", "utf-8")
    seal(staging, manifest)


def _prove_head(staging: Path, encoder: EncoderPart, head: PairHead, calibration: Calibration) -> Record:
    bundle = load_bundle(staging)
    left, right = near_pairs(encoder.expected, encoder.sample)
    features = pair_features(bundle, encoder.expected, encoder.sample, left, right)
    return prove(
        head_subject(head, features),
        staging / PAIR_HEAD,
        precision="float32",
        task=head_task(head, features, calibration),
    )


def _compare(staging: Path, encoder: EncoderPart, parity: dict[str, Any]) -> None:
    """Effect: adds to each record of the encoder how many verdicts its graph changes."""
    bundle = load_bundle(staging)
    for precision in BOUNDS:
        path = staging / (HALF[ENCODER] if precision == "fp16" else ENCODER)
        record = parity.get(precision)
        if record is None or record["sha256"] != digest(path):
            continue  # The float32 graph of a bundle in int8 is a step on the way; it is not in the bundle.
        vectors = encoder.vectors(path, encoder.sample.units)
        record["verdicts"] = compare_verdicts(bundle, encoder.sample, encoder.expected, vectors, precision)
        log.info("verdicts in %s: %s", precision, record["verdicts"])


def _manifest(
    recipe: Recipe,
    encoder: EncoderPart,
    judge: JudgePart | None,
    calibration: Calibration,
    head_record: dict[str, Any],
) -> Manifest:
    kind = "llm" if judge is not None or encoder.kind == "llm" else "compact"
    name = recipe.name or f"polyclone-{kind}"
    measured = judge.promise if judge else None
    if measured is not None:
        calibration = dataclasses.replace(calibration, **dataclasses.asdict(measured))
    provisional = recipe.pair_head is None and measured is None
    training = {**encoder.training, "data": json.loads((recipe.prepared / "prepared.json").read_text("utf-8"))}
    return Manifest(
        name=f"{name}-provisional" if provisional else name,
        kind=kind,
        version=recipe.version,
        normaliser_version=NORMALISER_VERSION,
        dimension=encoder.dimension,
        dense_width=encoder.dense_width,
        token_budget=encoder.token_budget,
        own_width=encoder.own_width,
        windows=encoder.windows,
        languages=tuple(sorted(LANGUAGES)),
        min_atoms=MIN_ATOMS,
        pair_features=FEATURES,
        calibration=calibration,
        files={},
        metrics={**recipe.metrics, **head_record},
        training={**training, "judge": judge.training} if judge else training,
        llm=Llm(prompt_version=PROMPT_VERSION, encoder=encoder.kind, judge=judge.spec if judge else None)
        if kind == "llm"
        else None,
    )


def load_head(path: Path | None) -> tuple[PairHead, Calibration, dict[str, Any]]:
    """A trained head with its calibration and metrics; without a path the neutral ones."""
    if path is None:
        head = PairHead(len(FEATURES), hidden=0)
        with torch.no_grad():
            head.output.weight.zero_()
            head.output.weight[0, 0] = 12.0
            head.output.bias.fill_(-8.0)
        return head, NEUTRAL, {}
    head, record = load_pair_head(path)
    points = record["calibration"]
    calibration = Calibration(
        logits=tuple(points["logits"]),
        probabilities=tuple(points["probabilities"]),
        precisions=tuple((a, b) for a, b in points["precisions"]),
        default_precision=points["default_precision"],
        unsure=(points["unsure"][0], points["unsure"][1]) if "unsure" in points else None,
    )
    return head, calibration, {"pair_head": record["metrics"]}


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Effect: writes the manifest with the digests of all files."""
    files = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    sealed = dataclasses.replace(manifest, files=files)
    (folder / MANIFEST).write_text(sealed.to_json(), "utf-8")
    return sealed


def _check_versions(folder: Path) -> None:
    record = read_record(folder)
    for what, found, ours in (
        ("normaliser", record.normaliser_version, NORMALISER_VERSION),
        ("prompt", record.prompt_version, PROMPT_VERSION),
    ):
        if found != ours:
            raise UsageError(
                f"{folder} was trained with {what} version {found}, this polyclone has {ours}. Train it again."
            )
