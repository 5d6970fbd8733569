"""A workspace that follows its files: one edit costs as much as the edit, and findings are those of a scan.

Paths are absolute, as an editor has them; what is in no file goes by any other string. One thread owns a
`LiveWorkspace`; its `snapshot` may be read by all. What is held may differ from the disk, where an editor has
unsaved text. Findings depend on the content held, the bundle and the options, and on nothing that happened
before.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath

from polyclone import languages, persist, unwanted
from polyclone.detect import codes_from
from polyclone.discover import Discovery, discover
from polyclone.findings import Unit, encoded_units
from polyclone.holdings import Holdings
from polyclone.intake import ON_DISK, Changes, Content, Intake, is_unchanged, parted
from polyclone.model import Model
from polyclone.reading import absolute
from polyclone.snapshot import HeldFile, Snapshot
from polyclone.store import BlobStore, NullStore
from polyclone.values import Failure, Function, Match, SourceFile
from polyclone.workspace import Options, Progress, Report

__all__ = ["ON_DISK", "Content", "LiveWorkspace", "Snapshot"]

logger = logging.getLogger(__name__)

ENCODED_AT_ONCE = 16
"""Contents encoded between two looks at who wants to cancel: some 0.3 s of work."""
PUBLISHED_EVERY_S = 0.5
_LOOKED_AT_SINGLY = 64
"""So many changed files are looked at one by one; for more of them, the folders are walked."""

Publish = Callable[[Snapshot, frozenset[str]], None]


def _never() -> bool:
    return False


def _nothing() -> Changes:
    return {}


def _nobody(_: Snapshot, __: frozenset[str]) -> None:
    pass


def _silent(_: Progress) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """Who looks on while a lot is read."""

    report: Report = _silent
    cancelled: Callable[[], bool] = _never
    publish: Publish = _nobody
    inbox: Callable[[], Changes] = _nothing


_UNWATCHED = _Watch()


class _CancelledError(Exception):
    """Somebody wants to stop. Never leaves this module."""


class LiveWorkspace:
    """Files, their functions, and findings that keep up with both. All methods belong to one thread."""

    snapshot: Snapshot
    """The latest one. Safe to read from any thread, as all snapshots are."""

    def __init__(
        self,
        model: Model,
        *,
        options: Options | None = None,
        store: BlobStore | None = None,
        index_file: Path | None = None,
        isolate: bool = True,
    ) -> None:
        """`index_file` is where `save` puts what the next `open` begins with; see `persist.index_file`. Files are
        parsed in processes that may hang or crash without harm; without `isolate`, small ones are parsed here.

        Raises `UsageError` for options that contradict each other.
        """
        self.model = model
        self.options = options or Options()
        self.index_file = index_file
        self._store: BlobStore = store or NullStore()
        self._holdings = Holdings(
            model,
            threshold=self.options.threshold(model),
            same_language=self.options.same_language,
            min_atoms=self._min_atoms(self.options),
        )
        self._intake = Intake(
            self._store, jobs=self.options.jobs, timeout_s=self.options.parse_timeout_s, isolate=isolate
        )
        self._roots: tuple[str, ...] = ()
        self._edited: set[str] = set()
        """Paths whose content an editor decides."""
        self._listed: dict[str, str] = {}
        """What the last walk found: path → language."""
        self._doubted: set[str] = set()
        """What changed on disk while a walk's files were still being read."""
        self._skipped: Mapping[str, int] = {}
        self._walk_failures: tuple[Failure, ...] = ()
        self._complete = False
        self._version = 0
        self.snapshot = self.photograph()

    def close(self) -> None:
        """Effect: ends the parser processes. Saves nothing."""
        self._intake.close()

    def __enter__(self) -> LiveWorkspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- content ---

    def open(
        self,
        roots: Sequence[str | Path],
        *,
        report: Report = _silent,
        cancelled: Callable[[], bool] = _never,
        publish: Publish = _nobody,
        first: Sequence[str] = (),
        inbox: Callable[[], Changes] = _nothing,
    ) -> None:
        """Hold all source files below `roots`, and what editors decide.

        What is held already, or in the index file, is read again only if its stamp says that it changed. Files
        in `first` come first. After each batch `publish` gets a snapshot, with the paths whose findings changed,
        and `inbox` may hand in changes that were made meanwhile, as for `apply`. `cancelled` is asked after each
        batch, too: then this returns early, with `snapshot.complete` False, and the next `open` goes on from
        there. A root that does not exist is a failure of the snapshot.
        Effect: reads files; fills the store; starts parser processes.
        """
        self._roots = tuple(dict.fromkeys(os.path.abspath(root) for root in roots))  # noqa: PTH100
        self._intake.start()
        self._complete = False
        if self._holdings.files.keys() <= self._edited:
            self._restore()
            self._publish_restored(publish)
        watch = _Watch(report=report, cancelled=cancelled, publish=publish, inbox=inbox)
        self._follow(watch, first=first)

    def set_roots(
        self,
        roots: Sequence[str | Path],
        *,
        report: Report = _silent,
        cancelled: Callable[[], bool] = _never,
        publish: Publish = _nobody,
        inbox: Callable[[], Changes] = _nothing,
    ) -> None:
        """Add and remove folders: `open` by another name. What lies in both old and new ones is not read again."""
        self.open(roots, report=report, cancelled=cancelled, publish=publish, inbox=inbox)

    def apply(
        self,
        changes: Changes,
        *,
        cancelled: Callable[[], bool] = _never,
        publish: Publish = _nobody,
    ) -> frozenset[str]:
        """Bring the workspace up to date with changes, in one update. Returns the paths whose findings changed.

        Content with a source is held as it is, whatever is on disk, until the path is said to be `ON_DISK` again
        or gone. What is on disk is held if a walk would find it. Only contents never seen before are encoded.
        `publish` and `cancelled` are as for `open`, and of use where many files changed at once.
        """
        by_editors, on_disk = parted(changes)
        files = self._simply_changed(on_disk)
        walk = files is None or any(self._is_unknown(path) for path, content in by_editors.items() if content is None)
        changed = self._edit(by_editors)
        self._edited.difference_update(on_disk)
        if files is None or walk:
            watch = _Watch(cancelled=cancelled, publish=publish)
            return changed | self._follow(watch, first=on_disk, doubted=frozenset(on_disk))
        if on_disk:
            held: dict[str, HeldFile | None] = dict.fromkeys(on_disk)
            held |= {file.path: file for file in self._intake.read(files, self._holdings.files)}
            changed |= self._hold(held, _UNWATCHED)
        return changed

    def _edit(self, changes: Changes) -> frozenset[str]:
        """Hold what editors have, and forget what is gone."""
        if not changes:
            return frozenset()
        sources = {path: content for path, content in changes.items() if content is not None}
        held: dict[str, HeldFile | None] = dict.fromkeys(changes)
        held |= self._intake.parse(sources)
        self._edited -= changes.keys()
        self._edited |= sources.keys()
        for path in changes.keys() - sources.keys():
            self._listed.pop(path, None)
        return self._hold(held, _UNWATCHED)

    def set_options(
        self,
        options: Options,
        *,
        cancelled: Callable[[], bool] = _never,
        publish: Publish = _nobody,
    ) -> frozenset[str]:
        """Use other options from now on. Returns the paths whose findings changed.

        Another threshold only filters; `same_language` searches; `min_atoms` encodes what was too small before;
        options about files walk the roots and read what was left out, with `publish` and `cancelled` as for `open`.
        `UsageError` for options that contradict each other; the old ones stay.
        """
        threshold = options.threshold(self.model)
        old, self.options = self.options, options
        holdings = self._holdings
        changed: frozenset[str] = frozenset()
        if threshold != holdings.threshold:
            changed |= holdings.set_threshold(threshold)
        if options.same_language != holdings.same_language:
            changed |= holdings.set_same_language(options.same_language)
        if (least := self._min_atoms(options)) != holdings.min_atoms:
            changed |= holdings.set_min_atoms(least, self._encode(holdings.newly_judgeable(least), _UNWATCHED))
        self._intake.configure(jobs=options.jobs, timeout_s=options.parse_timeout_s)
        self._publish(_Watch(publish=publish), changed)
        if options.discover != old.discover and self._roots:
            changed |= self._follow(_Watch(cancelled=cancelled, publish=publish))
        return changed

    # --- questions ---

    def judgeable(self, function: Function) -> bool:
        """Whether a function is large enough to judge."""
        return self._holdings.judgeable(function)

    def query(self, function: Function, limit: int = 10) -> tuple[Match, ...]:
        """The functions held that are most probably clones of another one, of any probability, best first.

        As `Workspace.query`: it need not be held, and nothing is found for one too small to judge.
        """
        if not self._holdings.judgeable(function):
            return ()
        unit = self._holdings.units.get(function.digest)
        if unit is None:
            (unit,) = self._encode({function.digest: function}, _UNWATCHED)
        return self._holdings.query(function, codes_from([unit.values]), limit)

    def save(self) -> None:
        """Effect: writes the index file, if there is one to write. A full disk is logged, not raised."""
        if self.index_file is None:
            return
        try:
            origin = persist.origin_of(self._roots, self.options.discover)
            persist.write(self.index_file, self._holdings, self.model, origin=origin)
        except OSError as error:
            logger.warning("%s: the index cannot be written (%s)", self.index_file, error.strerror or error)

    # --- following the disk ---

    def _restore(self) -> None:
        """Begin with what the index file holds, if it can be used."""
        index = persist.read(self.index_file, self.model) if self.index_file is not None else None
        if index is None:
            return
        edited = {path: self._holdings.files[path] for path in self._edited & self._holdings.files.keys()}
        holdings = Holdings(
            self.model,
            threshold=self._holdings.threshold,
            same_language=index.table.within,
            min_atoms=index.min_atoms,
        )
        holdings.judge.known.update(index.verdicts)
        try:
            with persist.collector_paused():
                holdings.restore(index.files, index.units, index.table)
        except ValueError as error:
            logger.warning("%s: the index cannot be used (%s); it is made anew", self.index_file, error)
            return
        self._holdings = holdings
        self._listed = {}
        if index.origin == persist.origin_of(self._roots, self.options.discover):
            self._listed = {path: file.language for path, file in index.files.items()}
        holdings.set_same_language(self.options.same_language)
        if (least := self._min_atoms(self.options)) != holdings.min_atoms:
            holdings.set_min_atoms(least, self._encode(holdings.newly_judgeable(least), _UNWATCHED))
        if edited:
            holdings.update(edited, self._encode(holdings.missing(edited.values()), _UNWATCHED))

    def _publish_restored(self, publish: Publish) -> None:
        """Show what was found last time, before the folders are walked: of files that are still the same."""
        files = self._holdings.files
        if not self._listed:
            return
        stale = [path for path, file in files.items() if path not in self._edited and not is_unchanged(file)]
        changed = self._holdings.update(dict.fromkeys(stale))
        self._publish(_Watch(publish=publish), changed | files.keys())

    def _follow(
        self, watch: _Watch, *, first: Sequence[str] = (), doubted: Collection[str] = frozenset()
    ) -> frozenset[str]:
        """Walk the roots and hold what is there. `doubted` files are read whatever their stamps say."""
        self._complete = False
        self._doubted.update(doubted)
        changed: frozenset[str] = frozenset()
        try:
            while not self._complete:
                doubted, self._doubted = self._doubted, set()
                changed |= self._walk(watch, first, doubted)
                self._complete = not self._doubted
        except _CancelledError:
            self._doubted.update(doubted)
            return changed
        self._publish(watch, frozenset())
        return changed

    def _walk(self, watch: _Watch, first: Sequence[str], doubted: Collection[str]) -> frozenset[str]:
        found = self._discover(watch.report)
        self._listed = {file.path: file.language for file in found.files}
        gone: dict[str, HeldFile | None] = {
            path: None for path in self._holdings.files if path not in self._listed and path not in self._edited
        }
        self._skipped, self._walk_failures = found.skipped, found.failures
        unread = [file for file in found.files if file.path in doubted or not self._is_current(file)]
        rank = {path: position for position, path in enumerate(first)}
        unread.sort(key=lambda file: (rank.get(file.path, len(rank)), file.path))
        if not gone and not unread:
            return frozenset()
        return self._hold(gone, watch) | self._read_on(unread, watch)

    def _discover(self, report: Report) -> Discovery:
        report(Progress("discover", 0, None))
        there = [root for root in self._roots if os.path.exists(root)]  # noqa: PTH110
        missing = [root for root in self._roots if root not in there]
        found = absolute(discover(there, self.options.discover)) if there else Discovery(files=())
        report(Progress("discover", len(found.files), len(found.files)))
        gone = tuple(Failure(path=root, stage="read", message="no such file or folder") for root in missing)
        return dataclasses.replace(found, failures=(*found.failures, *gone))

    def _is_current(self, file: SourceFile) -> bool:
        """Whether what is held for a file needs no second look."""
        if file.path in self._edited:
            return True
        held = self._holdings.files.get(file.path)
        return held is not None and held.language == file.language and is_unchanged(held)

    def _read_on(self, files: Sequence[SourceFile], watch: _Watch) -> frozenset[str]:
        """Read files, encode and hold them, batch by batch."""
        changed: frozenset[str] = frozenset()
        batch: dict[str, HeldFile | None] = {}
        unknown: set[str] = set()
        since = time.monotonic()
        with closing(self._intake.read(files, self._holdings.files)) as read:
            for done, file in enumerate(read, 1):
                watch.report(Progress("parse", done, len(files)))
                batch[file.path] = file
                unknown |= self._holdings.missing([file]).keys()
                if len(unknown) >= ENCODED_AT_ONCE or time.monotonic() - since > PUBLISHED_EVERY_S:
                    changed |= self._hold(self._wanted(batch), watch)
                    changed |= self._collect(watch)
                    batch, unknown, since = {}, set(), time.monotonic()
        if batch:
            changed |= self._hold(self._wanted(batch), watch)
        return changed

    def _wanted(self, batch: Mapping[str, HeldFile | None]) -> dict[str, HeldFile | None]:
        """Without what an editor has opened, or what has gone, since the walk."""
        return {path: file for path, file in batch.items() if path in self._listed and path not in self._edited}

    def _collect(self, watch: _Watch) -> frozenset[str]:
        """Take in what editors changed in the meantime, and remember what changed on disk."""
        if watch.cancelled():
            raise _CancelledError
        changes = watch.inbox()
        by_editors, on_disk = parted(changes)
        self._doubted.update(on_disk)
        self._edited.difference_update(on_disk)
        changed = self._edit(by_editors)
        if changes:
            watch.publish(self.snapshot, changed)
        return changed

    def _simply_changed(self, paths: Sequence[str]) -> list[SourceFile] | None:
        """Files to be read again, where that can be said without a walk; None where it cannot."""
        if len(paths) > _LOOKED_AT_SINGLY:
            return None
        files: list[SourceFile] = []
        for path in paths:
            language = self._listed.get(path)
            if language is not None and self._is_still_source(path, language):
                files.append(SourceFile(path=path, location=path, language=language, size_bytes=0))
            elif language is not None or self._is_unknown(path):
                return None
        return files

    def _is_unknown(self, path: str) -> bool:
        """Whether the last walk may have met a file and left it out: then it has to be counted anew."""
        return path not in self._listed and self._is_below_roots(path)

    def _is_below_roots(self, path: str) -> bool:
        return os.path.isabs(path) and any(PurePath(path).is_relative_to(root) for root in self._roots)  # noqa: PTH117

    def _is_still_source(self, path: str, language: str) -> bool:
        """Whether a file that was taken once is, beyond doubt, one to be taken again."""
        try:
            if os.path.islink(path):  # noqa: PTH114
                return False
            size = os.path.getsize(path)  # noqa: PTH202
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                sample = file.read(unwanted.SAMPLE_BYTES)
        except OSError:
            return False
        head = sample[: unwanted.HEAD_BYTES]
        return (
            0 < size <= self.options.discover.max_file_bytes
            and languages.detect(path, head) == language
            and not unwanted.is_binary(head)
            and not unwanted.is_generated(head)
            and not unwanted.is_minified(path, language, sample)
        )

    # --- holding ---

    def _hold(self, changes: Mapping[str, HeldFile | None], watch: _Watch) -> frozenset[str]:
        """One update. Raises `_CancelledError` before it has any effect but on the store."""
        missing = self._holdings.missing(file for file in changes.values() if file is not None)
        changed = self._holdings.update(changes, self._encode(missing, watch))
        self._publish(watch, changed)
        return changed

    def _encode(self, missing: Mapping[str, Function], watch: _Watch) -> list[Unit]:
        pending = list(missing.items())
        units: list[Unit] = []
        for start in range(0, len(pending), ENCODED_AT_ONCE):
            if start and watch.cancelled():
                raise _CancelledError
            units += encoded_units(pending[start : start + ENCODED_AT_ONCE], self.model, self._store)
        return units

    def _publish(self, watch: _Watch, changed: frozenset[str]) -> None:
        self._version += 1
        self.snapshot = self.photograph()
        watch.publish(self.snapshot, changed)

    def photograph(self) -> Snapshot:
        """What is held and found now, as `snapshot` will have it after the next change."""
        return self._holdings.snapshot(
            self._version,
            complete=self._complete,
            skipped=self._skipped,
            walk_failures=self._walk_failures,
        )

    def _min_atoms(self, options: Options) -> int:
        return self.model.min_atoms if options.min_atoms is None else options.min_atoms
