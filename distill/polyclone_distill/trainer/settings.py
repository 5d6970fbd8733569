"""Everything that can be set for a run, as frozen values, and how a TOML file fills them. Loads no torch.

A recipe has common sections (`encoder`, `train`, `batches`, `views`, `distill`) and any number of `stages`, each of
which may set any field of `train`, `batches` and `views` anew.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import TrainerError

OBJECTIVES = ("contrastive", "masked")
STARTS = ("minilm", "tables", "random")
TEACHER_VIEWS = ("same", "plain")
METHODS = (
    "ft",
    "kd",
    "max_softmax",
    "dist",
    "fitnets",
    "rkd_distance",
    "rkd_angle",
    "pkd",
    "ckd",
    "contrastive",
    "similarity",
    "margin_mse",
)


@dataclass(frozen=True)
class ViewPolicy:
    """How often names are hidden. Probabilities are per view."""

    mask_name: float = 0.35
    rename_some: float = 0.30
    rename_all: float = 0.15
    drop_words: float = 0.10


@dataclass(frozen=True)
class BatchConfig:
    """`pairs` positives a step; which share of them are clone classes; how often neighbours sit together."""

    pairs: int = 64
    budget: int = 160
    classes: float = 0.7
    neighbours: float = 0.5
    documents: float = 0.4
    """Of the pairs that are no clone classes, the share of documentation ↔ body."""
    headless: float = 0.0
    """How often the body of such a pair comes without its signature, besides without its name."""
    mutants: float = 0.0
    """Share of the class pairs that bring along a unit with one change of behaviour, as a negative."""
    hard_negatives: int = 0
    """Mined units of other classes for each class pair; needs `mine_every`."""
    policy: ViewPolicy = ViewPolicy()


@dataclass(frozen=True)
class TrainConfig:
    """Hyper-parameters of one stage. `steps` may be raised or lowered on resume while the rate is on its plateau."""

    objective: str = "contrastive"
    steps: int = 600
    warmup: int = 30
    decay_share: float = 0.3
    learning_rate: float = 1.2e-4
    lexicon_rate: float = 2e-3
    weight_decay: float = 0.01
    temperature: float = 0.05
    dense_weight: float = 1.0
    combined_weight: float = 1.0
    lexical_weight: float = 0.3
    blocks: bool = False
    """One softmax for each pair of languages instead of one over the batch."""
    ema: float = 0.99
    patience: int = 0
    """Evaluations without a better score on unseen tasks after which the stage ends; 0: never before `steps`."""
    mine_every: int = 0
    """Steps between two searches for hard negatives with the averaged weights; 0: none."""
    mine_pool: int = 4096
    mask_tokens: float = 0.2
    mask_names: float = 0.3
    """Of the objective `masked`: share of tokens hidden, and of identifiers hidden at all their places."""
    evaluate_every: int = 100
    checkpoint_every: int = 25
    bf16: bool = True
    length_groups: int = 4
    seed: int = 1
    average: float = 0.0
    """Share that the weights a stage starts with have in those it ends with (model soups, Wortsman et al. 2022)."""
    self_taught: bool = False
    """Whether the weights that a stage starts with are its teacher (born-again networks, Furlanello et al. 2018),
    beside any others. Stages without a teacher learn from labels alone."""


@dataclass(frozen=True)
class DistillConfig:
    """Which methods, with which weights, and their constants. Without a teacher only `ft` is possible."""

    methods: tuple[tuple[str, float], ...] = ()
    temperature: float = 3.0
    """τ of kd, dist, pkd and ckd, on cosines already divided by the contrastive temperature."""
    beta: float = 1.0
    """Weight within dist (rows), pkd (states) and ckd (tokens)."""
    gamma: float = 1.0
    """Weight within dist (columns) and ckd (layers)."""
    teacher_view: str = "same"
    """`same`: a teacher reads the views the student reads. `plain`: it has read every unit once, as it stands, with
    all its names; a student that reads another view is to come to the same vector. No methods of states then."""
    window: int = 10
    rows: int = 96
    """Rows of a batch that rkd_angle (rows³ numbers) and ckd (rows × tokens × window² numbers) look at."""


@dataclass(frozen=True)
class Stage:
    """One part of a run, in a folder of its own."""

    name: str = "classes"
    train: TrainConfig = TrainConfig()
    batches: BatchConfig = BatchConfig()


@dataclass(frozen=True)
class Member:
    """Another encoder that is trained on the same data and read beside the recipe's own."""

    share: float
    """How much its cosine counts in the dense channel; the rest is left to the recipe's own encoder."""
    recipe: Recipe


