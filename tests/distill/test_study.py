"""The study: what is run, what is not run twice, and what the table says; and the default bundle's list of steps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from polyclone.errors import PolycloneError, UsageError
from polyclone_distill import default_bundle, study
from polyclone_distill.cli import main
from polyclone_distill.default_bundle import DefaultPlan, Step, make_default
from polyclone_distill.study import Cell, Grid, cell_recipe, cells, read_grid, recipe_key, run_study
from polyclone_distill.study_baselines import lexical_baselines
from polyclone_distill.study_report import interval, markdown, plot, summarise
from polyclone_distill.trainer.cross_encoder import CrossConfig, CrossEncoder, save_cross_encoder
from polyclone_distill.trainer.run import load_encoder
from polyclone_distill.trainer.settings import default_recipe
from polyclone_distill.trainer.shards import Shard
from polyclone_distill.trainer.subset import choose_units, take_units
from support.corpus import exercises, write_rows
from support.training import write_data

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIGS = Path(__file__).parents[2] / "configs"

GRID = """
students = ["static-1.5m", "conv-1.5m"]
seeds = [1, 2]
programs = 12
timed = 8
[methods]
ft = ["ft"]
kd = ["ft", "kd:2"]
[train]
steps = 2
pairs = 4
budget = 40
bf16 = false
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("study") / "data")


def grid_file(folder: Path, text: str = GRID) -> Path:
    path = folder / "grid.toml"
    path.write_text(text, "utf-8")
    return path


# --- grids ---


@pytest.mark.parametrize("path", sorted((CONFIGS / "studies").glob("*.toml")), ids=lambda path: path.stem)
def test_grids_that_come_along_can_be_run(path: Path) -> None:
    grid = read_grid(path)
    assert len(grid.seeds) == 3
    for cell in cells(grid):
        recipe = cell_recipe(grid, cell)
        assert recipe.stages[-1].train.seed == cell.seed
        assert recipe.stages[-1].train.evaluate_every == recipe.stages[-1].train.steps


