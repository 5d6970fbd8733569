"""`python doomed.py MOMENT COUNT FILE ARGUMENT…`: the command line, killed by SIGKILL at an exact moment.

A moment is `STAGE`, the COUNT-th progress of that stage of a scan, or one of `open`, `insert`, `commit`, `emit`:
before the cache gets its tables, before or after the COUNT-th transaction ends, before the results are printed.
The process ids of its workers are written to FILE before it dies.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polyclone.cli import main
from polyclone.cli.terminal import Terminal
from polyclone.store import sqlite


def workers() -> list[str]:
    """The processes that this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return [pid for children in lists for pid in children.read_text("ascii").split()]


class Doom:
    """Ends the process when it was called often enough."""

    def __init__(self, count: int, file: Path) -> None:
        self._left, self._file = count, file

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._file.write_text(" ".join(workers()), "ascii")
            os.kill(os.getpid(), signal.SIGKILL)


def before(original: Callable[..., Any], doom: Doom) -> Callable[..., Any]:
    def doomed(*arguments: Any) -> Any:
        doom()
        return original(*arguments)

    return doomed


def after(original: Callable[..., Any], doom: Doom) -> Callable[..., Any]:
    def doomed(*arguments: Any) -> Any:
        result = original(*arguments)
        doom()
        return result

    return doomed


def arrange(moment: str, doom: Doom) -> None:
    """Effect: replaces parts of the program by ones that may be its last."""
    if moment == "open":
        sqlite.migrate = before(sqlite.migrate, doom)
    elif moment == "insert":
        sqlite._transaction.__exit__ = before(sqlite._transaction.__exit__, doom)  # type: ignore[method-assign]
    elif moment == "commit":
        sqlite._transaction.__exit__ = after(sqlite._transaction.__exit__, doom)  # type: ignore[method-assign]
    elif moment == "emit":
        Terminal.emit = before(Terminal.emit, doom)  # type: ignore[method-assign]
    else:

        @contextmanager
        def progress(_: Terminal) -> Iterator[Callable[[Any], None]]:
            yield lambda told: doom() if told.stage == moment else None

        Terminal.progress = progress  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    moment, count, file, *arguments = sys.argv[1:]
    arrange(moment, Doom(int(count), Path(file)))
    sys.exit(main(arguments))
