"""The append-only store of a trace run: one JSON line an event, each written whole and synced before the next step.

An event is `sent` (before a request leaves), `answer` (as soon as one is paid for) or `failed` (nothing came, or
the server refused). A killed run leaves `sent` without an outcome: such a request may have been billed and is
counted as such. A line that was cut by the kill is set aside, never glued to the next.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout
from polyclone.errors import StoreError

FORMAT_VERSION = 1
SENT, ANSWER, FAILED = "sent", "answer", "failed"


class TraceStore:
    """A store open for one run. Two runs cannot hold one at the same time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(f"{path} is in use by another run; wait for it, or give another --out.") from error
        try:
            self.set_aside = _mend(path)
            self.events = read_events(path)
        except BaseException:  # raised again: an interrupt must not leave the lock held either
            self._lock.release()
            raise
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self._lock.release()

    def append(self, event: str, key: str, **fields: Any) -> None:
        """Effect: one line on the disk when it returns."""
        line = {"format_version": FORMAT_VERSION, "event": event, "key": key, **fields}
        data = (json.dumps(line, ensure_ascii=True) + "\n").encode()
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)
        self.events[key].append(line)


def read_events(path: Path) -> defaultdict[str, list[dict[str, Any]]]:
    """Key → its events in order. `StoreError` for a file that is no store or that a newer version wrote."""
    events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    if not path.exists():
        return events
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                raw = json.loads(line)
                version, key = raw["format_version"], raw["key"]
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(f"{path}, line {number} is no trace; move the file away or repair it.") from error
            if version != FORMAT_VERSION:
                raise StoreError(f"{path} is of format {version}; this version reads {FORMAT_VERSION}.")
            events[key].append(raw)
    return events


def lost(events: list[dict[str, Any]]) -> int:
    """Requests of one key whose outcome no run lived to see."""
    kinds = [event["event"] for event in events]
    return sum(pair == (SENT, SENT) for pair in zip(kinds, [*kinds[1:], SENT], strict=False))


def _mend(path: Path) -> int:
    """Effect: a last line without its end moves to `<path>.torn`. Returns its length in bytes."""
    if not path.exists() or path.stat().st_size == 0:
        return 0
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    torn = data[end:]
    if torn:
        with path.with_name(path.name + ".torn").open("ab") as aside:
            aside.write(torn + b"\n")
        os.truncate(path, end)
    return len(torn)
