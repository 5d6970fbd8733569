"""Reading and parsing many files: hashes here, parses in worker processes, keeps the order of the input.

Parsing holds the interpreter's lock, and a hostile file may hang or crash a grammar, so it happens elsewhere:
`polyclone.parsing_pool` has the processes.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from polyclone.parsing_pool import Job, Pool, failed, run_here
from polyclone.values import Extraction, SourceFile

DEFAULT_MAX_BYTES = 2_000_000
DEFAULT_TIMEOUT_S = 20.0
BATCH_BYTES = 256 * 1024
"""Source in one message to a worker: some 0.1 s of work, so that messages cost little and nobody waits."""

Known = Callable[[str, SourceFile], Extraction | None]
Progress = Callable[[int, SourceFile], None]

_EXTRACTOR = "polyclone.extract:extract"


class Parsed(NamedTuple):
    """One file's result. `digest` is the hex SHA-256 of its content, empty if it could not be read."""

    file: SourceFile
    digest: str
    extraction: Extraction


def parse_files(
    files: Iterable[SourceFile],
    *,
    jobs: int = 1,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    known: Known | None = None,
    on_progress: Progress | None = None,
    isolate: bool = False,
    extractor: str = _EXTRACTOR,
) -> Iterator[Parsed]:
    """Parse files and yield their results in the order of the input, whatever `jobs` is.

    Effect: reads the files; starts up to `jobs` worker processes and ends them when the iterator ends, is
    closed or is interrupted. With one job, or too little to do for a worker to pay off, the work happens in
    this process, where only a cooperating grammar can be stopped at the time limit; `isolate` forces workers.

    `known(digest, file)` may answer from a cache before a file is parsed. `on_progress(done, file)` is called
    just before each result. `extractor` names the function to call (`module:function`); tests replace it.
    """
    with Parser(jobs=jobs, max_bytes=max_bytes, timeout_s=timeout_s, isolate=isolate, extractor=extractor) as parser:
        yield from parser.parse(files, known=known, on_progress=on_progress)


class Parser:
    """`parse_files` again and again, with workers that stay. Not thread-safe, one `parse` at a time.

    What a worker costs to start, some tenths of a second, an editor cannot wait for after every key.
    """

    def __init__(
        self,
        *,
        jobs: int = 1,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        isolate: bool = False,
        extractor: str = _EXTRACTOR,
    ) -> None:
        self._inline = jobs <= 1 and not isolate
        self._isolate = isolate
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._extractor = extractor
        self._pool = Pool(max(1, jobs), timeout_s, extractor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Effect: ends the workers. A later `parse` starts new ones."""
        self._pool.close()

    def start(self) -> None:
        """Effect: starts a worker if there is none, so that the first file need not wait for it."""
        if not self._inline:
            self._pool.start()

    def parse(
        self,
        files: Iterable[SourceFile],
        *,
        sources: Mapping[str, bytes] | None = None,
        known: Known | None = None,
        on_progress: Progress | None = None,
    ) -> Iterator[Parsed]:
        """As `parse_files`. `sources` holds the content of files that are not to be read from disk, by path."""
        jobs_due: deque[Job] = deque()
        try:
            yield from self._parse(files, sources or {}, known, on_progress, jobs_due)
        finally:
            self._pool.forget(jobs_due)

    def _parse(
        self,
        files: Iterable[SourceFile],
        sources: Mapping[str, bytes],
        known: Known | None,
        on_progress: Progress | None,
        jobs_due: deque[Job],
    ) -> Iterator[Parsed]:
        pool = self._pool
        done = 0

        def finished() -> Iterator[Parsed]:
            nonlocal done
            while jobs_due and (extraction := jobs_due[0].extraction) is not None:
                job = jobs_due.popleft()
                done += 1
                if on_progress is not None:
                    on_progress(done, job.file)
                yield Parsed(job.file, job.digest, extraction)

        batch: list[Job] = []
        waiting = 0
        for file in files:
            job = _read(file, self._max_bytes, known, sources.get(file.path))
            jobs_due.append(job)
            if job.extraction is None and self._inline:
                run_here(job, self._timeout_s, self._extractor)
            elif job.extraction is None:
                batch.append(job)
                waiting += len(job.source)
                if waiting >= BATCH_BYTES:
                    pool.submit(batch)
                    batch, waiting = [], 0
                    while pool.is_full:
                        pool.step()
                        yield from finished()
            yield from finished()
        if not pool.started and not self._isolate:
            for job in batch:
                run_here(job, self._timeout_s, self._extractor)
                yield from finished()
        elif batch:
            pool.submit(batch)
        while jobs_due:
            yield from finished()
            if jobs_due:
                pool.step()


def _read(file: SourceFile, max_bytes: int, known: Known | None, source: bytes | None) -> Job:
    job = Job(file)
    try:
        if source is None:
            with Path(file.location).open("rb") as stream:
                source = stream.read(max_bytes + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        job.extraction = failed(file, "read", f"cannot be read: {reason}")
        return job
    job.source = source
    if len(job.source) > max_bytes:
        job.source = b""
        message = f"is larger than {max_bytes} bytes; raise --max-file-size or exclude it"
        job.extraction = failed(file, "read", message)
        return job
    job.digest = hashlib.sha256(job.source).hexdigest()
    if known is not None:
        job.extraction = known(job.digest, file)
    return job
