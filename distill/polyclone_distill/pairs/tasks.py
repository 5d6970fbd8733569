"""Reader of task parquet: every program that solves a task counts as an accepted submission of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..data.programs import read_parquet
from .values import Collection, Submission


def read_tasks(path: Path, *, languages: Sequence[str], splits: Sequence[str] = ()) -> Collection:
    """Programs with a task, in `languages`. Their split is the file's own, so training never sees its test tasks."""
    counts: Counter[str] = Counter()
    rows: list[Submission] = []
    for number, program in enumerate(read_parquet(path, splits=splits or None, languages=languages)):
        if program.task is None:
            counts["without a task, left out"] += 1
            continue
        rows.append(
            Submission(
                id=f"{program.source}/{program.path}#{number}",
                problem=program.task,
                language=program.language,
                code=program.code,
                accepted=True,
                path=program.path,
                split=program.split,
                source=program.source,
                license=program.license,
            )
        )
    domains = {row.problem: row.problem.partition("/")[0] for row in rows}
    return Collection(submissions=tuple(rows), domains=domains, counts={"programs": len(rows), **counts})