def test_a_grid_is_walked_seed_by_seed(tmp_path: Path) -> None:
    grid = read_grid(grid_file(tmp_path))
    walked = list(cells(grid))
    assert walked[:3] == [
        Cell("static-1.5m", "ft", 1),
        Cell("static-1.5m", "kd", 1),
        Cell("conv-1.5m", "ft", 1),
    ]
    assert [cell.seed for cell in walked] == [1] * 4 + [2] * 4
    part = grid.narrowed(["conv-1.5m"], ["kd"], [2])
    assert list(cells(part)) == [Cell("conv-1.5m", "kd", 2)]
    assert cell_recipe(grid, walked[1]).distill.methods == (("ft", 1.0), ("kd", 2.0))
    with pytest.raises(UsageError, match=r"the grid has no student conv-9m; it has static-1\.5m, conv-1\.5m"):
        grid.narrowed(["conv-9m"], [], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("students = []", "methods, seeds missing"),
        (GRID.replace("programs", "program"), "unknown field program; a grid has"),
        (GRID.replace('"ft", "kd:2"', '"ft", "magic"'), "unknown method 'magic'"),
        (GRID.replace("[1, 2]", "[]"), "at least one student, one method and one seed"),
        ("students = ", "is not valid TOML"),
        (GRID + '[assistants]\nkd = "conv-9m/ft"', "assistant kd = 'conv-9m/ft'; a method of the grid"),
        (GRID + '[assistants]\nkd = "conv-1.5m/kd"', "that learns from the teacher itself"),
    ],
)
def test_a_wrong_grid_is_told(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((UsageError, ValueError), match=message):
        read_grid(grid_file(tmp_path, text))


def test_a_missing_grid_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a grid"):
        read_grid(tmp_path / "none.toml")


# --- runs ---


def test_a_study_from_end_to_end(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["study", "kd", "--grid", str(grid_file(tmp_path)), "--data", str(data), "--out", str(out)]
    command += ["--teacher", str(data / "start.pt")]
    assert main([*command, "--students", "static-1.5m", "--seeds", "1"]) == 0
    assert len(list(out.glob("*/*/seed*/cell.json"))) == 2
    assert main(command) == 0
    assert "| teacher | – |" in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text("utf-8"))
    assert len(results["cells"]) == 8
    assert len(results["rows"]) == 4
    assert all(row["seeds"] == [1, 2] for row in results["rows"])
    kd = next(row for row in results["rows"] if row["method"] == "kd")
    assert kd["gain"] == pytest.approx(kd["score"] - results["rows"][0]["score"], abs=1e-9)
    assert json.loads((out / "conv-1.5m/kd/seed2/run.json").read_text("utf-8"))["distill"]["methods"] == [
        ["ft", 1.0],
        ["kd", 2.0],
    ]
    # Nothing is done twice.
    monkeypatch.setattr(study, "run_recipe", None)
    monkeypatch.setattr(study, "measure", None)
    assert main(command) == 0


def test_an_assistant_stands_between_teacher_and_student(data: Path, tmp_path: Path) -> None:
    text = GRID.replace("[train]", 'thin = ["ft", "kd:2"]\n[assistants]\nthin = "conv-1.5m/kd"\n[train]')
    grid = read_grid(grid_file(tmp_path, text)).narrowed([], [], [1])
    assert [cell.folder for cell in cells(grid)][-2:] == ["conv-1.5m/kd/seed1", "static-1.5m/thin/seed1"]
    teacher, out = data / "start.pt", tmp_path / "out"
    with pytest.raises(UsageError, match=r"learns from conv-1\.5m/kd/seed1, which is not done yet"):
        run_study(grid.narrowed([], ["thin"], []), data, teacher, out)
    run_study(grid, data, teacher, out)
    digests = json.loads((out / "static-1.5m/thin/seed1/run.json").read_text("utf-8"))["digests"]
    assistant = out / "conv-1.5m/kd/seed1/best.pt"
    assert hashlib.sha256(assistant.read_bytes()).hexdigest() in digests.values()


def test_margins_are_those_of_a_judge_of_pairs(data: Path, tmp_path: Path) -> None:
    text = GRID.replace('kd = ["ft", "kd:2"]', 'margins = ["ft", "margin_mse"]')
    grid = read_grid(grid_file(tmp_path, text)).narrowed(["static-1.5m"], ["margins"], [1])
    teacher, out, judge = data / "start.pt", tmp_path / "out", tmp_path / "judge.pt"
    with pytest.raises(UsageError, match=r"method margins needs --pair-teacher FILE"):
        run_study(grid, data, teacher, out)
    sizes = load_encoder(teacher).config
    config = CrossConfig(vocabulary=sizes.vocabulary, layers=1, width=16, heads=2, feed_forward=16)
    save_cross_encoder(CrossEncoder(config), judge, {})
    run_study(grid, data, teacher, out, pair_teacher=judge)
    row = json.loads((out / "static-1.5m/margins/seed1/steps.jsonl").read_text("utf-8").splitlines()[-1])
    assert row["margin_mse"] > 0 and row["margin_mse_count"] > 0


def test_fields_that_came_later_leave_old_results_valid() -> None:
    old = recipe_key(default_recipe({}))
    assert not {"average", "self_taught"} & set(old["stages"][0]["train"])
    assert recipe_key(default_recipe({"average": 0.5}))["stages"][0]["train"]["average"] == 0.5


def test_a_cell_of_other_settings_is_done_anew(data: Path, tmp_path: Path) -> None:
    grid = read_grid(grid_file(tmp_path)).narrowed(["static-1.5m"], ["ft"], [1])
    teacher, out = data / "start.pt", tmp_path / "out"
    run_study(grid, data, teacher, out)
    longer = Grid(**{**{f: getattr(grid, f) for f in grid.__dataclass_fields__}, "train": {**grid.train, "steps": 3}})
    results = run_study(longer, data, teacher, out)
    rows = (out / "static-1.5m/ft/seed1/steps.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3]
    assert len(results["cells"]) == 1
    assert (out / "static-1.5m/ft/old1-seed1").is_dir()


def test_baselines_are_of_the_words_that_are_left(data: Path) -> None:
    found = lexical_baselines(data, 12, 40)
    assert sorted(found) == ["BM25", "TF-IDF"]
    for mrr in found.values():
        assert sorted(mrr) == ["masked", "plain", "renamed"]
        assert mrr["renamed"] < mrr["plain"]
        assert all(0.0 < value <= 1.0 for value in mrr.values())


def test_a_study_of_fewer_units_has_whole_classes(data: Path, tmp_path: Path) -> None:
    whole = Shard.load(data / "train.npz")
    some, more = choose_units(whole, 40), choose_units(whole, 60)
    assert 0 < len(some) <= 40
    assert set(some) <= set(more)
    part = take_units(whole, some)
    assert len(part) == len(some)
    for position, unit in enumerate(some.tolist()):
        for offsets, name in (("token_offsets", "tokens"), ("word_offsets", "words"), ("owner_offsets", "called")):
            mine, yours = getattr(part, offsets), getattr(whole, offsets)
            found = getattr(part, name)[mine[position] : mine[position + 1]]
            assert found.tolist() == getattr(whole, name)[yours[unit] : yours[unit + 1]].tolist()
        partner = int(whole.partner[unit])
        assert part.partner[position] == (some.tolist().index(partner) if partner in some else -1)
    for label in np.unique(part.label[part.label >= 0]):
        languages = whole.language[whole.label == label]
        assert set(part.language[part.label == label]) == set(languages)
    grid = read_grid(grid_file(tmp_path, GRID.replace("timed = 8", "timed = 8\ntraining_units = 40")))
    run_study(grid.narrowed(["static-1.5m"], ["kd"], [1]), data, data / "start.pt", tmp_path / "out")
    assert len(Shard.load(tmp_path / "out" / "data" / "train.npz")) == len(some)


# --- tables ---


def made_results() -> dict[str, Any]:
    def cell(student: str, method: str, seed: int, score: float) -> dict[str, Any]:
        mrr = {"plain": score, "masked": score, "renamed": score}
        size = {"parameters": 1_500_000, "ms_per_function": 2.0}
        return {"student": student, "method": method, "seed": seed, "score": score, "mrr": mrr, **size}

    teacher = {**cell("", "", 0, 0.8), "parameters": 20_000_000}
    scores = {("a", "ft"): (0.5, 0.6, 0.7), ("a", "kd"): (0.55, 0.66, 0.74), ("b", "ft"): (0.4,), ("b", "kd"): (0.5,)}
    found = [cell(*key, seed, score) for key, row in scores.items() for seed, score in enumerate(row, 1)]
    baselines = {"BM25": {"plain": 0.6, "masked": 0.4, "renamed": 0.2}}
    return {"teacher": teacher, "baselines": baselines, "cells": found}


def test_an_interval_by_hand() -> None:
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)  # t(.975, 2) · s / √n, with s = 1.
    assert math.isnan(interval([1.0])[1])


def test_gains_are_paired_and_intervals_honest() -> None:
    rows = {(row["student"], row["method"]): row for row in summarise(made_results())["rows"]}
    kd = rows["a", "kd"]
    assert kd["gain"] == pytest.approx(0.05)
    assert kd["gain_half_width"] == pytest.approx(interval([0.05, 0.06, 0.04])[1])
    assert kd["outside_its_interval"] is True
    assert kd["retention"] == pytest.approx(0.65 / 0.8)
    assert rows["b", "kd"]["outside_its_interval"] is None
    assert math.isnan(rows["a", "ft"]["gain"])


def test_a_table_says_what_was_found() -> None:
    table = markdown(summarise(made_results()))
    assert "| teacher | – | 20.0M | 2.00 | 0.800 | 0.800 | 0.800 | 0.800 | 100 % | – | – |" in table
    assert "| BM25 | – | – | – | 0.600 | 0.400 | 0.200 | 0.400 | 50.0% | – | – |" in table
    assert "| a | kd | 1.5M | 2.00 | 0.650 | 0.650 | 0.650 | 0.650 ± 0.237 | 81.2% | +0.050 ± 0.025 | 3 |" in table
    assert "| b | kd | 1.5M | 2.00 | 0.500 | 0.500 | 0.500 | 0.500 | 62.5% | +0.100 | 1 |" in table


def test_plots_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = plot(summarise(made_results()), tmp_path)
    assert [path.name for path in made] == ["quality-parameters.png", "quality-ms.png", "gain.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert plot(summarise(made_results()), tmp_path) == []
    assert "pip install matplotlib" in caplog.text


# --- the default bundle ---


def test_a_head_without_a_threshold_ends_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def useless(bundle: Path, data: Path, out: Path, config: object) -> None:
        out.with_suffix(".json").write_text('{"calibration": {"precisions": []}}', "utf-8")

    monkeypatch.setattr("polyclone_distill.judge.train_pair_head", useless)
    with pytest.raises(PolycloneError, match=r"no threshold of any use.*give more exercises.*raise --draws"):
        default_bundle._judge(tmp_path, tmp_path, tmp_path / "head.pt", 4)


def test_a_step_is_done_once_for_the_same_things(tmp_path: Path) -> None:
    plan = DefaultPlan(tasks=(), repositories=(), out=tmp_path, recipe=default_recipe({}))
    done: list[str] = []

    def step(key: Any) -> Step:
        def act() -> None:
            done.append(str(key))
            (tmp_path / "made").write_text("x", "utf-8")

        return Step("one", key, tmp_path / "made", act)

    for key in ([1], [1], [2], [2]):
        default_bundle._do(plan, step(key))
    assert done == ["[1]", "[2]"]
    (tmp_path / "made").unlink()
    default_bundle._do(plan, step([2]))
    assert done == ["[1]", "[2]", "[2]"]


def test_only_the_number_of_steps_may_change_on_the_way() -> None:
    def key(**changes: Any) -> Any:
        recipe = json.loads(json.dumps(dataclasses.asdict(default_recipe(changes)), default=dict))
        return default_bundle._without_steps(recipe)

    assert key(steps=5) == key(steps=9)
    assert key(pairs=5) != key(pairs=9)


def test_what_is_said_of_a_recipe_begins_no_other_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train.npz", "valid.npz", "start.pt"):
        (tmp_path / "prepared").mkdir(exist_ok=True)
        (tmp_path / "prepared" / name).write_bytes(b"x")
    begun: list[Path] = []

    def train(_: Any, encoder: Path, __: Any) -> None:
        begun.append(encoder)
        raise PolycloneError("enough")

    monkeypatch.setattr(
        default_bundle, "_prepare", lambda _, data: (data / "prepared.json").write_text("{}", "utf-8")
    )
    monkeypatch.setattr(default_bundle, "_train", train)
    recipe = default_recipe({})
    for said in (recipe, dataclasses.replace(recipe, about="another word"), default_recipe({"pairs": 5})):
        plan = DefaultPlan(tasks=(), repositories=(), out=tmp_path, recipe=said)
        with pytest.raises(PolycloneError, match="enough"):
            make_default(plan)
    assert begun[0] == begun[1] != begun[2]


def test_what_stops_the_default_is_told(tmp_path: Path) -> None:
    plan = DefaultPlan(tasks=(tmp_path / "a.parquet",), repositories=(), out=tmp_path, recipe=default_recipe({}))
    with pytest.raises(UsageError, match=r"a\.parquet does not exist; give the parquet files"):
        make_default(plan)
    with pytest.raises(PolycloneError, match=r"polyclone-export failed: .*does not exist"):
        default_bundle.export(["--encoder", "none.pt", "--data", str(tmp_path), "--out", str(tmp_path / "b")])


def test_the_default_stops_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the first export, which fails once: what was done before is not done again."""
    tasks = write_rows(tmp_path / "tasks.parquet", exercises())
    shipped = (CONFIGS / "compact.toml").read_text("utf-8")
    recipe = tmp_path / "compact.toml"
    recipe.write_text(re.sub(r"(?m)^(layers|steps) = .*", r"\1 = 1", shipped), "utf-8")
    command = ["train", "default", "--config", str(recipe), "--tasks", str(tasks), "--out", str(tmp_path / "out")]
    command += ["--layers", "1", "--jobs", "1"]
    command += ["--pairs", "3", "--budget", "32", "--no-bf16", "--validation-limit", "10", "--steps", "1"]
    asked: list[list[str]] = []

    def failing(arguments: list[str]) -> None:
        asked.append(arguments)
        raise PolycloneError("no space left")

    monkeypatch.setattr(default_bundle, "export", failing)
    assert main(command) == 2
    (encoder,) = (tmp_path / "out").glob("encoder-*/best.pt")
    assert sorted(str(path.parent.relative_to(encoder.parent)) for path in encoder.parent.rglob("run.json")) == [
        "member-conv-10m",
        "own/1-labels",
        "own/2-renamed",
        "own/3-longer",
    ]
    before = encoder.stat().st_mtime_ns
    assert main(command) == 2
    assert encoder.stat().st_mtime_ns == before
    assert asked[0] == asked[1]
    assert asked[0][:2] == ["--encoder", str(encoder)]
    record = json.loads((tmp_path / "out/default.json").read_text("utf-8"))
    assert set(record) == {"prepare", "encoder"}
