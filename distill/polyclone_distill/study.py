"""`study kd`: students × methods × seeds, each cell a run of its own, resumed and never done twice.

A cell is judged once, at its last step, with its averaged weights: nothing is chosen on the split that is reported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from polyclone.errors import UsageError

from .study_baselines import lexical_baselines
from .trainer.model import Encoder
from .trainer.run import NEEDED, Materials, load_encoder, load_vocabulary, run_recipe, run_weights
from .trainer.settings import TEACHER_VIEWS, Recipe, load_recipe, parse_methods
from .trainer.shards import Shard
from .trainer.subset import choose_units, take_units
from .trainer.validation import encode_units, unseen_units, validate
from .trainer.views import PLAIN

log = logging.getLogger(__name__)

BASELINE = "ft"
#: The one method that learns from a judge of pairs.
PAIRS = "margin_mse"


@dataclass(frozen=True)
class Grid:
    """What is compared. `train` holds fields that every recipe is given; `methods` maps a label to weighted names."""

    students: tuple[str, ...]
    methods: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    train: Mapping[str, Any] = field(default_factory=dict)
    kd_temperature: float = 3.0
    teacher_view: str = "same"
    programs: int = 1200
    """Programs of unseen tasks to judge by."""
    training_units: int = 0
    """How many units to learn from: whole clone classes and others, half and half. 0 takes all of them."""
    assistants: Mapping[str, str] = field(default_factory=dict)
    """A method's label → `student/method`, the cell between its students and the teacher (Mirzadeh et al. 2020)."""
    timed: int = 256
    """Programs that are encoded to take the time."""

    def narrowed(self, students: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> Grid:
        """The part of the grid that was asked for; `UsageError` for what is not in it."""
        for asked, known, what in (
            (students, self.students, "student"),
            (methods, tuple(self.methods), "method"),
            (seeds, self.seeds, "seed"),
        ):
            unknown = [str(name) for name in asked if name not in known]
            if unknown:
                raise UsageError(f"the grid has no {what} {', '.join(unknown)}; it has {', '.join(map(str, known))}.")
        return dataclasses.replace(
            self,
            students=tuple(s for s in self.students if not students or s in students),
            methods={name: words for name, words in self.methods.items() if not methods or name in methods},
            seeds=tuple(s for s in self.seeds if not seeds or s in seeds),
        )


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    student: str
    method: str
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.student}/{self.method}/seed{self.seed}"


