"""`polyclone index [PATH…]`: fill the cache, so that the next scan finds everything read and encoded."""

from __future__ import annotations

import argparse

from polyclone.cli.exits import Exit
from polyclone.cli.session import workspace
from polyclone.cli.settings import settings
from polyclone.cli.terminal import Terminal
from polyclone.errors import UsageError
from polyclone.report.wording import count


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: reads the files, writes the cache, prints counts."""
    if arguments.no_cache:
        raise UsageError("index fills the cache, so --no-cache leaves nothing to do")
    wanted = settings(arguments, arguments.paths, terminal)
    with workspace(arguments, wanted.options, terminal) as space, terminal.progress() as report:
        space.open(arguments.paths, report)
        functions, too_small = space.warm(report)
    skipped = sum(space.skipped.values())
    terminal.emit(
        f"Indexed {count(functions, 'function')} in {count(len(space.paths), 'file')};"
        f" {too_small:,} too small to judge, {count(skipped, 'file')} skipped,"
        f" {count(len(space.failures), 'failure')}\n"
    )
    return Exit.OK
