"""`polyclone-distill train encoder`: the trainer's own options, and what a terminal or several devices add."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ..trainer.options import add_options, changes_of, recipe_of
from ..trainer.settings import config_names
from . import Commands


def add_parser(parts: Commands) -> None:
    parser = parts.add_parser(
        "encoder",
        help="train an encoder, alone or from a teacher; resumes a checkpoint in --out",
        epilog=f"Configurations by name: {', '.join(config_names())}.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--assistant",
        nargs="+",
        default=[],
        metavar="NAME|FILE",
        help="a chain of recipes between teacher and student: each learns from the one before",
    )
    parser.add_argument(
        "--teacher-cache", type=Path, metavar="DIR", help="where vectors of hf:NAME teachers are kept; default --out"
    )
    parser.add_argument("--accelerate", action="store_true", help="several devices; start with `accelerate launch`")
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..progress import shown
    from ..trainer.run import HUB, materials_of, run_recipe
    from ..trainer.settings import load_recipe

    changes = changes_of(options)
    recipe = recipe_of(options, changes)
    materials = materials_of(options)
    if any(str(path).startswith(HUB) for path in materials.teachers):
        from ..hub_teacher import resolve_teachers

        folder = options.teacher_cache or options.out
        materials = dataclasses.replace(
            materials, teachers=resolve_teachers(materials.teachers, options.data, folder)
        )
    if options.accelerate:
        from ..acceleration import AcceleratedDevices

        materials = dataclasses.replace(materials, devices=AcceleratedDevices())
    teachers = materials.teachers
    for number, name in enumerate(options.assistant, 1):
        assistant = dataclasses.replace(load_recipe(name, changes), distill=recipe.distill)
        folder = options.out / f"assistant{number}-{assistant.name}"
        with shown(assistant, folder) as show:
            given = dataclasses.replace(materials, teachers=teachers, weights=None, show=show)
            run_recipe(assistant, folder, given)
        teachers = (folder,)
    with shown(recipe, options.out) as show:
        print(run_recipe(recipe, options.out, dataclasses.replace(materials, teachers=teachers, show=show)))
    return 0
