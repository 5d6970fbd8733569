"""A set of files held in memory: content in, functions and findings out, file by file.

Findings depend on the content held now, the bundle and the options, and on nothing that happened before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polyclone.caching import EXTRACTION, encode_cached, extraction_key, pack_extraction, unpack_extraction
from polyclone.detect import calls_the_other, find_candidates, judge, place
from polyclone.discover import DiscoverOptions, Discovery, discover
from polyclone.errors import UsageError
from polyclone.extract import extract
from polyclone.group import group
from polyclone.index import Codes, ExactIndex
from polyclone.model import Model
from polyclone.parsing import DEFAULT_TIMEOUT_S, parse_files
from polyclone.store import BlobStore, NullStore
from polyclone.values import Extraction, Failure, Function, Match, Reason, ScanResult, SourceFile


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
        tell(Progress("discover", len(found.files), len(found.files)))
        self._files = {}
        self._read(found, tell)
        self.root, self.skipped = found.root, found.skipped
        self._failures = found.failures

    def _read(self, found: Discovery, tell: Report) -> None:
        fresh: dict[bytes, bytes] = {}
        pending = 0
        known = self._known_extractions()
        hits: set[str] = set()

        def answer(digest: str, file: SourceFile) -> Extraction | None:
            extraction = known(digest, file)
            if extraction is not None:
                hits.add(file.path)
            return extraction

        parsed = parse_files(
            found.files,
            jobs=self.options.jobs,
            timeout_s=self.options.parse_timeout_s,
            max_bytes=1 << 31,
            known=answer,
        )
        for done, (file, digest, extraction) in enumerate(parsed, 1):
            self._files[file.path] = extraction
            if file.path not in hits and digest and not _transient(extraction):
                fresh[extraction_key(digest, file)] = pack_extraction(extraction)
                pending += 1
            if pending >= 64:
                self._store.put(EXTRACTION, fresh)
                fresh, pending = {}, 0
            tell(Progress("parse", done, len(found.files)))
        self._store.put(EXTRACTION, fresh)

    def _known_extractions(self) -> Callable[[str, SourceFile], Extraction | None]:
        def known(digest: str, file: SourceFile) -> Extraction | None:
            key = extraction_key(digest, file)
            content = self._store.get(EXTRACTION, [key]).get(key)
            return unpack_extraction(content, file) if content is not None else None

        return known

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
        around = [
            f
            for f in self.functions_in(path)
            if f.span.start_line0 <= line0 <= f.span.end_line0
            and (byte is None or f.span.start_byte <= byte < f.span.end_byte)
        ]
        return min(around, key=lambda f: (f.span.end_byte - f.span.start_byte, f.span.start_byte), default=None)

    def warm(self, report: Report | None = None) -> tuple[int, int]:
        """Effect: encodes what the cache does not know, and caches it.

        Returns how many functions are held and how many of them are too small to judge.
        """
        functions = self.functions
        units, _, too_small = self._units(functions)
        self._codes(units, report or (lambda _: None))
        return len(functions), too_small

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Trouble with single files, sorted."""
        found = (*self._failures, *(f for e in self._files.values() for f in e.failures))
        return tuple(sorted(found, key=lambda f: (f.path, f.stage, f.message)))

    def result(self, report: Report | None = None) -> ScanResult:
        """All findings. Effect: encodes what the cache does not know, and caches it."""
        tell = report or (lambda _: None)
        functions = self.functions
        units, copies_of, too_small = self._units(functions)
        codes, cut = self._codes(units, tell)
        tell(Progress("search", 0, len(units)))
        searched = 0

        def advance(count: int) -> None:
            nonlocal searched
            searched += count
            tell(Progress("search", searched, len(units)))

        same_language = self.options.same_language
        candidates = find_candidates(
            codes, [unit.language for unit in units], same_language=same_language, advance=advance
        )
        threshold = self.options.threshold(self.model)
        tell(Progress("judge", 0, len(candidates)))
        matches = judge(units, codes, candidates, self.model.verifier, threshold, lambda unit: copies_of[unit.digest])
        if same_language:
            matches += _identical(copies_of.values())
        matches.sort(key=lambda m: (-m.probability, -m.similarity, place(m.left), place(m.right)))
        scorer = _Scorer(self.model, units, codes)
        groups = group(matches, scorer, min_probability=threshold, same_language=same_language)
        tell(Progress("judge", len(candidates), len(candidates)))
        return ScanResult(
            model=self.model.info,
            files=len(self._files),
            functions=len(functions),
            too_small=too_small,
            truncated=sum(len(copies_of[u.digest]) for u, c in zip(units, cut.tolist(), strict=True) if c),
            threshold=threshold,
            matches=tuple(matches),
            groups=groups,
            skipped=dict(sorted(self.skipped.items())),
            failures=self.failures,
            root=self.root,
        )

    def query(self, target: Function, *, limit: int = 10) -> tuple[Match, ...]:
        """The functions held that are most probably clones of `target`, of any probability, best first.

        Only functions of other languages, unless `options.same_language`. Empty when the target is too small
        to judge. `target` need not be among the functions held.
        """
        if not self.judgeable(target):
            return ()
        units, copies_of, _ = self._units(self.functions)
        wanted = [
            unit
            for unit in units
            if (self.options.same_language or unit.language != target.language) and unit.digest != target.digest
        ]
        if not wanted:
            return ()
        every = [*wanted, target]
        codes, _ = self._codes(every, lambda _: None)
        by_language: defaultdict[str, list[int]] = defaultdict(list)
        for row, unit in enumerate(wanted):
            by_language[unit.language].append(row)
        asked = codes.take([len(wanted)])
        found: list[tuple[int, float]] = []
        for rows in by_language.values():
            near = ExactIndex(codes.take(rows)).search(asked, min(limit, len(rows)))
            best = float(near.similarities[0, 0])
            found += [
                (rows[int(i)], max(0.0, best - float(s)))
                for i, s in zip(near.indices[0], near.similarities[0], strict=True)
                if i >= 0
            ]
        verifier = self.model.verifier
        judged = verifier.prepare(codes, [unit.normalised for unit in every])
        right = np.array([row for row, _ in found], dtype=np.int64)
        left = np.full(len(right), len(wanted), dtype=np.int64)
        features = verifier.features(judged, left, right, np.array([m for _, m in found], dtype=np.float32))
        matches: list[Match] = []
        for row, probability in enumerate(verifier.probabilities(features).tolist()):
            unit = wanted[int(right[row])]
            if calls_the_other(target, unit):
                continue
            similarity = round(float(features[row, 0]), 4)
            reasons = verifier.reasons(target.normalised, unit.normalised, similarity, names=(target.name, unit.name))
            matches += [
                Match(
                    left=target,
                    right=copy,
                    similarity=similarity,
                    probability=round(probability, 4),
                    reasons=reasons,
                )
                for copy in copies_of[unit.digest]
            ]
        matches.sort(key=lambda m: (-m.probability, -m.similarity, place(m.right)))
        return tuple(matches[:limit])

    def judgeable(self, function: Function) -> bool:
        """Whether a function is large enough to judge."""
        return len(function.atoms) >= self._min_atoms

    @property
    def _min_atoms(self) -> int:
        return self.model.min_atoms if self.options.min_atoms is None else self.options.min_atoms

    def _units(self, functions: Iterable[Function]) -> tuple[list[Function], dict[str, list[Function]], int]:
        """One function of each content, all functions by content digest, and how many are too small."""
        copies_of: defaultdict[str, list[Function]] = defaultdict(list)
        units: list[Function] = []
        too_small = 0
        for function in functions:
            if not self.judgeable(function):
                too_small += 1
                continue
            digest = function.digest
            if digest not in copies_of:
                units.append(function)
            copies_of[digest].append(function)
        return units, dict(copies_of), too_small

    def _codes(self, units: Sequence[Function], tell: Report) -> tuple[Codes, np.ndarray]:
        encoded = 0
        tell(Progress("encode", 0, len(units)))

        def advance(count: int) -> None:
            nonlocal encoded
            encoded += count
            tell(Progress("encode", encoded, len(units)))

        return encode_cached(units, self.model.encoder, self.model.bundle.encoder_digest, self._store, advance)


