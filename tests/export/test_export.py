"""Graphs equal their modules, each broken one is caught by the step that is named for it, and a bundle works."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper
from polyclone.api import scan
from polyclone.artifact import BACKGROUND, CARD, ENCODER, MANIFEST, PAIR_HEAD, REQUIRED, load_bundle
from polyclone.encode.onnx import INPUTS, OUTPUT, session
from polyclone.errors import UsageError
from polyclone.languages import LANGUAGES
from polyclone.model import Model, load_model
from polyclone.normalise import NORMALISER_VERSION
from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece
from polyclone.values import ATOM_SEPARATOR
from polyclone.verify import FEATURES
from polyclone_distill.trainer.model import Encoder, EncoderConfig
from polyclone_distill.trainer.pair_head import PairHead, save_pair_head
from polyclone_distill.trainer.run import pack
from polyclone_export import bundle as bundling
from polyclone_export.bundle import NEUTRAL, TOKEN_BUDGET, read_reference, read_sample, write_bundle
from polyclone_export.card import model_card
from polyclone_export.cli import main
from polyclone_export.graphs import export_encoder, export_pair_head, quantise_int8
from polyclone_export.parity import (
    ParityError,
    Sample,
    batches,
    check_task,
    feeds,
    module_vectors,
    prove,
    run_graph,
    run_torch,
)
from support.polyglot import TOTAL_ABOVE, framed

pytestmark = pytest.mark.usefixtures("one_thread")

CALIBRATION = {
    "logits": [-5.0, 0.0, 5.0],
    "probabilities": [0.01, 0.4, 0.99],
    "precisions": [[0.5, 0.0], [0.9, 0.4]],
    "default_precision": 0.9,
}


@dataclass(frozen=True)
class Exported:
    """A tiny encoder, its float32 graph, and what the two are compared on."""

    encoder: Encoder
    path: Path
    sample: Sample
    tokenizer: Tokenizer
    expected: np.ndarray


@pytest.fixture(scope="module")
def exported(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    wordpiece = WordPiece.from_json((prepared / "tokenizer.json").read_text("utf-8"))
    lexicon = Lexicon.from_text((prepared / "lexicon.tsv").read_text("utf-8"))
    torch.manual_seed(0)
    config = EncoderConfig(
        vocabulary=len(wordpiece.vocabulary), lexicon=lexicon.size, layers=1, width=32, heads=4, feed_forward=64,
        positions=TOKEN_BUDGET, lexical_width=16,
    )  # fmt: skip
    encoder = Encoder(config)
    # Weights that survive half precision, so that the file holds this very encoder.
    encoder.load_state_dict({name: value.half().float() for name, value in encoder.state_dict().items()})
    folder = tmp_path_factory.mktemp("exported")
    export_encoder(encoder, folder / "float32.onnx")
    tokenizer = Tokenizer(wordpiece, lexicon, TOKEN_BUDGET)
    sample = read_sample(prepared)
    return Exported(
        encoder.eval(), folder / "float32.onnx", sample, tokenizer, module_vectors(encoder, sample, tokenizer)
    )


def proof(exported: Exported, path: Path, precision: str = "float32") -> dict[str, object]:
    return dict(
        prove(exported.encoder, exported.expected, path, exported.sample, exported.tokenizer, precision=precision)
    )


# --- parity ---


def test_the_graph_computes_what_the_module_computes(exported: Exported) -> None:
    record = proof(exported, exported.path)
    assert record["precision"] == "float32"
    values, task = record["values"], record["task"]
    assert isinstance(values, dict) and isinstance(task, dict)
    assert values["least_cosine"] > 0.99999
    assert values["largest_difference"] < 1e-4
    assert task["units"] == len(exported.sample.units) == 24
    assert abs(task["module_mrr"] - task["graph_mrr"]) < 1e-3
    assert json.loads(json.dumps(record)) == record


def test_int8_is_near_and_smaller(exported: Exported, tmp_path: Path) -> None:
    quantise_int8(exported.path, tmp_path / "int8.onnx")
    record = proof(exported, tmp_path / "int8.onnx", "int8")
    values = record["values"]
    assert isinstance(values, dict)
    assert 0.97 < values["least_cosine"] < 1.0
    assert (tmp_path / "int8.onnx").stat().st_size < 0.5 * exported.path.stat().st_size
    with pytest.raises(ParityError, match=r"^values: "):
        proof(exported, tmp_path / "int8.onnx", "float32")


def test_any_batch_and_length(exported: Exported) -> None:
    graph = session(exported.path.read_bytes(), "here")
    chance = np.random.default_rng(0)
    for count, length, words in ((1, 2, 1), (1, TOKEN_BUDGET, 60), (3, 7, 2), (17, 33, 5)):
        mask = (np.arange(length) < chance.integers(1, length + 1, (count, 1))).astype(np.int64)
        feed = {
            "input_ids": chance.integers(0, exported.encoder.config.vocabulary, (count, length)),
            "attention_mask": mask,
            "word_ids": chance.integers(0, exported.encoder.config.lexicon, (count, words)),
            "word_weights": chance.random((count, words), np.float32),
        }
        found = run_graph(graph, feed)
        np.testing.assert_allclose(found, run_torch(exported.encoder, feed), atol=1e-5)


# --- broken graphs ---


def edit(change: Callable[[ModelProto], None]) -> Callable[[Path, Path], None]:
    def broken(source: Path, target: Path) -> None:
        model = onnx.load(str(source))
        change(model)
        target.write_bytes(model.SerializeToString())

    return broken


def rename(old: str, new: str) -> Callable[[ModelProto], None]:
    """Another name for an input or the output."""

    def change(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name == old:
                value.name = new
        for node in model.graph.node:
            for names in (node.input, node.output):
                for position, name in enumerate(names):
                    if name == old:
                        names[position] = new

    return change


def pool_the_maximum(model: ModelProto) -> None:
    """Instead of the sum of the tokens."""
    (first, *_) = [node for node in model.graph.node if node.op_type == "ReduceSum"]
    first.op_type = "ReduceMax"


def ones_for_the_mask(model: ModelProto, like: str) -> None:
    ones = [
        helper.make_node("Shape", [like], ["mask_shape"]),
        helper.make_node(
            "ConstantOfShape", ["mask_shape"], ["ones"], value=numpy_helper.from_array(np.array([1], np.int64))
        ),
    ]
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == "attention_mask":
                node.input[position] = "ones"
    for node in reversed(ones):
        model.graph.node.insert(0, node)


def ignore_the_mask(model: ModelProto) -> None:
    ones_for_the_mask(model, "attention_mask")


def lose_the_mask(model: ModelProto) -> None:
    ones_for_the_mask(model, "input_ids")
    (mask,) = [value for value in model.graph.input if value.name == "attention_mask"]
    model.graph.input.remove(mask)


def fix_an_axis(axis: int, size: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        (ids,) = [value for value in model.graph.input if value.name == "input_ids"]
        ids.type.tensor_type.shape.dim[axis].dim_value = size

    return change


def finish_with(kind: str, constant: np.ndarray) -> Callable[[ModelProto], None]:
    """One more node behind the output."""

    def change(model: ModelProto) -> None:
        for node in model.graph.node:
            for position, name in enumerate(node.output):
                if name == OUTPUT:
                    node.output[position] = "before"
        model.graph.initializer.append(numpy_helper.from_array(constant, "extra"))
        model.graph.node.append(helper.make_node(kind, ["before", "extra"], [OUTPUT]))
        (output,) = model.graph.output
        output.type.tensor_type.ClearField("shape")

    return change


def disturb_a_table(model: ModelProto) -> None:
    tables = [t for t in model.graph.initializer if len(t.dims) == 2 and t.dims[1] == 16]
    (table,) = tables
    noise = np.random.default_rng(0).standard_normal(tuple(table.dims)).astype(np.float32)
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table) + 0.2 * noise, table.name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename(OUTPUT, "vectors"), r"^names: the graph reads .* and gives \['vectors'\]"),
        (rename("word_ids", "words"), r"^names: .*'words'"),
        (lose_the_mask, r"^names: "),
        (fix_an_axis(1, 24), r"^axes: input_ids\['\w+', 24\] should have a dynamic batch and length"),
        (fix_an_axis(0, 2), r"^axes: input_ids\[2, "),
        (finish_with("Reshape", np.array([2, 48])), r"^shapes: the graph fails at batch × tokens \(1, "),
        (finish_with("Unsqueeze", np.array([1])), r"^shapes: \(1, 1, 48\) for a batch of 1; expected \(1, 48\)"),
        (pool_the_maximum, r"^values: cosine 0\.\d+ at "),
        (ignore_the_mask, r"^values: cosine 0\.\d+ at \d+ × \d+ tokens, row \d+; at least 0\.99999 is required"),
        (disturb_a_table, r"^values: "),
        (finish_with("Mul", np.array(-1.0, np.float32)), r"^values: cosine -1\.0"),
    ],
    ids=[
        "another output",
        "another input",
        "a missing mask",
        "a fixed length",
        "a fixed batch",
        "a batch that is fixed inside",
        "an axis too many",
        "another pooling",
        "a mask without effect",
        "other weights",
        "the other direction",
    ],
)
def test_a_broken_graph_is_caught_by_name(
    change: Callable[[ModelProto], None], message: str, exported: Exported, tmp_path: Path
) -> None:
    edit(change)(exported.path, tmp_path / "broken.onnx")
    with pytest.raises(ParityError, match=message):
        proof(exported, tmp_path / "broken.onnx")


def test_an_effectless_mask_is_only_seen_in_a_padded_batch(exported: Exported, tmp_path: Path) -> None:
    """That is why units are compared alone and together, short and long."""
    edit(ignore_the_mask)(exported.path, tmp_path / "broken.onnx")
    graph = session((tmp_path / "broken.onnx").read_bytes(), "here")
    alone = feeds(exported.sample.units[:1], exported.tokenizer)
    np.testing.assert_allclose(run_graph(graph, alone), run_torch(exported.encoder, alone), atol=1e-5)
    sizes = [len({len(exported.tokenizer.ids(u.split(ATOM_SEPARATOR))[0]) for u in batch}) for batch in
             batches(exported.sample.units)]  # fmt: skip
    assert min(sizes) == 1
    assert max(sizes) > 3


def test_a_graph_that_ranks_worse_fails_the_task(exported: Exported) -> None:
    class Shuffled:
        """Answers with vectors that have nothing to do with the units."""

        def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            vector = np.random.default_rng(int(feed["input_ids"].sum())).standard_normal((1, 48))
            return [(vector / np.linalg.norm(vector)).astype(np.float32)]

    with pytest.raises(ParityError, match=r"^task: MRR falls from 1\.0000 to 0\.\d+; at most 0\.01 may be lost"):
        check_task(exported.expected, Shuffled(), exported.sample, exported.tokenizer, most_loss=0.01)


def test_feeds_are_padded_as_the_engine_would_frame_them(exported: Exported) -> None:
    units = exported.sample.units[:3]
    feed = feeds(units, exported.tokenizer)
    assert set(feed) == set(INPUTS)
    for row, unit in enumerate(units):
        atoms = unit.split(ATOM_SEPARATOR)
        ids, _ = exported.tokenizer.ids(atoms)
        bag = exported.tokenizer.bag(atoms)
        assert feed["input_ids"][row, : len(ids)].tolist() == ids.tolist()
        assert feed["attention_mask"][row].sum() == len(ids)
        assert feed["word_ids"][row, : len(bag.ids)].tolist() == bag.ids.tolist()
        assert not feed["word_weights"][row, len(bag.ids) :].any()


# --- pair heads ---


def test_the_head_s_graph_computes_what_the_head_computes(tmp_path: Path) -> None:
    torch.manual_seed(1)
    head = PairHead(len(FEATURES), hidden=6)
    head.mean.copy_(torch.randn(len(FEATURES)))
    head.scale.copy_(torch.rand(len(FEATURES)) + 0.5)
    export_pair_head(head, len(FEATURES), tmp_path / "head.onnx")
    graph = session((tmp_path / "head.onnx").read_bytes(), "here")
    for count in (1, 5, 256):
        features = 5 * np.random.default_rng(count).standard_normal((count, len(FEATURES))).astype(np.float32)
        (found,) = graph.run(["logit"], {"features": features})
        with torch.no_grad():
            expected = head(torch.from_numpy(features)).numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_a_head_the_probability_rises_with_the_cosine() -> None:
    head, calibration, record = bundling._head(None)
    features = torch.zeros(3, len(FEATURES))
    features[:, 0] = torch.tensor([0.2, 0.6, 0.95])
    with torch.no_grad():
        probabilities = calibration.apply(head(features).numpy())
    assert calibration is NEUTRAL
    assert record == {}
    assert probabilities[0] < 0.1 < probabilities[1] < 0.5 < probabilities[2]
    assert calibration.threshold() == 0.5


# --- samples ---


def test_the_sample_is_of_unseen_exercises(prepared: Path) -> None:
    sample = read_sample(prepared)
    assert len(sample.units) == len(sample.classes) == len(sample.languages)
    assert set(sample.classes) == {f"rosetta/{n}" for n in "voyage ticket meadow saddle copper lantern".split()}
    assert len(set(zip(sample.classes, sample.languages, strict=True))) == len(sample.units)
    assert len(read_sample(prepared, per_class=2, classes=3).units) == 6


def test_the_reference_is_of_libraries_in_equal_parts(prepared: Path) -> None:
    units = read_reference(prepared, 12)
    assert len(units) >= 10
    assert all(32 <= unit.count(ATOM_SEPARATOR) <= 300 for unit in units)
    assert units == read_reference(prepared, 12)
    assert len(read_reference(prepared)) > len(units)


# --- bundles ---


@pytest.fixture(scope="module")
def written(exported: Exported, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle from end to end: float32 and int8, a head with a calibration, reference vectors, a card."""
    folder = tmp_path_factory.mktemp("written")
    torch.save(pack(exported.encoder.config, exported.encoder.state_dict()), folder / "best.pt")
    head = PairHead(len(FEATURES), hidden=0)
    with torch.no_grad():
        head.output.weight.zero_()
        head.output.weight[0, :7] = torch.tensor([6.0, 0.0, 0.0, 0.0, 0.0, -2.0, 4.0])
        head.output.bias.fill_(-5.0)
    save_pair_head(head, folder / "head.pt", {"calibration": CALIBRATION, "metrics": {"average_precision": 0.5}})
    (folder / "out").mkdir()
    (folder / "out" / "of an older bundle").touch()
    (folder / "out" / MANIFEST).touch()
    write_bundle(
        folder / "best.pt",
        prepared,
        folder / "out",
        pair_head_path=folder / "head.pt",
        version="7",
        metrics={"pool": {"mrr": 0.25}},
    )
    return folder / "out"


