"""`polyclone-distill prepare`: data sets → units, classes, vocabularies, shards."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import Commands


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("prepare", help="data sets → units, classes, vocabularies, shards")
    parser.add_argument("--tasks", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--repositories", type=Path, nargs="*", default=[], metavar="PARQUET")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--layers", type=int, default=6, help="blocks of the pretrained start to keep (1–6)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--vocabulary", type=Path, metavar="DIR", help="keep the vocabulary of this prepared folder or bundle"
    )
    parser.add_argument("--limit", type=int, help="take only the first N rows of each input, for a trial")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..prepare import prepare

    report = prepare(
        options.tasks,
        options.repositories,
        options.out,
        jobs=options.jobs,
        seed=options.seed,
        limit=options.limit,
        layers=options.layers,
        vocabulary_of=options.vocabulary,
    )
    print(json.dumps({key: value for key, value in report.items() if key != "sources"}, indent=1))
    return 0
