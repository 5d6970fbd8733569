"""Choose the files to scan: walk the roots, honour ignore files, skip what nobody wrote by hand, count it.

Reads the beginning of each candidate and nothing more. Parses no code and knows no output format.
"""

# A walk handles plain strings: as `Path` objects, 100,000 names cost more than the walk itself.
# ruff: noqa: PTH100, PTH116, PTH118, PTH119, PTH120, PTH122, PTH123, PTH206

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pathspec

from polyclone import languages, unwanted, walk
from polyclone.errors import UsageError
from polyclone.values import Failure, SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverOptions:
    """What to leave out of a walk. None of it applies to a file that is named outright."""

    languages: frozenset[str] | None = None
    """Canonical names; None for all."""
    exclude: tuple[str, ...] = ()
    """Patterns in gitignore syntax; a later `!pattern` takes a file back in."""
    exclude_base: str | None = None
    """The folder that patterns with a slash refer to; None for the common root."""
    include_generated: bool = False
    """Take generated and minified files, and those of declarations only."""
    include_vendored: bool = False
    max_file_bytes: int = 1_000_000
    force_language: str | None = None
    """The language of the files named outright, whatever they are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The files to scan, sorted by path, and an account of the others."""

    files: tuple[SourceFile, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason → number of files, in alphabetical order. Reasons other than `unsupported_language` count source
    files only. What ignore files hide is never listed, and so not counted."""
    failures: tuple[Failure, ...] = ()
    root: str = ""
    """The common root, absolute. `SourceFile.path` is relative to it; empty if the roots share none."""


DEFAULTS = DiscoverOptions()


def discover(paths: Sequence[str | Path], options: DiscoverOptions = DEFAULTS) -> Discovery:
    """The source files below the folders in `paths`, and the files named there. Sorted and repeatable.

    Each file appears once, however many roots or links lead to it. A file in `paths` is taken whatever the
    options say; it only has to be text in a known language. Links to folders are not followed, nor are
    links that lead out of the roots; both are counted as `symlink`.

    Raises `UsageError` for a path that does not exist, is neither file nor folder, or names a file of no
    known language. Trouble with a single file or folder on the way is a `Failure` of stage `read`.
    Effect: reads the beginning of files; may run `git`.
    """
    folders, named, failures = _roots(paths)
    root = _common_root([*folders, *(os.path.dirname(path) for path in named)])
    discovery = _Discovery(options, root, folders)
    discovery.failures += [_failure(root, path, reason) for path, reason in failures]
    for path in named:
        discovery.take_named(path)
    candidates = discovery.list_folders(folders)
    links: list[str] = []
    for path in sorted(candidates):
        discovery.consider(path, candidates[path], links)
    for path in links:
        discovery.consider_link(path, candidates[path])
    return Discovery(
        files=tuple(sorted(discovery.files, key=lambda file: (file.path, file.location))),
        skipped=dict(sorted(discovery.skipped.items())),
        failures=tuple(sorted(discovery.failures, key=lambda failure: (failure.path, failure.message))),
        root=root,
    )


class _Discovery:
    """One walk in progress: what was taken, what was skipped, which real files were seen."""

    def __init__(self, options: DiscoverOptions, root: str, folders: Iterable[str]) -> None:
        self.options = options
        self.root = root
        self.files: list[SourceFile] = []
        self.skipped: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self._real_roots = tuple(os.path.realpath(folder) for folder in folders)
        self._real_folders: dict[str, str] = {}
        self._seen: set[str] = set()
        base = options.exclude_base
        self._exclude_base = root if base is None else os.path.abspath(base)
        self._excluded = pathspec.GitIgnoreSpec.from_lines(options.exclude) if options.exclude else None

    def list_folders(self, folders: Iterable[str]) -> dict[str, bool]:
        """Every path below the folders → whether it is vendored as seen from all of them."""
        candidates: dict[str, bool] = {}
        for folder in folders:
            listing = walk.list_folder(folder)
            self.failures += [
                _failure(self.root, path, f"folder could not be read: {reason}")
                for path, reason in listing.unreadable
            ]
            start = len(folder.rstrip(os.sep)) + 1
            below = [(path, tuple(path[start:].split(os.sep)[:-1])) for path in listing.paths]
            marked = {
                folders
                for path, folders in below
                if folders and unwanted.marks_folder_as_vendored(os.path.basename(path))
            }
            for path, names in below:
                vendored = unwanted.is_vendored(names) or any(
                    names[:depth] in marked for depth in range(1, len(names) + 1)
                )
                candidates[path] = candidates.get(path, True) and vendored
        return candidates

    def take_named(self, path: str) -> None:
        """Take a file that was named outright."""
        if not self._first_time(os.path.realpath(path)):
            return
        shown = _shown(path, self.root)
        try:
            size, sample = _read(path)
        except OSError as error:
            self._fail(path, error)
            return
        head = sample[: unwanted.HEAD_BYTES]
        language = self.options.force_language or languages.detect(shown, head)
        if language is None:
            raise UsageError(
                f"{path}: not a source file of a known language; name the language to read it as, "
                f"one of {', '.join(languages.LANGUAGES)}"
            )
        if unwanted.is_binary(head):
            self.failures.append(_failure(self.root, path, "not a text file: it holds a NUL byte"))
            return
        self.files.append(SourceFile(path=shown, location=path, language=language, size_bytes=size))

    def consider(self, path: str, vendored: bool, links: list[str]) -> None:
        """Take the listed file, or count why not. Links are put off until all real files are known."""
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return  # Tracked by git, but deleted: nothing was left out.
        except OSError as error:
            self._fail(path, error)
            return
        if stat.S_ISLNK(status.st_mode):
            links.append(path)
        elif self._first_time(self._real(path)):
            self._filter(path, vendored, status)

    def consider_link(self, path: str, vendored: bool) -> None:
        """Take the file behind a link, unless it was met already, is a folder, or lies outside the roots."""
        real = os.path.realpath(path)
        try:
            status = os.stat(path)
        except OSError:
            status = None
        if status is None or not stat.S_ISREG(status.st_mode) or not self._inside(real):
            is_folder = status is not None and stat.S_ISDIR(status.st_mode)
            if (is_folder or self._has_known_name(path)) and (self.options.include_vendored or not vendored):
                self.skipped["symlink"] += 1
        elif self._first_time(real):
            self._filter(path, vendored, status)

    def _filter(self, path: str, vendored: bool, status: os.stat_result) -> None:
        reason = self._reason_by_name(path, vendored) or self._reason_by_status(status)
        if reason is not None:
            self.skipped[reason] += 1
            return
        try:
            size, sample = _read(path)
        except OSError as error:
            self._fail(path, error)
            return
        shown = _shown(path, self.root)
        language = languages.detect(shown, sample[: unwanted.HEAD_BYTES])
        reason = self._reason_by_content(shown, language, sample)
        if reason is not None:
            self.skipped[reason] += 1
        elif language is not None:
            self.files.append(SourceFile(path=shown, location=path, language=language, size_bytes=size))

    def _reason_by_name(self, path: str, vendored: bool) -> str | None:
        shown = _shown(path, self.root)
        if not self._has_known_name(path):
            return "unsupported_language"
        if self._excluded is not None and self._excluded.match_file(_shown(path, self._exclude_base)):
            return "excluded"
        if vendored and not self.options.include_vendored:
            return "vendored"
        if self.options.include_generated:
            return None
        if unwanted.is_generated_name(shown):
            return "generated"
        return "declarations" if unwanted.is_declarations(shown) else None

    def _reason_by_status(self, status: os.stat_result) -> str | None:
        if not stat.S_ISREG(status.st_mode):
            return "not_a_file"
        if status.st_size == 0:
            return "empty"
        return "too_large" if status.st_size > self.options.max_file_bytes else None

    def _reason_by_content(self, shown: str, language: str | None, sample: bytes) -> str | None:
        head = sample[: unwanted.HEAD_BYTES]
        if language is None:
            return "unsupported_language"
        if unwanted.is_binary(head):
            return "binary"
        if self.options.languages is not None and language not in self.options.languages:
            return "language_filtered"
        if self.options.include_generated:
            return None
        if unwanted.is_generated(head):
            return "generated"
        return "minified" if unwanted.is_minified(shown, language, sample) else None

    def _has_known_name(self, path: str) -> bool:
        """True unless the name alone tells that this is no source file, so that the file stays closed."""
        return not os.path.splitext(path)[1] or languages.detect(_shown(path, self.root), b"") is not None

    def _first_time(self, real: str) -> bool:
        if real in self._seen:
            return False
        self._seen.add(real)
        return True

    def _real(self, path: str) -> str:
        """`os.path.realpath` of a file that is no link itself, with the answer for its folder remembered."""
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)

    def _inside(self, real: str) -> bool:
        return any(Path(real).is_relative_to(root) for root in self._real_roots)

    def _fail(self, path: str, error: OSError) -> None:
        self.failures.append(_failure(self.root, path, f"could not be read: {error.strerror or error}"))


def _roots(paths: Sequence[str | Path]) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Folders, files and unreadable ones among `paths`: absolute, sorted, without duplicates."""
    if not paths:
        raise UsageError("no path to scan was given")
    folders: set[str] = set()
    named: set[str] = set()
    unreadable: list[tuple[str, str]] = []
    for path in paths:
        absolute = os.path.abspath(path)
        try:
            mode = os.stat(absolute).st_mode
        except PermissionError as error:
            unreadable.append((absolute, f"could not be read: {error.strerror}"))
            continue
        except FileNotFoundError:
            raise UsageError(f"{path}: no such file or folder") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        if stat.S_ISDIR(mode):
            folders.add(absolute)
        elif stat.S_ISREG(mode):
            named.add(absolute)
        else:
            raise UsageError(f"{path}: neither a file nor a folder")
    return sorted(folders), sorted(named), unreadable


def _common_root(folders: Sequence[str]) -> str:
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # On Windows, different drives.
        return ""


def _shown(path: str, base: str) -> str:
    """`path` relative to `base` if it lies below it, else as it is; with forward slashes."""
    prefix = base if base.endswith(os.sep) else base + os.sep
    relative = path[len(prefix) :] if base and path.startswith(prefix) else path
    return relative.replace(os.sep, "/")


def _failure(root: str, path: str, message: str) -> Failure:
    return Failure(path="." if path == root else _shown(path, root), stage="read", message=message)


def _read(path: str) -> tuple[int, bytes]:
    """Size and first `SAMPLE_BYTES` of a file."""
    with open(path, "rb", buffering=0) as file:
        return os.fstat(file.fileno()).st_size, file.read(unwanted.SAMPLE_BYTES)
