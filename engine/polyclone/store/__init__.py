"""A content-addressed cache of opaque bytes: what was computed once for a value is never computed again.

Keys are SHA-256 digests of everything the value depends on, so an entry is never wrong, only absent.
The cache may be lost at any time; nothing but speed depends on it. It never interprets what it keeps.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import platformdirs

DEFAULT_MAX_BYTES = 512 * 1024 * 1024
ENVIRONMENT_VARIABLE = "POLYCLONE_CACHE_DIR"
FILE_NAME = "cache.sqlite3"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """What a store holds. `value_bytes` counts values alone, `file_bytes` the database with its log."""

    path: Path | None = None
    entries: int = 0
    value_bytes: int = 0
    file_bytes: int = 0
    max_bytes: int = 0
    by_kind: Mapping[str, int] = field(default_factory=dict)
    """Kind → number of entries, in alphabetical order."""


class BlobStore(Protocol):
    """What a scan needs of a cache. `kind` separates name spaces; keys are `KEY_BYTES` long.

    Both raise `ValueError` for a key of another length, and nothing else: a cache in trouble forgets.
    """

    def get(self, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are known."""

    def put(self, kind: str, items: Mapping[bytes, bytes]) -> None:
        """Remember the items, all or none of them. What is known already stays as it is.

        Effect: writes to disk, if the store does.
        """


class ManagedStore(BlobStore, Protocol):
    """A store as seen by whoever opened it."""

    def stats(self) -> StoreStats: ...

    def clear(self) -> None:
        """Forget everything."""

    def close(self) -> None: ...


class MemoryStore:
    """Keeps everything, for as long as the object lives."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, bytes], bytes] = {}

    def get(self, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        check_keys(keys)
        return {key: self._items[kind, key] for key in keys if (kind, key) in self._items}

    def put(self, kind: str, items: Mapping[bytes, bytes]) -> None:
        check_keys(items)
        for key, value in items.items():
            self._items.setdefault((kind, key), bytes(value))

    def stats(self) -> StoreStats:
        return StoreStats(
            entries=len(self._items),
            value_bytes=sum(map(len, self._items.values())),
            by_kind=dict(sorted(Counter(kind for kind, _ in self._items).items())),
        )

    def clear(self) -> None:
        self._items.clear()

    def close(self) -> None:
        pass


class NullStore:
    """Keeps nothing: `--no-cache`."""

    def get(self, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        check_keys(keys)
        return {}

    def put(self, kind: str, items: Mapping[bytes, bytes]) -> None:
        check_keys(items)

    def stats(self) -> StoreStats:
        return StoreStats()

    def clear(self) -> None:
        pass

    def close(self) -> None:
        pass


def cache_directory(override: Path | None = None) -> Path:
    """Where the cache lives: `override`, else `$POLYCLONE_CACHE_DIR`, else the user's cache directory."""
    if override is not None:
        return override
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("polyclone", appauthor=False))


def open_store(
    directory: Path | None = None,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    warn: Callable[[str], None],
) -> ManagedStore:
    """Open the cache in `cache_directory(directory)`, creating it if need be.

    A folder that cannot be written to, a full disk or a damaged file is no reason to stop: `warn` is told,
    once for each kind of trouble, and the store goes on with what works. Raises `StoreError` for a file that
    must not be touched: it belongs to another program, or to a newer version of this one.
    Effect: creates the folder and the file.
    """
    from polyclone.store.sqlite import SqliteStore

    return SqliteStore(cache_directory(directory) / FILE_NAME, max_bytes=max_bytes, warn=warn)


def check_keys(keys: Sequence[bytes] | Mapping[bytes, bytes]) -> None:
    """Raise `ValueError` unless each key is as long as a SHA-256 digest."""
    for key in keys:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key must be {KEY_BYTES} bytes long, not {len(key)}")
