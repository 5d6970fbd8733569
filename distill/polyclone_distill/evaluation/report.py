"""Results as text for people and as JSON for programs. Measures nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .bootstrap import Estimate
from .pairs import PairResult
from .retrieval import SystemResult
from .views import TITLES

NOTHING = "–"


def plain(value: Any) -> Any:
    """Anything of this package → what `json` writes. What is not known (NaN) is null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left and all others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def number(value: float | None, signed: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def interval(estimate: Estimate | None, signed: bool = False) -> str:
    """`0.914 [0.870, 0.945]`."""
    if estimate is None or not estimate.known:
        return NOTHING
    return f"{number(estimate.value, signed)} [{number(estimate.low, signed)}, {number(estimate.high, signed)}]"


def account(counts: Mapping[str, int]) -> str:
    """What came in and what was left out, on one line."""
    return " · ".join(f"{name} {count:,}" for name, count in counts.items())


def retrieval_text(results: Sequence[SystemResult], *, directed_first: bool = False) -> str:
    """Tables of `evaluate_pool`, view by view. `directed_first`: the pool of one language is the headline."""
    parts: list[str] = []
    for view in dict.fromkeys(result.view for result in results):
        here = [result for result in results if result.view == view]
        ranked = [result for result in here if result.metrics]
        one, all_ = "one other language as the pool", "all other languages as the pool"
        pools = [(all_, "metrics"), (one, "directed")]
        parts.append(f"== {TITLES[view]} ==")
        for title, attribute in reversed(pools) if directed_first else pools:
            parts.append(f"{title} ({_queries(ranked, attribute)})\n" + _ranked(ranked, attribute))
        parts.append("alerts: mutually best pairs, best first\n" + _alerts(here))
        leader = ranked[-1] if ranked[-1].system == "model" else ranked[0]
        name = "r@1" if directed_first else "mrr"
        parts.append(
            f"{name.upper()} of {leader.system} by direction (rows ask, columns answer)\n" + _directions(leader, name)
        )
        if directed_first:
            last = here[-1]
            parts.append(f"alerts of {last.system} by languages\n" + _language_alerts(last))
    return "\n\n".join(parts) + "\n"


def _queries(ranked: Sequence[SystemResult], attribute: str) -> str:
    if attribute == "metrics":
        return f"{ranked[0].queries:,} queries"
    return f"{sum(direction.queries for direction in ranked[0].directions):,} queries × languages"


def _ranked(results: Sequence[SystemResult], attribute: str) -> str:
    names = ("mrr", "r@1", "r@10", "map@r")
    head = ["", *(name.upper() for name in names)]
    rows = [[r.system, *(interval(getattr(r, attribute).get(name)) for name in names)] for r in results]
    if attribute == "metrics":
        head.append("MRR − TF-IDF's")
        for row, result in zip(rows, results, strict=True):
            row.append(interval(result.gain.get("mrr"), signed=True))
    return table(head, rows)


_ALERT_COLUMNS = {
    "recall@p90": "recall at p ≥ .9",
    "p@50": "P@50",
    "p@100": "P@100",
    "p@500": "P@500",
    "p@50_known": "P@50 where known",
    "p@100_known": "P@100 where known",
    "p@500_known": "P@500 where known",
    "precision": "P of all",
    "precision_known": "P where known",
    "recall": "recall of all",
    "ece": "ECE",
}


def _alerts(results: Sequence[SystemResult]) -> str:
    shown = [name for name in _ALERT_COLUMNS if any(name in result.alerts for result in results)]
    rows = [
        [result.system, f"{result.alert_count:,}", *(interval(result.alerts.get(name)) for name in shown)]
        for result in results
    ]
    return table(["", "alerts", *(_ALERT_COLUMNS[name] for name in shown)], rows)


def _directions(result: SystemResult, name: str) -> str:
    languages = sorted({d.query for d in result.directions} | {d.target for d in result.directions})
    cells = {(d.query, d.target): number(d.metrics[name].value) for d in result.directions}
    rows = [[query, *(cells.get((query, target), NOTHING) for target in languages)] for query in languages]
    return table(["", *languages], rows)


def _language_alerts(result: SystemResult) -> str:
    head = ["", "to find", "reported", "precision", "recall", "above the p ≥ .9 cut", "precision", "recall"]
    rows = []
    for row in plain(result.language_pairs):
        cells = [f"{row['languages'][0]} – {row['languages'][1]}", f"{row['to_find']:,}"]
        for part in (row["all"], row["at_p90"]):
            cells += [f"{part['reported']:,}", number(part["precision"]), number(part["recall"])]
        rows.append(cells)
    return table(head, rows)


def pairs_text(results: Sequence[PairResult]) -> str:
    """Tables of `evaluate_pairs`, view by view."""
    parts: list[str] = []
    for view in dict.fromkeys(result.view for result in results):
        here = [result for result in results if result.view == view]
        parts.append(f"== {TITLES[view]} ==")
        names = ("auc", "pr_auc", "recall@p90", "best_f1")
        head = ["", "AUC", "PR-AUC", "recall at p ≥ .9", "best F1 (threshold of this set)"]
        rows = [[result.system, *(interval(result.metrics.get(name)) for name in names)] for result in here]
        parts.append(table(head, rows))
        for result in here:
            if "f1" in result.metrics:
                names = ("precision", "recall", "f1", "ece")
                cells = [interval(result.metrics[name]) for name in names]
                cells.append(f"{result.asymmetry:.1e}" if result.asymmetry is not None else NOTHING)
                head = ["at the threshold", "precision", "recall", "F1", "ECE", "largest |p(a,b) − p(b,a)|"]
                parts.append(table(head, [[result.system, *cells]]))
        parts.append(_kinds(here))
    return "\n\n".join(parts) + "\n"


def _kinds(results: Sequence[PairResult]) -> str:
    rows = []
    for result in results:
        for kind, row in result.kinds.items():
            cells = [number(row.get(name)) for name in ("mean_score", "auc", "called_clones")]
            rows.append([f"{result.system}: {kind}", f"{row['pairs']:,.0f}", *cells])
    return table(["kind of pair", "pairs", "mean score", "AUC of clones against it", "called clones"], rows)
