"""Suppression files on disk: found, read, written by many at once, and refused where they are not files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from polyclone import workspace_files
from polyclone.errors import SuppressionError, UsageError
from polyclone.suppress import pair_entry
from polyclone.workspace_files import (
    add_ignored,
    add_to_baseline,
    baseline_path,
    find_root,
    ignored_path,
    load_suppressions,
    remove_from_baseline,
    update,
)

A, B = "a" * 32, "b" * 32


def test_the_nearest_workspace_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "repo" / "sub" / "deep"
    deep.mkdir(parents=True)
    (deep / "a.py").touch()
    (tmp_path / "repo" / ".git").mkdir()
    (tmp_path / ".polyclone").mkdir()
    assert find_root(deep) == find_root(deep / "a.py") == tmp_path / "repo"
    (tmp_path / "repo" / "sub" / ".polyclone").mkdir()
    assert find_root(deep) == tmp_path / "repo" / "sub"
    monkeypatch.chdir(deep)
    assert find_root(Path()) == tmp_path / "repo" / "sub"
    assert find_root(Path("/")) == Path("/")


def test_where_there_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.py").touch()
    assert find_root(tmp_path / "a" / "b" / "c.py") == tmp_path / "a" / "b"
    assert find_root(tmp_path / "a" / "b", otherwise=tmp_path) == tmp_path
    assert find_root(tmp_path / "a", otherwise=tmp_path / "a" / "b") == tmp_path / "a"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert load_suppressions(tmp_path) == load_suppressions(tmp_path / "nowhere")
    add_ignored(tmp_path, B, "java A.f", "go F", "a port")
    add_to_baseline(tmp_path, [pair_entry(A, "go F", "rust f"), pair_entry(B, "go F", "rust g")])
    remove_from_baseline(tmp_path, [B])
    found = load_suppressions(tmp_path)
    assert found.problems == ()
    assert (found.ignored[B].left, found.ignored[B].right, found.ignored[B].reason) == ("go F", "java A.f", "a port")
    assert list(found.baseline) == [A]
    assert found.baseline[A].path == ".polyclone/baseline"
    assert sorted(path.name for path in (tmp_path / ".polyclone").iterdir()) == ["baseline", "ignored"]
    add_ignored(tmp_path, B, "java A.f", "go F", "another reason")
    assert load_suppressions(tmp_path).ignored[B].reason == "another reason"


def test_a_baseline_elsewhere(tmp_path: Path) -> None:
    own = tmp_path / "ci" / "accepted.txt"
    own.parent.mkdir()
    add_to_baseline(tmp_path, [pair_entry(A, "go F", "rust f")], own)
    found = load_suppressions(tmp_path, own)
    assert found.baseline[A].path == "ci/accepted.txt"
    assert not baseline_path(tmp_path).exists()
    assert not load_suppressions(tmp_path).baseline


def test_an_ignored_pair_needs_a_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        add_ignored(tmp_path, A, "go F", "java A.f", " \n")
    assert not (tmp_path / ".polyclone").exists()
    (tmp_path / ".polyclone").mkdir()
    ignored_path(tmp_path).write_text(f"{A}  go F  java A.f\n{B}  # why\n")
    found = load_suppressions(tmp_path)
    assert list(found.ignored) == [B]
    (problem,) = found.problems
    assert (problem.path, problem.line0) == (".polyclone/ignored", 0)
    assert "still reported" in problem.message


def test_bytes_that_are_not_utf_8_stay(tmp_path: Path) -> None:
    (tmp_path / ".polyclone").mkdir()
    ignored_path(tmp_path).write_bytes(b"# na\xefve\r\n\xff\xfe\r\n")
    assert [problem.line0 for problem in load_suppressions(tmp_path).problems] == [1]
    add_ignored(tmp_path, A, "go F", "java A.f", "naïve")
    content = ignored_path(tmp_path).read_bytes()
    assert content.startswith(b"# na\xefve\r\n\xff\xfe\r\n")
    assert content.endswith("# naïve\r\n".encode())


def test_a_write_that_changes_nothing_touches_nothing(tmp_path: Path) -> None:
    add_ignored(tmp_path, A, "go F", "java A.f", "why")
    before = ignored_path(tmp_path).stat()
    add_ignored(tmp_path, A, "go F", "java A.f", "why")
    after = ignored_path(tmp_path).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


# --- many writers ---


def test_threads_take_turns(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for turn in range(5):
            add_to_baseline(tmp_path, [pair_entry(f"{100 * number + turn:032x}", "go F", "rust f")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_suppressions(tmp_path).baseline) == 40
    lines = baseline_path(tmp_path).read_text().splitlines()
    assert lines == sorted(lines)
    assert [path.name for path in (tmp_path / ".polyclone").iterdir()] == ["baseline"]


def test_processes_take_turns(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from polyclone.workspace_files import add_ignored\n"
        "root, number = pathlib.Path(sys.argv[1]), int(sys.argv[2])\n"
        "sys.stdin.readline()\n"
        "for turn in range(20):\n"
        "    add_ignored(root, f'{100 * number + turn:032x}', 'go F', 'rust f', f'{number}')\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)], stdin=subprocess.PIPE)
        for number in range(3)
    ]
    for writer in writers:  # All are ready to go before the first begins.
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(load_suppressions(tmp_path).ignored) == 60


def test_a_lock_that_nobody_takes_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_files, "LOCK_SECONDS", 0.0)
    add_ignored(tmp_path, A, "go F", "java A.f", "why")
    lock = tmp_path / ".polyclone" / "ignored.lock"
    lock.touch()
    with pytest.raises(SuppressionError, match=r"another program is writing it; if none is, delete .*ignored\.lock"):
        add_ignored(tmp_path, B, "go F", "java A.f", "why")
    assert lock.exists()
    assert list(load_suppressions(tmp_path).ignored) == [A]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_ignored(tmp_path, A, "go F", "java A.f", "why")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SuppressionError, match="ignored: cannot be written: No space left on device"):
        add_ignored(tmp_path, B, "go F", "java A.f", "why")
    assert list(load_suppressions(tmp_path).ignored) == [A]
    assert [path.name for path in (tmp_path / ".polyclone").iterdir()] == ["ignored"]


def test_an_error_in_the_change_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(ZeroDivisionError):
        update(path, lambda text: text * (1 // 0))
    update(path, lambda text: text + "x")
    assert path.read_text() == "x"


# --- what is no such file ---


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write anywhere; as nobody it may not."""
    who = os.geteuid()
    if who == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(who)


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    add_to_baseline(tmp_path, [pair_entry(A, "go F", "rust f")])
    baseline_path(tmp_path).chmod(0o000)
    (tmp_path / ".polyclone").chmod(0o555)
    with unprivileged():
        with pytest.raises(SuppressionError, match="cannot be written: Permission denied"):
            add_ignored(tmp_path, A, "go F", "java A.f", "why")
        with pytest.raises(SuppressionError, match="cannot be read: Permission denied"):
            load_suppressions(tmp_path)
    (tmp_path / ".polyclone").chmod(0o755)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / ".polyclone").write_text("a file")
    with pytest.raises(SuppressionError, match="cannot be written: "):
        add_ignored(tmp_path, A, "go F", "java A.f", "why")
    assert load_suppressions(tmp_path).ignored == {}
    with pytest.raises(SuppressionError, match="cannot be written: No such file"):
        add_ignored(tmp_path / "nowhere", A, "go F", "java A.f", "why")


def test_a_link_out_of_the_workspace_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / ".polyclone").symlink_to(outside)
    with pytest.raises(SuppressionError, match="is a link"):
        add_ignored(root, A, "go F", "java A.f", "why")
    assert list(outside.iterdir()) == []
    (root / ".polyclone").unlink()
    (root / ".polyclone").mkdir()
    (outside / "precious").write_text("precious\n")
    ignored_path(root).symlink_to(outside / "precious")
    add_ignored(root, A, "go F", "java A.f", "why")
    assert (outside / "precious").read_text() == "precious\n"
    assert not ignored_path(root).is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".polyclone").mkdir()
    os.mkfifo(ignored_path(tmp_path))
    with pytest.raises(SuppressionError, match="is not a regular file"):
        load_suppressions(tmp_path)
    ignored_path(tmp_path).unlink()
    ignored_path(tmp_path).mkdir()
    with pytest.raises(SuppressionError, match="is not a regular file"):
        load_suppressions(tmp_path)
    ignored_path(tmp_path).rmdir()
    ignored_path(tmp_path).write_text("# long\n")
    monkeypatch.setattr(workspace_files, "MAX_BYTES", 3)
    with pytest.raises(SuppressionError, match="is larger than"):
        load_suppressions(tmp_path)