@dataclass(frozen=True)
class Recipe:
    """A run from its start to its last stage, and the `members` that its encoder is joined with in the end.

    `encoder` holds fields of `EncoderConfig` but for the vocabularies.
    """

    name: str = "default"
    about: str = ""
    start: str = "minilm"
    """`minilm`: the pretrained start as `prepare` wrote it; `tables`: its embedding and lexicon, cut to size, under a
    random body; `random`: nothing of it."""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Stage, ...] = (Stage(),)
    distill: DistillConfig = DistillConfig()
    members: tuple[Member, ...] = ()

    @property
    def alone(self) -> Recipe:
        """The recipe without its members."""
        return dataclasses.replace(self, members=())


def config_folder() -> Path:
    """Where the named recipes are: beside the trainer where it was carried or installed, or atop the repository."""
    here = Path(__file__).resolve()
    beside = here.parents[1] / "configs"
    return beside if beside.is_dir() else here.parents[3] / "configs"


def config_names() -> list[str]:
    return sorted(path.stem for path in config_folder().glob("*.toml"))


def load_recipe(given: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a name, or of a TOML file. `changes` (fields of any section) apply to every stage but for
    `steps`, which is that of the last. `TrainerError` names what is unknown or of the wrong type.
    """
    path = config_folder() / f"{given}.toml"
    if given.endswith(".toml"):
        path = Path(given)
    elif not path.exists():
        raise TrainerError(
            f"there is no configuration {given!r}; choose from {', '.join(config_names())}, or a file."
        )
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}; give a name or a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise TrainerError(f"{path} is not valid TOML: {error}.") from error
    return parse_recipe(raw, path.stem, changes or {})


def parse_recipe(raw: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> Recipe:
    """A recipe from the tables of a TOML file; see `load_recipe`."""
    known = {"about", "start", "encoder", "train", "batches", "views", "distill", "stages", "members"}
    _no_others(raw, known, name, "section")
    common: dict[str, Any] = {}
    for section, owner in (("train", TrainConfig), ("batches", BatchConfig), ("views", ViewPolicy)):
        table = raw.get(section, {})
        _no_others(table, {f.name for f in dataclasses.fields(owner)} - {"policy"}, name, f"field of [{section}]")
        common |= table
    start = raw.get("start", "minilm")
    if start not in STARTS:
        raise TrainerError(f"{name}: start is {start!r}; choose from {', '.join(STARTS)}.")
    tables = raw.get("stages", [{"name": "classes"}])
    last = len(tables) - 1
    later = {key: value for key, value in changes.items() if key != "steps"}
    stages = tuple(
        _stage({**common, **table, **(changes if i == last else later)}, table.get("name", f"stage{i + 1}"), name)
        for i, table in enumerate(tables)
    )
    distill = dict(raw.get("distill", {}))
    _no_others(distill, {f.name for f in dataclasses.fields(DistillConfig)}, name, "field of [distill]")
    methods = parse_methods(distill.pop("methods", []))
    constants = _checked(DistillConfig, distill, name)
    if constants.get("teacher_view", "same") not in TEACHER_VIEWS:
        raise TrainerError(f"{name}: teacher_view is {distill['teacher_view']!r}; choose from same, plain.")
    return Recipe(
        name=name,
        about=raw.get("about", ""),
        start=start,
        encoder=dict(raw.get("encoder", {})),
        stages=stages,
        distill=DistillConfig(**{**constants, "methods": methods}),
        members=_members(raw.get("members", ()), name, changes),
    )


def default_recipe(changes: Mapping[str, Any]) -> Recipe:
    """What a run does without a configuration: one stage from the pretrained start."""
    return parse_recipe({}, "default", changes)


def parse_methods(given: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """`["ft", "kd:0.5"]` → `(("ft", 1.0), ("kd", 0.5))`; a comma separates, too."""
    out: dict[str, float] = {}
    for item in (part.strip() for text in given for part in text.split(",") if part.strip()):
        name, _, weight = item.partition(":")
        if name not in METHODS:
            raise TrainerError(f"unknown method {name!r}; choose from {', '.join(METHODS)}.")
        try:
            out[name] = float(weight) if weight else 1.0
        except ValueError:
            raise TrainerError(
                f"the weight of method {name} is {weight!r}; write a number, as in {name}:0.5."
            ) from None
        if not 0.0 < out[name] < float("inf"):
            raise TrainerError(f"the weight of method {name} is {weight}; it must be positive.")
    return tuple(out.items())


def simple_fields(owner: type[Any]) -> list[dataclasses.Field[Any]]:
    """The fields that one word on a command line can set."""
    return [f for f in dataclasses.fields(owner) if isinstance(f.default, bool | int | float | str)]


def _stage(values: Mapping[str, Any], stage: str, recipe: str) -> Stage:
    every = {f.name for owner in (TrainConfig, BatchConfig, ViewPolicy) for f in simple_fields(owner)} | {"name"}
    _no_others(values, every, recipe, f"field of stage {stage!r}")
    train = TrainConfig(**_checked(TrainConfig, values, recipe))
    views = ViewPolicy(**_checked(ViewPolicy, values, recipe))
    batches = BatchConfig(**_checked(BatchConfig, values, recipe), policy=views)
    if train.objective not in OBJECTIVES:
        raise TrainerError(f"{recipe}: objective is {train.objective!r}; choose from {', '.join(OBJECTIVES)}.")
    if batches.hard_negatives and not train.mine_every:
        raise TrainerError(f"{recipe}: hard_negatives needs mine_every, the steps between two searches for them.")
    if not 0.0 <= train.average < 1.0:
        raise TrainerError(f"{recipe}: average is {train.average}; it must be at least 0 and less than 1.")
    if train.steps < 1 or batches.pairs < 1 or batches.budget < 8:
        raise TrainerError(f"{recipe}: steps and pairs must be at least 1 and budget at least 8 tokens.")
    return Stage(name=stage, train=train, batches=batches)


def _members(tables: Sequence[Mapping[str, Any]], recipe: str, changes: Mapping[str, Any]) -> tuple[Member, ...]:
    members = tuple(_member(table, recipe, changes) for table in tables)
    names = [member.recipe.name for member in members]
    if len(set(names)) < len(names):
        raise TrainerError(f"{recipe}: two members are called alike; give each a configuration of its own name.")
    taken = sum(member.share for member in members)
    if taken >= 1.0:
        raise TrainerError(f"{recipe}: the shares of its members add up to {taken:g}; leave some to its own encoder.")
    return members


def _member(table: Mapping[str, Any], recipe: str, changes: Mapping[str, Any]) -> Member:
    """A member, trained as its configuration says, with the same changes."""
    _no_others(table, {"config", "share"}, recipe, "field of [[members]]")
    config, share = table.get("config"), table.get("share")
    if not isinstance(config, str) or not isinstance(share, float) or not 0.0 < share < 1.0:
        raise TrainerError(
            f'{recipe}: a member is given as config = "NAME" and share = 0.4, between 0 and 1; here are'
            f" {config!r} and {share!r}."
        )
    member = load_recipe(config, changes)
    if member.members:
        raise TrainerError(f"{recipe}: its member {config} has members itself; name them all in one recipe.")
    return Member(share=share, recipe=member)


def _checked(owner: type[Any], values: Mapping[str, Any], recipe: str) -> dict[str, Any]:
    """The values that belong to `owner`, their types compared with those of its defaults."""
    out: dict[str, Any] = {}
    for f in simple_fields(owner):
        if f.name not in values:
            continue
        value, wanted = values[f.name], type(f.default)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            raise TrainerError(f"{recipe}: {f.name} is {value!r}; it should be of type {wanted.__name__}.")
        out[f.name] = value
    return out


def _no_others(table: Mapping[str, Any], known: set[str], name: str, what: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise TrainerError(f"{name}: unknown {what}: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
