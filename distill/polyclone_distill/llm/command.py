"""`polyclone-distill small-llm`, `merge-llm` and `calibrate-llm`: what stands before and after a training run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from polyclone.errors import UsageError

from .train_command import set_threads


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `small-llm`, `merge-llm` and `calibrate-llm`."""
    small = commands.add_parser("small-llm", help="a small language model of a real architecture, made from nothing")
    small.add_argument("--pairs", type=Path, required=True, metavar="JSONL", help="training pairs it reads")
    small.add_argument("--traces", type=Path, metavar="JSONL", help="answers it reads, too")
    small.add_argument("--out", type=Path, required=True, metavar="DIR")
    small.add_argument("--limit", type=int, metavar="N", help="only the first N pairs")
    small.add_argument("--threads", type=int)
    small.add_argument("--architecture", default="qwen2", help="qwen2 or phi3")
    for name, default in (("vocabulary", 4096), ("hidden", 192), ("layers", 4), ("heads", 4), ("positions", 2048),
                          ("context", 256), ("steps", 300), ("batch", 8), ("seed", 1)):  # fmt: skip
        small.add_argument(f"--{name}", type=int, default=default)
    small.add_argument("--learning-rate", type=float, default=2e-3)
    small.set_defaults(run=run_small)
    merge = commands.add_parser(
        "merge-llm", help="the adapters of a run merged into its base, as a folder to start from"
    )
    merge.add_argument("--run", type=Path, required=True, metavar="DIR", dest="trained")
    merge.add_argument("--out", type=Path, required=True, metavar="DIR")
    merge.set_defaults(run=run_merge)
    calibrate = commands.add_parser(
        "calibrate-llm", help="the probabilities of a binary head at the prevalence of retrieved pairs"
    )
    calibrate.add_argument("--run", type=Path, required=True, metavar="DIR", dest="trained")
    calibrate.add_argument(
        "--bundle", type=Path, required=True, metavar="DIR", help="whose search proposes the pairs"
    )
    calibrate.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` wrote")
    calibrate.add_argument("--draws", type=int, default=24, help="made-up workspaces")
    calibrate.add_argument("--judged", type=int, default=400, metavar="N", help="nearest pairs of each that are read")
    calibrate.add_argument("--libraries", type=int, default=12_000, help="library functions to draw from")
    calibrate.add_argument("--threads", type=int)
    calibrate.set_defaults(run=run_calibrate)


def run_small(options: argparse.Namespace) -> int:
    """Effect: writes a model folder."""
    from ..pairs.jsonl import read_pairs
    from ..traces.report import read_traces
    from .small import SmallOptions, make_small

    set_threads(options.threads)
    names = ("architecture", "vocabulary", "hidden", "layers", "heads", "positions", "context", "steps", "batch",
             "learning_rate", "seed")  # fmt: skip
    chosen = SmallOptions(**{name: getattr(options, name) for name in names})
    traces = read_traces(options.traces) if options.traces else {}
    answers = [trace.answer.to_json() for trace in traces.values() if trace.answer]
    print(json.dumps(make_small(read_pairs(options.pairs, options.limit), answers, chosen, options.out)))
    return 0


def run_merge(options: argparse.Namespace) -> int:
    """Effect: writes a model folder."""
    from .loading import merge

    merge(options.trained, options.out)
    print(options.out)
    return 0


def run_calibrate(options: argparse.Namespace) -> int:
    """Effect: rewrites the run's calibration."""
    from ..judge import JudgeConfig
    from .calibrate import calibrate_on_retrieved

    for name, least in (("draws", 2), ("judged", 1), ("libraries", 1)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name} must be at least {least}.")
    set_threads(options.threads)
    config = JudgeConfig(draws=options.draws, libraries=options.libraries)
    figures = calibrate_on_retrieved(options.trained, options.bundle, options.data, config, options.judged)
    print(json.dumps(figures, indent=1))
    return 0
