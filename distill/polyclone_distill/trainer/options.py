"""The trainer's command line: one option for every simple field of the configurations. Loads no torch."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from .settings import (
    METHODS,
    TEACHER_VIEWS,
    BatchConfig,
    DistillConfig,
    Recipe,
    TrainConfig,
    ViewPolicy,
    default_recipe,
    load_recipe,
    parse_methods,
    simple_fields,
)

#: What a stage is decides its objective, not the command line.
_NO_OPTION = ("objective",)


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--config`, teachers and methods, and every field; a field that is not given keeps what the recipe says."""
    parser.add_argument("--config", metavar="NAME|FILE", help="a recipe of configs/, or a TOML file")
    parser.add_argument("--weights", type=Path, metavar="RUN", help="start from these weights instead")
    parser.add_argument(
        "--teacher",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="finished runs to learn from, their mean; or hf:NAME or hf:FOLDER, an encoder of Hugging Face",
    )
    parser.add_argument("--pair-teacher", type=Path, metavar="FILE", help="a cross-encoder, for margin_mse")
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="NAME[:WEIGHT],…",
        help=f"of {', '.join(METHODS)}; with a teacher the default is ft,kd",
    )
    parser.add_argument("--validation-limit", type=int, default=1200, help="programs of unseen tasks to judge by")
    fields = parser.add_argument_group("fields of the recipe", "They apply to every stage, --steps to the last one.")
    for config in (TrainConfig, BatchConfig, ViewPolicy):
        for field in simple_fields(config):
            if field.name in _NO_OPTION:
                continue
            flag = "--" + field.name.replace("_", "-")
            if isinstance(field.default, bool):
                fields.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS)
            else:
                fields.add_argument(flag, type=type(field.default), default=argparse.SUPPRESS)
    fields.add_argument("--kd-temperature", type=float, default=argparse.SUPPRESS)
    fields.add_argument("--teacher-view", choices=TEACHER_VIEWS, default=argparse.SUPPRESS)


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """The fields that were given on the command line."""
    given = vars(options)
    names = [f.name for config in (TrainConfig, BatchConfig, ViewPolicy) for f in simple_fields(config)]
    return {name: given[name] for name in names if name in given}


def recipe_of(options: argparse.Namespace, changes: dict[str, Any]) -> Recipe:
    """The recipe that was asked for, with the methods and fields of the command line."""
    recipe = load_recipe(options.config, changes) if options.config else default_recipe(changes)
    distill: DistillConfig = recipe.distill
    if options.method:
        distill = dataclasses.replace(distill, methods=parse_methods(options.method))
    if "kd_temperature" in vars(options):
        distill = dataclasses.replace(distill, temperature=options.kd_temperature)
    if "teacher_view" in vars(options):
        distill = dataclasses.replace(distill, teacher_view=options.teacher_view)
    return dataclasses.replace(recipe, distill=distill)
