"""`polyclone-distill ensemble`: one encoder of several that were trained apart, read side by side."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import Commands


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("ensemble", help="encoders of any architecture side by side, as one")
    parser.add_argument("encoders", type=Path, nargs="+", metavar="FILE", help="trained on the same prepared data")
    parser.add_argument(
        "--shares", type=float, nargs="+", metavar="S", required=True, help="how much the cosine of each counts"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import torch

    from ..trainer.joining import join, member_record
    from ..trainer.starting import load_encoder, pack

    members = [load_encoder(path) for path in options.encoders]
    joined = join(members, options.shares)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(pack(joined.config, joined.state_dict()), options.out)
    record = member_record(options.encoders, members, options.shares)
    options.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(options.out)
    return 0
