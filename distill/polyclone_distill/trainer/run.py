"""One encoder from a prepared directory: `python -m polyclone_distill.trainer DATA OUT`, or carried alone.

The directory holds `train.npz`, `valid.npz`, `stand_ins.npz`, `ids.json`, `tokenizer.json` and `start.pt` (weights
and sizes). Stages follow each other in folders of their own; what the last one ends with is `OUT/best.pt`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batches import Sampler
from .cross_encoder import CrossEncoder, load_cross_encoder
from .devices import Devices, OneDevice
from .errors import TrainerError
from .joining import join, member_record
from .loop import Hooks, Run
from .masking import MaskedSampler
from .mining import mine
from .model import Encoder
from .mutation import Mutations
from .objective import HARD_LABELS, ContrastiveObjective, MaskedObjective
from .options import add_options, changes_of, recipe_of
from .settings import BatchConfig, DistillConfig, Recipe, Stage, TrainConfig
from .shards import Shard
from .starting import load_encoder, mean_state, pack, start_student
from .tables import Table, teacher_table
from .validation import validate, validate_masked
from .vectors import SUFFIX, VectorTeacher, load_vectors
from .views import Vocabulary

__all__ = ["Materials", "load_encoder", "load_vocabulary", "main", "pack", "run_recipe", "train_encoder"]

log = logging.getLogger(__name__)

#: A teacher of a name that begins so is an encoder of another kind, of which only the vectors come here.
HUB = "hf:"
NEEDED = ("train.npz", "valid.npz", "stand_ins.npz", "ids.json", "start.pt")


def load_vocabulary(data: Path) -> Vocabulary:
    """Ids, stand-ins and what can be mutated. Effect: reads `ids.json`, `stand_ins.npz` and `tokenizer.json`."""
    ids = json.loads((data / "ids.json").read_text("utf-8"))
    spelled = json.loads((data / "tokenizer.json").read_text("utf-8")).get("model", {}).get("vocab", {})
    with np.load(data / "stand_ins.npz", allow_pickle=False) as arrays:
        return Vocabulary(
            pad=ids["pad"], cls=ids["cls"], sep=ids["sep"], name=ids["name"], size=ids["size"],
            stand_in_tokens=arrays["tokens"], stand_in_words=arrays["words"],
            mask=spelled.get("[UNK]", 1), mutations=Mutations.of(spelled),
        )  # fmt: skip


@dataclass(frozen=True)
class Materials:
    """What a run is given besides its recipe."""

    data: Path
    weights: Path | None = None
    """Start from these, whatever the recipe's start is."""
    teachers: tuple[Path, ...] = ()
    """Folders of runs, or their `best.pt`, or files of vectors."""
    pair_teacher: Path | None = None
    validation_limit: int = 1200
    devices: Devices | None = None
    show: Callable[[Mapping[str, Any]], None] | None = None
    """Is told every logged row, with the number of its `stage`; then nothing is logged."""
    tables: Path | None = None
    """Where vectors of a teacher that reads plain units are kept for other runs; None: in the folder of the run."""


def train_encoder(
    data: Path,
    out: Path,
    train: TrainConfig,
    batches: BatchConfig,
    *,
    weights: Path | None = None,
    validation_limit: int = 1200,
) -> Path:
    """One stage from `data` into `out` without a recipe, resuming a checkpoint found there. Returns the best weights.

    A new run starts from `weights`, which must have the vocabulary of `data`, or from its `start.pt`.
    """
    recipe = Recipe(stages=(Stage(train=train, batches=batches),))
    return run_recipe(recipe, out, Materials(data=data, weights=weights, validation_limit=validation_limit))


