"""The cache: what goes in comes out, and nothing that happens to the file stops a scan."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.errors import StoreError
from polyclone.store import (
    FILE_NAME,
    ManagedStore,
    MemoryStore,
    NullStore,
    cache_directory,
    open_store,
    sqlite,
)
from polyclone.store.migrations import APPLICATION_ID, VERSION
from polyclone.store.sqlite import SqliteStore

CAP = 64 * 1024 * 1024


def key(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def batch(start: int, count: int, size: int = 100) -> dict[bytes, bytes]:
    return {key(n): bytes([n % 251]) * size for n in range(start, start + count)}


class Warnings(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def warnings() -> Warnings:
    return Warnings()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / FILE_NAME


@contextmanager
def opened(path: Path, warn: Warnings, max_bytes: int = CAP) -> Iterator[SqliteStore]:
    with SqliteStore(path, max_bytes=max_bytes, warn=warn) as store:
        yield store


def raw(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements behind the store's back; the rows of the last one."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(statement).fetchall() for statement in statements][-1]
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_what_was_put_is_got(kind: str, path: Path, warnings: Warnings) -> None:
    store: ManagedStore = MemoryStore() if kind == "memory" else SqliteStore(path, max_bytes=CAP, warn=warnings)
    items = batch(0, 1200) | {key("empty"): b""}
    assert store.get("vector", list(items)) == {}
    store.put("vector", items)
    assert store.get("vector", [*items, key("unknown"), key(0)]) == items
    assert store.get("other kind", list(items)) == {}
    store.put("vector", {key(0): b"another value"})
    assert store.get("vector", [key(0)]) == {key(0): items[key(0)]}
    store.put("tokens", {key(0): b"of another kind"})
    stats = store.stats()
    assert (stats.entries, dict(stats.by_kind)) == (1202, {"tokens": 1, "vector": 1201})
    assert stats.value_bytes == 1200 * 100 + 15
    store.clear()
    assert store.get("vector", list(items)) == {}
    assert store.stats().entries == 0
    store.put("vector", items)
    assert len(store.get("vector", list(items))) == 1201
    store.close()
    assert warnings == []


def test_the_null_store_keeps_nothing() -> None:
    store = NullStore()
    store.put("vector", batch(0, 3))
    assert store.get("vector", list(batch(0, 3))) == {}
    assert store.stats().entries == 0


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_of_another_length_are_refused(size: int, path: Path, warnings: Warnings) -> None:
    with opened(path, warnings) as on_disk:
        for store in (on_disk, MemoryStore(), NullStore()):
            with pytest.raises(ValueError, match="32 bytes"):
                store.get("vector", [b"x" * size])
            with pytest.raises(ValueError, match="32 bytes"):
                store.put("vector", {b"x" * size: b""})


@given(st.lists(st.dictionaries(st.binary(min_size=32, max_size=32), st.binary(max_size=50), max_size=5)))
@settings(max_examples=25, deadline=None)
def test_the_store_on_disk_behaves_as_the_one_in_memory(batches: list[dict[bytes, bytes]]) -> None:
    memory = MemoryStore()
    with opened(Path(":memory:"), Warnings()) as disk:
        for items in batches:
            for store in (memory, disk):
                store.put("k", items)
            keys = [key for batch in batches for key in batch]
            assert disk.get("k", keys) == memory.get("k", keys)


def test_values_outlive_the_process(path: Path, warnings: Warnings) -> None:
    with opened(path, warnings) as store:
        store.put("vector", batch(0, 10))
    with opened(path, warnings) as store:
        assert store.get("vector", list(batch(0, 10))) == batch(0, 10)
    assert warnings == []
    assert raw(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert raw(path, "PRAGMA user_version") == [(VERSION,)]
    assert raw(path, "PRAGMA journal_mode") == [("wal",)]


def test_the_folder_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: Warnings) -> None:
    monkeypatch.delenv("POLYCLONE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory().name == "polyclone"
    monkeypatch.setenv("POLYCLONE_CACHE_DIR", str(tmp_path / "from env"))
    assert cache_directory() == tmp_path / "from env"
    assert cache_directory(tmp_path / "named") == tmp_path / "named"
    open_store(warn=warnings).close()
    assert (tmp_path / "from env" / FILE_NAME).is_file()
    if os.name == "posix":
        assert (tmp_path / "from env").stat().st_mode & 0o777 == 0o700


# Damage


def test_a_flipped_bit_reads_as_a_miss_and_is_dropped(path: Path, warnings: Warnings) -> None:
    with opened(path, warnings) as store:
        store.put("vector", {key("good"): b"\x11" * 40, key("bad"): b"\x5a" * 40})
    data = path.read_bytes()
    assert data.count(b"\x5a" * 40) == 1
    path.write_bytes(data.replace(b"\x5a" * 40, b"\x5a" * 39 + b"\x5b"))
    with opened(path, warnings) as store:
        assert store.get("vector", [key("good"), key("bad")]) == {key("good"): b"\x11" * 40}
        assert store.stats().entries == 1
        store.put("vector", {key("bad"): b"again"})
        assert store.get("vector", [key("bad")]) == {key("bad"): b"again"}
    assert warnings == []


@pytest.mark.parametrize("what", ["header", "text file", "every page but the first", "tables gone", "truncated"])
def test_a_damaged_file_is_moved_aside(what: str, path: Path, warnings: Warnings) -> None:
    for number in (1, 2):
        with opened(path, warnings) as store:
            store.put("vector", batch(0, 500))
        data = path.read_bytes()
        if what == "header":
            path.write_bytes(b"\0" * 100 + data[100:])
        elif what == "text file":
            path.write_text("not a database, and long enough to be one\n" * 100)
        elif what == "every page but the first":
            path.write_bytes(data[:4096] + os.urandom(len(data) - 4096))
        elif what == "truncated":
            path.write_bytes(data[: len(data) // 2 + 77])
        else:
            raw(path, "DROP TABLE blob")
        damaged = path.read_bytes()
        with opened(path, warnings) as store:
            assert store.get("vector", list(batch(0, 500))).items() <= batch(0, 500).items()
            store.put("vector", batch(500, 10))
            assert store.get("vector", list(batch(500, 10))) == batch(500, 10)
        assert len(warnings) == number
        assert f"{FILE_NAME}.corrupt-{number}" in warnings[-1]
        assert path.with_name(f"{FILE_NAME}.corrupt-{number}").read_bytes() == damaged
        assert raw(path, "PRAGMA integrity_check") == [("ok",)]
        path.unlink()


def test_damage_while_the_file_is_open(path: Path, warnings: Warnings) -> None:
    with opened(path, warnings) as store:
        store.put("vector", batch(0, 2000))
        raw(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
        raw_keys = list(batch(0, 2000))
        assert store.get("vector", raw_keys).items() <= batch(0, 2000).items()
        store.put("vector", batch(3000, 5))
        assert store.get("vector", list(batch(3000, 5))) == batch(3000, 5)


def test_a_file_replaced_by_another_process_is_not_moved_aside_again(path: Path, warnings: Warnings) -> None:
    """Two processes meet the same damaged file: the slower one must take over the quicker one's new file."""
    with opened(path, warnings) as slow:
        slow.put("vector", batch(0, 2000))
        raw(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(0)
            file.write(os.urandom(path.stat().st_size))
        with opened(path, warnings) as quick:
            quick.put("vector", batch(5000, 3))
        assert len(warnings) == 1
        slow.get("vector", list(batch(0, 2000)))
        slow.put("vector", batch(6000, 3))
    assert not path.with_name(f"{FILE_NAME}.corrupt-2").exists()
    with opened(path, warnings) as store:
        assert store.get("vector", list(batch(5000, 3))) == batch(5000, 3)


# Files of others


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["PRAGMA application_id = 252006674", "CREATE TABLE t (a)"], "another program"),
        (["PRAGMA application_id = 252006674"], "another program"),
        (["CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"], "another program"),
        (["PRAGMA journal_mode = WAL", "CREATE TABLE t (a)"], "another program"),
        (
            [f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION + 1}"],
            "newer version",
        ),
    ],
)
def test_files_of_others_are_not_touched(statements: list[str], message: str, path: Path, warnings: Warnings) -> None:
    path.parent.mkdir()
    raw(path, *statements)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=message) as caught:
        SqliteStore(path, max_bytes=CAP, warn=warnings)
    assert str(path) in str(caught.value)
    assert "--cache-dir" in str(caught.value)
    assert path.read_bytes() == before
    assert warnings == []


