"""Stages: hidden tokens, bodies without signatures, mutants, mined negatives, patience; each resumes to the bit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from polyclone_distill.cli import main
from polyclone_distill.progress import shown
from polyclone_distill.trainer import run as trainer_run
from polyclone_distill.trainer.batches import MUTANT, Sampler
from polyclone_distill.trainer.devices import OneDevice, random_state, set_random_state
from polyclone_distill.trainer.errors import TrainerError
from polyclone_distill.trainer.loop import Hooks, Run, segments
from polyclone_distill.trainer.masking import IGNORED, MaskedSampler
from polyclone_distill.trainer.mining import KEPT, filter_negatives, load_negatives, save_negatives
from polyclone_distill.trainer.model import Encoder
from polyclone_distill.trainer.mutation import Mutations
from polyclone_distill.trainer.objective import ContrastiveObjective, MaskedObjective
from polyclone_distill.trainer.run import Materials, load_encoder, run_recipe
from polyclone_distill.trainer.settings import (
    BatchConfig,
    DistillConfig,
    Recipe,
    Stage,
    TrainConfig,
    default_recipe,
    load_recipe,
    parse_recipe,
)
from polyclone_distill.trainer.shards import DOC, Shard
from polyclone_distill.trainer.views import PLAIN, make_mutant, make_view
from support.training import CLS, SEP, SPELLED, Writer, synthetic_shard, tiny_encoder, view_vocabulary, write_data

pytestmark = pytest.mark.usefixtures("one_thread")

VOCABULARY = view_vocabulary()


@pytest.fixture(scope="module")
def shard() -> Shard:
    return synthetic_shard()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("stages") / "data")


# --- mutants ---


def mutated(tokens: list[int], owner: list[int] | None = None, seed: int = 0, room: int = 100) -> list[int] | None:
    owners = np.array(owner or [-1] * len(tokens), np.int64)
    first = np.ones(len(tokens), np.int64)
    found = Mutations.of(SPELLED).apply(np.array(tokens, np.int64), owners, first, room, np.random.default_rng(seed))
    if found is None:
        return None
    assert len(found[0]) == len(found[1]) == len(found[2])
    return found[0].tolist()


def test_comparisons_flip_and_branches_change_places() -> None:
    less, at_most, more, negation, branch = (SPELLED[w] for w in ("<", "[<=]", ">", "not", "if"))
    assert {tuple(mutated([less], seed=s) or ()) for s in range(30)} == {(at_most,), (more,), (SPELLED["[>=]"],)}
    assert mutated([branch, 100]) == [branch, negation, 100]
    assert mutated([branch, negation, 100]) == [branch, 100]
    assert mutated([SPELLED["and"]]) == [SPELLED["or"]]
    assert mutated([100, 101]) is None


def test_numbers_are_off_by_one() -> None:
    numbers = Mutations.of({str(n): 50 + n for n in range(5)})
    assert numbers.swaps[50] == (51,)
    assert numbers.swaps[52] == (51, 53, 54)


def test_what_an_identifier_owns_is_no_operator() -> None:
    less = SPELLED["<"]
    assert mutated([less], owner=[3]) is None
    # The second piece of an atom is none by itself.
    found = Mutations.of(SPELLED).apply(
        np.array([100, less]), np.array([-1, -1]), np.array([1, 0]), 100, np.random.default_rng(0)
    )
    assert found is None


def test_what_a_view_cuts_away_is_not_changed() -> None:
    tokens = [100] * 60 + [SPELLED["<"]]
    assert mutated(tokens, room=100) is not None
    assert mutated(tokens, room=40) is None


def test_a_mutant_differs_in_one_place(shard: Shard) -> None:
    for unit in range(8):
        plain = make_view(shard, unit, VOCABULARY, PLAIN, 100, np.random.default_rng(1))
        mutant = make_mutant(shard, unit, VOCABULARY, PLAIN, 100, np.random.default_rng(1))
        assert mutant is not None
        assert mutant.words.tolist() == plain.words.tolist()
        a, b = plain.tokens.tolist(), mutant.tokens.tolist()
        assert a != b
        if len(a) == len(b):
            assert sum(x != y for x, y in zip(a, b, strict=True)) == 1
        else:
            longer, shorter = sorted((a, b), key=len, reverse=True)
            at = next(i for i, x in enumerate(longer) if i == len(shorter) or x != shorter[i])
            assert longer[:at] + longer[at + 1 :] == shorter


def test_mutants_are_negatives_of_their_class(shard: Shard) -> None:
    config = BatchConfig(pairs=4, budget=60, classes=1.0, mutants=1.0)
    batch = Sampler(shard, VOCABULARY, config, 1).batch(0)
    assert (batch.labels <= MUTANT).sum() == 4
    assert len(set(batch.labels.tolist())) == 8
    objective = ContrastiveObjective(tiny_encoder(dropout=0.0), TrainConfig(bf16=False))
    _, parts = objective(batch)
    assert parts["dense"].terms.item() == parts["lexical"].terms.item() == 8
    without = ContrastiveObjective(tiny_encoder(dropout=0.0), TrainConfig(bf16=False))
    plain = dataclasses.replace(batch, **{f.name: getattr(batch, f.name)[:8] for f in dataclasses.fields(batch)})
    _, fewer = without(plain)
    assert parts["dense"].mean() > fewer["dense"].mean()
    assert parts["lexical"].mean().item() == pytest.approx(fewer["lexical"].mean().item(), rel=1e-5)


# --- bodies without signatures ---


def documented() -> Shard:
    """A function `f(a) { a x }`, its signature known, beside one whose signature is not."""
    writer = Writer()
    occurrences = [(-1, [50], []), (0, [60, 61], [70]), (1, [62], [72]), (1, [62], [72]), (-1, [12], [74])]
    writer.add(occurrences, [0, 0], named=1, label=-1, program=0, language=0, kind=1, signature=(4, 2))
    writer.add(occurrences, [0, 0], named=1, label=-1, program=1, language=0, kind=1)
    writer.add([(-1, [90], [95])], [], named=0, label=-1, program=0, language=0, kind=DOC, partner=0)
    return writer.shard()


def test_a_body_without_its_signature() -> None:
    made = documented()
    for unit, tokens, words in ((0, [62, 12], [72, 74]), (1, [62, 62, 12], [72, 74])):
        view = make_view(made, unit, VOCABULARY, PLAIN, 40, np.random.default_rng(0), headless=True)
        assert view.tokens.tolist() == [CLS, *tokens, SEP]
        assert view.words.tolist() == words


def test_documentation_finds_headless_bodies(shard: Shard) -> None:
    config = BatchConfig(pairs=20, budget=60, classes=0.0, documents=1.0, headless=1.0)
    whole = Sampler(shard, VOCABULARY, dataclasses.replace(config, headless=0.0), 1).batch(0)
    bodies = Sampler(shard, VOCABULARY, config, 1).batch(0)
    assert (bodies.labels < 0).all()
    assert bodies.attention_mask[1::2].sum() < whole.attention_mask[1::2].sum()


# --- hidden tokens ---


def test_what_is_hidden_is_asked_for(shard: Shard) -> None:
    train = TrainConfig(mask_tokens=0.1, mask_names=0.5)
    batch = MaskedSampler(shard, VOCABULARY, BatchConfig(pairs=8, budget=60), train).batch(3)
    hidden = batch.targets != IGNORED
    assert 0.1 < (hidden.sum() / batch.attention_mask.sum()).item() < 0.7
    assert (batch.input_ids[hidden] == VOCABULARY.mask).all()
    assert not (hidden & (batch.attention_mask == 0)).any()
    assert (batch.input_ids[:, 0] == CLS).all()
    assert not hidden[:, 0].any()
    again = MaskedSampler(shard, VOCABULARY, BatchConfig(pairs=8, budget=60), train).batch(3)
    assert torch.equal(batch.input_ids, again.input_ids)


def test_a_hidden_name_is_hidden_everywhere() -> None:
    writer = Writer()
    writer.add(
        [(1, [50], []), (-1, [20], []), (1, [50], [])], [0, 0], named=1, label=0, program=0, language=0, kind=0
    )
    train = TrainConfig(mask_tokens=0.0, mask_names=0.5)
    sampler = MaskedSampler(writer.shard(), VOCABULARY, BatchConfig(pairs=40, budget=20), train)
    rows = {tuple(row) for row in sampler.batch(0).input_ids.tolist()}
    assert rows == {(CLS, 50, 20, 50, SEP), (CLS, VOCABULARY.mask, 20, VOCABULARY.mask, SEP)}


def test_a_bag_cannot_guess() -> None:
    with pytest.raises(TrainerError, match="static body sees one token at a time"):
        MaskedObjective(tiny_encoder(architecture="static"), TrainConfig())


# --- hard negatives ---


def test_the_filter_drops_what_scores_like_a_positive() -> None:
    angles = np.array([0.0, 0.3, 0.1, 0.8, 1.5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels, units = np.array([0, 0, 1, 2, 3], np.int32), np.array([10, 11, 12, 13, 14])
    found, counts = filter_negatives(vectors, labels, units)
    # The positive of row 0 scores cos .3 = .955, of which .95 is .908: unit 12 (.995) goes, 13 (.697) and 14 stay.
    assert found == {0: found[0]}
    assert found[0].tolist() == [13, 14]
    assert counts == {"mined": 4, "taken_for_positives": 2}


def test_only_the_nearest_are_kept() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array([0, 0, *range(1, 59)], np.int32)
    vectors[1] = vectors[0]
    found, _ = filter_negatives(vectors, labels, np.arange(60), block=7)
    scores = vectors @ vectors[0]
    scores[[0, 1]] = -2
    best = [i for i in np.argsort(-scores) if scores[i] <= 0.95][:KEPT]
    assert found[0].tolist() == sorted(best)


def test_mined_units_join_the_batch(shard: Shard) -> None:
    sampler = Sampler(shard, VOCABULARY, BatchConfig(pairs=4, budget=40, classes=1.0, hard_negatives=2), 1)
    assert len(sampler.batch(0).labels) == 8
    foreign = {label: np.flatnonzero(shard.label == (label + 1) % 6) for label in range(6)}
    sampler.negatives = foreign
    batch = sampler.batch(0)
    assert len(batch.labels) == 16
    for pair in range(4):
        label = int(batch.labels[2 * pair])
        assert (batch.labels[8 + 2 * pair : 10 + 2 * pair] == (label + 1) % 6).all()


def test_a_table_of_negatives_survives_its_arrays() -> None:
    table = {4: np.array([1, 2]), 2: np.array([], np.int64), 9: np.array([7])}
    again = load_negatives(save_negatives(table))
    assert {label: units.tolist() for label, units in again.items()} == {2: [], 4: [1, 2], 9: [7]}
    assert load_negatives(save_negatives({})) == {}


@pytest.mark.parametrize(
    ("start", "stop", "every", "expected"),
    [
        (0, 10, 4, [(0, 4), (4, 8), (8, 10)]),
        (5, 12, 4, [(4, 8), (8, 12)]),
        (8, 10, 4, [(8, 10)]),
        (3, 10, 0, [(3, 10)]),
        (10, 10, 0, []),
        (12, 12, 4, []),
    ],
)
def test_segments(start: int, stop: int, every: int, expected: list[tuple[int, int]]) -> None:
    assert list(segments(start, stop, every)) == expected


# --- whole stages, killed and resumed ---

COMMON = {"bf16": False, "checkpoint_every": 3, "evaluate_every": 4, "warmup": 2, "learning_rate": 2e-3}
STAGES = {
    "masked": {"objective": "masked"},
    "documents": {"classes": 0.0, "documents": 0.8, "headless": 1.0},
    "classes": {"blocks": True, "mutants": 0.5, "hard_negatives": 1, "mine_every": 4, "mine_pool": 12},
}


def recipe(
    *names: str, steps: int = 10, sizes: dict[str, Any] | None = None, methods: tuple[str, ...] = ()
) -> Recipe:
    tables = [{"name": name, **STAGES[name], "steps": steps} for name in names]
    raw: dict[str, Any] = {
        "start": "tables",
        "train": COMMON,
        "batches": {"pairs": 5, "budget": 40},
        "stages": tables,
    }
    made = parse_recipe(raw, "made", {})
    encoder = {"architecture": "modernbert", "width": 16, "heads": 2, "feed_forward": 16, **(sizes or {})}
    distill = DistillConfig(methods=tuple((name, 1.0) for name in methods))
    return dataclasses.replace(made, encoder=encoder, distill=distill)


def curve(folder: Path) -> dict[int, dict[str, Any]]:
    """Step → row without its time; of a step done twice, the second time counts."""
    rows = [json.loads(line) for line in (folder / "steps.jsonl").read_text("utf-8").splitlines()]
    return {row["step"]: {k: v for k, v in row.items() if k != "elapsed_s"} for row in rows}


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("killed_after", [2, 7])
def test_a_killed_stage_goes_on_as_if_nothing_had_been(
    name: str, killed_after: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ("ft", "pkd") if name == "classes" else ()
    given = Materials(data=data, teachers=(data / "start.pt",) if methods else (), validation_limit=12)
    made = recipe(name, methods=methods)
    run_recipe(made, tmp_path / "whole", given)
    step = Run._step

    def dying(self: Run, batch: Any, hooks: Hooks) -> None:
        if self.step == killed_after:
            raise _KilledError
        step(self, batch, hooks)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_step", dying)
        with pytest.raises(_KilledError):
            run_recipe(made, tmp_path / "parts", given)
    assert max(curve(tmp_path / "parts")) == killed_after
    run_recipe(made, tmp_path / "parts", given)
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    one, other = (torch.load(tmp_path / f / "best.pt", weights_only=True)["state"] for f in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_stage_learns_from_what_it_began_with_and_is_averaged_with_it(data: Path, tmp_path: Path) -> None:
    raw = {
        "start": "tables",
        "train": COMMON,
        "batches": {"pairs": 5, "budget": 40},
        "distill": {"methods": ["ft", "kd"], "teacher_view": "plain"},
        "stages": [
            {"name": "labels", "steps": 4},
            {"name": "taught", "steps": 4, "self_taught": True, "average": 0.25},
        ],
    }
    encoder = {"architecture": "modernbert", "width": 16, "heads": 2, "feed_forward": 16}
    made = dataclasses.replace(parse_recipe(raw, "made", {}), encoder=encoder)
    best = run_recipe(made, tmp_path, Materials(data=data, validation_limit=12))
    labels, taught = (curve(tmp_path / folder)[4] for folder in ("1-labels", "2-taught"))
    assert "kd" not in labels and taught["kd"] > 0 and taught["kd_count"] > 0
    start, end, mean = (
        load_encoder(path).state_dict()
        for path in (tmp_path / "1-labels" / "best.pt", tmp_path / "2-taught" / "best.pt", best)
    )
    for name, value in mean.items():
        torch.testing.assert_close(value, 0.25 * start[name] + 0.75 * end[name], atol=1e-3, rtol=1e-3)
    assert best.read_bytes() == (tmp_path / "2-taught" / "averaged.pt").read_bytes()
    told = json.loads((tmp_path / "2-taught" / "averaged.json").read_text("utf-8"))
    assert told["share_of_start"] == 0.25 and 0 < told["plain_combined"] <= 1
    # The teacher has read what the stage draws, and a second call does nothing again.
    (table,) = (tmp_path / "2-taught").glob("table-*.npz")
    files = (table, tmp_path / "2-taught" / "averaged.pt", tmp_path / "2-taught" / "steps.jsonl")
    before = [path.stat().st_mtime_ns for path in files]
    run_recipe(made, tmp_path, Materials(data=data, validation_limit=12))
    assert [path.stat().st_mtime_ns for path in files] == before


def test_a_share_of_the_start_that_is_no_share() -> None:
    with pytest.raises(TrainerError, match=r"average is 1\.0; it must be at least 0 and less than 1"):
        parse_recipe({"train": {"average": 1.0}}, "made", {})


def test_a_kill_between_checkpoint_and_mining(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, given = recipe("classes"), Materials(data=data, validation_limit=12)
    run_recipe(made, tmp_path / "whole", given)
    mine = trainer_run.mine

    def dying(*arguments: Any, **options: Any) -> Any:
        if options["seed"][1] == 4:
            raise _KilledError
        return mine(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(trainer_run, "mine", dying)
        with pytest.raises(_KilledError):
            run_recipe(made, tmp_path / "parts", given)
    run_recipe(made, tmp_path / "parts", given)
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")


def test_stages_follow_each_other(data: Path, tmp_path: Path) -> None:
    made = recipe("masked", "documents", "classes", steps=4)
    best = run_recipe(made, tmp_path, Materials(data=data, validation_limit=12))
    folders = [tmp_path / name for name in ("1-masked", "2-documents", "3-classes")]
    assert best == tmp_path / "best.pt"
    assert best.read_bytes() == (folders[2] / "best.pt").read_bytes()
    for folder, name in zip(folders, STAGES, strict=True):
        record = json.loads((folder / "run.json").read_text("utf-8"))
        assert (record["stage"], record["seed"], record["start"]) == (
            name,
            1,
            "tables" if name == "masked" else "best.pt",
        )
        assert len(record["digests"]["data/train.npz"]) == 64
        assert record["train"]["steps"] == 4
    rows = curve(folders[0])
    assert rows[4]["hidden_sum"] / rows[4]["hidden_count"] == pytest.approx(rows[4]["hidden"], rel=1e-3)
    assert 0 <= rows[4]["score"] <= 1
    # Each begins with what the one before ended with.
    first = load_encoder(folders[0] / "best.pt").state_dict()["body.tokens.table.weight"]
    again = load_encoder(folders[1] / "best.pt").state_dict()["body.tokens.table.weight"]
    assert (first - again).abs().max() < 0.05
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("steps.jsonl")}
    run_recipe(made, tmp_path, Materials(data=data, validation_limit=12))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("steps.jsonl")} == before


def test_masked_training_learns(data: Path, tmp_path: Path) -> None:
    run_recipe(recipe("masked", steps=40), tmp_path, Materials(data=data, validation_limit=12))
    rows = curve(tmp_path)
    assert np.mean([rows[s]["hidden"] for s in range(36, 41)]) < 0.9 * np.mean(
        [rows[s]["hidden"] for s in range(1, 6)]
    )


def test_patience_ends_a_stage(shard: Shard, tmp_path: Path) -> None:
    scores = iter([0.5, 0.6, 0.55, 0.6, 0.9])
    config = TrainConfig(steps=50, bf16=False, evaluate_every=1, checkpoint_every=100, patience=2)
    run = Run(ContrastiveObjective(tiny_encoder(), config), config, tmp_path, OneDevice(torch.device("cpu")))

    def judge(model: Encoder) -> dict[str, float]:
        return {"score": next(scores)}

    run.train(Sampler(shard, VOCABULARY, BatchConfig(pairs=3, budget=30), 1), Hooks(export=dict, evaluate=judge))
    assert run.step == 4
    assert run.done
    assert (run.best, run.stale) == (0.6, 2)
    resumed = Run(ContrastiveObjective(tiny_encoder(), config), config, tmp_path, OneDevice(torch.device("cpu")))
    assert resumed.resume()
    assert resumed.done


def test_random_state_goes_on() -> None:
    state = random_state()
    first = torch.rand(3)
    set_random_state(state)
    assert torch.equal(torch.rand(3), first)


def test_a_bar_counts_all_stages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe("masked", "classes", steps=4)
    with shown(made, Path("out")) as show:
        assert show is None  # No terminal: steps are logged.
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with shown(made, Path("out")) as show:
        assert show is not None
        show({"stage": 1, "step": 4, "loss": 5.0, "score": 0.9})
        show({"stage": 2, "step": 2, "loss": 3.0})
        show({"stage": 2, "step": 3, "loss": 2.5, "score": 0.25})
        show({"stage": 2, "step": 4, "loss": 2.0, "score": 0.125})
    told = capsys.readouterr().err
    assert "8/8" in told
    assert "loss 2.000" in told
    assert "best 0.250" in told  # Of this stage: the one before had another measure.


def test_accelerate_with_one_process_changes_nothing(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from polyclone_distill.acceleration import AcceleratedDevices

    made, given = recipe("classes", steps=5), Materials(data=data, validation_limit=12)
    run_recipe(made, tmp_path / "plain", given)
    devices = AcceleratedDevices()
    if devices.device.type != "cpu":
        pytest.skip("the curves of a CPU and of an accelerator differ")
    run_recipe(made, tmp_path / "accelerated", dataclasses.replace(given, devices=devices))
    assert curve(tmp_path / "accelerated") == curve(tmp_path / "plain")


# --- recipes ---


def test_a_recipe_is_read_and_changed() -> None:
    made = load_recipe("teacher-80m", {"steps": 7, "seed": 3, "mask_name": 0.9})
    assert [stage.name for stage in made.stages] == ["masked", "documents", "classes"]
    assert [stage.train.steps for stage in made.stages] == [8000, 4000, 7]
    assert {stage.train.seed for stage in made.stages} == {3}
    assert {stage.batches.policy.mask_name for stage in made.stages} == {0.9}
    assert default_recipe({}).stages == (Stage(),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nstepz = 3", r"unknown field of \[train\]: stepz\. Known: .*steps"),
        ("[trains]\nsteps = 3", "unknown section: trains"),
        ("[train]\nsteps = 'many'", "steps is 'many'; it should be of type int"),
        ("[train]\nbf16 = 1", "bf16 is 1; it should be of type bool"),
        ("[[stages]]\nname = 'a'\npairz = 3", "unknown field of stage 'a': pairz"),
        ("[train]\nobjective = 'luck'", "objective is 'luck'; choose from contrastive, masked"),
        ("[batches]\nhard_negatives = 2", "hard_negatives needs mine_every"),
        ("[train]\nsteps = 0", "steps and pairs must be at least 1"),
        ("start = 'anywhere'", "start is 'anywhere'; choose from minilm"),
        ("[distill]\nmethods = ['magic']", "unknown method 'magic'"),
        ("[distill]\nheat = 3.0", r"unknown field of \[distill\]: heat"),
        ("steps = ", "is not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_told(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(TrainerError, match=message):
        load_recipe(str(path))


def test_an_absent_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="no configuration 'huge'; choose from bigru"):
        load_recipe("huge")
    with pytest.raises(TrainerError, match="give a name or a TOML file"):
        load_recipe(str(tmp_path / "none.toml"))


def test_a_checkpoint_of_another_run_is_told(data: Path, tmp_path: Path) -> None:
    given = Materials(data=data, validation_limit=12)
    run_recipe(recipe("classes", steps=2), tmp_path, given)
    with pytest.raises(TrainerError, match=r"of a run with another encoder or other methods.*another --out"):
        run_recipe(recipe("classes", steps=2, sizes={"width": 32}), tmp_path, given)


def test_weights_of_other_sizes_are_told(data: Path, tmp_path: Path) -> None:
    given = Materials(data=data, weights=data / "start.pt", validation_limit=12)
    with pytest.raises(TrainerError, match=r"differs from the configuration made in architecture, .*width"):
        run_recipe(recipe("classes"), tmp_path, given)


def test_assistants_stand_between_teacher_and_student(data: Path, tmp_path: Path) -> None:
    common = "[train]\nsteps = 2\nbf16 = false\n[batches]\npairs = 3\nbudget = 32\n"
    for name, width in (("big", 24), ("small", 8)):
        sizes = f'start = "tables"\n[encoder]\narchitecture = "conv"\nheads = 4\nlayers = 1\nwidth = {width}\n'
        (tmp_path / f"{name}.toml").write_text(sizes + common, "utf-8")
    command = ["train", "encoder", "--data", str(data), "--out", str(tmp_path / "out"), "--validation-limit", "10"]
    command += ["--config", str(tmp_path / "small.toml"), "--assistant", str(tmp_path / "big.toml")]
    command += ["--teacher", str(data / "start.pt"), "--method", "ft,kd"]
    assert main(command) == 0
    chain = [tmp_path / "out" / "assistant1-big", tmp_path / "out"]
    records = [json.loads((folder / "run.json").read_text("utf-8")) for folder in chain]
    assert [record["encoder"]["width"] for record in records] == [24, 8]
    assert "data/start.pt" in records[0]["digests"]
    learned_from = records[1]["digests"]["assistant1-big/best.pt"]
    assert learned_from == hashlib.sha256((chain[0] / "best.pt").read_bytes()).hexdigest()


def test_missing_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"lacks train\.npz.*run `polyclone-distill prepare"):
        run_recipe(recipe("classes"), tmp_path / "out", Materials(data=tmp_path))


def test_damaged_weights_are_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pt").write_bytes((data / "start.pt").read_bytes()[:500])
    (tmp_path / "text.pt").write_text("not weights", "utf-8")
    for name in ("cut.pt", "text.pt"):
        with pytest.raises(TrainerError, match="holds no weights, or damaged ones"):
            load_encoder(tmp_path / name)


def test_a_teacher_that_is_none_is_told(data: Path, tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.pt", "give the `best.pt` of a run"),
        (data / "bad.pt", "holds no encoder"),
    ):
        torch.save({"x": 1}, data / "bad.pt")
        with pytest.raises(TrainerError, match=message):
            run_recipe(recipe("classes", methods=("kd",)), tmp_path / "out", Materials(data=data, teachers=(path,)))
