"""`polyclone-distill train pair-head`: a perceptron over pair features, calibrated."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import Commands


def add_parser(parts: Commands) -> None:
    parser = parts.add_parser("pair-head", help="train on retrieved pairs and calibrate; needs a provisional bundle")
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--draws", type=int, default=24)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..judge import JudgeConfig, train_pair_head

    config = JudgeConfig(draws=options.draws)
    print(json.dumps(train_pair_head(options.bundle, options.data, options.out, config), indent=1))
    return 0
