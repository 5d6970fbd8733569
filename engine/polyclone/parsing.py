"""Reading and parsing many files: hashes here, parses in worker processes, keeps the order of the input.

Parsing holds the interpreter's lock, and a hostile file may hang or crash a grammar, so it happens elsewhere:
a worker that dies or outstays the time limit costs one file, not the scan. Workers are plain subprocesses
that talk pickles over their own pipes and never import the caller's main module: it needs no `__main__` guard.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Self

from polyclone.values import Extraction, Failure, SourceFile

logger = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 2_000_000
DEFAULT_TIMEOUT_S = 20.0
BATCH_BYTES = 256 * 1024
"""Source in one message to a worker: some 0.1 s of work, so that messages cost little and nobody waits."""
WAITING_BATCHES = 16
"""Batches a worker may be ahead of the file whose result is due next."""
GRACE_S = 2.0
"""How long after its limit a file may still end by itself before its worker is killed."""
STARTUP_S = 60.0
MAX_FAILED_STARTS = 3

Known = Callable[[str, SourceFile], Extraction | None]
Progress = Callable[[int, SourceFile], None]

_EXTRACTOR = "polyclone.extract:extract"
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from polyclone.parsing import serve; serve(sys.argv[2])"
)
_READY = "ready"


class Parsed(NamedTuple):
    """One file's result. `digest` is the hex SHA-256 of its content, empty if it could not be read."""

    file: SourceFile
    digest: str
    extraction: Extraction


@dataclass(slots=True, eq=False)
class _Job:
    """A file on its way: read, not yet parsed or not yet handed out."""

    file: SourceFile
    digest: str = ""
    source: bytes = b""
    extraction: Extraction | None = None
    crashes: int = 0


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
        self._pool = _Pool(max(1, jobs), timeout_s, extractor)

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
        jobs_due: deque[_Job] = deque()
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
        jobs_due: deque[_Job],
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

        batch: list[_Job] = []
        waiting = 0
        for file in files:
            job = _read(file, self._max_bytes, known, sources.get(file.path))
            jobs_due.append(job)
            if job.extraction is None and self._inline:
                _run_here(job, self._timeout_s, self._extractor)
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
                _run_here(job, self._timeout_s, self._extractor)
                yield from finished()
        elif batch:
            pool.submit(batch)
        while jobs_due:
            yield from finished()
            if jobs_due:
                pool.step()


