"""`polyclone-distill study scaling`: one run a cell, one table and one plot over all; resumes cell by cell."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .llm.train_command import add_training_options, check_inputs, set_threads, training_options

if TYPE_CHECKING:
    from .llm.generate import GenerateOptions
    from .llm.options import TrainOptions
    from .pairs.values import Pair
    from .scaling import Point

FORMAT_VERSION = 1
SHOWN = ("f1", "accuracy", "mcc", "response rate")


def add_parser(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `scaling` below `study`."""
    parser = parts.add_parser("scaling", help="nested subsets × difficulty × correctness of the traces, as a curve")
    parser.add_argument("--student", required=True, metavar="NAME", help="a hub name or a folder")
    parser.add_argument("--head", default="generate", choices=("generate", "binary", "contrastive"))
    parser.add_argument("--pairs", type=Path, required=True, metavar="JSONL")
    parser.add_argument("--valid", type=Path, metavar="JSONL", help="calibrates binary and contrastive heads")
    parser.add_argument("--test", type=Path, required=True, metavar="JSONL")
    parser.add_argument("--test-limit", type=int, metavar="N", help="only the first N test pairs")
    parser.add_argument("--traces", type=Path, metavar="JSONL")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 30_000], metavar="N")
    parser.add_argument("--difficulties", nargs="+", default=["all"], metavar="NAME", help="all, easy, hard")
    parser.add_argument(
        "--strata", nargs="+", default=["any"], metavar="NAME", help="traces: any, correct, incorrect"
    )
    parser.add_argument("--new-tokens", type=int, default=1500)
    parser.add_argument("--forced", action="store_true", help="judge generate runs with a forced conclusion")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_training_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Effect: trains what is missing, then writes `scaling.json`, `scaling.md` and `scaling.png` below `--out`."""
    from .llm.generate import GenerateOptions
    from .llm.train import train_student
    from .pairs.jsonl import read_pairs, write_atomically
    from .scaling import Point, cells
    from .traces.report import read_traces

    set_threads(options.threads)
    check_inputs(options)
    chosen = training_options(options, correctness="any")
    traces = read_traces(options.traces) if options.traces else {}
    pairs = read_pairs(options.pairs, options.limit)
    valid = read_pairs(options.valid) if options.valid else []
    test = read_pairs(options.test, options.test_limit)
    wanted, strata = cells(pairs, traces, options.sizes, options.difficulties, options.strata, options.seed)
    generate = GenerateOptions(new_tokens=options.new_tokens, force=options.forced)
    points = []
    for cell in wanted:
        folder = options.out / cell.name
        train_student(cell.pairs, valid, traces, chosen, folder)
        figures = _figures(folder, test, generate)
        points.append(
            Point(size=cell.size, difficulty=cell.difficulty, correctness=cell.correctness, figures=figures)
        )
    start = _untrained(options.out / "untrained", test, chosen, generate)
    text = _text(points, start, strata, len(wanted), options)
    data = {
        "format_version": FORMAT_VERSION,
        "strata": strata,
        "untrained": start and _plain(start),
        "points": [
            {"size": p.size, "difficulty": p.difficulty, "correctness": p.correctness, **_plain(p.figures)}
            for p in points
        ],
    }
    write_atomically(options.out / "scaling.json", json.dumps(data, indent=1) + "\n")
    write_atomically(options.out / "scaling.md", text)
    plot(points, start, options.out / "scaling.png")
    print(text, end="")
    return 0


def _untrained(
    folder: Path, test: Sequence[Pair], chosen: TrainOptions, generate: GenerateOptions
) -> dict[str, float] | None:
    """What the student can do as it is: where every curve starts. None for a head, which without training is noise.

    Effect: keeps its predictions in `folder`, a run without an adapter.
    """
    from .llm.loading import base_folder
    from .llm.options import GENERATE
    from .llm.runs import RunRecord, write_run

    if chosen.head != GENERATE:
        return None
    write_run(folder, RunRecord(options=chosen, base=str(base_folder(chosen.student))))
    return _figures(folder, test, generate)


def _figures(folder: Path, test: Sequence[Pair], generate: GenerateOptions) -> dict[str, float]:
    """Of a run on `test`, silence counted as "no": its free answers, or with forced conclusions if they were made."""
    import numpy as np

    from .evaluation.xccd import FIGURES, SILENT, confusion
    from .evaluation.xccd_systems import of_run

    system = of_run(folder, folder.name, test, "scaling", generate, 16)[-1]
    labels = np.array([pair.label for pair in test], dtype=bool)
    found = confusion(system.verdicts == 1, labels, np.ones((1, len(labels))))
    figures = {name: float(found[name][0]) for name in FIGURES}
    figures["response rate"] = float((system.verdicts != SILENT).mean())
    return figures


def _text(
    points: Sequence[Point],
    start: dict[str, float] | None,
    strata: dict[str, int],
    trained: int,
    options: argparse.Namespace,
) -> str:
    from .scaling import curves, valley

    lines = ["| stratum | pairs | " + " | ".join(SHOWN) + " |", "|---|---:|" + "---:|" * len(SHOWN)]
    if start:
        lines.append(_line("untrained", 0, start))
    ends = []
    for name, curve in curves(points).items():
        lines += [_line(name, point.size, point.figures) for point in curve]
        found = valley(curve, "f1", start["f1"] if start else None)
        if found:
            ends.append(
                f"{name}: a valley in F1, from {found.start:.3f} down to {found.bottom:.3f} at {found.bottom_size:,} "
                f"pairs, up to {found.end:.3f}."
            )
        else:
            ends.append(f"{name}: no valley in F1.")
    left_out = len(options.sizes) * len(strata) - trained
    ends.append(f"Pairs there are: {strata}. Cells without enough pairs, left out: {left_out}.")
    ends.append('Silence counts as "no".')
    return "\n".join([*lines, "", *ends]) + "\n"


def _line(stratum: str, size: int, figures: Mapping[str, float]) -> str:
    return f"| {stratum} | {size:,} | " + " | ".join(f"{figures[name]:.3f}" for name in SHOWN) + " |"


def _plain(figures: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON, which knows no NaN."""
    return {name: None if value != value else value for name, value in figures.items()}


def plot(points: Sequence[Point], start: Mapping[str, float] | None, path: Path) -> None:
    """Effect: draws F1 and the response rate over the size, one line a stratum, and where the student started."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from .scaling import curves

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for axis, name in zip(axes, ("f1", "response rate"), strict=True):
        for label, curve in curves(points).items():
            axis.plot([p.size for p in curve], [p.figures[name] for p in curve], "o-", label=label)
        if start:
            axis.axhline(start[name], color="gray", linestyle=":", label="untrained")
        axis.set_xscale("log")
        axis.set_xlabel("training pairs")
        axis.set_title("F1, silence = no" if name == "f1" else name)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
