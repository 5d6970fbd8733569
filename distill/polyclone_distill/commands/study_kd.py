"""`polyclone-distill study kd`: students × methods × seeds → results.json, results.md and plots."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import Commands


def add_parser(parts: Commands) -> None:
    parser = parts.add_parser("kd", help="students × distillation methods × seeds; resumes, any subset")
    parser.add_argument("--grid", type=Path, required=True, metavar="TOML", help="as configs/studies/kd.toml is one")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` wrote")
    parser.add_argument("--teacher", type=Path, required=True, metavar="RUN")
    parser.add_argument("--pair-teacher", type=Path, metavar="FILE", help="a cross-encoder, for margin_mse")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--students", nargs="+", default=[], metavar="NAME", help="only these of the grid")
    parser.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these of the grid")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="only these of the grid")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..study import read_grid, run_study
    from ..study_report import markdown, plot, summarise

    grid = read_grid(options.grid).narrowed(options.students, options.methods, options.seeds)
    results = run_study(grid, options.data, options.teacher, options.out, pair_teacher=options.pair_teacher)
    summary = summarise(results)
    text = json.dumps({**summary, "cells": results["cells"]}, indent=1)
    # JSON has no NaN; what is unknown is null.
    (options.out / "results.json").write_text(text.replace("NaN", "null") + "\n", "utf-8")
    table = markdown(summary)
    (options.out / "results.md").write_text(table, "utf-8")
    plot(summary, options.out)
    print(table, end="")
    return 0
