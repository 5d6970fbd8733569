"""`polyclone-distill average`: one encoder from several of one lineage, weight by weight."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import Commands


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("average", help="the mean of encoders that were trained one from another")
    parser.add_argument("encoders", type=Path, nargs="+", metavar="FILE")
    parser.add_argument(
        "--weights", type=float, nargs="+", metavar="W", help="one for each; without it all are equal"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..averaging import average

    average(options.encoders, options.out, options.weights)
    print(options.out)
    return 0
