"""`polyclone cache info|clear`: what the cache holds, and forgetting it.

The cache is a file of entries, one a function, and the indices that language servers keep of their folders.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from polyclone.cli.exits import Exit
from polyclone.cli.terminal import Terminal
from polyclone.persist import kept_indices
from polyclone.report.wording import count
from polyclone.store import FILE_NAME, ManagedStore, cache_directory, open_store


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: prints; `clear` empties the cache. Creates none where there is none."""
    folder = cache_directory(arguments.cache_dir)
    path, indices = folder / FILE_NAME, kept_indices(folder)
    if not path.exists() and not indices:
        terminal.emit(f"{path}: no cache yet\n")
        return Exit.OK
    lines = []
    if path.exists():
        with closing(open_store(arguments.cache_dir, warn=lambda said: terminal.say(f"warning: {said}"))) as store:
            lines += _cleared(path, store) if arguments.action == "clear" else _described(path, store)
    if indices:
        lines.append(_removed(folder, indices) if arguments.action == "clear" else _sized(folder, indices))
    terminal.emit("\n".join(lines) + "\n")
    return Exit.OK


def _cleared(path: Path, store: ManagedStore) -> list[str]:
    before = store.stats().entries
    store.clear()
    return [f"{path}: {count(before, 'entry', 'entries')} removed"]


def _described(path: Path, store: ManagedStore) -> list[str]:
    found = store.stats()
    return [
        f"{path}",
        f"{count(found.entries, 'entry', 'entries')}, {found.file_bytes / 1e6:.1f} MB on disk of at most"
        f" {found.max_bytes / 1e6:.0f} MB",
        *(f"{number:8,}  {kind}" for kind, number in found.by_kind.items()),
    ]


def _removed(folder: Path, indices: Sequence[Path]) -> str:
    for path in indices:
        path.unlink(missing_ok=True)
    return f"{folder}: {count(len(indices), 'index', 'indices')} of a language server removed"


def _sized(folder: Path, indices: Sequence[Path]) -> str:
    size = sum(path.stat().st_size for path in indices)
    return f"{folder}: {count(len(indices), 'index', 'indices')} of a language server, {size / 1e6:.1f} MB"