@pytest.fixture(scope="module")
def loaded(written: Path) -> Model:
    return load_model(written)


def test_a_written_bundle_is_complete(written: Path, exported: Exported, prepared: Path) -> None:
    assert {path.name for path in written.iterdir()} == {MANIFEST, *REQUIRED}
    assert [path.name for path in written.parent.iterdir() if path.is_dir()] == ["out"]  # Nothing is left behind.
    manifest = load_bundle(written).manifest
    assert (manifest.name, manifest.kind, manifest.version) == ("polyclone-compact", "compact", "7")
    assert manifest.normaliser_version == NORMALISER_VERSION
    assert (manifest.dimension, manifest.dense_width, manifest.token_budget) == (48, 32, TOKEN_BUDGET)
    assert manifest.languages == tuple(sorted(LANGUAGES))
    assert manifest.pair_features == FEATURES
    assert manifest.calibration.threshold() == 0.4
    assert set(manifest.parity) == {"float32", "int8"}
    assert manifest.metrics == {"pool": {"mrr": 0.25}, "pair_head": {"average_precision": 0.5}}
    assert manifest.training["parameters"] == sum(p.numel() for p in exported.encoder.parameters())
    assert manifest.training["data"] == json.loads((prepared / "prepared.json").read_text("utf-8"))
    for name, digest in manifest.files.items():
        assert hashlib.sha256((written / name).read_bytes()).hexdigest() == digest


