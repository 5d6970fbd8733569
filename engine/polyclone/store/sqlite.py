"""The cache on disk: one SQLite file, write-ahead log, one writer at a time, size-capped.

Trouble with the file is told once and survived: a damaged file is moved aside, a full disk ends the writing.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote_from_bytes

from polyclone.errors import StoreError
from polyclone.store import StoreStats, check_keys
from polyclone.store.migrations import APPLICATION_ID, VERSION, migrate

logger = logging.getLogger(__name__)
T = TypeVar("T")

_BUSY_TIMEOUT_MS = 10_000
_VARIABLES = 500
"""Keys asked for in one statement; SQLite's own limit was 999 for a long time."""
_ROW_OVERHEAD_BYTES = 160
"""Estimate of what a row costs besides its value: key (twice), kind (twice), index entries."""
_EVICTED_TO = 0.9
"""Eviction goes on to this share of the cap, so that the next batch does not evict again."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SECONDS_A_DAY = 86_400
_WAL_ATTEMPTS = 100
_WAL_PAUSE_S = 0.02


class SqliteStore:
    """A `BlobStore` in a file. Safe for threads, and for several processes at once; not across `fork`.

    Each `put` is one transaction: a process killed at any moment loses at most the batch it was writing.
    Rows that this object read or wrote are never evicted while it lives.
    """

    def __init__(self, path: Path, *, max_bytes: int, warn: Callable[[str], None]) -> None:
        """Open or create the file. Raises `StoreError` if it must not be touched, and nothing else.

        Effect: creates folder and file.
        """
        self.path = path
        self.max_bytes = max_bytes
        self._warn = warn
        self._warned: set[str] = set()
        self._lock = threading.RLock()
        self._in_use: set[int] = set()
        self._writable = True
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._guarded(self._ready, None)

    def get(self, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        check_keys(keys)
        return self._guarded(lambda connection: self._read(connection, kind, keys), {})

    def put(self, kind: str, items: Mapping[bytes, bytes]) -> None:
        check_keys(items)
        if items and self._writable:
            self._guarded(lambda connection: self._write(connection, kind, items), None)

    def stats(self) -> StoreStats:
        def ask(connection: sqlite3.Connection) -> StoreStats:
            rows = connection.execute(
                "SELECT kind, count(*), sum(length(value)) FROM blob GROUP BY kind ORDER BY kind"
            ).fetchall()
            return StoreStats(
                path=self.path,
                entries=sum(count for _, count, _ in rows),
                value_bytes=sum(size for _, _, size in rows),
                file_bytes=sum(_size(name) for name in _files(self.path)),
                max_bytes=self.max_bytes,
                by_kind={kind: count for kind, count, _ in rows},
            )

        return self._guarded(ask, StoreStats(path=self.path, max_bytes=self.max_bytes))

    def clear(self) -> None:
        """Forget everything and give the space back. Effect: rewrites the file."""

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM blob")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._in_use.clear()

        self._guarded(forget, None)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._writable = False

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _guarded(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do `work`; if the file is damaged, once more on a new one. `otherwise` if the cache is no help."""
        with self._lock:
            for _ in range(2):
                if self._connection is None and not self._writable:
                    return otherwise
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return work(self._connection)
                except (sqlite3.Error, OSError) as error:
                    if not self._recovered(error):
                        return otherwise
            return otherwise

    def _ready(self, connection: sqlite3.Connection) -> None:
        """Nothing to do once the file is open."""

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._identity = _identity(self.path)
        _refuse_foreign(self.path)
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_MS / 1000
        )
        try:
            self._identity = _identity(self.path)
            if _pragma(connection, "page_count") == 0:  # Later it would have no effect but to write the header.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA journal_size_limit = 16777216")
            migrate(connection)
            _check_schema(connection)
        except BaseException:  # raised again: nobody else can close what was not returned
            connection.close()
            raise
        return connection

    def _read(self, connection: sqlite3.Connection, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        bad: list[int] = []
        stale: list[int] = []
        today = _today()
        for chunk in _chunks(list(dict.fromkeys(keys))):
            rows = connection.execute(
                f"SELECT id, key, value, checksum, used_day FROM blob WHERE kind = ? AND key IN ({_marks(chunk)})",
                (kind, *chunk),
            )
            for row, key, value, checksum, used_day in rows:
                if not isinstance(value, bytes) or checksum != _checksum(kind, key, value):
                    bad.append(row)
                    continue
                found[key] = value
                self._in_use.add(row)
                if used_day != today:
                    stale.append(row)
        if bad:
            logger.warning("%s: %d entries fail their checksum and are dropped", self.path, len(bad))
        if self._writable and (bad or stale):
            self._note(connection, bad, stale, today)
        return found

    def _note(self, connection: sqlite3.Connection, bad: list[int], used: list[int], today: int) -> None:
        """Drop damaged rows and date the used ones. Not worth waiting or failing for: next time will do."""
        try:
            with _transaction(connection):
                connection.executemany("DELETE FROM blob WHERE id = ?", [(row,) for row in bad])
                connection.executemany("UPDATE blob SET used_day = ? WHERE id = ?", [(today, row) for row in used])
        except sqlite3.OperationalError as error:
            logger.info("%s: could not note what was used: %s", self.path, error)

    def _write(self, connection: sqlite3.Connection, kind: str, items: Mapping[bytes, bytes]) -> None:
        with _transaction(connection):
            size = sum(map(len, items.values())) + _ROW_OVERHEAD_BYTES * len(items)
            if not self._make_room(connection, size):
                self._say_once(
                    "cap",
                    f"the cache {self.path} is full with results of this run ({self.max_bytes:,} bytes); "
                    "further ones are not kept. Raise the cap to keep them",
                )
                return
            today = _today()
            connection.executemany(
                "INSERT OR IGNORE INTO blob (kind, key, value, checksum, used_day) VALUES (?, ?, ?, ?, ?)",
                ((kind, key, value, _checksum(kind, key, value), today) for key, value in items.items()),
            )
            for chunk in _chunks(list(items)):
                self._in_use.update(
                    row
                    for (row,) in connection.execute(
                        f"SELECT id FROM blob WHERE kind = ? AND key IN ({_marks(chunk)})", (kind, *chunk)
                    )
                )
        if _pragma(connection, "page_count") * _pragma(connection, "page_size") > self.max_bytes:
            # Free pages go back to the file system. `execute` would stop after the first of them.
            connection.executescript("PRAGMA incremental_vacuum")

    def _make_room(self, connection: sqlite3.Connection, size: int) -> bool:
        """Evict what was not used for longest until `size` more bytes fit. False if they do not."""
        slack = int(self.max_bytes * (1 - _EVICTED_TO))
        while (excess := _live_bytes(connection) + size - self.max_bytes) > 0:
            # Only whole pages become free, so that what is deleted may free less than its size.
            doomed = self._longest_unused(connection, excess + slack)
            if not doomed:
                return False
            connection.executemany("DELETE FROM blob WHERE id = ?", doomed)
        return True

    def _longest_unused(self, connection: sqlite3.Connection, size: int) -> list[tuple[int]]:
        """Rows of about `size` bytes, none of them in use by this object."""
        rows: list[tuple[int]] = []
        for row, length in connection.execute("SELECT id, length(value) FROM blob ORDER BY used_day, id"):
            if size <= 0:
                break
            if row not in self._in_use:
                rows.append((row,))
                size -= length + _ROW_OVERHEAD_BYTES
        return rows

    def _recovered(self, error: sqlite3.Error | OSError) -> bool:
        """Deal with `error`; True if the work is worth another try."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED or isinstance(error, _DamagedError):
            return self._move_aside(error)
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            self._say_once("busy", f"the cache {self.path} is held by another process; some results are not kept")
            return False
        self._writable = False
        self._say_once(
            "write", f"the cache {self.path} cannot be written ({error}); going on without keeping results"
        )
        return False

    def _move_aside(self, error: Exception) -> bool:
        """Rename the damaged file, unless another process has done so since it was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._in_use.clear()
        try:
            if _identity(self.path) == self._identity:
                number = 1
                while (aside := _with_suffix(self.path, f".corrupt-{number}")).exists():
                    number += 1
                self.path.rename(aside)
                for name in _files(self.path)[1:]:
                    name.unlink(missing_ok=True)
                self._warn(
                    f"the cache {self.path} was damaged ({error}); it was moved to {aside.name} "
                    "and a new one was begun"
                )
        except FileNotFoundError:
            pass  # Another process was quicker: a new one can be made.
        except OSError as trouble:
            self._writable = False
            self._say_once(
                "write",
                f"the cache {self.path} is damaged ({error}) and could not be moved aside ({trouble}); "
                "going on without it. Delete it, or name another folder with --cache-dir",
            )
            return False
        return True

    def _say_once(self, topic: str, message: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            self._warn(message)


class _DamagedError(sqlite3.DatabaseError):
    """The file is sound, but it does not hold the tables that its header promises."""


class _transaction:
    """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` if anything goes wrong in between."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _refuse_foreign(path: Path) -> None:
    """Raise `StoreError` if the file is a database of another program or a newer version. Changes nothing."""
    if _size(path) == 0:
        return
    location = quote_from_bytes(os.fsencode(path.absolute()))
    connection = sqlite3.connect(
        f"file:{location}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_MS / 1000
    )
    try:
        # One snapshot: between two reads another process may be making this very file.
        connection.execute("BEGIN")
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.close()
    if application != APPLICATION_ID and (application != 0 or tables):
        raise StoreError(
            f"{path} is a database of another program; it was not touched. Move that file away, or name "
            "another folder with --cache-dir"
        )
    if version > VERSION:
        raise StoreError(
            f"{path} was written by a newer version of polyclone (cache format {version}, this one knows "
            f"{VERSION}); it was not touched. Upgrade polyclone, name another folder with --cache-dir, "
            "or use --no-cache"
        )


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to WAL. Two processes that do so on a new file may get in each other's way: one tries again."""
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or attempt == _WAL_ATTEMPTS - 1:
                raise
            time.sleep(_WAL_PAUSE_S)


def _check_schema(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("SELECT id, kind, key, value, checksum, used_day FROM blob LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
            raise _DamagedError(str(error)) from None
        raise


def _live_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file in use; pages of deleted rows are free again and do not count."""
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells this file from another one of the same name; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino)


def _checksum(kind: str, key: bytes, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(kind.encode("utf-8", "surrogatepass"))))


def _today() -> int:
    """Days since 1970: coarse on purpose, so that a row is dated at most once a day."""
    return int(time.time()) // _SECONDS_A_DAY


def _chunks(keys: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), _VARIABLES):
        yield keys[start : start + _VARIABLES]


def _marks(chunk: Sequence[bytes]) -> str:
    return ",".join("?" * len(chunk))


def _files(path: Path) -> tuple[Path, ...]:
    """The database, its log and the log's index."""
    return (path, _with_suffix(path, "-wal"), _with_suffix(path, "-shm"))


def _with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
