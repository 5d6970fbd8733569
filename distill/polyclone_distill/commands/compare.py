"""`polyclone-distill compare judges`: which judge of pairs is the better, on the same held-out pairs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import Commands


def add_parser(commands: Commands) -> None:
    compare = commands.add_parser("compare", help="judges of pairs against each other")
    what = compare.add_subparsers(required=True, metavar="WHAT")
    parser = what.add_parser("judges", help="cosine, pair head and cross-encoder on the same held-out pairs")
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pair-head", type=Path, required=True, metavar="FILE")
    parser.add_argument("--cross-encoder", type=Path, required=True, metavar="FILE")
    parser.add_argument("--draws", type=int, default=24)
    parser.add_argument("--judged-per-draw", type=int, default=400, help="pairs of each draw, the nearest first")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..cross_judge import compare_judges
    from ..judge import JudgeConfig

    result = compare_judges(
        options.bundle,
        options.data,
        options.pair_head,
        options.cross_encoder,
        JudgeConfig(draws=options.draws),
        options.judged_per_draw,
    )
    print(json.dumps(result, indent=1))
    return 0