def _read(file: SourceFile, max_bytes: int, known: Known | None, source: bytes | None) -> _Job:
    job = _Job(file)
    try:
        if source is None:
            with Path(file.location).open("rb") as stream:
                source = stream.read(max_bytes + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        job.extraction = _failed(file, "read", f"cannot be read: {reason}")
        return job
    job.source = source
    if len(job.source) > max_bytes:
        job.source = b""
        message = f"is larger than {max_bytes} bytes; raise --max-file-size or exclude it"
        job.extraction = _failed(file, "read", message)
        return job
    job.digest = hashlib.sha256(job.source).hexdigest()
    if known is not None:
        job.extraction = known(job.digest, file)
    return job


def _failed(file: SourceFile, stage: str, message: str) -> Extraction:
    return Extraction(failures=(Failure(path=file.path, stage=stage, message=message),))


def _run_here(job: _Job, timeout_s: float, extractor: str) -> None:
    job.extraction = _guarded(_load(extractor), job.source, job.file.language, job.file.path, timeout_s)
    job.source = b""


def _load(extractor: str) -> Callable[..., Extraction]:
    module, _, name = extractor.partition(":")
    function: Callable[..., Extraction] = getattr(import_module(module), name)
    return function


def _guarded(extract: Callable[..., Extraction], source: bytes, language: str, path: str, limit: float) -> Extraction:
    """One file's defect, even one of ours, must not end a scan of thousands."""
    try:
        return extract(source, language, path, deadline_s=limit)
    except Exception as error:  # one file's defect, even one of ours, is a failure of that file
        logger.exception("extraction failed on %s", path)
        message = f"internal error, please report it: {type(error).__name__}: {error}"
        return Extraction(failures=(Failure(path=path, stage="extract", message=message),))


def serve(extractor: str) -> None:
    """The life of a worker process: a batch in, one result a file out, until the pipe closes.

    Effect: takes standard input and output for itself; whatever else prints goes to standard error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stream = sys.stdin.buffer
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        extract = _load(extractor)
        pickle.dump(_READY, out)
        out.flush()
        while True:
            try:
                limit, batch = pickle.load(stream)
            except EOFError:
                return
            for source, language, path in batch:
                pickle.dump(_guarded(extract, source, language, path, limit), out, pickle.HIGHEST_PROTOCOL)
                out.flush()


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker process and the files it still owes."""

    process: subprocess.Popen[bytes]
    owed: deque[_Job] = field(default_factory=deque)
    ready: bool = False
    since: float = 0.0
    """When it was started, given a batch, or last heard of."""
    overdue: bool = False


class _Pool:
    """Up to `size` workers, started when there is a batch for them. All methods belong to one thread."""

    def __init__(self, size: int, timeout_s: float, extractor: str) -> None:
        self._size = size
        self._timeout_s = timeout_s
        self._extractor = extractor
        self._queue: deque[list[_Job]] = deque()
        self._workers: list[_Worker] = []
        # What the readers hear: a worker's message, or None at its end.
        self._events: queue.SimpleQueue[tuple[_Worker, Any]] = queue.SimpleQueue()
        self._failed_starts = 0

    def close(self) -> None:
        ended, self._workers = self._workers, []
        self._queue.clear()
        for worker in ended:
            worker.process.kill()
        for worker in ended:
            _reap(worker)

    def start(self) -> None:
        if not self._workers and self._can_start:
            self._start()

    def forget(self, jobs: Iterable[_Job]) -> None:
        """Nobody waits for these any more. What a worker is at, it may finish."""
        gone = {id(job) for job in jobs}
        kept = ([job for job in batch if id(job) not in gone] for batch in self._queue)
        self._queue = deque(batch for batch in kept if batch)

    @property
    def started(self) -> bool:
        return bool(self._workers or self._queue)

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= WAITING_BATCHES * self._size

    def submit(self, batch: list[_Job]) -> None:
        self._queue.append(batch)
        self._dispatch()

    def step(self) -> None:
        """Wait for the next event, or for the next limit to pass, and act on it."""
        self._dispatch()
        if not self._workers and self._queue:  # No worker can be started on this machine.
            for job in self._queue.popleft():
                _run_here(job, self._timeout_s, self._extractor)
            return
        try:
            worker, message = self._events.get(timeout=self._patience())
        except queue.Empty:
            self._kill_overdue()
            return
        if worker not in self._workers:  # It was ended on purpose.
            return
        worker.since = time.monotonic()
        if message is None:
            self._bury(worker)
        elif message == _READY:
            worker.ready = True
            self._failed_starts = 0
        else:
            job = worker.owed.popleft()
            job.extraction, job.source = message, b""
        self._dispatch()

    def _dispatch(self) -> None:
        # A started worker says when it is ready, so that writing to it cannot block for long.
        for worker in self._workers:
            # One that has ended gets nothing more: a file must not be blamed for what befell its worker before.
            if self._queue and worker.ready and not worker.owed and worker.process.poll() is None:
                self._send(worker, self._queue.popleft())
        idle = sum(1 for worker in self._workers if not worker.owed)
        while len(self._queue) > idle and len(self._workers) < self._size and self._can_start:
            self._start()
            idle += 1

    @property
    def _can_start(self) -> bool:
        return bool(sys.executable) and self._failed_starts < MAX_FAILED_STARTS

    def _start(self) -> None:
        command = [sys.executable, "-c", _BOOT, json.dumps(sys.path), self._extractor]
        # In a group of its own: the terminal's Ctrl-C reaches only the parent, which then ends its workers.
        windows = os.name == "nt"
        flags = 0x08000200 if windows else 0  # CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                creationflags=flags,
                process_group=None if windows else 0,
            )
        except OSError as error:
            logger.warning("cannot start a parser process: %s", error)
            self._failed_starts += 1
            return
        worker = _Worker(process, since=time.monotonic())
        self._workers.append(worker)
        threading.Thread(target=_listen, args=(worker, self._events), daemon=True).start()

    def _send(self, worker: _Worker, batch: list[_Job]) -> None:
        worker.owed.extend(batch)
        worker.since = time.monotonic()
        message = (self._timeout_s, [(job.source, job.file.language, job.file.path) for job in batch])
        stdin = worker.process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):  # If it has died, its reader will say so.
            pickle.dump(message, stdin, pickle.HIGHEST_PROTOCOL)
            stdin.flush()

    def _limit(self, worker: _Worker) -> float:
        return self._timeout_s + GRACE_S if worker.ready else STARTUP_S

    def _patience(self) -> float:
        """Seconds until the first busy worker is overdue."""
        now = time.monotonic()
        busy = [worker for worker in self._workers if worker.owed or not worker.ready]
        left = [worker.since + self._limit(worker) - now for worker in busy]
        return max(0.0, min(left, default=STARTUP_S)) + 0.01

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if (worker.owed or not worker.ready) and now - worker.since > self._limit(worker):
                worker.overdue = True
                worker.process.kill()  # Its reader reports the end, and `_bury` settles the rest.

    def _bury(self, worker: _Worker) -> None:
        """A worker has ended: blame the file it was at, and pass the others on."""
        self._workers.remove(worker)
        _reap(worker)
        if not worker.ready:
            self._failed_starts += 1
            logger.warning("a parser process did not start (exit status %s)", worker.process.returncode)
        if not worker.owed:
            return
        culprit, *rest = worker.owed
        if worker.overdue:
            message = f"took longer than {self._timeout_s:g} s; raise --parse-timeout or exclude it"
            culprit.extraction, culprit.source = _failed(culprit.file, "parse", message), b""
        elif culprit.crashes:
            message = f"crashed the parser (exit status {worker.process.returncode}); exclude it"
            culprit.extraction, culprit.source = _failed(culprit.file, "parse", message), b""
        else:  # It may have been the machine, not the file: one more try, alone.
            culprit.crashes += 1
            self._queue.appendleft([culprit])
        if rest:
            self._queue.appendleft(rest)


def _listen(worker: _Worker, events: queue.SimpleQueue[tuple[_Worker, Any]]) -> None:
    """The life of a reader thread: forward what one worker says, then its end."""
    stdout = worker.process.stdout
    assert stdout is not None
    try:
        while True:
            events.put((worker, pickle.load(stdout)))
    except Exception:  # Its end may fall into the middle of a message.
        events.put((worker, None))


def _reap(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.wait()
    for pipe in (worker.process.stdin, worker.process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # Unsent data of a dead worker.
                pipe.close()
