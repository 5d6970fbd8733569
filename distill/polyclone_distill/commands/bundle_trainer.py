"""`polyclone-distill bundle-trainer`: shards and trainer in one folder, for a machine without a network."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import Commands


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("bundle-trainer", help="pack shards and trainer for a machine without a network")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..carry import pack_trainer

    print(json.dumps(pack_trainer(options.data, options.out), indent=1))
    return 0
