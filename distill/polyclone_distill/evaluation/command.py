"""`polyclone-distill evaluate PART`: options → measure → table on stdout, JSON in a file.

Imports nothing heavy before it runs, so that other commands' help stays fast.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyclone.errors import UsageError

from . import behaviour_command, xccd_command

if TYPE_CHECKING:
    from .model import Model

FORMAT_VERSION = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `evaluate` with its parts; each sets `run`."""
    parser = commands.add_parser("evaluate", help="measure a model: retrieval, pairs, ports, mutants, controls")
    parts = parser.add_subparsers(required=True, metavar="PART")
    _add_retrieval(parts)
    _add_pairs(parts)
    _add_ports(parts)
    behaviour_command.add_parsers(parts, _of_programs)
    xccd_command.add_parser(parts)


def run(options: argparse.Namespace) -> int:
    """Runs the part that was chosen; exit code 0, `PolycloneError` for anything wrong with the input.

    Effect: prints tables on stdout; writes `--json FILE`.
    """
    if options.resamples < 1:
        raise UsageError(f"--resamples must be at least 1, not {options.resamples}.")
    _check_output(options.json)
    title, data, text, results = options.measure(options)
    print(title)
    print(text, end="")
    if options.json is not None:
        from .report import plain

        report = {"format_version": FORMAT_VERSION, **data, "results": plain(results)}
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def load(options: argparse.Namespace) -> tuple[Model | None, float]:
    """The model and its own threshold; no model and .5 with `--baselines-only`."""
    if options.baselines_only:
        if options.model is not None:
            raise UsageError("--model and --baselines-only exclude each other; drop one.")
        return None, 0.5
    from polyclone.model import load_model

    model = load_model(options.model, threads=options.threads, device=options.device)
    return model, model.bundle.manifest.calibration.threshold()


def _check_output(path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"--json {path}: the folder {path.parent} does not exist; create it first.")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="folder or zip; without it the default bundle")
    parser.add_argument("--baselines-only", action="store_true", help="TF-IDF and BM25 alone, without any model")
    parser.add_argument("--threads", type=int, default=2, help="units encoded at a time")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--views", nargs="+", default=["visible", "masked", "renamed"], metavar="VIEW",
                        help="some of visible, masked, renamed")  # fmt: skip
    parser.add_argument("--resamples", type=int, default=1000, help="of the tasks, for the 95 %% intervals")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.set_defaults(run=run)


def _programs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--unit", default="program", help="program (whole file) or function (its main function)")
    parser.add_argument("--split", help="keep the programs of this split, e.g. test")
    parser.add_argument("--source-prefix", default="", help="keep tasks that start with this, e.g. rosetta/")
    parser.add_argument("--languages", nargs="+", default=[], metavar="LANGUAGE")
    parser.add_argument("--per-task-language", type=int, default=3, metavar="K",
                        help="at most K units of a task in a language; 0 for all")  # fmt: skip
    parser.add_argument("--max-units", type=int, metavar="N", help="whole tasks at random until there are N units")
    parser.add_argument("--jobs", type=int, default=1, help="processes that extract")


def _of_programs(parser: argparse.ArgumentParser) -> None:
    _programs(parser)
    _common(parser)


