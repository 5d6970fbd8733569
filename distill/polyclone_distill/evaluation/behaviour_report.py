"""Results on mutants and negative controls as text for people. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .controls import ControlResult
from .mutants import MutantResult, Shares
from .report import interval, number, table
from .views import TITLES


def mutants_text(results: Sequence[MutantResult]) -> str:
    """Tables of `evaluate_mutants`, view by view; the parts by kind and language are those of each view's first."""
    parts: list[str] = []
    for view in dict.fromkeys(result.view for result in results):
        here = [result for result in results if result.view == view]
        head = ["", "threshold", "clones found", "other tasks called clones", *_SHARES]
        rows = [
            [r.system, number(r.threshold), interval(r.recall), interval(r.false_calls), *_cells(r.total)]
            for r in here
        ]
        parts.append(f"== {TITLES[view]} ==\n" + table(head, rows))
        for title, attribute in (("kind of change", "kinds"), ("language of the changed side", "languages")):
            for result in here:
                lines = [[name, f"{s.mutants:,}", interval(s.recall), *_cells(s)]
                         for name, s in getattr(result, attribute).items()]  # fmt: skip
                head = [f"{result.system} by {title}", "mutants", "their clones found", *_SHARES]
                parts.append(table(head, lines))
    return "\n\n".join(parts) + "\n"


_SHARES = ("mutants called clones", "of those whose clone was found", "score below their clone")


def _cells(shares: Shares) -> list[str]:
    return [interval(shares.called), interval(shares.still), interval(shares.lower)]


def controls_text(results: Sequence[ControlResult]) -> str:
    """One table a view: systems by controls, MRR."""
    parts: list[str] = []
    for view in dict.fromkeys(result.view for result in results):
        here = [result for result in results if result.view == view]
        controls = list(dict.fromkeys(result.control for result in here))
        head = ["MRR", *(f"{name} ({_kept(here, name):.0%} of the atoms)" for name in controls)]
        rows = [
            [system, *(interval(_found(here, control, system).metrics["mrr"]) for control in controls)]
            for system in dict.fromkeys(result.system for result in here)
        ]
        parts.append(f"== {TITLES[view]} == ({here[0].queries:,} queries)\n" + table(head, rows))
    return "\n\n".join(parts) + "\n"


def _found(results: Iterable[ControlResult], control: str, system: str) -> ControlResult:
    return next(result for result in results if (result.control, result.system) == (control, system))


def _kept(results: Iterable[ControlResult], control: str) -> float:
    return next(result.atoms_kept for result in results if result.control == control)
