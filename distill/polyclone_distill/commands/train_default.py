"""`polyclone-distill train default`: the bundle that ships, from data sets, with one command."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ..trainer.options import add_options, changes_of, recipe_of
from . import Commands

#: What the encoder of the package was made with; see docs/experiments.md.
RECIPE = "compact"


def add_parser(parts: Commands) -> None:
    parser = parts.add_parser(
        "default", help="data sets → prepared data → encoder → pair head → bundle; resumes where it stopped"
    )
    parser.add_argument("--tasks", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--repositories", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the bundle will be DIR/bundle")
    parser.add_argument("--layers", type=int, default=6, help="blocks of the pretrained start to keep (1–6)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=int, help="take only the first N rows of each input, for a trial")
    parser.add_argument("--vocabulary", type=Path, metavar="DIR", help="keep the vocabulary of this folder or bundle")
    parser.add_argument("--draws", type=int, default=24, help="made-up workspaces of the pair head")
    parser.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True)
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..default_bundle import DefaultPlan, make_default
    from ..progress import shown

    options.config = options.config or RECIPE
    recipe = recipe_of(options, changes_of(options))
    if recipe.start == "minilm" and "layers" in recipe.encoder and options.layers < recipe.encoder["layers"]:
        recipe = dataclasses.replace(recipe, encoder={**recipe.encoder, "layers": options.layers})
    plan = DefaultPlan(
        tasks=tuple(options.tasks),
        repositories=tuple(options.repositories),
        out=options.out,
        recipe=recipe,
        weights=options.weights,
        teachers=tuple(options.teacher),
        layers=options.layers,
        jobs=options.jobs,
        limit=options.limit,
        vocabulary=options.vocabulary,
        draws=options.draws,
        validation_limit=options.validation_limit,
        int8=options.int8,
    )
    with shown(recipe, options.out) as show:
        print(make_default(plan, show=show))
    return 0