def _add_retrieval(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = parts.add_parser("retrieval", help="find programs of the same task in other languages")
    parser.add_argument("parquet", type=Path, help="columns task, split, language, source, license, path, code")
    _programs(parser)
    _common(parser)
    parser.set_defaults(measure=_retrieval)


def _add_pairs(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = parts.add_parser("pairs", help="judge labelled pairs")
    parser.add_argument("jsonl", type=Path, nargs="?", help='{"left": {"code", "language"}, "right": …, "label": 0}')
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="sample pairs from a file of programs instead")
    parser.add_argument("--pairs", type=int, help="how many to sample (2,000, or 20,000 with --prevalence)")
    parser.add_argument("--prevalence", type=float, metavar="SHARE", help="share of clones; without it one half")
    parser.add_argument("--hard-share", type=float, metavar="SHARE",
                        help="share of the others that TF-IDF retrieves (0, or .5 with --prevalence)")  # fmt: skip
    parser.add_argument("--hard-k", type=int, default=10, help="such a pair takes one of the K nearest")
    parser.add_argument("--threshold", type=float, help="call it a clone from here on; without it the bundle's own")
    _programs(parser)
    _common(parser)
    parser.set_defaults(measure=_pairs)


def _add_ports(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = parts.add_parser("ports", help="find the counterparts in a workspace ported to several languages")
    parser.add_argument("roots", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--min-atoms", type=int, default=16, help="smaller functions are too small to judge")
    parser.add_argument("--languages", nargs="+", default=[], metavar="LANGUAGE")
    parser.add_argument("--exclude", nargs="+", default=[], metavar="PATTERN", help="in gitignore syntax")
    _common(parser)
    parser.set_defaults(measure=_ports)


Measured = tuple[str, Mapping[str, Any], str, Any]


def _retrieval(options: argparse.Namespace) -> Measured:
    from .pool import load_pool
    from .report import retrieval_text
    from .retrieval import evaluate_pool

    model, _ = load(options)
    pool = load_pool(options.parquet, pool_options(options))
    results = evaluate_pool(pool, model, views=options.views, resamples=options.resamples, seed=options.seed)
    title, data = describe("retrieval", [options.parquet], pool.counts, options, model, "tasks")
    return title, data, retrieval_text(results), results


def _ports(options: argparse.Namespace) -> Measured:
    from .ports import load_workspace
    from .report import retrieval_text
    from .retrieval import evaluate_pool

    model, _ = load(options)
    pool = load_workspace(options.roots, min_atoms=options.min_atoms, only=options.languages, exclude=options.exclude)
    results = evaluate_pool(pool, model, views=options.views, resamples=options.resamples, seed=options.seed)
    title, data = describe("ports", options.roots, pool.counts, options, model, "classes or files")
    return title, data, retrieval_text(results, directed_first=True), results


def _pairs(options: argparse.Namespace) -> Measured:
    from .pair_source import SampleOptions, read_pairs, sample_pairs
    from .pairs import evaluate_pairs
    from .pool import load_pool
    from .report import pairs_text

    if (options.jsonl is None) == (options.parquet is None):
        raise UsageError("give either a JSONL file of pairs or --parquet FILE to sample some from.")
    model, own = load(options)
    threshold = own if options.threshold is None else options.threshold
    natural = options.prevalence is not None
    if options.jsonl is not None:
        pairs = read_pairs(options.jsonl)
    else:
        sample = SampleOptions(
            pairs=options.pairs or (20_000 if natural else 2000),
            prevalence=options.prevalence if natural else 0.5,
            hard_share=options.hard_share if options.hard_share is not None else (0.5 if natural else 0.0),
            hard_k=options.hard_k,
            seed=options.seed,
        )
        pairs = sample_pairs(load_pool(options.parquet, pool_options(options)), sample)
    results = evaluate_pairs(
        pairs, model, views=options.views, threshold=threshold, resamples=options.resamples, seed=options.seed
    )
    source = options.jsonl or options.parquet
    title, data = describe("pairs", [source], pairs.counts, options, model, "tasks (of the left program)")
    if model is not None:
        title += f"threshold: {threshold:.3f}\n"
    return title, {**data, "threshold": threshold}, pairs_text(results), results


def pool_options(options: argparse.Namespace) -> Any:
    """The `PoolOptions` that the command line asks for."""
    from .pool import PoolOptions

    return PoolOptions(
        unit=options.unit,
        split=options.split,
        source_prefix=options.source_prefix,
        languages=tuple(options.languages),
        per_task_language=options.per_task_language or None,
        max_units=options.max_units,
        seed=options.seed,
        jobs=options.jobs,
    )


def describe(
    part: str,
    inputs: list[Path],
    counts: Mapping[str, int],
    options: argparse.Namespace,
    model: Model | None,
    resampled: str,
) -> tuple[str, dict[str, Any]]:
    """The heading for people, and the same for the JSON file."""
    from .report import account, plain

    if model is None:
        name = "none (baselines only)"
    else:
        name = f"{model.info.name} {model.info.version} ({model.info.kind}, {model.info.digest[:12]})"
    lines = [
        f"evaluate {part}: {', '.join(map(str, inputs))}",
        f"data: {account(counts)}",
        f"model: {name}",
        f"intervals: 95 %, {options.resamples:,} resamples of {resampled}, seed {options.seed}",
    ]
    if "per_task_language" in vars(options) and getattr(options, "jsonl", None) is None:
        cap = f"at most {options.per_task_language}" if options.per_task_language else "all"
        lines.insert(1, f"units: {options.unit}, {cap} of a task in a language")
    kept = {key: value for key, value in vars(options).items() if key not in ("run", "measure", "json")}
    data = {
        "part": part,
        "options": json.loads(json.dumps(kept, default=str)),
        "counts": dict(counts),
        "model": plain(model.info) if model is not None else None,
    }
    return "\n".join(lines) + "\n", data