class _Scorer:
    """Probabilities for pairs that no search proposed, from the codes at hand; each pair by content alone."""

    def __init__(self, model: Model, units: Sequence[Function], codes: Codes) -> None:
        self._model = model
        self._row = {unit.digest: row for row, unit in enumerate(units)}
        self._units, self._codes = units, codes

    def __call__(self, pairs: Sequence[tuple[Function, Function]]) -> list[float]:
        used = sorted({self._row[f.digest] for pair in pairs for f in pair})
        position = {row: i for i, row in enumerate(used)}
        verifier = self._model.verifier
        judged = verifier.prepare(self._codes.take(used), [self._units[row].normalised for row in used])
        left, right = (
            np.array([position[self._row[pair[side].digest]] for pair in pairs], dtype=np.int64) for side in (0, 1)
        )
        probabilities = verifier.probabilities(verifier.features(judged, left, right))
        return [
            0.0 if calls_the_other(a, b) else round(float(p), 4)
            for (a, b), p in zip(pairs, probabilities, strict=True)
        ]


def _identical(copies: Iterable[Sequence[Function]]) -> list[Match]:
    reason = Reason(kind="identical", text="identical but for layout and comments", score=1.0)
    return [
        Match(left=a, right=b, similarity=1.0, probability=1.0, reasons=(reason,))
        for same in copies
        for i, a in enumerate(same)
        for b in same[i + 1 :]
    ]


def _transient(extraction: Extraction) -> bool:
    """Whether another run might do better: a time-out or an unreadable file is not worth remembering."""
    return any(failure.stage in ("read", "parse") for failure in extraction.failures)