def test_an_empty_file_is_taken(path: Path, warnings: Warnings) -> None:
    path.parent.mkdir()
    path.touch()
    with opened(path, warnings) as store:
        store.put("vector", batch(0, 1))
        assert store.get("vector", list(batch(0, 1)))
    assert warnings == []


# Room


def test_what_was_not_used_for_longest_is_evicted(
    path: Path, warnings: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap = 1024 * 1024
    for day, start in ((100, 0), (101, 1000), (102, 2000)):
        monkeypatch.setattr(sqlite, "_today", lambda day=day: day)
        with opened(path, warnings, cap) as store:
            for part in range(start, start + 200, 50):
                store.put("vector", batch(part, 50, size=1000))
            store.get("vector", list(batch(0, 50)))  # These are in use every day.
    monkeypatch.setattr(sqlite, "_today", lambda: 103)
    with opened(path, warnings, cap) as store:
        for part in range(3000, 3250, 50):
            store.put("vector", batch(part, 50, size=1000))
    with opened(path, warnings, cap) as store:
        kept = {start: len(store.get("vector", list(batch(start, 200)))) for start in (0, 1000, 2000)}
        assert store.get("vector", list(batch(3000, 250))) == batch(3000, 250, size=1000)
    assert path.stat().st_size <= cap
    assert kept[0] == 50
    assert 0 < kept[1000] < kept[2000] == 200
    assert warnings == []


def test_rows_of_this_run_are_never_evicted(path: Path, warnings: Warnings) -> None:
    cap = 512 * 1024
    with opened(path, warnings, cap) as store:
        store.put("vector", batch(0, 200, size=1000))
    with opened(path, warnings, cap) as store:
        read = list(batch(0, 100))
        store.get("vector", read)
        store.put("vector", batch(100, 50, size=1000))  # Known before, and so in use from now on.
        for start in range(1000, 2000, 50):
            store.put("vector", batch(start, 50, size=1000))
        assert len(store.get("vector", read)) == 100
        assert len(store.get("vector", list(batch(100, 50)))) == 50
        assert store.get("vector", list(batch(150, 50))) == {}
        assert len(store.get("vector", list(batch(1000, 50)))) == 50
        assert store.stats().file_bytes < cap * 3
    assert len(warnings) == 1
    assert "full" in warnings[0]


def test_a_lower_cap_shrinks_the_file(path: Path, warnings: Warnings) -> None:
    with opened(path, warnings) as store:
        store.put("vector", batch(0, 3000, size=1000))
    before = path.stat().st_size
    with opened(path, warnings, 1024 * 1024) as store:
        store.put("vector", batch(5000, 10, size=1000))
        assert store.get("vector", list(batch(5000, 10))) == batch(5000, 10, size=1000)
    assert before > 3_000_000
    assert path.stat().st_size <= 1024 * 1024


def test_a_full_disk_ends_the_writing_and_nothing_else(path: Path, warnings: Warnings) -> None:
    with opened(path, warnings) as store:
        store.put("vector", batch(0, 100))
        connection = store._connection
        assert connection is not None
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        for start in range(1000, 5000, 1000):
            store.put("vector", batch(start, 1000))
        assert store.get("vector", list(batch(0, 100))) == batch(0, 100)
        assert store.get("vector", list(batch(1000, 1000))) == {}
    assert len(warnings) == 1
    assert "full" in warnings[0]
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("place", ["below a file", "the path is a folder", "nowhere"])
def test_a_place_that_cannot_be_written(place: str, tmp_path: Path, warnings: Warnings) -> None:
    """Each of these fails for root as well."""
    if place == "below a file":
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "sub" / FILE_NAME
    elif place == "nowhere":
        if not Path("/proc/self").exists():
            pytest.skip("there is no /proc, where nobody can make a folder")
        path = Path("/proc/no-such-folder") / FILE_NAME
    else:
        path = tmp_path / FILE_NAME
        path.mkdir()
    with opened(path, warnings) as store:
        store.put("vector", batch(0, 10))
        store.put("vector", batch(10, 10))
        assert store.get("vector", list(batch(0, 10))) == {}
        assert store.stats().entries == 0
        store.clear()
    assert len(warnings) == 1
    assert str(path) in warnings[0]


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users and permissions")
def test_a_folder_without_write_permission(warnings: Warnings, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = Path("/tmp") if Path("/tmp").is_dir() else tmp_path_factory.mktemp("x")
    folder = base / f"polyclone-test-{os.getpid()}"
    folder.mkdir()
    try:
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # Root may write anywhere; nobody may not.
        try:
            with opened(folder / FILE_NAME, warnings) as store:
                store.put("vector", batch(0, 10))
                assert store.get("vector", list(batch(0, 10))) == {}
        finally:
            if root:
                os.seteuid(0)
        assert len(warnings) == 1
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


# Threads and processes

WRITER = """
import hashlib, sys
from pathlib import Path
from polyclone.store.sqlite import SqliteStore

path, name, batches = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = SqliteStore(path, max_bytes=1 << 30, warn=lambda message: print("WARNING", message, flush=True))
print("open", flush=True)
if len(sys.argv) > 4:
    sys.stdin.readline()
for number in range(batches):
    keys = [hashlib.sha256(f"{name}-{number}-{n}".encode()).digest() for n in range(20)]
    store.put("vector", {key: key * 50 for key in keys})
    print(number, flush=True)
"""


def written(name: str, number: int) -> dict[bytes, bytes]:
    return {key(f"{name}-{number}-{n}"): key(f"{name}-{number}-{n}") * 50 for n in range(20)}


def start_writer(path: Path, name: str, batches: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(batches), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_at_once(path: Path, warnings: Warnings) -> None:
    """Each opens a file that is not there yet, and writes at the same time as the others."""
    writers = {name: start_writer(path, name, 30) for name in "abc"}
    for writer in writers.values():
        out, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0
        assert "WARNING" not in out
    with opened(path, warnings) as store:
        for name in writers:
            for number in range(30):
                assert store.get("vector", list(written(name, number))) == written(name, number)
    assert warnings == []
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("reported", [0, 1, 2, 7])
def test_a_killed_process_loses_one_batch_at_most(reported: int, path: Path, warnings: Warnings) -> None:
    """Killed at once when it reports: it is in the middle of the next batch, or about to begin it."""
    writer = start_writer(path, "w", 100_000)
    assert writer.stdout is not None
    done = -1
    while done < reported:
        line = writer.stdout.readline()
        if line.strip().isdigit():
            done = int(line)
    writer.kill()
    rest = writer.stdout.read()
    writer.communicate(timeout=60)
    done = max([done, *(int(line) for line in rest.split("\n")[:-1] if line.isdigit())])
    with opened(path, warnings) as store:
        for number in range(done + 1):
            assert store.get("vector", list(written("w", number))) == written("w", number)
        torn = store.get("vector", list(written("w", done + 1)))
        assert torn in ({}, written("w", done + 1))
        assert store.get("vector", list(written("w", done + 2))) == {}
        store.put("vector", batch(0, 5))
        assert store.get("vector", list(batch(0, 5))) == batch(0, 5)
    assert warnings == []
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_store_that_is_held_by_another_process_is_waited_for_and_then_done_without(
    path: Path, warnings: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 50)
    with opened(path, warnings) as store:
        store.put("vector", batch(0, 5))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store.put("vector", batch(5, 5))
        assert store.get("vector", list(batch(0, 10))) == batch(0, 5)
        other.execute("ROLLBACK")
        other.close()
        store.put("vector", batch(5, 5))
        assert store.get("vector", list(batch(0, 10))) == batch(0, 10)
    assert len(warnings) == 1
    assert "another process" in warnings[0]


def test_threads_share_a_store(path: Path, warnings: Warnings) -> None:
    errors: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for start in range(name * 1000, name * 1000 + 200, 20):
                store.put("vector", batch(start, 20))
                assert store.get("vector", list(batch(start, 20))) == batch(start, 20)
        except BaseException as error:
            errors.append(error)

    with opened(path, warnings) as store:
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.stats().entries == 800
    assert errors == []
    assert warnings == []


def test_a_closed_store_is_empty_and_silent(path: Path, warnings: Warnings) -> None:
    store = SqliteStore(path, max_bytes=CAP, warn=warnings)
    store.put("vector", batch(0, 5))
    store.close()
    store.close()
    store.put("vector", batch(5, 5))
    assert store.get("vector", list(batch(0, 10))) == {}
    assert warnings == []
