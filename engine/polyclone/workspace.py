"""A set of files held in memory: content in, functions and findings out, file by file.

Findings depend on the content held now, the bundle and the options, and on nothing that happened before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polyclone.caching import encode_cached
from polyclone.detect import Judge, codes_from, find_candidates, place
from polyclone.discover import DiscoverOptions, Discovery, discover
from polyclone.errors import UsageError
from polyclone.extract import extract
from polyclone.findings import (
    Query,
    Unit,
    all_matches,
    copies_by_digest,
    edges_of,
    encoded_units,
    file_of,
    grouped,
    innermost,
    nearest,
)
from polyclone.model import Model
from polyclone.parsing import DEFAULT_TIMEOUT_S, Parser
from polyclone.reading import MAX_FILE_BYTES, absolute, read_cached
from polyclone.store import BlobStore, NullStore
from polyclone.values import Extraction, Failure, Function, Match, ScanResult


class Progress(NamedTuple):
    """How far a stage is. `stage` is `discover`, `parse`, `encode`, `search` or `judge`."""

    stage: str
    done: int
    total: int | None


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a scan is asked for. Thresholds come from the bundle where they are None."""

    min_probability: float | None = None
    precision: float | None = None
    same_language: bool = False
    min_atoms: int | None = None
    jobs: int = 1
    parse_timeout_s: float = DEFAULT_TIMEOUT_S
    discover: DiscoverOptions = field(default_factory=DiscoverOptions)
    absolute_paths: bool = False
    """Name files by their absolute paths, not relative to their common root."""

    def threshold(self, model: Model) -> float:
        """The least probability to report. `UsageError` for two wishes at once or one out of range."""
        if self.min_probability is not None and self.precision is not None:
            raise UsageError("Give a least probability or a precision, not both.")
        if self.min_probability is not None:
            if not 0.0 <= self.min_probability <= 1.0:
                raise UsageError(f"A probability lies between 0 and 1, not {self.min_probability}.")
            return self.min_probability
        return model.bundle.manifest.calibration.threshold(self.precision)


