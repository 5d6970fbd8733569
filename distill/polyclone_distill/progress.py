"""A progress bar for training on a terminal. Elsewhere nothing is shown here, and the run logs its steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .trainer.settings import Recipe

Show = Callable[[Mapping[str, Any]], None]


@contextmanager
def shown(recipe: Recipe, out: Path) -> Iterator[Show | None]:
    """What to tell each step; None where stderr is no terminal. One bar a run, over all its stages and members."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  best {task.fields[score]:.3f}"),
    )  # fmt: skip
    parts = (recipe, *(member.recipe for member in recipe.members))
    totals = [stage.train.steps for part in parts for stage in part.stages]
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(out.name, total=sum(totals), loss=float("nan"), score=float("nan"))
        best: dict[int, float] = {}

        def show(row: Mapping[str, Any]) -> None:
            stage = int(row["stage"])
            if "score" in row:
                best[stage] = max(float(row["score"]), best.get(stage, float("-inf")))
            done = sum(totals[: stage - 1]) + row["step"]
            progress.update(bar, completed=done, loss=row["loss"], score=best.get(stage, float("nan")))

        yield show
