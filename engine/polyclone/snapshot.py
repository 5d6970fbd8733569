"""What a live workspace holds and has found at one moment. Immutable; any thread may read it.

Snapshots share what did not change. A question about one function or file costs as much as its answer; only
`result` looks at everything, when it is first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from polyclone.findings import Edge, Unit, all_matches, grouped, innermost, matches_of
from polyclone.model import Model
from polyclone.values import CloneGroup, Failure, Function, Match, ScanResult


class Stamp(NamedTuple):
    """What the file system says of a file. Equal stamps mean equal content, if the file was not changed just then."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """One file: its content's functions, and where the content came from."""

    path: str
    language: str
    content_digest: str
    """Hex SHA-256 of the source; empty if it could not be read."""
    stamp: Stamp | None
    """Of the file on disk. None for what an editor holds, and for what changed while it was read."""
    functions: tuple[Function, ...]
    digests: tuple[str, ...]
    """Of the functions, in the same order."""
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Totals over all that is held."""

    functions: int = 0
    too_small: int = 0
    truncated: int = 0
    pairs: int = 0
    """Reported pairs of contents; copies of one content count once."""
    unverified: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Functions and findings. `left` of every match it gives is the function that was asked for."""

    version: int
    complete: bool
    """False while files are still to be read."""
    model: Model
    threshold: float
    same_language: bool
    files: Mapping[str, HeldFile]
    copies: Mapping[str, tuple[Function, ...]]
    """Content digest → functions, sorted by place; only those large enough to judge."""
    units: Mapping[str, Unit]
    edges: Mapping[str, tuple[Edge, ...]]
    """Content digest → reported pairs, the best first."""
    counts: Counts
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason → number of files that were left out."""
    walk_failures: tuple[Failure, ...] = ()
    """Trouble with folders, and with files before they were read."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _made: list[ScanResult] = field(default_factory=list, repr=False, compare=False)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.files))

    @property
    def functions(self) -> int:
        return self.counts.functions

    @property
    def pairs(self) -> int:
        return self.counts.pairs

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Trouble with single files, sorted."""
        found = (*self.walk_failures, *(f for file in self.files.values() for f in file.failures))
        return tuple(sorted(found, key=lambda f: (f.path, f.stage, f.message)))

    def functions_in(self, path: str) -> tuple[Function, ...]:
        """In order of position; empty for a file that is not held."""
        file = self.files.get(path)
        return file.functions if file else ()

    def locate(self, path: str, line0: int, byte: int | None = None) -> Function | None:
        """The innermost function of `path` around a 0-based line; with `byte`, around that offset in the file."""
        return innermost(self.functions_in(path), line0, byte)

    def matches_of(self, function: Function) -> tuple[Match, ...]:
        """What is reported of a function, best first; empty for one that is not held."""
        digest = function.digest
        copies = self.copies.get(digest, ())
        if function not in copies:
            return ()
        edges = self.edges.get(digest, ())
        return tuple(matches_of(function, digest, edges, self.copies, same_language=self.same_language))

    def matches_in(self, path: str) -> Mapping[Function, tuple[Match, ...]]:
        """The functions of a file that have matches, in order of position, with them."""
        file = self.files.get(path)
        if file is None:
            return {}
        found: dict[Function, tuple[Match, ...]] = {}
        for function, digest in zip(file.functions, file.digests, strict=True):
            if digest in self.copies and (digest in self.edges or self.same_language):
                known = matches_of(
                    function, digest, self.edges.get(digest, ()), self.copies, same_language=self.same_language
                )
                if known:
                    found[function] = tuple(known)
        return found

    @property
    def result(self) -> ScanResult:
        """All findings, as a scan of the same content gives them. Made when first asked for."""
        with self._lock:
            if not self._made:
                self._made.append(self._result())
            return self._made[0]

    def groups_of(self, matches: Sequence[Match]) -> tuple[CloneGroup, ...]:
        """The groups of some of the matches."""
        return grouped(matches, self.model, self.units, threshold=self.threshold, same_language=self.same_language)

    def _result(self) -> ScanResult:
        matches = all_matches(self.edges, self.copies, same_language=self.same_language)
        return ScanResult(
            model=self.model.info,
            files=len(self.files),
            functions=self.counts.functions,
            too_small=self.counts.too_small,
            truncated=self.counts.truncated,
            threshold=self.threshold,
            matches=tuple(matches),
            groups=self.groups_of(matches),
            skipped=dict(sorted(self.skipped.items())),
            failures=self.failures,
            unverified=self.counts.unverified,
        )
