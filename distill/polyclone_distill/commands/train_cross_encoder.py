"""`polyclone-distill train cross-encoder`: a judge that reads both units, for teaching and for comparison."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import Commands


def add_parser(parts: Commands) -> None:
    parser = parts.add_parser("cross-encoder", help="train a reader of pairs on retrieved pairs; needs a bundle")
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--draws", type=int, default=24)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--side", type=int, default=160, help="tokens read of each unit")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--negatives", type=int, default=12, help="pairs that are no clones for each that is")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..cross_judge import CrossTraining, make_cross_encoder
    from ..judge import JudgeConfig

    config = CrossTraining(
        layers=options.layers, side=options.side, epochs=options.epochs, negatives=options.negatives
    )
    judge = JudgeConfig(draws=options.draws)
    print(json.dumps(make_cross_encoder(options.bundle, options.data, options.out, judge, config), indent=1))
    return 0
