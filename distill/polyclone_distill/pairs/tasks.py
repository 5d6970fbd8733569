"""Reader of task parquet: every program that solves a task counts as an accepted submission of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from polyclone.errors import UsageError

from ..data.programs import read_parquet
from .values import Collection, Submission


def read_tasks(path: Path, *, languages: Sequence[str], splits: Sequence[str] = ()) -> Collection:
    """Programs with a task, in `languages`. Their split is the file's own, so training never sees its test tasks."""
    _check(path)
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


def _check(path: Path) -> None:
    """`UsageError` for what is there but is no parquet file."""
    try:
        if path.exists():
            pq.read_schema(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as parquet ({error}); give a parquet file of programs.") from error
