"""`polyclone-distill study scaling`: one run a cell, one table and one plot over all; resumes cell by cell."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .llm.train_command import add_training_options, check_inputs, set_threads, training_options

if TYPE_CHECKING:
    from .llm.options import TrainOptions
    from .pairs.values import Pair
    from .scaling import Cell, Point

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
    from .scaling import cells
    from .traces.report import read_traces

    set_threads(options.threads)
    check_inputs(options)
    chosen = training_options(options, correctness="any")
    traces = read_traces(options.traces) if options.traces else {}
    pairs = read_pairs(options.pairs)[: options.limit]
    valid = read_pairs(options.valid) if options.valid else []
    test = read_pairs(options.test)[: options.test_limit]
    wanted, strata = cells(pairs, traces, options.sizes, options.difficulties, options.strata, options.seed)
    generate = GenerateOptions(new_tokens=options.new_tokens)
    points = []
    for cell in wanted:
        folder = options.out / cell.name
        train_student(cell.pairs, valid, traces, chosen, folder)
        points.append(_point(cell, folder, test, chosen, generate, options.forced))
    text = _text(points, strata, len(wanted), options)
    data = {"format_version": FORMAT_VERSION, "strata": strata, "points": [_plain(point) for point in points]}
    write_atomically(options.out / "scaling.json", json.dumps(data, indent=1) + "\n")
    write_atomically(options.out / "scaling.md", text)
    plot(points, options.out / "scaling.png")
    print(text, end="")
    return 0


def _point(
    cell: Cell, folder: Path, test: Sequence[Pair], chosen: TrainOptions, generate: Any, forced: bool
) -> Point:
    import numpy as np

    from .evaluation.xccd import FIGURES, SILENT, confusion
    from .evaluation.xccd_systems import of_run
    from .scaling import Point

    systems = of_run(folder, cell.name, test, "scaling", generate, 16)
    system = systems[-1] if forced else systems[0]
    labels = np.array([pair.label for pair in test], dtype=bool)
    found = confusion(system.verdicts == 1, labels, np.ones((1, len(labels))))
    figures = {name: float(found[name][0]) for name in FIGURES}
    figures["response rate"] = float((system.verdicts != SILENT).mean())
    return Point(size=cell.size, difficulty=cell.difficulty, correctness=cell.correctness, figures=figures)


def _text(points: Sequence[Point], strata: dict[str, int], trained: int, options: argparse.Namespace) -> str:
    from .scaling import curves, valley

    lines = ["| stratum | pairs | " + " | ".join(SHOWN) + " |", "|---|---:|" + "---:|" * len(SHOWN)]
    ends = []
    for name, curve in curves(points).items():
        for point in curve:
            cells = " | ".join(f"{point.figures[figure]:.3f}" for figure in SHOWN)
            lines.append(f"| {name} | {point.size:,} | {cells} |")
        found = valley(curve, "f1")
        if found:
            ends.append(
                f"{name}: a valley in F1, from {found.start:.3f} down to {found.bottom:.3f} at {found.bottom_size:,} "
                f"pairs, up to {found.end:.3f}."
            )
        else:
            ends.append(f"{name}: no valley in F1.")
    left_out = len(options.sizes) * len(strata) - trained
    ends.append(f"Pairs there are: {strata}. Cells without enough pairs, left out: {left_out}.")
    ends.append("Silence counts as \"no\".")  # fmt: skip
    return "\n".join([*lines, "", *ends]) + "\n"


def _plain(point: Point) -> dict[str, Any]:
    return {
        "size": point.size,
        "difficulty": point.difficulty,
        "correctness": point.correctness,
        **{name: None if value != value else value for name, value in point.figures.items()},
    }


def plot(points: Sequence[Point], path: Path) -> None:
    """Effect: draws F1 and the response rate over the size, one line a stratum."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from .scaling import curves

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for axis, name in zip(axes, ("f1", "response rate"), strict=True):
        for label, curve in curves(points).items():
            axis.plot([p.size for p in curve], [p.figures[name] for p in curve], "o-", label=label)
        axis.set_xscale("log")
        axis.set_xlabel("training pairs")
        axis.set_title("F1, silence = no" if name == "f1" else name)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
