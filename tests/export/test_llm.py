"""Language-model students: each architecture × head × precision passes parity, roads agree, broken exports fail."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto
from polyclone.artifact import HALF, JUDGE, LLM_TOKENIZER, load_bundle
from polyclone.encode.prompts import PromptTokenizer
from polyclone.encode.runtime import session
from polyclone.errors import UsageError
from polyclone.model import load_model
from polyclone_distill.llm.saved import ADAPTER, BASE, STUDENT, Student, StudentRecord, load_student, read_record
from polyclone_export import llm
from polyclone_export.cli import main
from polyclone_export.graphs import export_dynamo
from polyclone_export.judges import JudgePart, Promise, judge_part
from polyclone_export.llm import check_roads, export_student, has_optimum, interface
from polyclone_export.parity import (
    BOUNDS,
    AxesError,
    NamesError,
    ParityError,
    Record,
    ShapesError,
    Subject,
    ValuesError,
    prove,
)
from polyclone_export.rounding import halve, quantise_int4, quantise_int8
from polyclone_export.samples import Sample, labelled_pairs, probes
from polyclone_export.split import MAX_GRAPH_BYTES
from polyclone_export.subjects import (
    Task,
    embedder_subject,
    judge_subject,
    judge_task,
    module_vectors,
    retrieval_task,
    text_feed,
)
from support.broken_graphs import edit, fix_an_axis, ignore_the_mask, lose_the_mask, pool_the_maximum, rename
from support.polyglot import TOTAL_ABOVE
from support.students import BUDGET, DIMENSION, text_tokenizer, tiny_run

pytestmark = pytest.mark.usefixtures("one_thread")
needs_optimum = pytest.mark.skipif(
    not has_optimum(), reason="optimum-onnx is not installed: the lane of transformers 5 has none"
)

ARCHITECTURES = ("qwen2", "phi3")
HEADS = (("contrastive", None), ("binary", "joint"), ("binary", "sides"))
KINDS = [(architecture, head, layout) for architecture in ARCHITECTURES for head, layout in HEADS]


@dataclass(frozen=True)
class Exported:
    """A student, its float32 graph by the road that carries everything, and what the two are compared on."""

    run: Path
    student: Student
    path: Path
    subject: Subject
    task: Task


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Functions of all languages: every other probe, and the long ones."""
    whole = probes()
    rows = [*range(0, 42, 2), *range(42, 56, 4)]
    return Sample(
        units=tuple(whole.units[i] for i in rows),
        classes=tuple(whole.classes[i] for i in rows),
        languages=tuple(whole.languages[i] for i in rows),
    )


@pytest.fixture(scope="module")
def tokenizer(sample: Sample) -> str:
    return text_tokenizer(sample.units)


