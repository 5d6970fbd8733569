"""Worker processes that parse, and what becomes of a file whose worker hangs or dies.

A worker that dies or outstays the time limit costs one file, not the scan. Workers are plain subprocesses that talk
pickles over their own pipes and never import the caller's main module: it needs no `__main__` guard.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from polyclone.values import Extraction, Failure, SourceFile

logger = logging.getLogger(__name__)

WAITING_BATCHES = 16
"""Batches a worker may be ahead of the file whose result is due next."""
GRACE_S = 2.0
"""How long after its limit a file may still end by itself before its worker is killed."""
STARTUP_S = 60.0
MAX_FAILED_STARTS = 3

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from polyclone.parsing_pool import serve; serve(sys.argv[2])"
)
_READY = "ready"


@dataclass(slots=True, eq=False)
class Job:
    """A file on its way: read, not yet parsed or not yet handed out."""

    file: SourceFile
    digest: str = ""
    source: bytes = b""
    extraction: Extraction | None = None
    crashes: int = 0


def failed(file: SourceFile, stage: str, message: str) -> Extraction:
    return Extraction(failures=(Failure(path=file.path, stage=stage, message=message),))


def run_here(job: Job, timeout_s: float, extractor: str) -> None:
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
    owed: deque[Job] = field(default_factory=deque)
    ready: bool = False
    since: float = 0.0
    """When it was started, given a batch, or last heard of."""
    overdue: bool = False


class Pool:
    """Up to `size` workers, started when there is a batch for them. All methods belong to one thread."""

    def __init__(self, size: int, timeout_s: float, extractor: str) -> None:
        self._size = size
        self._timeout_s = timeout_s
        self._extractor = extractor
        self._queue: deque[list[Job]] = deque()
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

    def forget(self, jobs: Iterable[Job]) -> None:
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

    def submit(self, batch: list[Job]) -> None:
        self._queue.append(batch)
        self._dispatch()

    def step(self) -> None:
        """Wait for the next event, or for the next limit to pass, and act on it."""
        self._dispatch()
        if not self._workers and self._queue:  # No worker can be started on this machine.
            for job in self._queue.popleft():
                run_here(job, self._timeout_s, self._extractor)
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

    def _send(self, worker: _Worker, batch: list[Job]) -> None:
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
            culprit.extraction, culprit.source = failed(culprit.file, "parse", message), b""
        elif culprit.crashes:
            message = f"crashed the parser (exit status {worker.process.returncode}); exclude it"
            culprit.extraction, culprit.source = failed(culprit.file, "parse", message), b""
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
