"""`polyclone languages`: what polyclone reads, and by which names."""

from __future__ import annotations

import argparse

from polyclone.cli.exits import Exit
from polyclone.cli.terminal import Terminal
from polyclone.languages import LANGUAGES


def run(_arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: prints one line a language."""
    rows = [
        (row.name, row.display_name, " ".join(row.extensions), ", ".join(row.aliases)) for row in LANGUAGES.values()
    ]
    rows.insert(0, ("NAME", "LANGUAGE", "FILES", "ALSO CALLED"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = (f"{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d}" for a, b, c, d in rows)
    terminal.emit("".join(line.rstrip() + "\n" for line in lines))
    return Exit.OK
