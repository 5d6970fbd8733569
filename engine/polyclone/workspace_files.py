"""Reading and writing the suppression files of a workspace. A write is whole or not at all, and loses no other's.

Both files lie in `.polyclone/` at the workspace's root and are meant to be committed.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from polyclone import suppress_file
from polyclone.errors import SuppressionError, UsageError
from polyclone.suppress import Entry, Problem, Suppressions, pair_entry

FOLDER = ".polyclone"
IGNORED = "ignored"
BASELINE = "baseline"
MAX_BYTES = 64_000_000
"""A larger file is refused: half a million entries, while a review reads some dozens."""
LOCK_SECONDS = 5.0
"""How long a writer waits for another one; a write takes milliseconds."""


def find_root(start: Path, otherwise: Path | None = None) -> Path:
    """The workspace that the file or folder `start` belongs to.

    The nearest folder, upwards, that has a `.polyclone` folder or `.git`. Where there is none: `otherwise`, if it is
    a folder around `start`; failing that `start` itself, or its folder.
    """
    start = start.absolute()
    here = start.parent if start.is_file() else start
    for folder in (here, *here.parents):
        if (folder / FOLDER).is_dir() or (folder / ".git").exists():
            return folder
    return otherwise.absolute() if otherwise is not None and here.is_relative_to(otherwise.absolute()) else here


def ignored_path(root: Path) -> Path:
    return root / FOLDER / IGNORED


def baseline_path(root: Path) -> Path:
    return root / FOLDER / BASELINE


def load_suppressions(root: Path, baseline: Path | None = None) -> Suppressions:
    """What the files of the workspace `root` suppress; files that do not exist suppress nothing.

    `baseline` replaces the workspace's own baseline file. A line that cannot be used is among the `problems`, and
    the rest counts. Raises `SuppressionError` for a file that cannot be read at all.
    """
    ignored, problems = _load(ignored_path(root), root, needs_reason=True)
    accepted, more = _load(baseline or baseline_path(root), root, needs_reason=False)
    return Suppressions(ignored=ignored, baseline=accepted, problems=(*problems, *more))


def add_ignored(root: Path, fingerprint: str, left: str, right: str, reason: str) -> None:
    """Ignore one pair, or give it another reason. `left` and `right` are the `label`s of the two functions.

    Effect: writes `.polyclone/ignored` below `root`. Raises `UsageError` for an empty reason, and
    `SuppressionError` if the file cannot be written.
    """
    ignore(root, [pair_entry(fingerprint, left, right, reason)])


def ignore(root: Path, entries: Iterable[Entry]) -> None:
    """The same for several pairs in one write."""
    wanted = tuple(entries)
    if not all(entry.reason.strip() for entry in wanted):
        raise UsageError("an ignored pair needs a reason, for whoever reads the file later")
    update(ignored_path(root), lambda text: suppress_file.put(text, wanted))


def add_to_baseline(root: Path, entries: Iterable[Entry], baseline: Path | None = None) -> None:
    """Accept pairs. Effect: writes `.polyclone/baseline` below `root`, or `baseline`. Raises `SuppressionError`."""
    wanted = tuple(entries)
    update(baseline or baseline_path(root), lambda text: suppress_file.add(text, wanted))


def remove_from_baseline(root: Path, fingerprints: Collection[str], baseline: Path | None = None) -> None:
    """Effect: takes these pairs out of the baseline. Raises `SuppressionError`."""
    update(baseline or baseline_path(root), lambda text: suppress_file.remove(text, fingerprints))


def update(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text by `change` of it; the folder is made if it is missing.

    Effect: makes a lock file beside it for the time being, so that writers take turns. Readers see the old text or
    the new one. Nothing is written if nothing changes. Raises `SuppressionError`, and leaves the file as it was.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        _refuse_link(path.parent)
        with _locked(path):
            old = _text(path)
            new = change(old)
            if new != old:
                _replace(path, new)
    except OSError as error:
        raise SuppressionError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds `path.lock`, which only one writer at a time can create."""
    lock = path.with_name(path.name + ".lock")
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            if time.monotonic() > give_up:
                raise SuppressionError(f"{path}: another program is writing it; if none is, delete {lock}") from None
            time.sleep(0.01)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    """Effect: the file has the new text, or, after an error, still the old one."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _refuse_link(folder: Path) -> None:
    # A repository could bring a link that leads out of it, and have a file written there.
    if folder.name == FOLDER and folder.is_symlink():
        raise SuppressionError(f"{folder}: is a link, and nothing is written through it; make it a folder")


def _load(path: Path, root: Path, *, needs_reason: bool) -> tuple[dict[str, Entry], tuple[Problem, ...]]:
    # Reports must not name folders of the machine they were made on.
    shown = Path(os.path.relpath(path, root) if path.is_absolute() else path).as_posix()
    entries, problems = suppress_file.parse(_text(path), shown, needs_reason=needs_reason)
    # Of two lines about one pair, which a merge can leave, the first counts.
    return {entry.fingerprint: entry for entry in reversed(entries)}, problems


def _text(path: Path) -> str:
    """The file's text, bytes that are not UTF-8 kept as surrogates; empty if there is no file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SuppressionError(f"{path}: is not a regular file; move it away")
        if status.st_size > MAX_BYTES:
            raise SuppressionError(f"{path}: is larger than {MAX_BYTES // 1_000_000} MB; shorten it")
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise SuppressionError(f"{path}: cannot be read: {error.strerror or error}") from None
