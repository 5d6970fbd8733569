"""`polyclone-distill evaluate xccd`: finished runs on sets of pairs → tables, a plot, McNemar's test."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyclone.errors import UsageError

if TYPE_CHECKING:
    from ..pairs.values import Pair
    from .xccd import Judged, McNemar, Row

FORMAT_VERSION = 1


def add_parser(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `xccd` below `evaluate`."""
    parser = parts.add_parser("xccd", help="language-model students on pairs: by language pair, head and stabiliser")
    parser.add_argument("--runs", nargs="*", default=[], metavar="[NAME=]DIR", help="what `train llm` wrote")
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, metavar="JSONL",
                        help="test sets of `pairs`; each is a block of the table")  # fmt: skip
    parser.add_argument("--valid", type=Path, metavar="JSONL", help="fixes the threshold of TF-IDF; without it, its "
                        "row is left out")  # fmt: skip
    parser.add_argument("--compare", nargs=2, action="append", default=[], metavar=("SYSTEM", "SYSTEM"),
                        help="McNemar's test between two rows of the table, by name; may be repeated")  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="table.md, table.tex, plot.png, xccd.json"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pairs of each set")
    parser.add_argument("--new-tokens", type=int, default=1500, help="of a free answer")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--resamples", type=int, default=1000, help="of the problems, for the 95 %% intervals")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Effect: writes below `--out`; keeps predictions in the runs' own folders, so that a second call only counts."""
    from ..llm.train_command import set_threads
    from ..pairs.jsonl import read_pairs, write_atomically
    from .report import plain
    from .xccd import evaluate_set
    from .xccd_report import latex, markdown, plot

    if options.resamples < 1:
        raise UsageError(f"--resamples must be at least 1, not {options.resamples}.")
    if not options.runs and options.valid is None:
        raise UsageError("there is nothing to evaluate: give --runs, or --valid for the TF-IDF row alone.")
    set_threads(options.threads)
    threshold = _threshold(options)
    rows: list[Row] = []
    comparisons: dict[tuple[str, str], McNemar] = {}
    for path in options.pairs:
        pairs = read_pairs(path, options.limit)
        systems = _systems(options, pairs, path.stem, threshold)
        labels, problems = _truth(pairs, path)
        rows += evaluate_set(path.stem, labels, problems, systems, options.resamples, options.seed)
        comparisons |= _compare(options, path.stem, systems, labels)
    text = markdown(rows, comparisons, _notes(options, threshold))
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "table.md", text)
    write_atomically(options.out / "table.tex", latex(rows))
    listed = [{"systems": systems, "set": name, **plain(c)} for (systems, name), c in comparisons.items()]
    data = {"format_version": FORMAT_VERSION, "rows": plain(rows), "comparisons": listed}
    write_atomically(options.out / "xccd.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    plot(rows, options.out / "plot.png")
    print(text, end="")
    return 0


def _systems(options: argparse.Namespace, pairs: list[Pair], name: str, threshold: float | None) -> list[Judged]:
    from ..llm.generate import GenerateOptions
    from .xccd_systems import baseline, of_run

    generate = GenerateOptions(new_tokens=options.new_tokens, batch=options.batch)
    found = []
    for text in options.runs:
        called, equals, folder = text.partition("=")
        run = Path(folder if equals else text)
        found += of_run(run, called if equals else run.name, pairs, name, generate, options.batch)
    names = [system.system for system in found]
    if len(set(names)) < len(names):
        raise UsageError(f"two rows have one name ({', '.join(names)}); call the runs differently: NAME=DIR.")
    return found if threshold is None else [*found, baseline(pairs, threshold)]


def _threshold(options: argparse.Namespace) -> float | None:
    if options.valid is None:
        return None
    import numpy as np

    from ..pairs.jsonl import read_pairs
    from .xccd_systems import best_threshold, tfidf_scores

    valid = read_pairs(options.valid)
    return best_threshold(tfidf_scores(valid), np.array([pair.label for pair in valid], dtype=bool))


def _truth(pairs: list[Pair], path: Path) -> tuple[Any, list[str]]:
    import numpy as np

    labels = np.array([pair.label for pair in pairs], dtype=bool)
    if labels.all() or not labels.any():
        raise UsageError(f"{path}: the pairs are all of one label; clones and pairs that are not are needed.")
    return labels, [pair.left.problem or pair.left.id for pair in pairs]


def _compare(
    options: argparse.Namespace, name: str, systems: list[Judged], labels: Any
) -> dict[tuple[str, str], McNemar]:
    from .xccd import mcnemar

    by_name = {system.system: system.verdicts for system in systems}
    found = {}
    for first, second in options.compare:
        for system in (first, second):
            if system not in by_name:
                raise UsageError(f"--compare: there is no row {system!r}; there are {', '.join(by_name)}.")
        found[f"{first} against {second}", name] = mcnemar(by_name[first], by_name[second], labels)
    return found


def _notes(options: argparse.Namespace, threshold: float | None) -> list[str]:
    notes = [
        f"Intervals: 95 %, {options.resamples:,} resamples of the left programs' problems, seed {options.seed}.",
        "P to MCC are over the pairs that were judged; a pair without a verdict counts as \"no\" where it says so.",
        "Seconds and tokens are those of reading both sides of every pair anew, nothing remembered.",
    ]  # fmt: skip
    if threshold is not None:
        notes.append(f"TF-IDF calls a pair a clone from a cosine of {threshold:.3f}, fixed on validation pairs.")
    return notes
