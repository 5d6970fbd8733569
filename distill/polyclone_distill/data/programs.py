"""Readers of program collections. One row in, one `Program` out; nothing is interpreted here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from polyclone.errors import UsageError
from polyclone.languages import LANGUAGES

COLUMNS = ("task", "split", "language", "source", "license", "path", "code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One source file or snippet. `task` is None when it is not known what it solves."""

    task: str | None
    split: str
    language: str
    source: str
    license: str
    path: str
    code: str


def read_parquet(
    path: Path, *, splits: Sequence[str] | None = None, languages: Sequence[str] | None = None
) -> Iterator[Program]:
    """Rows of a parquet file with the columns `COLUMNS`; `UsageError` if one is missing.

    Rows in a language the engine does not know are left out.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist; give the parquet file of programs.")
    file = pq.ParquetFile(path)
    missing = [column for column in COLUMNS if column not in file.schema_arrow.names]
    if missing:
        raise UsageError(f"{path} lacks the columns {', '.join(missing)}; it has {file.schema_arrow.names}.")
    wanted = set(languages) if languages else set(LANGUAGES)
    for batch in file.iter_batches(batch_size=2048, columns=list(COLUMNS)):
        for row in batch.to_pylist():
            if row["language"] in wanted and (splits is None or row["split"] in splits):
                yield Program(**row)