def read_grid(path: Path) -> Grid:
    """The grid of a TOML file: `students`, `seeds`, `[methods]`, `[train]`, and the simple fields of `Grid`."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a grid, as configs/studies/kd.toml is one.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from error
    known = {f.name for f in dataclasses.fields(Grid)}
    unknown = sorted(set(raw) - known)
    lacking = sorted({"students", "methods", "seeds"} - set(raw))
    if unknown or lacking:
        what = f"unknown field {', '.join(unknown)}" if unknown else f"{', '.join(lacking)} missing"
        raise UsageError(f"{path}: {what}; a grid has {', '.join(sorted(known))}.")
    methods = {name: tuple(words) for name, words in raw["methods"].items()}
    for words in methods.values():
        parse_methods(words)
    _check_assistants(path, raw.get("assistants", {}), methods, raw["students"])
    if raw.get("teacher_view", "same") not in TEACHER_VIEWS:
        raise UsageError(f"{path}: teacher_view is {raw['teacher_view']!r}; choose from {', '.join(TEACHER_VIEWS)}.")
    if not methods or not raw["students"] or not raw["seeds"]:
        raise UsageError(f"{path}: a grid needs at least one student, one method and one seed.")
    return Grid(**{**raw, "students": tuple(raw["students"]), "seeds": tuple(raw["seeds"]), "methods": methods})


def _check_assistants(
    path: Path, assistants: Mapping[str, str], methods: Mapping[str, Any], students: Sequence[str]
) -> None:
    for label, between in assistants.items():
        student, _, method = between.partition("/")
        if label not in methods or student not in students or method not in methods or method in assistants:
            raise UsageError(
                f"{path}: assistant {label} = {between!r}; a method of the grid, and the student/method of a cell of"
                " it that learns from the teacher itself, are wanted."
            )


def cells(grid: Grid) -> Iterator[Cell]:
    """All cells, seed by seed, so that a study that is cut short has whole rows first; with an assistant last."""
    for seed in grid.seeds:
        for assisted in (False, True):
            for student in grid.students:
                for method in grid.methods:
                    between = grid.assistants.get(method, "")
                    if bool(between) == assisted and between.partition("/")[0] != student:
                        yield Cell(student, method, seed)


def cell_recipe(grid: Grid, cell: Cell) -> Recipe:
    """The recipe of a cell. It is judged at its last step only."""
    recipe = load_recipe(cell.student, {**grid.train, "seed": cell.seed})
    stages = tuple(
        dataclasses.replace(
            stage, train=dataclasses.replace(stage.train, evaluate_every=stage.train.steps, patience=0)
        )
        for stage in recipe.stages
    )
    distill = dataclasses.replace(
        recipe.distill,
        methods=parse_methods(grid.methods[cell.method]),
        temperature=grid.kd_temperature,
        teacher_view=grid.teacher_view,
    )
    return dataclasses.replace(recipe, stages=stages, distill=distill)


def run_study(
    grid: Grid, data: Path, teacher: Path, out: Path, *, pair_teacher: Path | None = None
) -> dict[str, Any]:
    """Effect: every cell that is not there yet, `teacher.json` and `baselines.json`. Returns all results found.

    `UsageError` if a method needs a `pair_teacher` and there is none, or an assistant that is not trained yet.
    """
    out.mkdir(parents=True, exist_ok=True)
    todo = list(cells(grid))
    judged = [label for label, words in grid.methods.items() if _of_pairs(words)]
    if judged and pair_teacher is None:
        raise UsageError(
            f"method {', '.join(judged)} needs --pair-teacher FILE, a cross-encoder; or leave it out with --methods."
        )
    data = _training_data(data, out / "data", grid.training_units)
    identity = _digest(run_weights(teacher).read_bytes(), (data / "train.npz").read_bytes())
    teacher_result = _kept(out / "teacher.json", [identity, grid.programs, grid.timed])
    if teacher_result is None:
        teacher_result = measure(load_encoder(run_weights(teacher)), data, grid)
        _keep(out / "teacher.json", [identity, grid.programs, grid.timed], teacher_result)
    budget = int(grid.train.get("budget", 160))
    pool = [_digest((data / "valid.npz").read_bytes()), grid.programs, budget]
    if _kept(out / "baselines.json", pool) is None:
        _keep(out / "baselines.json", pool, lexical_baselines(data, grid.programs, budget))
    for number, cell in enumerate(todo, 1):
        recipe = cell_recipe(grid, cell)
        words = grid.methods[cell.method]
        between = _assistant(grid, cell, out)
        key = [identity, recipe_key(recipe), grid.programs]
        key += [_digest(path.read_bytes()) for path in (between, pair_teacher if _of_pairs(words) else None) if path]
        folder = out / cell.folder
        if _kept(folder / "cell.json", key) is not None:
            log.info("%d of %d: %s is there", number, len(todo), cell.folder)
            continue
        log.info("%d of %d: %s", number, len(todo), cell.folder)
        folder = _fresh_folder(folder, key)
        needed = {name for name, _ in parse_methods(words)} - {BASELINE, PAIRS}
        given = Materials(
            data=data,
            teachers=(between or teacher,) if needed else (),
            pair_teacher=pair_teacher if _of_pairs(words) else None,
            validation_limit=grid.programs,
            tables=out,
        )
        best = run_recipe(recipe, folder, given)
        _keep(folder / "cell.json", key, measure(load_encoder(best), data, grid))
    return gather(out)


def _training_data(data: Path, folder: Path, units: int) -> Path:
    """`data`, or for a number of units `folder`, with a shard of so many beside all else. Effect: makes it."""
    if not units:
        return data
    whole = Shard.load(data / "train.npz")
    chosen = choose_units(whole, units)
    log.info("%d of %d training units", len(chosen), len(whole))
    folder.mkdir(parents=True, exist_ok=True)
    for name in {*NEEDED, "tokenizer.json"} - {"train.npz"}:
        shutil.copyfile(data / name, folder / name)
    take_units(whole, chosen).save(folder / "train.npz")
    return folder


def recipe_key(recipe: Recipe) -> Any:
    """What of a recipe decides a run. Fields that came later count only where they are set: results stay valid."""
    told = json.loads(json.dumps(dataclasses.asdict(recipe), default=dict))
    for stage in told["stages"]:
        for name in ("average", "self_taught"):
            if not stage["train"][name]:
                del stage["train"][name]
    return told


def _of_pairs(words: Sequence[str]) -> bool:
    return any(name == PAIRS for name, _ in parse_methods(words))


def _assistant(grid: Grid, cell: Cell, out: Path) -> Path | None:
    """The weights of the cell that a cell learns from instead of the teacher; None if it learns from that."""
    if cell.method not in grid.assistants:
        return None
    between = out / grid.assistants[cell.method] / f"seed{cell.seed}"
    if not (between / "cell.json").exists():
        raise UsageError(
            f"{cell.folder} learns from {between.relative_to(out)}, which is not done yet; run the study with that"
            " student and method first."
        )
    return between / "best.pt"


def measure(model: Encoder, data: Path, grid: Grid) -> dict[str, Any]:
    """MRR on unseen tasks in three views, parameters, and milliseconds a function on one thread of this CPU."""
    model = model.eval()
    vocabulary, unseen = load_vocabulary(data), Shard.load(data / "valid.npz")
    budget = int(grid.train.get("budget", 160))
    mrr = validate(model, unseen, vocabulary, budget, grid.programs)
    units = unseen_units(unseen, grid.timed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    encode_units(model, unseen, units[:16], vocabulary, PLAIN, budget)
    started = time.process_time()
    encode_units(model, unseen, units, vocabulary, PLAIN, budget)
    elapsed_ms = 1000.0 * (time.process_time() - started)
    torch.set_num_threads(threads)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "ms_per_function": elapsed_ms / max(1, len(units)),
        "mrr": {name: mrr[f"{name}_combined"] for name in ("plain", "masked", "renamed")},
        "score": float(np.mean([mrr[f"{name}_combined"] for name in ("plain", "masked", "renamed")])),
    }


def gather(out: Path) -> dict[str, Any]:
    """Teacher, baselines and all finished cells below `out`."""
    found = []
    for path in sorted(out.glob("*/*/seed*/cell.json")):
        student, method, seed = path.parent.relative_to(out).parts
        result = json.loads(path.read_text("utf-8"))["result"]
        found.append({"student": student, "method": method, "seed": int(seed.removeprefix("seed")), **result})
    beside = ("teacher", "baselines")
    return {
        **{name: json.loads((out / f"{name}.json").read_text("utf-8"))["result"] for name in beside},
        "cells": found,
    }


def _fresh_folder(folder: Path, key: list[Any]) -> Path:
    """Effect: a folder whose unfinished run was of another recipe is put aside, so that it is not resumed."""
    marker = folder / "key.json"
    text = json.dumps(key, sort_keys=True)
    if folder.exists() and (not marker.exists() or marker.read_text("utf-8") != text):
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"old{n}-{folder.name}").exists())
        aside = folder.with_name(f"old{number}-{folder.name}")
        folder.rename(aside)
        log.info("an earlier run with other settings was moved to %s", aside)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(text, "utf-8")
    return folder


def _kept(path: Path, key: list[Any]) -> dict[str, Any] | None:
    """The result in `path` if it was made from the same things."""
    if not path.exists():
        return None
    saved = json.loads(path.read_text("utf-8"))
    return dict(saved["result"]) if saved["key"] == _digest(json.dumps(key, sort_keys=True).encode()) else None


def _keep(path: Path, key: list[Any], result: Mapping[str, Any]) -> None:
    record = {"key": _digest(json.dumps(key, sort_keys=True).encode()), "result": dict(result)}
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()