@pytest.fixture(scope="module")
def exports(sample: Sample, tokenizer: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each kind is exported once, when it is first asked for."""
    made: dict[tuple[str, str, str | None], Exported] = {}

    def export(architecture: str, head: str, layout: str | None) -> Exported:
        key = (architecture, head, layout)
        if key not in made:
            folder = tmp_path_factory.mktemp("-".join(filter(None, key)))
            run = tiny_run(folder / "run", architecture, head, tokenizer, layout=layout)
            student = load_student(run)
            export_student(student, folder / "float32.onnx")
            made[key] = Exported(run, student, folder / "float32.onnx", *compared(student, sample))
        return made[key]

    return export


def compared(student: Student, sample: Sample) -> tuple[Subject, Task]:
    reads = PromptTokenizer(student.tokenizer, BUDGET)
    if student.record.head == "contrastive":
        feed = partial(text_feed, tokenizer=reads)
        subject = embedder_subject(student, sample, reads)
        expected = module_vectors(student.module, sample.units, feed, subject.inputs)
        return subject, retrieval_task(expected, sample, feed)
    pairs, same = labelled_pairs(sample, most=24)
    subject = judge_subject(student, pairs, reads)
    layout = student.record.layout or ""

    def feed_pairs(some: Any) -> Any:
        from polyclone.encode.judge import judge_feed

        return judge_feed(some, layout, reads)[0]

    return subject, judge_task(student.module, pairs, same, feed_pairs, subject.inputs, 0.0)


def proof(exported: Exported, path: Path, precision: str) -> Record:
    return prove(exported.subject, path, precision=precision, task=exported.task)


# --- parity ---


@pytest.mark.parametrize(("architecture", "head", "layout"), KINDS)
def test_every_student_passes_parity_in_every_precision(
    architecture: str, head: str, layout: str | None, exports: Any, tmp_path: Path
) -> None:
    made = exports(architecture, head, layout)
    assert made.student.architecture == architecture
    record = proof(made, made.path, "float32")
    assert record["values"]["largest_difference"] < 2e-4
    assert record["values"]["cases"] == 10
    quantise_int8(made.path, tmp_path / "int8.onnx")
    halve(made.path, tmp_path / "fp16.onnx")
    quantise_int4(made.path, tmp_path / "int4.onnx")
    for precision in ("int8", "fp16", "int4"):
        rounded = _judged_by_task(made, tmp_path / f"{precision}.onnx", precision)
        assert rounded["values"]["largest_difference"] > 0
        assert (tmp_path / f"{precision}.onnx").stat().st_size < 0.7 * made.path.stat().st_size


def _judged_by_task(made: Exported, path: Path, precision: str) -> Record:
    """With the bounds of weights that mean nothing: a rounded random ranking moves more than a trained one."""
    least = {"int4": 0.8}.get(precision, 0.95)
    wide = dataclasses.replace(BOUNDS[precision], least_cosine=least, most_difference=5.0, most_loss=0.2,
                               most_changed=0.4)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BOUNDS, precision, wide)
        return proof(made, path, precision)


@needs_optimum
@pytest.mark.parametrize(("architecture", "head", "layout"), [k for k in KINDS if k[2] != "sides"])
def test_both_roads_lead_to_the_same_values(
    architecture: str, head: str, layout: str | None, exports: Any, tmp_path: Path
) -> None:
    made = exports(architecture, head, layout)
    other = tmp_path / "optimum.onnx"
    export_student(made.student, other, road="optimum")
    proof(made, other, "float32")
    record = check_roads(made.subject, made.path, other)
    assert record["largest_difference"] < 2e-4


@needs_optimum
def test_roads_that_differ_are_told(exports: Any, tmp_path: Path) -> None:
    made = exports("qwen2", "binary", "joint")
    graph = onnx.load(str(made.path))
    for node in graph.graph.node:
        if node.op_type == "Tanh":
            node.op_type = "Sin"
    onnx.save(graph, str(tmp_path / "other.onnx"))
    with pytest.raises(ValuesError, match=r"the roads differ by \d+\.\d+ at .*padded"):
        check_roads(made.subject, made.path, tmp_path / "other.onnx")


@needs_optimum
def test_sides_have_one_road(exports: Any, tmp_path: Path) -> None:
    made = exports("qwen2", "binary", "sides")
    with pytest.raises(UsageError, match=r"export a head over two sides by --road dynamo"):
        export_student(made.student, tmp_path / "x.onnx", road="optimum")


def test_without_optimum_its_road_says_what_to_install(
    exports: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm, "has_optimum", lambda: False)
    made = exports("qwen2", "binary", "joint")
    with pytest.raises(UsageError, match=r"pip install optimum-onnx==0\.1\.0"):
        export_student(made.student, tmp_path / "x.onnx", road="optimum")


# --- broken exports ---


def test_opset_23_is_caught_by_the_shapes(exports: Any, tmp_path: Path) -> None:
    """It exports, loads, and answers for one row; with rotary embeddings it fails for more."""
    made = exports("qwen2", "contrastive", None)
    export_student(made.student, tmp_path / "23.onnx", opset=23)
    with pytest.raises(ParityError) as caught:
        proof(made, tmp_path / "23.onnx", "float32")
    assert isinstance(caught.value, ShapesError), caught.value


@pytest.mark.parametrize(
    ("kind", "change", "step", "message"),
    [
        (KINDS[0], pool_the_maximum, ValuesError, r"^values: cosine -?0\.\d+ at "),
        (KINDS[0], ignore_the_mask, ValuesError, r"^values: cosine -?0\.\d+ at .*padded"),
        (KINDS[1], ignore_the_mask, ValuesError, r"^values: a difference of \d+\.\d+ at .*padded"),
        (KINDS[1], lose_the_mask, NamesError, r"^names: the graph reads \('input_ids',\)"),
        (KINDS[1], fix_an_axis(1, 9), AxesError, r"^axes: input_ids\['batch', 9\]"),
        (KINDS[1], rename("logit", "score"), NamesError, r"gives \['score'\]; expected .* and logit"),
    ],
    ids=["another pooling", "no mask", "a judge without a mask", "a lost mask", "a fixed length", "another output"],
)
def test_a_broken_export_is_caught_by_name(
    kind: tuple[str, str, str | None],
    change: Callable[[ModelProto], None],
    step: type[ParityError],
    message: str,
    exports: Any,
    tmp_path: Path,
) -> None:
    made = exports(*kind)
    edit(change)(made.path, tmp_path / "broken.onnx")
    with pytest.raises(step, match=message):
        proof(made, tmp_path / "broken.onnx", "float32")


# --- runs ---


def test_a_run_is_merged_when_it_is_loaded(exports: Any, tmp_path: Path) -> None:
    made = exports("phi3", "binary", "joint")
    assert {path.name for path in made.run.iterdir()} == {
        BASE, ADAPTER, STUDENT, "head.safetensors", "tokenizer.json",
    }  # fmt: skip
    assert not any("lora" in name for name, _ in made.student.module.named_parameters())
    plain = shutil.copytree(made.run, tmp_path / "run")
    shutil.rmtree(plain / ADAPTER)
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        tuned, base = (student.module(ids, torch.ones_like(ids)) for student in (made.student, load_student(plain)))
    assert abs(float(tuned) - float(base)) > 1e-3


def test_the_base_may_lie_elsewhere(exports: Any, tmp_path: Path) -> None:
    made = exports("qwen2", "binary", "joint")
    moved = shutil.copytree(made.run, tmp_path / "run")
    (moved / BASE).rename(tmp_path / "model")
    with pytest.raises(UsageError, match=r"base holds no model; set `base` in"):
        load_student(moved)
    raw = json.loads((moved / STUDENT).read_text("utf-8"))
    (moved / STUDENT).write_text(json.dumps({**raw, "base": str(tmp_path / "model")}), "utf-8")
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        assert torch.equal(
            load_student(moved).module(ids, torch.ones_like(ids)), made.student.module(ids, torch.ones_like(ids))
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ('{"format": 2}', "cannot be read .another format"),
        ('{"format": 1, "head": "binary"}', "cannot be read"),
        (
            '{"format": 1, "head": "binary", "token_budget": 64, "normaliser_version": 1, "prompt_version": 1}',
            "without its layout or dimension",
        ),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / STUDENT).write_text(content, "utf-8")
    with pytest.raises(UsageError, match=message):
        read_record(tmp_path)
    with pytest.raises(UsageError, match="holds no student"):
        read_record(tmp_path / "nowhere")


# --- bundles ---


@pytest.fixture(scope="module")
def written(exports: Any, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two language models, by the command line; graphs that were exported before are used again."""
    folder = tmp_path_factory.mktemp("llm")
    encoder, judge = exports("qwen2", "contrastive", None), exports("qwen2", "binary", "joint")
    ready = {"contrastive": encoder.path, "binary": judge.path}

    def export(student: Student, path: Path, *, road: str, opset: int, max_bytes: int) -> None:
        assert (road, opset, max_bytes) == ("dynamo", 20, MAX_GRAPH_BYTES)
        shutil.copy(ready[student.record.head], path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llm, "export_student", export)
        for precision in ("int8", "fp16"):
            wide = dataclasses.replace(BOUNDS[precision], least_cosine=0.95, most_difference=3.0, most_loss=0.1,
                                       most_changed=0.2)  # fmt: skip
            patch.setitem(BOUNDS, precision, wide)
        options = ["--encoder", encoder.run, "--judge", judge.run, "--data", prepared, "--out", folder / "out"]
        assert main(["bundle", "--fp16", *map(str, options)]) == 0
    return folder / "out"


def test_a_bundle_of_language_models_is_complete(written: Path) -> None:
    bundle = load_bundle(written)
    manifest = bundle.manifest
    assert (manifest.kind, manifest.dimension, manifest.dense_width) == ("llm", DIMENSION, DIMENSION)
    assert manifest.llm is not None and manifest.llm.judge is not None
    assert (manifest.llm.encoder, manifest.llm.judge.layout) == ("llm", "joint")
    assert {HALF[JUDGE], JUDGE, LLM_TOKENIZER} <= set(manifest.files)
    precisions = ("float32", "int8", "fp16")
    assert set(manifest.parity) == {"pair_head", *precisions, *(f"judge_{name}" for name in precisions)}
    assert manifest.parity["judge_int8"]["task"]["verdicts"]["pairs"] > 20
    assert manifest.training["judge"]["architecture"] == "qwen2"
    card = bundle.text("MODEL_CARD.md")
    assert "language model" in card


def test_a_bundle_of_language_models_encodes_and_judges(written: Path, sample: Sample) -> None:
    model = load_model(written)
    vectors = model.encode_normalised(sample.units)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    codes = [(code, language) for language, code in TOTAL_ABOVE.items()]
    forth, back = model.pair_probability(codes, codes[::-1]), model.pair_probability(codes[::-1], codes)
    assert forth.tolist() == back.tolist()
    done = model.verification
    assert done is not None
    assert done.verified == done.asked > 0
    assert done.unverified == 0


def test_a_compact_encoder_may_have_a_language_model_as_its_judge(exports: Any, sample: Sample) -> None:
    made = exports("qwen2", "binary", "sides")
    part = judge_part(made.run, sample)
    assert part.spec.layout == "sides"
    with pytest.raises(UsageError, match="which judges no pairs; give it as --encoder"):
        judge_part(exports("qwen2", "contrastive", None).run, sample)


def promised(
    precisions: tuple[tuple[float, float], ...], default: float, unsure: tuple[float, float] | None = None
) -> Promise:
    return Promise(precisions=precisions, default_precision=default, unsure=unsure)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({"precisions": [[0.5, 0.1], [0.9, 0.7]]}, promised(((0.5, 0.1), (0.9, 0.7)), 0.9)),
        ({"precisions": [[0.5, 0.1], [0.6, 0.3]]}, promised(((0.5, 0.1), (0.6, 0.3)), 0.6)),
        ({"precisions": []}, None),
        (
            {"precisions": [[0.5, 0.1], [0.9, 0.7]], "unsure": [0.2, 0.7]},
            promised(((0.5, 0.1), (0.9, 0.7)), 0.9, (0.2, 0.7)),
        ),
        (
            {"precisions": [[0.5, 0.1], [0.6, 0.3]], "unsure": [0.2, 1.0]},
            promised(((0.5, 0.1), (0.6, 0.3)), 0.6, (0.2, 0.3)),
        ),
    ],
    ids=["the wished precision", "less than was wished", "none", "a band", "a band up to what was reached"],
)
def test_a_bundle_promises_no_precision_that_its_judge_did_not_reach(measured: Any, expected: Any) -> None:
    record = StudentRecord(
        head="binary",
        token_budget=BUDGET,
        normaliser_version=1,
        prompt_version=1,
        calibration={"default_precision": 0.9, **measured},
    )
    nothing: Any = None
    student = Student(record=record, module=nothing, tokenizer="")
    part = JudgePart(student=student, spec=nothing, pairs=[], same=np.array([], bool), tokenizer=nothing)
    assert part.promise == expected


def test_students_of_other_versions_are_refused(
    exports: Any, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = shutil.copytree(exports("qwen2", "contrastive", None).run, tmp_path / "run")
    raw = json.loads((old / STUDENT).read_text("utf-8"))
    (old / STUDENT).write_text(json.dumps({**raw, "prompt_version": 0}), "utf-8")
    options = ["--encoder", old, "--data", prepared, "--out", tmp_path / "out"]
    assert main(["bundle", *map(str, options)]) == 2
    assert "was trained with prompt version 0, this polyclone has 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_tensor_for_two_inputs_would_be_caught(exports: Any, tmp_path: Path) -> None:
    """The exporter takes one object for one input: ids and mask would both be the mask, and names and axes hold."""
    made = exports("qwen2", "binary", "joint")
    one = torch.ones(2, 9, dtype=torch.long)
    inputs, output = interface(made.student)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    path = tmp_path / "broken.onnx"
    export_dynamo(made.student.module, (one, one), path, inputs, output, (axes, axes), opset=20)
    session(path.read_bytes(), str(path))
    with pytest.raises(ParityError):
        proof(made, path, "float32")
