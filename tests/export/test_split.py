"""Students that no file holds in float32: weights beside the graph on the way, then one file, or a refusal."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from polyclone.artifact import ENCODER, HALF, JUDGE, load_bundle
from polyclone.encode.graph_check import check_graph
from polyclone.encode.prompts import PromptTokenizer
from polyclone.encode.runtime import CPU, provider
from polyclone.errors import ModelError, UsageError
from polyclone.model import load_model
from polyclone_distill.llm.saved import Student, load_student
from polyclone_export import llm
from polyclone_export.bundle import Recipe, write_bundle
from polyclone_export.cli import main
from polyclone_export.llm import check_roads, export_student, has_optimum
from polyclone_export.parity import BOUNDS, Subject, prove
from polyclone_export.rounding import BLOCKS, block_size, halve, keep, quantise_int4, quantise_int8
from polyclone_export.samples import Sample, probes
from polyclone_export.split import (
    MAX_GRAPH_BYTES,
    beside,
    check_weights,
    digest,
    is_split,
    open_graph,
    remove,
    weight_bytes,
)
from polyclone_export.subjects import Task, embedder_subject, module_vectors, retrieval_task, text_feed
from support.students import BUDGET, text_tokenizer, tiny_run

pytestmark = pytest.mark.usefixtures("one_thread")

#: Less than the weights of a tiny student take in float32.
LITTLE = 64 << 10


@pytest.fixture(scope="module")
def sample() -> Sample:
    whole = probes()
    rows = range(0, 42, 3)
    return Sample(
        units=tuple(whole.units[i] for i in rows),
        classes=tuple(whole.classes[i] for i in rows),
        languages=tuple(whole.languages[i] for i in rows),
    )


@dataclasses.dataclass(frozen=True)
class Made:
    """A student, its graph as one file and split, and what they are compared on."""

    run: Path
    student: Student
    whole: Path
    split: Path
    subject: Subject
    task: Task


@pytest.fixture(scope="module")
def made(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("split")
    run = tiny_run(folder / "run", "qwen2", "contrastive", text_tokenizer(sample.units))
    student = load_student(run)
    # The name of the weights stands in the graph, so a copy has to keep it.
    whole, split = folder / "whole.onnx", folder / "float32.onnx"
    export_student(student, whole)
    export_student(student, split, max_bytes=LITTLE)
    reads = PromptTokenizer(student.tokenizer, BUDGET)
    feed = partial(text_feed, tokenizer=reads)
    subject = embedder_subject(student, sample, reads)
    expected = module_vectors(student.module, sample.units, feed, subject.inputs)
    task = retrieval_task(expected, sample, feed)
    return Made(run, student, whole, split, subject, task)


def copied(path: Path, folder: Path) -> Path:
    """A graph that a test may take away."""
    for file in (path, beside(path)):
        if file.exists():
            (folder / file.name).write_bytes(file.read_bytes())
    return folder / path.name


@pytest.fixture
def ready(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph that was exported before is used again, where it is the one that would be exported."""

    def export(student: Student, path: Path, *, road: str, opset: int, max_bytes: int) -> None:
        assert student.record.head == "contrastive" and path.name == made.split.name
        assert (road, opset) == ("dynamo", 20) and max_bytes < weight_bytes(student.module)
        copied(made.split, path.parent)

    monkeypatch.setattr(llm, "export_student", export)


