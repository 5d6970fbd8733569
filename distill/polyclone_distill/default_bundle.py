"""`train default`: from data sets to the bundle that ships, as one list of steps that resumes where it stopped.

prepare → encoder → provisional bundle → pair head with its calibration → bundle. Export is called as a program:
training knows nothing of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyclone.errors import PolycloneError, UsageError

from .trainer.run import Materials
from .trainer.settings import Recipe

log = logging.getLogger(__name__)

RECORD = "default.json"


@dataclass(frozen=True)
class DefaultPlan:
    """What the default bundle is made of."""

    tasks: tuple[Path, ...]
    repositories: tuple[Path, ...]
    out: Path
    recipe: Recipe
    weights: Path | None = None
    teachers: tuple[Path, ...] = ()
    layers: int = 6
    jobs: int = 2
    seed: int = 1
    limit: int | None = None
    vocabulary: Path | None = None
    draws: int = 24
    validation_limit: int = 1200
    int8: bool = True


@dataclass(frozen=True)
class Step:
    """One step: what decides its result, the file that is there when it is done, and how to do it."""

    name: str
    key: Any
    output: Path
    act: Callable[[], Any]


def make_default(plan: DefaultPlan, *, show: Callable[[Any], None] | None = None) -> Path:
    """Effect: does what is not done yet below `plan.out`. Returns the folder of the bundle."""
    for path in (*plan.tasks, *plan.repositories):
        if not path.exists():
            raise UsageError(f"{path} does not exist; give the parquet files to train from.")
    plan.out.mkdir(parents=True, exist_ok=True)
    data = plan.out / "prepared"
    _do(plan, Step("prepare", _prepare_key(plan), data / "prepared.json", lambda: _prepare(plan, data)))
    teachers = _teachers(plan, data)
    made_of = [digest(data / name) for name in ("train.npz", "valid.npz", "start.pt")]
    made_of += [digest(path / "best.pt" if path.is_dir() else path) for path in (*teachers, plan.weights) if path]
    recipe = _what_counts(json.loads(json.dumps(dataclasses.asdict(plan.recipe), default=dict)))
    # The number of steps may be changed on the way; any other change begins another run.
    steady = _without_steps(recipe)
    encoder = plan.out / f"encoder-{_short([made_of, steady])}"
    best = encoder / "best.pt"
    given = Materials(
        data=data, weights=plan.weights, teachers=teachers, validation_limit=plan.validation_limit, show=show
    )
    _do(plan, Step("encoder", [made_of, recipe], best, lambda: _train(plan.recipe, encoder, given)))
    provisional, head, bundle = plan.out / "provisional", plan.out / "head.pt", plan.out / "bundle"
    common = ["--encoder", str(best), "--data", str(data), "--int8" if plan.int8 else "--no-int8"]
    key = [digest(best), digest(data / "prepared.json"), plan.int8]
    _do(
        plan,
        Step("provisional", key, provisional / "manifest.json", lambda: export([*common, "--out", str(provisional)])),
    )
    key = [digest(provisional / "manifest.json"), digest(data / "units.parquet"), plan.draws]
    _do(plan, Step("pair-head", key, head, lambda: _judge(provisional, data, head, plan.draws)))
    final = [*common, "--pair-head", str(head), "--out", str(bundle)]
    key = [digest(best), digest(head), plan.int8]
    _do(plan, Step("bundle", key, bundle / "manifest.json", lambda: export(final)))
    return bundle


def export(arguments: Sequence[str]) -> None:
    """Effect: runs `polyclone-export bundle` with `arguments`. `PolycloneError` with its last words if it fails."""
    beside = Path(sys.executable).with_name("polyclone-export")
    program = str(beside) if beside.exists() else shutil.which("polyclone-export")
    if program is None:
        raise UsageError("polyclone-export is not on the PATH: pip install 'polyclone[export]'.")
    done = subprocess.run([program, "bundle", *arguments], capture_output=True, text=True, check=False)
    for line in done.stderr.splitlines():
        log.info("export: %s", line)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise PolycloneError(f"polyclone-export failed: {last}")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _do(plan: DefaultPlan, step: Step) -> None:
    """Effect: the step, unless the record says that it was done from the same things and its output is there."""
    path = plan.out / RECORD
    record: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    key = _short(step.key)
    if record.get(step.name) == key and step.output.exists():
        log.info("%s: done before", step.name)
        return
    log.info("%s: begins", step.name)
    step.act()
    record[step.name] = key
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _short(key: Any) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def _prepare_key(plan: DefaultPlan) -> list[Any]:
    kept = None
    if plan.vocabulary is not None:
        kept = [digest(plan.vocabulary / name) for name in ("tokenizer.json", "lexicon.tsv")]
    inputs = [digest(path) for path in (*plan.tasks, *plan.repositories)]
    return [inputs, plan.layers, plan.seed, plan.limit, kept]


def _what_counts(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe without what is said of it, which changes nothing that it makes; without members if it has none."""
    members = [{**member, "recipe": _what_counts(member["recipe"])} for member in recipe["members"]]
    kept = {name: value for name, value in recipe.items() if name not in ("about", "members")}
    return {**kept, "members": members} if members else kept


def _without_steps(recipe: dict[str, Any]) -> dict[str, Any]:
    stages = [{**stage, "train": {**stage["train"], "steps": 0}} for stage in recipe["stages"]]
    bare = {**recipe, "stages": stages}
    if "members" in recipe:
        members = [{**member, "recipe": _without_steps(member["recipe"])} for member in recipe["members"]]
        bare["members"] = members
    return bare


def _prepare(plan: DefaultPlan, data: Path) -> None:
    from .prepare import prepare

    prepare(
        plan.tasks,
        plan.repositories,
        data,
        jobs=plan.jobs,
        seed=plan.seed,
        limit=plan.limit,
        layers=plan.layers,
        vocabulary_of=plan.vocabulary,
    )


def _teachers(plan: DefaultPlan, data: Path) -> tuple[Path, ...]:
    from .trainer.run import HUB

    if not any(str(path).startswith(HUB) for path in plan.teachers):
        return plan.teachers
    from .hub_teacher import resolve_teachers

    return resolve_teachers(plan.teachers, data, plan.out)


def _train(recipe: Recipe, out: Path, given: Materials) -> None:
    from .trainer.run import run_recipe

    run_recipe(recipe, out, given)


def _judge(bundle: Path, data: Path, head: Path, draws: int) -> None:
    from .judge import JudgeConfig, train_pair_head

    train_pair_head(bundle, data, head, JudgeConfig(draws=draws))
    if not json.loads(head.with_suffix(".json").read_text("utf-8"))["calibration"]["precisions"]:
        raise PolycloneError(
            f"The pair head in {head} found no threshold of any use, and a bundle needs one: give more exercises,"
            " train the encoder longer, or raise --draws. What was made before it is kept."
        )
