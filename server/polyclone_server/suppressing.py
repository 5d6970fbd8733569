"""The `.polyclone/` files of the workspace: read as one, written by the engine's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polyclone.errors import PolycloneError
from polyclone.suppress import Suppressions, merged, pair_entry
from polyclone.workspace_files import add_to_baseline, find_root, load_suppressions
from polyclone.workspace_files import ignore as write_ignored

from polyclone_server.settings import Problem

Trouble = PolycloneError
"""What writing may raise, for whoever does not know the engine."""
UNEXPLAINED = "ignored in the editor"
"""The reason of a pair that a client ignores without giving one: an entry without any would not count."""


def read_suppressions(
    folders: Iterable[tuple[str, str | None]],
) -> tuple[Suppressions, tuple[Problem, ...]]:
    """What the files of the folders suppress, and what in them cannot be used. Effect: reads them.

    A folder comes with the baseline that its configuration names, or None.
    """
    parts: list[Suppressions] = []
    problems: list[Problem] = []
    for folder, baseline in folders:
        root = find_root(Path(folder))
        try:
            part = load_suppressions(root, Path(baseline) if baseline else None)
        except PolycloneError as error:
            problems.append(Problem(key=str(root), message=f"{error}."))
            continue
        parts.append(part)
        problems += (
            Problem(key=str(root), message=f"{root / found.path}:{found.line0 + 1}: {found.message}.")
            for found in part.problems
        )
    return merged(parts), tuple(problems)


def ignore(folder: str, baseline: str | None, pairs: Iterable[Mapping[str, Any]]) -> None:
    """Effect: writes `.polyclone/ignored`. Raises `SuppressionError`. `pairs` are `protocol.IgnorePairArguments`."""
    entries = [
        pair_entry(p["fingerprint"], p["left"], p["right"], (p.get("reason") or "").strip() or UNEXPLAINED)
        for p in pairs
    ]
    write_ignored(find_root(Path(folder)), entries)


def accept(folder: str, baseline: str | None, pairs: Iterable[Mapping[str, Any]]) -> None:
    """Effect: writes the baseline. Raises `SuppressionError`."""
    entries = [pair_entry(p["fingerprint"], p["left"], p["right"], p.get("reason") or "") for p in pairs]
    add_to_baseline(find_root(Path(folder)), entries, Path(baseline) if baseline else None)