class Workspace:
    """Files, their functions and the findings among them. Not thread-safe; one owner at a time."""

    def __init__(self, model: Model, *, options: Options | None = None, store: BlobStore | None = None) -> None:
        self.model = model
        self.options = options or Options()
        self.root = ""
        self.skipped: Mapping[str, int] = {}
        self._store = store or NullStore()
        self._files: dict[str, Extraction] = {}
        self._failures: tuple[Failure, ...] = ()

    # --- content ---

    def open(self, paths: Sequence[str | Path], report: Report | None = None) -> None:
        """Effect: reads all source files under `paths`, in place of what was held. The cache spares the unchanged."""
        tell = report or (lambda _: None)
        tell(Progress("discover", 0, None))
        found = discover(paths, self.options.discover)
        if self.options.absolute_paths:
            found = absolute(found)
        tell(Progress("discover", len(found.files), len(found.files)))
        self._files = {}
        self._read(found, tell)
        self.root, self.skipped = found.root, found.skipped
        self._failures = found.failures

    def _read(self, found: Discovery, tell: Report) -> None:
        options = self.options
        with Parser(jobs=options.jobs, timeout_s=options.parse_timeout_s, max_bytes=MAX_FILE_BYTES) as parser:
            read = read_cached(parser, found.files, self._store)
            for done, (file, _, extraction) in enumerate(read, 1):
                self._files[file.path] = extraction
                tell(Progress("parse", done, len(found.files)))

    def update(self, path: str, source: bytes, language: str) -> tuple[Function, ...]:
        """Effect: holds this content for `path`, saved or not. Returns its functions."""
        extraction = extract(source, language, path)
        self._files[path] = extraction
        return extraction.functions

    def remove(self, path: str) -> None:
        """Effect: forgets a file; nothing if it was not held."""
        self._files.pop(path, None)

    # --- questions ---

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    @property
    def functions(self) -> tuple[Function, ...]:
        """All functions held, sorted by path and position."""
        return tuple(sorted((f for e in self._files.values() for f in e.functions), key=place))

    def functions_in(self, path: str) -> tuple[Function, ...]:
        extraction = self._files.get(path)
        return extraction.functions if extraction else ()

    def locate(self, path: str, line0: int, byte: int | None = None) -> Function | None:
        """The innermost function of `path` around a 0-based line; with `byte`, around that offset in the file."""
        return innermost(self.functions_in(path), line0, byte)

    def warm(self, report: Report | None = None) -> tuple[int, int]:
        """Effect: encodes what the cache does not know, and caches it.

        Returns how many functions are held and how many of them are too small to judge.
        """
        functions = self.functions
        copies, too_small = self._copies(functions)
        self._units(copies, report or (lambda _: None))
        return len(functions), too_small

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Trouble with single files, sorted."""
        found = (*self._failures, *(f for e in self._files.values() for f in e.failures))
        return tuple(sorted(found, key=lambda f: (f.path, f.stage, f.message)))

    def result(self, report: Report | None = None) -> ScanResult:
        """All findings. Effect: encodes what the cache does not know, and caches it."""
        tell = report or (lambda _: None)
        options = self.options
        functions = self.functions
        copies, too_small = self._copies(functions)
        units = self._units(copies, tell)
        pairs = self._search(units, copies, tell)
        threshold = options.threshold(self.model)
        tell(Progress("judge", 0, len(pairs)))
        edges, unverified = edges_of(Judge(self.model.verifier), pairs, copies, threshold)
        matches = all_matches(edges, copies, same_language=options.same_language)
        known = {unit.digest: unit for unit in units}
        groups = grouped(matches, self.model, known, threshold=threshold, same_language=options.same_language)
        tell(Progress("judge", len(pairs), len(pairs)))
        return ScanResult(
            model=self.model.info,
            files=len(self._files),
            functions=len(functions),
            too_small=too_small,
            truncated=sum(len(copies[unit.digest]) for unit in units if unit.is_cut),
            threshold=threshold,
            matches=tuple(matches),
            groups=groups,
            skipped=dict(sorted(self.skipped.items())),
            failures=self.failures,
            root=self.root,
            unverified=unverified,
        )

    def query(self, target: Function, *, limit: int = 10) -> tuple[Match, ...]:
        """The functions held that are most probably clones of `target`, of any probability, best first.

        Only functions of other languages, unless `options.same_language`. Empty when the target is too small
        to judge. `target` need not be among the functions held.
        """
        if not self.judgeable(target):
            return ()
        copies, _ = self._copies(self.functions)
        units = self._units(copies, lambda _: None)
        by_language: defaultdict[str, list[Unit]] = defaultdict(list)
        for unit in units:
            by_language[unit.language].append(unit)
        shelves = [(codes_from(u.values for u in same), [u.digest for u in same]) for same in by_language.values()]
        asked, _ = encode_cached([target], self.model.encoder, self.model.bundle.encoder_digest, self._store)
        asking = Query(target=target, codes=asked, limit=limit, same_language=self.options.same_language)
        return nearest(asking, shelves, copies, self.model.verifier)

    def judgeable(self, function: Function) -> bool:
        """Whether a function is large enough to judge."""
        return len(function.atoms) >= self._min_atoms

    @property
    def _min_atoms(self) -> int:
        return self.model.min_atoms if self.options.min_atoms is None else self.options.min_atoms

    def _copies(self, functions: Sequence[Function]) -> tuple[dict[str, tuple[Function, ...]], int]:
        """All functions large enough to judge, by content digest; and how many are too small."""
        large = [function for function in functions if self.judgeable(function)]
        copies = copies_by_digest((function.digest, function) for function in large)
        return copies, len(functions) - len(large)

    def _units(self, copies: Mapping[str, Sequence[Function]], tell: Report) -> list[Unit]:
        """Each content once, in the order that decides ties. Effect: encodes what the cache does not know."""
        digests = sorted(copies)
        encoded = 0
        tell(Progress("encode", 0, len(digests)))

        def advance(count: int) -> None:
            nonlocal encoded
            encoded += count
            tell(Progress("encode", encoded, len(digests)))

        return encoded_units([(d, copies[d][0]) for d in digests], self.model, self._store, advance)

    def _search(
        self, units: Sequence[Unit], copies: Mapping[str, Sequence[Function]], tell: Report
    ) -> list[tuple[Unit, Unit]]:
        """The pairs of units to be judged."""
        searched = 0
        tell(Progress("search", 0, len(units)))

        def advance(count: int) -> None:
            nonlocal searched
            searched += count
            tell(Progress("search", searched, len(units)))

        found = find_candidates(
            codes_from(unit.values for unit in units),
            [unit.language for unit in units],
            words=[unit.words for unit in units],
            weights=self.model.vocabulary.weights,
            files=np.array([file_of(copies[unit.digest]) for unit in units], np.uint64),
            same_language=self.options.same_language,
            advance=advance,
        )
        return [(units[a], units[b]) for a, b in zip(found.left.tolist(), found.right.tolist(), strict=True)]
