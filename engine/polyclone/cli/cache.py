"""`polyclone cache info|clear`: what the cache holds, and forgetting it."""

from __future__ import annotations

import argparse
from contextlib import closing

from polyclone.cli.exits import Exit
from polyclone.cli.terminal import Terminal
from polyclone.report.wording import count
from polyclone.store import FILE_NAME, cache_directory, open_store


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: prints; `clear` empties the cache. Creates none where there is none."""
    path = cache_directory(arguments.cache_dir) / FILE_NAME
    if not path.exists():
        terminal.emit(f"{path}: no cache yet\n")
        return Exit.OK
    with closing(open_store(arguments.cache_dir, warn=lambda message: terminal.say(f"warning: {message}"))) as store:
        before = store.stats()
        if arguments.action == "clear":
            store.clear()
            terminal.emit(f"{path}: {count(before.entries, 'entry', 'entries')} removed\n")
            return Exit.OK
        lines = [
            f"{path}",
            f"{count(before.entries, 'entry', 'entries')}, {before.file_bytes / 1e6:.1f} MB on disk of at most"
            f" {before.max_bytes / 1e6:.0f} MB",
            *(f"{number:8,}  {kind}" for kind, number in before.by_kind.items()),
        ]
    terminal.emit("\n".join(lines) + "\n")
    return Exit.OK