def run_recipe(recipe: Recipe, out: Path, materials: Materials) -> Path:
    """Effect: all stages, one after the other, each resumed where it was left. Returns the path of the best weights.

    A single stage that is not averaged has `out` to itself; of others each has `out/<number>-<name>`, starts with the
    weights that the one before ended with, and `out/best.pt` is a copy of the last one's. Teachers look on where the
    labels are contrastive.

    Members are trained after that, each in `out/member-<name>` and from its own start: then the recipe's own encoder
    is in `out/own`, and `out/best.pt` is the ensemble.
    """
    _check(materials.data)
    if recipe.members:
        return _run_members(recipe, out, materials)
    weights = materials.weights
    best = out / "best.pt"
    for number, stage in enumerate(recipe.stages, 1):
        folder = out if _alone(recipe) else out / f"{number}-{stage.name}"
        if len(recipe.stages) > 1:
            log.info("stage %d of %d: %s", number, len(recipe.stages), stage.name)
        given = dataclasses.replace(materials, weights=weights, show=_of_stage(materials.show, number))
        best = run_stage(recipe, stage, folder, given)
        weights = best
    if best != out / "best.pt" and not (materials.devices and materials.devices.rank):
        shutil.copyfile(best, out / "best.pt")
    return out / "best.pt"


def _run_members(recipe: Recipe, out: Path, materials: Materials) -> Path:
    """Effect: the recipe's own encoder and those of its members, one after the other, and what they are together."""
    own = 1.0 - sum(member.share for member in recipe.members)
    paths = [run_recipe(recipe.alone, out / "own", materials)]
    before = len(recipe.stages)
    for member in recipe.members:
        log.info("member: %s", member.recipe.name)
        given = dataclasses.replace(materials, weights=None, show=_after(materials.show, before))
        paths.append(run_recipe(member.recipe, out / f"member-{member.recipe.name}", given))
        before += len(member.recipe.stages)
    best = out / "best.pt"
    devices = materials.devices or OneDevice()
    if devices.rank:
        return best
    members, shares = [load_encoder(path) for path in paths], [own, *(member.share for member in recipe.members)]
    ensemble = join(members, shares)
    metrics = validate(
        ensemble.to(devices.device),
        Shard.load(materials.data / "valid.npz"),
        load_vocabulary(materials.data),
        recipe.stages[-1].batches.budget,
        materials.validation_limit,
    )
    log.info("joined: %s", {name: round(value, 4) for name, value in metrics.items()})
    record = {**member_record(paths, members, shares), "metrics": metrics}
    best.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    _save(ensemble, best)
    return best


def _alone(recipe: Recipe) -> bool:
    return len(recipe.stages) == 1 and not recipe.stages[0].train.average


def _of_stage(
    show: Callable[[Mapping[str, Any]], None] | None, number: int
) -> Callable[[Mapping[str, Any]], None] | None:
    """`show` with the number of the stage, from 1, in every row it is told."""
    if show is None:
        return None
    return lambda row: show({**row, "stage": number})


def _after(
    show: Callable[[Mapping[str, Any]], None] | None, before: int
) -> Callable[[Mapping[str, Any]], None] | None:
    """`show` for a member: its stages are counted on after the `before` ones that others had."""
    if show is None:
        return None
    return lambda row: show({**row, "stage": row["stage"] + before})


