"""Progress bars on stderr, gone when the work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from polyclone.api import Progress

_DOING = {
    "discover": "Looking for source files",
    "parse": "Reading functions",
    "encode": "Encoding functions",
    "search": "Searching",
    "judge": "Judging pairs",
}


@contextmanager
def bars(*, color: bool) -> Iterator[Callable[[Progress], None]]:
    """A listener that shows one bar a stage. Effect: draws on stderr until the block ends."""
    console = Console(
        stderr=True, force_terminal=True, no_color=not color, highlight=False, markup=False, emoji=False
    )
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<26}", markup=False),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
    )
    with Bars(*columns, console=console, transient=True) as drawn:
        tasks: dict[str, TaskID] = {}

        def listen(progress: Progress) -> None:
            if progress.stage not in tasks:
                name = _DOING.get(progress.stage, progress.stage)
                tasks[progress.stage] = drawn.add_task(name, total=progress.total)
            drawn.update(tasks[progress.stage], completed=progress.done, total=progress.total)

        yield listen
