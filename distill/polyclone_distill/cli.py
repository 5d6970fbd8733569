"""`polyclone-distill`: parse → call → report. Heavy libraries load inside the command that needs them."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from polyclone.errors import PolycloneError

log = logging.getLogger("polyclone_distill")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line that says what to do."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except PolycloneError as error:
        print(f"polyclone-distill: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(
            f"polyclone-distill: {error.name} is not installed: pip install torch, then 'polyclone[distill,export]'.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("polyclone-distill: interrupted; checkpoints are kept, the same command resumes.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="polyclone-distill", description="Train, judge and evaluate students.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_prepare(commands)
    _add_train(commands)
    _add_bundle_trainer(commands)
    from .evaluation.command import add_parser

    add_parser(commands)
    return parser


def _add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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

    def run(options: argparse.Namespace) -> int:
        from .prepare import prepare

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

    parser.set_defaults(run=run)


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser("train", help="train an encoder, a pair head, or the default bundle")
    parts = train.add_subparsers(required=True, metavar="PART")
    encoder = parts.add_parser("encoder", help="contrastive training; resumes a checkpoint in --out")
    encoder.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` wrote")
    encoder.add_argument("--out", type=Path, required=True, metavar="DIR")
    encoder.add_argument("--weights", type=Path, metavar="FILE", help="start from these, not from `start.pt`")
    encoder.add_argument("--validation-limit", type=int, default=1200)

    def run_encoder(options: argparse.Namespace) -> int:
        from .trainer.run import configs, train_encoder

        train_config, batch_config = configs(options)
        more = {"weights": options.weights, "validation_limit": options.validation_limit}
        print(train_encoder(options.data, options.out, train_config, batch_config, **more))
        return 0

    _add_training_options(encoder)
    encoder.set_defaults(run=run_encoder)
    head = parts.add_parser("pair-head", help="train on retrieved pairs and calibrate; needs a provisional bundle")
    head.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    head.add_argument("--data", type=Path, required=True, metavar="DIR")
    head.add_argument("--out", type=Path, required=True, metavar="FILE")
    head.add_argument("--draws", type=int, default=24)

    def run_head(options: argparse.Namespace) -> int:
        from .judge import JudgeConfig, train_pair_head

        config = JudgeConfig(draws=options.draws)
        print(json.dumps(train_pair_head(options.bundle, options.data, options.out, config), indent=1))
        return 0

    head.set_defaults(run=run_head)


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    """The trainer's own options; without torch there are none, and running says what to install."""
    try:
        from .trainer.run import add_options
    except ModuleNotFoundError:
        return
    add_options(parser)


def _add_bundle_trainer(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("bundle-trainer", help="pack shards and trainer for a machine without a network")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")

    def run(options: argparse.Namespace) -> int:
        from .carry import pack_trainer

        print(json.dumps(pack_trainer(options.data, options.out), indent=1))
        return 0

    parser.set_defaults(run=run)