def test_a_written_bundle_encodes_as_its_module(loaded: Model, exported: Exported) -> None:
    found = loaded.encode_normalised(exported.sample.units)
    cosines = (found * exported.expected).sum(1)
    assert cosines.min() > 0.97
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-4)
    background = loaded.bundle.background()
    assert background.shape[1] == 48
    assert len(background) >= 20
    assert background.any(axis=1).all()


def test_a_written_bundle_finds_a_clone(loaded: Model, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(TOTAL_ABOVE["python"])
    (tmp_path / "b.go").write_text(framed("go", TOTAL_ABOVE["go"]))
    result = scan([tmp_path], model=loaded)
    (found,) = result.matches
    assert (found.left.path, found.right.path) == ("a.py", "b.go")
    assert found.probability >= result.threshold == 0.4
    assert result.model.name == "polyclone-compact"


def test_a_written_bundle_judges_by_its_head(loaded: Model) -> None:
    codes = [(TOTAL_ABOVE[name], name) for name in ("python", "go")]
    vectors = loaded.encode(codes)
    (p,) = loaded.pair_probability(codes[:1], codes[1:])
    assert 0.4 < p <= 0.99
    assert (vectors[0] @ vectors[1]) > 0.3


def test_the_card_tells_what_is_in_the_manifest(written: Path) -> None:
    manifest = load_bundle(written).manifest
    card = (written / CARD).read_text("utf-8")
    assert card == model_card(manifest)
    for text in ("# polyclone-compact (version 7)", "pool · mrr: 0.25", "float32 · values · least_cosine", "| MIT |",
                 "48 dimensions (32 dense, 16 lexical)", "tasks.parquet", *LANGUAGES):  # fmt: skip
        assert text in card


@pytest.mark.parametrize("missing", ["encoder", "data", "head"])
def test_what_is_missing_is_told(missing: str, written: Path, prepared: Path, tmp_path: Path) -> None:
    paths = {"encoder": written.parent / "best.pt", "data": prepared, "head": written.parent / "head.pt"}
    paths[missing] = tmp_path / "nowhere"
    with pytest.raises(UsageError, match=r"nowhere.* does not exist; run `polyclone-distill` to make it"):
        write_bundle(paths["encoder"], paths["data"], tmp_path / "out", pair_head_path=paths["head"])
    assert not (tmp_path / "out").exists()


def test_without_parity_nothing_is_replaced(
    exported: Exported, written: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(written, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    broken = edit(pool_the_maximum)
    monkeypatch.setattr(bundling, "export_encoder", lambda encoder, path: broken(exported.path, path))
    options = ["--encoder", written.parent / "best.pt", "--data", prepared, "--out", tmp_path / "out"]
    assert main(["bundle", *map(str, options)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("polyclone-export: values: cosine 0.")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_writes_a_provisional_bundle(
    exported: Exported, written: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(bundling, "export_encoder", lambda encoder, path: shutil.copy(exported.path, path))
    monkeypatch.setattr(
        bundling, "export_pair_head", lambda head, features, path: shutil.copy(written / PAIR_HEAD, path)
    )
    options = ["--encoder", written.parent / "best.pt", "--data", prepared, "--out", tmp_path / "out", "--no-int8"]
    assert main(["bundle", *map(str, options)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "polyclone-compact-provisional"
    assert set(told["parity"]) == {"float32"}
    assert told["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    made = load_bundle(tmp_path / "out")
    assert made.manifest.calibration == NEUTRAL
    assert made.read(ENCODER) == exported.path.read_bytes()
    again = tmp_path / "again"
    assert main(["bundle", *map(str, options[:-2]), str(again), "--no-int8"]) == 0
    for name in (MANIFEST, BACKGROUND):
        assert (again / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_folder_that_holds_something_else_is_left_alone(written: Path, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds something else than a bundle"):
        write_bundle(written.parent / "best.pt", prepared, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