def run_stage(recipe: Recipe, stage: Stage, out: Path, materials: Materials) -> Path:
    """Effect: one stage in the folder `out`, which gets `run.json` besides what a `Run` writes, and `averaged.pt`
    where the stage is averaged with its start. Returns the weights it ends with.
    """
    data, devices, train = materials.data, materials.devices or OneDevice(), stage.train
    out.mkdir(parents=True, exist_ok=True)
    vocabulary = load_vocabulary(data)
    shard, unseen = Shard.load(data / "train.npz"), Shard.load(data / "valid.npz")
    model = _start(recipe, materials, train.seed)
    if model.config.vocabulary != vocabulary.size:
        raise TrainerError(
            f"{materials.weights} knows {model.config.vocabulary} tokens and {data} has {vocabulary.size}: "
            "run `prepare --vocabulary` with the vocabulary that the weights were trained with."
        )
    torch.manual_seed(train.seed + 1000 * devices.rank)
    teachers = _teachers(recipe, stage, materials, shard, devices)
    distill = _distill_of(recipe, teachers, materials)
    objective, sampler = _parts(distill, stage, model, teachers, shard, vocabulary, materials, devices, out)
    run = Run(objective, train, out, devices)
    resumed = run.resume()
    if not devices.rank:
        record = {**_manifest(recipe, stage, model, materials), "units": len(shard), "device": str(devices.device)}
        (out / "run.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    log.info("%s at step %d of %d", "resumed" if resumed else "started", run.step, train.steps)
    before = run.step
    hooks = _hooks(stage, model, shard, unseen, vocabulary, sampler, materials)
    run.train(sampler, hooks)
    best, averaged = out / "best.pt", out / "averaged.pt"
    if not train.average:
        return best
    if not devices.rank and (run.step > before or not averaged.exists()):
        _average(_start(recipe, materials, train.seed), best, train.average, averaged, hooks, devices)
    return averaged


def _average(start: Encoder, best: Path, share: float, out: Path, hooks: Hooks, devices: Devices) -> None:
    """Effect: writes the mean of a stage's start and its best weights to `out`, and what it is worth to the log."""
    mean = load_encoder(best)
    mean.load_state_dict(mean_state([start.state_dict(), mean.state_dict()], [share, 1.0 - share]))
    if hooks.evaluate:
        metrics = hooks.evaluate(mean.to(devices.device))
        log.info("averaged with its start: %s", {name: round(value, 4) for name, value in metrics.items()})
        record = {"share_of_start": share, **metrics}
        out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    _save(mean, out)


def _save(encoder: Encoder, out: Path) -> None:
    partial = out.with_suffix(".partial")
    torch.save(pack(encoder.config, encoder.state_dict()), partial)
    partial.replace(out)


def _start(recipe: Recipe, materials: Materials, seed: int) -> Encoder:
    if materials.weights is not None:
        model = load_encoder(run_weights(materials.weights))
        other = [name for name, size in recipe.encoder.items() if getattr(model.config, name, None) != size]
        if other:
            raise TrainerError(
                f"{materials.weights} differs from the configuration {recipe.name} in {', '.join(sorted(other))};"
                " give the configuration it was trained with, or none."
            )
        return model
    return start_student(materials.data, recipe.encoder, recipe.start, seed)


def run_weights(path: Path) -> Path:
    """The weights of a run: `best.pt` of a folder, or the file itself."""
    return path / "best.pt" if path.is_dir() else path


def _parts(
    distill: DistillConfig,
    stage: Stage,
    model: Encoder,
    teachers: Sequence[Encoder | VectorTeacher],
    shard: Shard,
    vocabulary: Vocabulary,
    materials: Materials,
    devices: Devices,
    out: Path,
) -> tuple[ContrastiveObjective | MaskedObjective, Sampler | MaskedSampler]:
    """Objective and sampler of a stage."""
    if stage.train.objective == "masked":
        masked = MaskedSampler(shard, vocabulary, stage.batches, stage.train, rank=devices.rank)
        return MaskedObjective(model, stage.train), masked
    sampler = Sampler(shard, vocabulary, stage.batches, stage.train.seed, rank=devices.rank)
    judge: CrossEncoder | None = None
    if materials.pair_teacher is not None:
        judge = load_cross_encoder(materials.pair_teacher)[0].to(devices.device)
    tables: list[Table] = []
    encoders = [teacher for teacher in teachers if isinstance(teacher, Encoder)]
    if distill.teacher_view == "plain" and encoders:
        # Runs that share a folder of tables draw nearly all units between them; one alone reads what it draws.
        units = sampler.drawn(stage.train.steps) if materials.tables is None else None
        kept = materials.tables or out
        tables = [teacher_table(t, shard, vocabulary, stage.batches.budget, kept, units) for t in encoders]
    return ContrastiveObjective(model, stage.train, distill, teachers, judge, tables), sampler


def _distill_of(recipe: Recipe, teachers: Sequence[Encoder | VectorTeacher], materials: Materials) -> DistillConfig:
    """The methods of a stage: hard labels alone where other stages have a teacher and this one has none."""
    taught_elsewhere = any(stage.train.self_taught for stage in recipe.stages)
    return HARD_LABELS if taught_elsewhere and not teachers and not materials.pair_teacher else recipe.distill


def _teachers(
    recipe: Recipe, stage: Stage, materials: Materials, shard: Shard, devices: Devices
) -> list[Encoder | VectorTeacher]:
    """Those of a stage: none where tokens are hidden, for there is nothing to ask them."""
    if stage.train.objective == "masked":
        return []
    teachers = [_teacher(path, shard, devices) for path in materials.teachers]
    if stage.train.self_taught:
        teachers.append(_start(recipe, materials, stage.train.seed).to(devices.device))
    return teachers


def _teacher(path: Path, shard: Shard, devices: Devices) -> Encoder | VectorTeacher:
    if str(path).startswith(HUB):
        raise TrainerError(
            f"{path} is read by `polyclone-distill train encoder`; give the file of vectors that it wrote."
        )
    return load_vectors(path, shard) if path.suffix == SUFFIX else load_encoder(run_weights(path)).to(devices.device)


def _hooks(
    stage: Stage,
    model: Encoder,
    shard: Shard,
    unseen: Shard,
    vocabulary: Vocabulary,
    sampler: Sampler | MaskedSampler,
    materials: Materials,
) -> Hooks:
    train, batches, limit = stage.train, stage.batches, materials.validation_limit

    def evaluate(judged: Encoder) -> Mapping[str, float]:
        if train.objective == "masked":
            return validate_masked(judged, unseen, vocabulary, batches, train, limit)
        return validate(judged, unseen, vocabulary, batches.budget, limit)

    def search(judged: Encoder, step: int) -> tuple[dict[int, Any], dict[str, int]]:
        assert isinstance(sampler, Sampler)
        return mine(
            judged, shard, sampler.classes, vocabulary,
            budget=batches.budget, pool=train.mine_pool, seed=(train.seed, step, 11),
        )  # fmt: skip

    def export(state: dict[str, Tensor]) -> dict[str, Any]:
        return pack(model.config, state)

    mining = train.mine_every > 0 and train.objective == "contrastive"
    return Hooks(export=export, evaluate=evaluate, mine=search if mining else None, show=materials.show)


def _manifest(recipe: Recipe, stage: Stage, model: Encoder, materials: Materials) -> dict[str, Any]:
    """What a run was: configuration, commit if there is one, digests of its data, seed, versions."""
    given = [materials.data / name for name in NEEDED]
    given += [run_weights(path) for path in (materials.weights, *materials.teachers, materials.pair_teacher) if path]
    return {
        "recipe": recipe.name,
        "start": recipe.start if materials.weights is None else run_weights(materials.weights).name,
        "stage": stage.name,
        "train": dataclasses.asdict(stage.train),
        "batches": dataclasses.asdict(stage.batches),
        "distill": dataclasses.asdict(recipe.distill),
        "encoder": dataclasses.asdict(model.config),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": stage.train.seed,
        "commit": _commit(),
        "digests": {
            f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in given
        },
        "torch": torch.__version__,
    }


def _commit() -> str | None:
    """The commit this code stands at; None outside a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _check(data: Path) -> None:
    missing = [name for name in NEEDED if not (data / name).exists()]
    if missing:
        raise TrainerError(f"{data} lacks {', '.join(missing)}; run `polyclone-distill prepare --out {data}` first.")


def materials_of(options: argparse.Namespace) -> Materials:
    """What the command line gives a run besides its recipe."""
    return Materials(
        data=options.data,
        weights=options.weights,
        teachers=tuple(options.teacher),
        pair_teacher=options.pair_teacher,
        validation_limit=options.validation_limit,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line that says what to do."""
    parser = argparse.ArgumentParser(prog="trainer", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    add_options(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        run_recipe(recipe_of(options, changes_of(options)), options.out, materials_of(options))
    except TrainerError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    return 0
