"""The results of `study kd` as a table and plots: retention, gain over fine-tuning, intervals over seeds."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .study import BASELINE

log = logging.getLogger(__name__)

CONFIDENCE = 0.95


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of Student's t interval; the half-width of a single value is unknown, NaN."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return float(np.mean(values)), math.nan
    spread = float(np.std(values, ddof=1)) / math.sqrt(n)
    return float(np.mean(values)), float(t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * spread


def summarise(results: Mapping[str, Any]) -> dict[str, Any]:
    """A row for each student and method: quality, retention, and the gain over fine-tuning paired by seed."""
    by_row: defaultdict[tuple[str, str], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for cell in results["cells"]:
        by_row[cell["student"], cell["method"]][cell["seed"]] = cell
    teacher = results["teacher"]
    rows = []
    for (student, method), runs in sorted(by_row.items()):
        score, half = interval([run["score"] for run in runs.values()])
        base = by_row.get((student, BASELINE), {})
        paired = [runs[seed]["score"] - base[seed]["score"] for seed in sorted(runs) if seed in base]
        gain, gain_half = interval(paired) if paired and method != BASELINE else (math.nan, math.nan)
        rows.append(
            {
                "student": student,
                "method": method,
                "seeds": sorted(runs),
                "parameters": next(iter(runs.values()))["parameters"],
                "ms_per_function": float(np.median([run["ms_per_function"] for run in runs.values()])),
                "mrr": {
                    view: float(np.mean([run["mrr"][view] for run in runs.values()]))
                    for view in ("plain", "masked", "renamed")
                },
                "score": score,
                "score_half_width": half,
                "retention": score / teacher["score"],
                "gain": gain,
                "gain_half_width": gain_half,
                "outside_its_interval": bool(gain - gain_half > 0) if math.isfinite(gain_half) else None,
            }
        )
    return {
        "teacher": dict(teacher),
        "baselines": dict(results["baselines"]),
        "confidence": CONFIDENCE,
        "rows": rows,
    }


def markdown(summary: Mapping[str, Any]) -> str:
    """The table: the teacher, the baselines, the students."""
    teacher = summary["teacher"]
    lines = [
        "| model | method | parameters | ms a function | visible | name masked | renamed | mean MRR | of the teacher"
        " | gain over ft | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        f"| teacher | – | {_millions(teacher['parameters'])} | {teacher['ms_per_function']:.2f} |"
        f" {_views(teacher['mrr'])} | {teacher['score']:.3f} | 100 % | – | – |",
    ]
    for name, mrr in summary["baselines"].items():
        score = float(np.mean(list(mrr.values())))
        lines.append(f"| {name} | – | – | – | {_views(mrr)} | {score:.3f} | {score / teacher['score']:.1%} | – | – |")
    lines += [
        f"| {row['student']} | {row['method']} | {_millions(row['parameters'])} | {row['ms_per_function']:.2f} |"
        f" {_views(row['mrr'])} | {_with(row['score'], row['score_half_width'])} | {row['retention']:.1%} |"
        f" {_with(row['gain'], row['gain_half_width'], sign=True)} | {len(row['seeds'])} |"
        for row in summary["rows"]
    ]
    lines += [
        "",
        f"MRR across languages on unseen tasks; ± is half of the {summary['confidence']:.0%} t interval over seeds,"
        " gains are paired by seed. Milliseconds: one thread of this machine, torch, batches of like length.",
    ]
    return "\n".join(lines) + "\n"


def _views(mrr: Mapping[str, float]) -> str:
    return " | ".join(f"{mrr[view]:.3f}" for view in ("plain", "masked", "renamed"))


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f}M"


def _with(value: float, half: float, *, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    shown = f"{value:+.3f}" if sign else f"{value:.3f}"
    return f"{shown} ± {half:.3f}" if math.isfinite(half) else shown


def plot(summary: Mapping[str, Any], folder: Path) -> list[Path]:
    """Effect: writes three plots. Without matplotlib none, and a line that says what to install."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        log.warning("no plots: matplotlib is not installed. pip install matplotlib, and run the same command again.")
        return []
    matplotlib.use("Agg")
    made = [
        _scatter(summary, "parameters", "parameters", folder / "quality-parameters.png"),
        _scatter(summary, "ms_per_function", "ms a function, one thread", folder / "quality-ms.png"),
    ]
    gains = [row for row in summary["rows"] if math.isfinite(row["gain"])]
    return [*made, _bars(gains, folder / "gain.png")] if gains else made


def _scatter(summary: Mapping[str, Any], field: str, label: str, path: Path) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    methods = sorted({row["method"] for row in summary["rows"]})
    for method in methods:
        rows = [row for row in summary["rows"] if row["method"] == method]
        errors = [0.0 if math.isnan(row["score_half_width"]) else row["score_half_width"] for row in rows]
        points = [row[field] for row in rows], [row["score"] for row in rows]
        axes.errorbar(*points, yerr=errors, fmt="o", capsize=3, label=method)
    teacher = summary["teacher"]
    axes.plot([teacher[field]], [teacher["score"]], "k*", markersize=12, label="teacher")
    axes.set(xscale="log", xlabel=label, ylabel="mean MRR on unseen tasks")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def _bars(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 1.2 + 0.35 * len(rows)))
    names = [f"{row['student']}  {row['method']}" for row in rows]
    errors = [0.0 if math.isnan(row["gain_half_width"]) else row["gain_half_width"] for row in rows]
    axes.barh(names, [row["gain"] for row in rows], xerr=errors, capsize=3)
    axes.axvline(0.0, color="black", linewidth=1)
    axes.set(xlabel="gain in mean MRR over fine-tuning of the same seeds")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
