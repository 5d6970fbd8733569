"""`polyclone-distill`: the table of commands, and how trouble is told. Each command is a module of `commands`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from polyclone.errors import PolycloneError

from .commands import average, bundle_trainer, compare, ensemble, prepare, study, train
from .evaluation import command as evaluate
from .llm import command as llm
from .pairs import command as pairs
from .traces import command as traces
from .trainer.errors import TrainerError

log = logging.getLogger("polyclone_distill")

#: In the order of the help. Each has `add_parser(commands)`.
COMMANDS = (prepare, train, average, ensemble, compare, bundle_trainer, pairs, traces, llm, study, evaluate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line that says what to do."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (PolycloneError, TrainerError) as error:
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


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Loads no training library where none is installed."""
    parser = argparse.ArgumentParser(prog="polyclone-distill", description="Train, judge and evaluate students.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