@pytest.fixture
def wide_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of weights that mean nothing: a rounded random ranking moves more than a trained one."""
    for precision in ("int8", "fp16", "int4"):
        wide = dataclasses.replace(
            BOUNDS[precision], least_cosine=0.8, most_difference=5.0, most_loss=0.2, most_changed=0.4
        )
        monkeypatch.setitem(BOUNDS, precision, wide)


# --- graphs ---


def test_weights_beside_a_graph_give_what_weights_inside_give(made: Made) -> None:
    assert not is_split(made.whole)
    assert is_split(made.split)
    assert made.split.stat().st_size < made.whole.stat().st_size / 2
    assert beside(made.split).stat().st_size > 0.9 * weight_bytes(made.student.module)
    session = open_graph(made.split)
    assert provider(session) == CPU
    one, other = (prove(made.subject, path, precision="float32", task=made.task) for path in (made.whole, made.split))
    assert {**one, "sha256": ""} == {**other, "sha256": ""}
    content = made.split.read_bytes() + beside(made.split).read_bytes()
    assert other["sha256"] == digest(made.split) == hashlib.sha256(content).hexdigest()
    assert check_roads(made.subject, made.whole, made.split)["largest_difference"] < 1e-6


def test_a_split_graph_without_all_its_weights_is_told(made: Made, tmp_path: Path) -> None:
    broken = copied(made.split, tmp_path)
    beside(broken).write_bytes(beside(broken).read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"float32\.onnx: the runtime refuses the graph \(.+\)"):
        open_graph(broken)


def test_the_engine_opens_no_split_graph(made: Made) -> None:
    with pytest.raises(ModelError, match="keeps weights in another file"):
        check_graph(made.split.read_bytes(), "here")


def test_a_split_graph_says_nothing_of_the_machine(made: Made) -> None:
    assert str(Path(torch.__file__).parent).encode() not in made.split.read_bytes()
    assert str(made.split.parent).encode() not in made.split.read_bytes()


@pytest.mark.parametrize(
    ("precision", "make"), [("float32", keep), ("int8", quantise_int8), ("fp16", halve), ("int4", quantise_int4)]
)
def test_what_is_made_of_a_split_graph_is_one_file_and_the_same(
    precision: str, make: Any, made: Made, tmp_path: Path, wide_bounds: None
) -> None:
    vectors = []
    for name in ("whole", "split"):
        source = copied(getattr(made, name), tmp_path)
        target = tmp_path / name / "encoder.onnx"
        target.parent.mkdir()
        make(source, target)
        assert [path.name for path in target.parent.iterdir()] == ["encoder.onnx"]
        assert {path.name for path in tmp_path.glob("loose*")} == set()
        check_graph(target.read_bytes(), "here")
        prove(made.subject, target, precision=precision, task=made.task)
        graph = open_graph(target)
        vectors.append(np.concatenate([graph.run(None, dict(case.feed))[0] for case in made.subject.cases]))
    assert np.array_equal(*vectors)


def test_four_bits_are_smaller_than_eight(made: Made, tmp_path: Path) -> None:
    quantise_int8(made.split, tmp_path / "int8.onnx")
    quantise_int4(made.split, tmp_path / "int4.onnx")
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "int4.onnx")).graph.node]
    assert "MatMulNBits" in kinds
    assert (tmp_path / "int4.onnx").stat().st_size < (tmp_path / "int8.onnx").stat().st_size
    assert is_split(made.split)  # What the next precision is made of stays.


def test_the_smallest_block_that_fits_is_taken() -> None:
    """By hand: a product of 128 × 64 weights in 4 bits, a table and a head of 64 × 8 in int8, the rest as it is."""
    tables = {"body": (128, 64), "table": (64, 8), "head": (64, 8), "rest": (1, 64)}
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"]),
        helper.make_node("MatMul", ["a", "body"], ["b"]),
        helper.make_node("MatMul", ["a", "b"], ["c"]),
        helper.make_node("Gemm", ["c", "head"], ["d"]),
    ]
    weights = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in tables.items()]
    model = helper.make_model(helper.make_graph(nodes, "graph", [], [], weights))
    names = sum(node.ByteSize() for node in nodes) + weights[3].ByteSize() - 256
    for block in BLOCKS:
        size = 1.01 * (names + 8192 * (0.5 + 4 / block) + 512 + 512 + 256)
        assert block_size(model, int(size) + 1) == block
        assert block_size(model, int(size) - 1) == min(2 * block, BLOCKS[-1])
    assert block_size(model, MAX_GRAPH_BYTES) == BLOCKS[0]


@pytest.mark.skipif(not has_optimum(), reason="optimum-onnx is not installed")
def test_the_other_road_may_split_too(made: Made, tmp_path: Path) -> None:
    other = tmp_path / "optimum.onnx"
    export_student(made.student, other, road="optimum", max_bytes=LITTLE)
    assert is_split(other)
    assert check_roads(made.subject, made.split, other)["largest_difference"] < 2e-4
    remove(other)
    assert list(tmp_path.iterdir()) == []


# --- what does not fit ---


@pytest.mark.parametrize(
    ("precision", "make", "remedy"),
    [
        ("float32", keep, "Export with --int8, or a language model with --int4"),
        ("int8", quantise_int8, "Export with --int4, or distil into a smaller student"),
        ("fp16", halve, "Export without --fp16, or distil into a smaller student"),
        ("int4", quantise_int4, "Distil into a smaller student"),
    ],
)
def test_what_is_still_too_large_is_refused_with_the_remedy(
    precision: str, make: Any, remedy: str, made: Made, tmp_path: Path
) -> None:
    source = copied(made.split, tmp_path)
    target = tmp_path / "encoder.onnx"
    message = rf"^encoder\.onnx in {precision} takes 0\.\d MB; a file of a bundle holds at most 0\.0\. {remedy}"
    with pytest.raises(UsageError, match=message):
        make(source, target, max_bytes=1000)
    assert not target.exists()
    with pytest.raises(UsageError, match=message):
        check_weights(weight_bytes(made.student.module), precision, "encoder.onnx", 1000)


@pytest.mark.parametrize(
    ("billions", "precision", "fits"),
    [
        (0.49, "float32", True),
        (1.0, "float32", False),
        (1.0, "fp16", True),
        (1.54, "fp16", False),
        (1.54, "int8", True),
        (3.09, "int8", False),
        (3.82, "int4", True),
        (7.6, "int4", False),
    ],
)
def test_which_students_a_file_may_hold(billions: float, precision: str, fits: bool) -> None:
    weights = int(billions * 4e9)
    if fits:
        check_weights(weights, precision, "judge.onnx", MAX_GRAPH_BYTES)
    else:
        with pytest.raises(UsageError, match=r"at most 2,146\.4"):
            check_weights(weights, precision, "judge.onnx", MAX_GRAPH_BYTES)


# --- bundles ---


def limits(made: Made, folder: Path) -> dict[str, int]:
    """Bytes of the graphs of a bundle without a limit, by precision."""
    quantise_int8(made.split, folder / "int8.onnx")
    quantise_int4(made.split, folder / "int4.onnx")
    return {name: (folder / f"{name}.onnx").stat().st_size for name in ("int8", "int4")}


def test_a_bundle_of_a_large_student_is_small_and_loads(
    made: Made, prepared: Path, tmp_path: Path, wide_bounds: None, ready: None
) -> None:
    """Float32 does not fit; int8 does, or if that does not either, four bits."""
    sizes = limits(made, tmp_path)
    for precision in ("int8", "int4"):
        out = tmp_path / "bundles" / precision
        recipe = Recipe(
            encoder=made.run,
            prepared=prepared,
            int4=precision == "int4",
            max_graph_bytes=sizes[precision] + 4096,
        )
        manifest = write_bundle(recipe, out)
        assert not list(out.glob("*.data"))
        assert (out / ENCODER).stat().st_size <= recipe.max_graph_bytes < weight_bytes(made.student.module)
        assert set(manifest.parity) == {"float32", precision, "pair_head"}
        assert manifest.parity[precision]["sha256"] == manifest.files[ENCODER]
        assert manifest.parity[precision]["verdicts"]["pairs"] > 20
        vectors = load_model(out).encode([("def f(x):\n    return x + 1", "python")])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    assert {path.name for path in (tmp_path / "bundles").iterdir()} == {"int8", "int4"}


def test_a_bundle_whose_graph_is_still_too_large_is_not_written(
    made: Made, prepared: Path, tmp_path: Path, wide_bounds: None, ready: None
) -> None:
    sizes = limits(made, tmp_path)
    for precision, remedy in (("int8", "Export with --int4"), ("int4", "Distil into a smaller student")):
        out = tmp_path / "bundles" / precision
        out.parent.mkdir(exist_ok=True)
        recipe = Recipe(
            encoder=made.run, prepared=prepared, int4=precision == "int4", max_graph_bytes=sizes[precision] - 16384
        )
        with pytest.raises(UsageError, match=rf"encoder\.onnx in {precision} takes .* {remedy}"):
            write_bundle(recipe, out)
        assert list(out.parent.iterdir()) == []
    for changes in ({"int8": False}, {"fp16": True}):
        recipe = Recipe(encoder=made.run, prepared=prepared, max_graph_bytes=sizes["int8"] + 4096, **changes)
        with pytest.raises(UsageError, match=r"in (float32|fp16) takes"):
            write_bundle(recipe, tmp_path / "bundles" / "out")
        assert list((tmp_path / "bundles").iterdir()) == []


def test_four_bits_by_the_command_line(
    made: Made, prepared: Path, tmp_path: Path, wide_bounds: None, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = tiny_run(tmp_path / "judge", "qwen2", "binary", made.student.tokenizer, layout="sides")
    options = ["--encoder", made.run, "--judge", judge, "--data", prepared, "--out", tmp_path / "out", "--int4"]
    with pytest.raises(SystemExit):
        main(["bundle", *map(str, options), "--int8"])
    assert "not allowed with argument" in capsys.readouterr().err
    assert main(["bundle", *map(str, options)]) == 0
    bundle = load_bundle(tmp_path / "out")
    assert set(bundle.manifest.parity) == {"float32", "int4", "judge_float32", "judge_int4", "pair_head"}
    assert HALF[ENCODER] not in bundle.manifest.files
    for name in (ENCODER, JUDGE):
        graph = onnx.load_from_string(bundle.read(name))
        assert "MatMulNBits" in {node.op_type for node in graph.graph.node}
    model = load_model(tmp_path / "out")
    codes = [("def f(x):\n    return x + 1", "python"), ("function f(x) { return x + 1 }", "javascript")]
    forth, back = model.pair_probability(codes, codes[::-1]), model.pair_probability(codes[::-1], codes)
    assert forth.tolist() == back.tolist()
