"""Graphs equal their modules, each broken one is caught by the step that is named for it, and a bundle works."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto
from polyclone.api import scan
from polyclone.artifact import BACKGROUND, CARD, ENCODER, HALF, MANIFEST, PAIR_HEAD, REQUIRED, load_bundle
from polyclone.encode.onnx import INPUTS, OUTPUT, session
from polyclone.errors import UsageError
from polyclone.install import install
from polyclone.languages import LANGUAGES
from polyclone.model import Model, load_model
from polyclone.normalise import NORMALISER_VERSION
from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece
from polyclone.values import ATOM_SEPARATOR
from polyclone.verify import FEATURES
from polyclone_distill.trainer.joining import describe_start
from polyclone_distill.trainer.model import Encoder, EncoderConfig
from polyclone_distill.trainer.pair_head import PairHead, save_pair_head
from polyclone_distill.trainer.run import pack
from polyclone_export import encoders
from polyclone_export.bundle import NEUTRAL, TOKEN_BUDGET, Recipe, load_head, require_parity, write_bundle
from polyclone_export.card import model_card
from polyclone_export.cli import main
from polyclone_export.encoders import WINDOWS
from polyclone_export.graphs import export_encoder, export_pair_head
from polyclone_export.parity import (
    BOUNDS,
    AxesError,
    NamesError,
    ParityError,
    ShapesError,
    TaskError,
    ValuesError,
    auc,
    check_task,
    check_verdicts,
    prove,
    run_graph,
    run_torch,
)
from polyclone_export.rounding import halve, quantise_int8
from polyclone_export.samples import Sample, labelled_pairs, probes, read_reference, read_sample
from polyclone_export.subjects import (
    encoder_subject,
    head_subject,
    head_task,
    module_vectors,
    retrieval_task,
    unit_feed,
)
from polyclone_export.verdicts import near_pairs
from support.broken_graphs import (
    disturb_a_table,
    edit,
    finish_with,
    fix_an_axis,
    ignore_the_mask,
    lose_the_mask,
    pool_the_maximum,
    rename,
)
from support.polyglot import TOTAL_ABOVE, framed

pytestmark = pytest.mark.usefixtures("one_thread")

CALIBRATION = {
    "logits": [-5.0, 0.0, 5.0],
    "probabilities": [0.01, 0.4, 0.99],
    "precisions": [[0.5, 0.0], [0.9, 0.4]],
    "default_precision": 0.9,
    "unsure": [0.1, 0.4],
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
    sample = probes() + read_sample(prepared)
    expected = module_vectors(encoder.eval(), sample.units, lambda units: unit_feed(units, tokenizer), INPUTS)
    return Exported(encoder, folder / "float32.onnx", sample, tokenizer, expected)


def proof(exported: Exported, path: Path, precision: str = "float32") -> dict[str, object]:
    subject = encoder_subject(exported.encoder, exported.sample, exported.tokenizer)
    task = retrieval_task(exported.expected, exported.sample, lambda units: unit_feed(units, exported.tokenizer))
    return dict(prove(subject, path, precision=precision, task=task))


# --- parity ---


def test_the_graph_computes_what_the_module_computes(exported: Exported) -> None:
    record = proof(exported, exported.path)
    assert record["precision"] == "float32"
    values, task = record["values"], record["task"]
    assert isinstance(values, dict) and isinstance(task, dict)
    assert values["least_cosine"] > 0.99999
    assert values["largest_difference"] < 1e-4
    assert task["units"] == len(exported.sample.units) == 24 + len(probes().units)
    assert values["cases"] == 10
    assert record["sha256"] == hashlib.sha256(exported.path.read_bytes()).hexdigest()
    assert abs(task["module_mrr"] - task["graph_mrr"]) < 1e-3
    assert json.loads(json.dumps(record)) == record


def test_int8_is_near_and_smaller(exported: Exported, tmp_path: Path) -> None:
    quantise_int8(exported.path, tmp_path / "int8.onnx")
    record = proof(exported, tmp_path / "int8.onnx", "int8")
    values = record["values"]
    assert isinstance(values, dict)
    assert 0.97 < values["least_cosine"] < 1.0
    assert (tmp_path / "int8.onnx").stat().st_size < 0.5 * exported.path.stat().st_size
    with pytest.raises(ValuesError, match=r"^values: "):
        proof(exported, tmp_path / "int8.onnx", "float32")


def test_half_precision_is_near_and_half_the_size(exported: Exported, tmp_path: Path) -> None:
    halve(exported.path, tmp_path / "half.onnx")
    record = proof(exported, tmp_path / "half.onnx", "fp16")
    values = record["values"]
    assert isinstance(values, dict)
    assert values["least_cosine"] > 0.999
    assert 0 < values["largest_difference"] < 0.01
    assert (tmp_path / "half.onnx").stat().st_size < 0.6 * exported.path.stat().st_size
    session((tmp_path / "half.onnx").read_bytes(), "here")


def test_padding_on_the_left_is_compared_too(exported: Exported) -> None:
    subject = encoder_subject(exported.encoder, exported.sample, exported.tokenizer)
    left = [case for case in subject.cases if case.name.endswith("padded on the left")]
    assert len(left) == 4
    assert sum((case.feed["attention_mask"][:, 0] == 0).any() for case in left) >= 3
    longest = max(case.feed["input_ids"].shape[1] for case in subject.cases)
    assert longest == TOKEN_BUDGET
    assert min(case.feed["input_ids"].shape[1] for case in subject.cases) < TOKEN_BUDGET


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
        found = run_graph(graph, feed, OUTPUT)
        np.testing.assert_allclose(found, run_torch(exported.encoder, [feed[n] for n in INPUTS]), atol=1e-5)


# --- broken graphs ---


@pytest.mark.parametrize(
    ("change", "step", "message"),
    [
        (rename(OUTPUT, "vectors"), NamesError, r"^names: the graph reads .* and gives \['vectors'\]"),
        (rename("word_ids", "words"), NamesError, r"^names: .*'words'"),
        (lose_the_mask, NamesError, r"^names: "),
        (fix_an_axis(1, 24), AxesError, r"^axes: input_ids\['\w+', 24\] should have a dynamic batch and length"),
        (fix_an_axis(0, 2), AxesError, r"^axes: input_ids\[2, "),
        (finish_with("Reshape", np.array([2, 48])), ShapesError, r"^shapes: the graph fails at input_ids 1×"),
        (finish_with("Unsqueeze", np.array([1])), ShapesError, r"^shapes: \(1, 1, 48\) for .*; expected \(1, 48\)"),
        (pool_the_maximum, ValuesError, r"^values: cosine 0\.\d+ at "),
        (ignore_the_mask, ValuesError, r"^values: cosine 0\.\d+ at .*padded.*, row \d+; at least 0\.99999"),
        (disturb_a_table, ValuesError, r"^values: "),
        (finish_with("Mul", np.array(-1.0, np.float32)), ValuesError, r"^values: cosine -1\.0"),
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
    change: Callable[[ModelProto], None], step: type[ParityError], message: str, exported: Exported, tmp_path: Path
) -> None:
    edit(change)(exported.path, tmp_path / "broken.onnx")
    with pytest.raises(step, match=message):
        proof(exported, tmp_path / "broken.onnx")


def test_an_effectless_mask_is_only_seen_in_a_padded_batch(exported: Exported, tmp_path: Path) -> None:
    """That is why units are compared alone and together, short and long."""
    edit(ignore_the_mask)(exported.path, tmp_path / "broken.onnx")
    graph = session((tmp_path / "broken.onnx").read_bytes(), "here")
    alone = unit_feed(exported.sample.units[:1], exported.tokenizer)
    expected = run_torch(exported.encoder, [alone[name] for name in INPUTS])
    np.testing.assert_allclose(run_graph(graph, alone, OUTPUT), expected, atol=1e-5)
    cases = encoder_subject(exported.encoder, exported.sample, exported.tokenizer).cases
    sizes = [len(set(case.feed["attention_mask"].sum(1).tolist())) for case in cases]
    assert min(sizes) == 1
    assert max(sizes) > 3


def test_a_graph_that_ranks_worse_fails_the_task(exported: Exported) -> None:
    class Shuffled:
        """Answers with vectors that have nothing to do with the units."""

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

        def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            vector = np.random.default_rng(int(feed["input_ids"].sum())).standard_normal((1, 48))
            return [(vector / np.linalg.norm(vector)).astype(np.float32)]

    task = retrieval_task(exported.expected, exported.sample, lambda units: unit_feed(units, exported.tokenizer))
    with pytest.raises(TaskError, match=r"^task: MRR falls from 0\.\d+ to 0\.\d+; at most 0\.01 may be lost"):
        task(Shuffled(), BOUNDS["int8"])


def test_a_figure_that_is_no_number_fails_the_task() -> None:
    with pytest.raises(TaskError, match="falls from nan"):
        check_task("MRR", float("nan"), float("nan"), BOUNDS["float32"])


def test_verdicts_that_change_are_counted_and_bounded() -> None:
    before = np.arange(200) < 80
    after = before.copy()
    after[79:82] = [False, True, True]
    assert check_verdicts(before, after, BOUNDS["int8"]) == {"pairs": 200, "clones": 80, "changed": 3}
    with pytest.raises(TaskError, match=r"^task: 3 of 200 verdicts change at the threshold; at most 0\.2% may"):
        check_verdicts(before, after, BOUNDS["float32"])


def test_feeds_are_padded_as_the_engine_would_frame_them(exported: Exported) -> None:
    units = exported.sample.units[:3]
    for left in (False, True):
        feed = unit_feed(units, exported.tokenizer, left)
        assert set(feed) == set(INPUTS)
        for row, unit in enumerate(units):
            atoms = unit.split(ATOM_SEPARATOR)
            ids, _ = exported.tokenizer.ids(atoms)
            bag = exported.tokenizer.bag(atoms)
            kept = feed["input_ids"][row][feed["attention_mask"][row] == 1]
            assert kept.tolist() == ids.tolist()
            assert feed["word_ids"][row, : len(bag.ids)].tolist() == bag.ids.tolist()
            assert not feed["word_weights"][row, len(bag.ids) :].any()


def test_the_area_under_the_curve() -> None:
    positive = np.array([True, True, False, False])
    assert auc(np.array([4.0, 3.0, 2.0, 1.0], np.float32), positive) == 1.0
    assert auc(np.array([1.0, 3.0, 2.0, 4.0], np.float32), positive) == 0.25
    assert auc(np.array([1.0, 1.0, 1.0, 1.0], np.float32), positive) == 0.5
    assert auc(np.array([1.0, 2.0], np.float32), np.array([True, True])) == 1.0


# --- pair heads ---


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> tuple[PairHead, Path, np.ndarray]:
    """A head, its graph, and features of a few made-up pairs."""
    torch.manual_seed(1)
    made = PairHead(len(FEATURES), hidden=6)
    made.mean.copy_(torch.randn(len(FEATURES)))
    made.scale.copy_(torch.rand(len(FEATURES)) + 0.5)
    path = tmp_path_factory.mktemp("head") / "head.onnx"
    export_pair_head(made, len(FEATURES), path)
    return made.eval(), path, np.random.default_rng(3).random((40, len(FEATURES)), np.float32)


def test_the_head_s_graph_computes_what_the_head_computes(head: tuple[PairHead, Path, np.ndarray]) -> None:
    module, path, features = head
    record = prove(
        head_subject(module, features), path, precision="float32", task=head_task(module, features, NEUTRAL)
    )
    assert record["values"]["cases"] == 4
    assert record["values"]["largest_difference"] < 1e-4
    assert record["task"]["verdicts"]["changed"] == 0


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (rename("logit", "score"), NamesError),
        (rename("features", "facts"), NamesError),
        (finish_with("Reshape", np.array([1]), "logit"), ShapesError),
        (finish_with("Mul", np.array(2.0, np.float32), "logit"), ValuesError),
    ],
    ids=["another output", "another input", "one pair only", "twice the logit"],
)
def test_a_broken_head_is_caught_by_name(
    change: Callable[[ModelProto], None], step: type[ParityError], head: tuple[PairHead, Path, np.ndarray],
    tmp_path: Path,
) -> None:  # fmt: skip
    module, path, features = head
    edit(change)(path, tmp_path / "broken.onnx")
    with pytest.raises(step):
        prove(
            head_subject(module, features), tmp_path / "broken.onnx", precision="float32",
            task=head_task(module, features, NEUTRAL),
        )  # fmt: skip


def test_without_a_head_the_probability_rises_with_the_cosine() -> None:
    head, calibration, record = load_head(None)
    features = torch.zeros(3, len(FEATURES))
    features[:, 0] = torch.tensor([0.2, 0.6, 0.95])
    with torch.no_grad():
        probabilities = calibration.apply(head(features).numpy())
    assert calibration is NEUTRAL
    assert record == {}
    assert probabilities[0] < 0.1 < probabilities[1] < 0.5 < probabilities[2]
    assert calibration.threshold() == 0.5


# --- samples ---


def test_the_probes_are_of_all_languages() -> None:
    sample = probes()
    for name in ("binary search", "check digit", "run lengths", "all"):
        found = [i for i, label in enumerate(sample.classes) if label == f"probe/{name}"]
        assert sorted(sample.languages[i] for i in found) == sorted(LANGUAGES)
        assert all(sample.units[i].count(ATOM_SEPARATOR) >= 25 for i in found)
    assert len(set(sample.units)) == len(sample.units)


def test_labelled_pairs_are_half_and_half() -> None:
    sample = probes()
    pairs, same = labelled_pairs(sample, most=40)
    assert (len(pairs), int(same.sum())) == (40, 20)
    assert labelled_pairs(sample, most=40)[0] == pairs
    place = {unit: i for i, unit in enumerate(sample.units)}
    for (a, b), one in zip(pairs, same.tolist(), strict=True):
        assert (sample.classes[place[a]] == sample.classes[place[b]]) == one
        assert sample.languages[place[a]] != sample.languages[place[b]]


def test_near_pairs_are_those_of_a_search() -> None:
    sample = Sample(units=("a", "b", "c", "d"), classes=("x",) * 4, languages=("go", "go", "c", "php"))
    vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
    left, right = near_pairs(vectors, sample)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


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
        for name, weight in {"cosine": 6.0, "margin": -2.0, "word_overlap": 4.0}.items():
            head.output.weight[0, FEATURES.index(name)] = weight
        head.output.bias.fill_(-5.0)
    save_pair_head(head, folder / "head.pt", {"calibration": CALIBRATION, "metrics": {"average_precision": 0.5}})
    (folder / "out").mkdir()
    (folder / "out" / "of an older bundle").touch()
    (folder / "out" / MANIFEST).touch()
    recipe = Recipe(
        encoder=folder / "best.pt",
        prepared=prepared,
        pair_head=folder / "head.pt",
        version="7",
        fp16=True,
        metrics={"pool": {"mrr": 0.25}},
    )
    write_bundle(recipe, folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def loaded(written: Path) -> Model:
    return load_model(written)


def test_a_written_bundle_is_complete(written: Path, exported: Exported, prepared: Path) -> None:
    assert {path.name for path in written.iterdir()} == {MANIFEST, *REQUIRED, HALF[ENCODER]}
    assert [path.name for path in written.parent.iterdir() if path.is_dir()] == ["out"]  # Nothing is left behind.
    manifest = load_bundle(written).manifest
    assert (manifest.name, manifest.kind, manifest.version) == ("polyclone-compact", "compact", "7")
    assert manifest.normaliser_version == NORMALISER_VERSION
    assert (manifest.dimension, manifest.dense_width, manifest.token_budget) == (48, 32, TOKEN_BUDGET)
    assert manifest.windows == WINDOWS
    assert f"up to {WINDOWS * (TOKEN_BUDGET - 2):,}" in (written / CARD).read_text("utf-8")
    assert manifest.languages == tuple(sorted(LANGUAGES))
    assert manifest.pair_features == FEATURES
    assert manifest.calibration.threshold() == 0.4
    assert manifest.calibration.unsure == (0.1, 0.4)
    assert set(manifest.parity) == {"float32", "int8", "fp16", "pair_head"}
    proven = {record["sha256"] for record in manifest.parity.values()}
    assert {digest for name, digest in manifest.files.items() if name.endswith(".onnx")} <= proven
    for precision in ("int8", "fp16"):
        verdicts = manifest.parity[precision]["verdicts"]
        assert verdicts["pairs"] > 50
        assert verdicts["changed"] <= BOUNDS[precision].most_changed * verdicts["pairs"]
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
                 "48 dimensions (32 dense, 16 lexical)", "tasks.parquet", "Between p = 0.1000 and p = 0.4000 a pair",
                 *LANGUAGES):  # fmt: skip
        assert text in card
    for band in (None, (0.4, 0.4)):
        calibration = dataclasses.replace(manifest.calibration, unsure=band)
        assert "is called neither" not in model_card(dataclasses.replace(manifest, calibration=calibration))


@pytest.mark.parametrize("missing", ["encoder", "data", "head"])
def test_what_is_missing_is_told(missing: str, written: Path, prepared: Path, tmp_path: Path) -> None:
    paths = {"encoder": written.parent / "best.pt", "data": prepared, "head": written.parent / "head.pt"}
    paths[missing] = tmp_path / "nowhere"
    with pytest.raises(UsageError, match=r"nowhere.* does not exist; run `polyclone-distill` to make it"):
        write_bundle(
            Recipe(encoder=paths["encoder"], prepared=paths["data"], pair_head=paths["head"]), tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_without_parity_nothing_is_replaced(
    exported: Exported, written: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(written, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    broken = edit(pool_the_maximum)
    monkeypatch.setattr(encoders, "export_encoder", lambda encoder, path, **how: broken(exported.path, path))
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
    monkeypatch.setattr(encoders, "export_encoder", lambda encoder, path, **how: shutil.copy(exported.path, path))
    options = ["--encoder", written.parent / "best.pt", "--data", prepared, "--out", tmp_path / "out", "--no-int8"]
    assert main(["bundle", *map(str, options)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "polyclone-compact-provisional"
    assert set(told["parity"]) == {"float32", "pair_head"}
    assert told["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    made = load_bundle(tmp_path / "out")
    assert made.manifest.calibration == NEUTRAL
    assert made.read(ENCODER) == exported.path.read_bytes()
    again = tmp_path / "again"
    assert main(["bundle", *map(str, options[:-2]), str(again), "--no-int8"]) == 0
    for name in (MANIFEST, BACKGROUND, PAIR_HEAD):
        assert (again / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_graph_that_nobody_proved_is_not_written(written: Path) -> None:
    manifest = load_bundle(written).manifest
    require_parity(manifest)
    files = {**manifest.files, ENCODER: "0" * 64}
    with pytest.raises(ParityError, match=r"nothing proves encoder\.onnx; the bundle is not written"):
        require_parity(dataclasses.replace(manifest, files=files))
    without = {name: record for name, record in manifest.parity.items() if name != "pair_head"}
    with pytest.raises(ParityError, match=r"nothing proves pair_head\.onnx"):
        require_parity(dataclasses.replace(manifest, parity=without))


def test_a_folder_that_holds_something_else_is_left_alone(written: Path, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds something else than a bundle"):
        write_bundle(Recipe(encoder=written.parent / "best.pt", prepared=prepared), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


# --- sharing ---


def test_a_bundle_is_packed_to_the_same_bytes(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = shutil.copytree(written, tmp_path / "again", copy_function=shutil.copyfile)
    for folder, name in ((written, "one.zip"), (again, "other.zip")):
        assert main(["pack", str(folder), "--out", str(tmp_path / name)]) == 0
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert capsys.readouterr().out == f"{digest}  {tmp_path / name}\n"
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    done = install(tmp_path / "one.zip", into=tmp_path / "models")
    assert done.bundle.digest == load_bundle(written).digest
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_bundle_is_not_packed(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(written, tmp_path / "broken")
    (broken / CARD).write_text("changed", "utf-8")
    assert main(["pack", str(broken), "--out", str(tmp_path / "x.zip")]) == 2
    assert "MODEL_CARD.md has digest" in capsys.readouterr().err
    assert main(["pack", str(tmp_path / "nowhere"), "--out", str(tmp_path / "x.zip")]) == 2
    assert "is not the folder of a bundle" in capsys.readouterr().err
    assert not (tmp_path / "x.zip").exists()


def test_a_card_says_what_the_weights_were(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    assert describe_start(path, "minilm").startswith("sentence-transformers/all-MiniLM-L6-v2")
    assert describe_start(path, "conv") == "not recorded"
    for start, said in (
        ("tables", "random weights, but for a token table of the principal components of that of sentence-"),
        ("random", "random weights"),
        ("enc.pt", "the weights of another run (enc.pt)"),
    ):
        (tmp_path / "run.json").write_text(json.dumps({"start": start}), "utf-8")
        assert describe_start(path, "conv").startswith(said)
    assert describe_start(path, "ensemble") == "not recorded"
    path.with_suffix(".json").write_text('{"starts": ["one", "another"]}', "utf-8")
    assert describe_start(path, "ensemble") == "one; beside it another"
