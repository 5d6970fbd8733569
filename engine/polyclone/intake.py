"""What comes in: files on disk and texts of editors → functions, with stamps that tell when to look again."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from polyclone import languages, unwanted
from polyclone.parsing import Parsed, Parser
from polyclone.reading import MAX_FILE_BYTES, is_transient, read_cached
from polyclone.snapshot import HeldFile, Stamp
from polyclone.store import BlobStore
from polyclone.values import Extraction, SourceFile

SETTLED_NS = 2_000_000_000
"""A file changed so shortly before it was read may change again without a new time stamp: some file systems count in
two seconds. It is read again next time, as git does with what it calls racily clean."""
_READ_BESIDE = 8
"""So many files are read by the worker that reads what is edited; more of them get workers of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a path holds: the text that an editor has of it, or whatever is on disk."""

    source: bytes | None = None
    """None: read it from disk."""
    language: str = ""
    """A canonical name; empty to tell it from the path and the text."""


ON_DISK = Content()
Changes = Mapping[str, Content | None]
"""Path → new content, or None for what is gone."""


class Intake:
    """Reads and parses, in processes that may hang or crash without harm. Belongs to one thread."""

    def __init__(self, store: BlobStore, *, jobs: int, timeout_s: float, isolate: bool) -> None:
        """Without `isolate`, small files are parsed here."""
        self._store, self._jobs, self._timeout_s, self._isolate = store, jobs, timeout_s, isolate
        self._parser = self._new_parser(1)

    def start(self) -> None:
        """Effect: starts a parser process, so that the first text need not wait for it."""
        self._parser.start()

    def close(self) -> None:
        """Effect: ends the parser processes."""
        self._parser.close()

    def configure(self, *, jobs: int, timeout_s: float) -> None:
        """Go on with these. Effect: another time-out ends the parser processes."""
        self._jobs = jobs
        if timeout_s != self._timeout_s:
            self._timeout_s = timeout_s
            self._parser.close()
            self._parser = self._new_parser(1)

    def read(self, files: Sequence[SourceFile], held: Mapping[str, HeldFile]) -> Generator[HeldFile]:
        """Files on disk; what is `held` with the same content is not parsed again. Effect: fills the store."""
        stamps: dict[str, Stamp | None] = {}

        def stamped() -> Iterator[SourceFile]:
            for file in files:
                stamps[file.path] = _settled_stamp(file.location)
                yield file

        def known(digest: str, file: SourceFile) -> Extraction | None:
            old = held.get(file.path)
            if old is None or old.content_digest != digest or old.language != file.language:
                return None
            extraction = Extraction(functions=old.functions, failures=old.failures)
            return None if is_transient(extraction) else extraction

        parser = self._parser if len(files) <= _READ_BESIDE else self._new_parser(self._jobs)
        try:
            with closing(read_cached(parser, stamped(), self._store, known=known)) as read:
                for parsed in read:
                    yield _held(parsed, stamps.pop(parsed.file.path))
        finally:
            if parser is not self._parser:
                parser.close()

    def parse(self, sources: Mapping[str, Content]) -> dict[str, HeldFile]:
        """What editors have. It is not worth a place in the store: it changes with the next key."""
        texts = {path: content.source or b"" for path, content in sources.items()}
        files = []
        for path, text in texts.items():
            language = sources[path].language or languages.detect(path, text[: unwanted.HEAD_BYTES])
            if language is not None:
                files.append(SourceFile(path=path, location=path, language=language, size_bytes=len(text)))
        # The bulk of the files may be under way in workers of their own; this one is never kept waiting.
        return {parsed.file.path: _held(parsed, None) for parsed in self._parser.parse(files, sources=texts)}

    def _new_parser(self, jobs: int) -> Parser:
        return Parser(
            jobs=jobs,
            timeout_s=self._timeout_s,
            max_bytes=MAX_FILE_BYTES,
            isolate=self._isolate,
        )


def parted(changes: Changes) -> tuple[dict[str, Content | None], list[str]]:
    """What editors decide, and the paths whose content is on disk."""
    on_disk = [path for path, content in changes.items() if content is not None and content.source is None]
    rest = set(on_disk)
    return {path: content for path, content in changes.items() if path not in rest}, on_disk


def _held(parsed: Parsed, stamp: Stamp | None) -> HeldFile:
    file, digest, extraction = parsed
    return HeldFile(
        path=file.path,
        language=file.language,
        content_digest=digest,
        stamp=None if is_transient(extraction) else stamp,
        functions=extraction.functions,
        digests=tuple(function.digest for function in extraction.functions),
        failures=extraction.failures,
    )


def is_unchanged(file: HeldFile) -> bool:
    return file.stamp is not None and _stamp(file.path) == file.stamp


def _stamp(location: str) -> Stamp | None:
    try:
        status = os.stat(location)  # noqa: PTH116
    except OSError:
        return None
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def _settled_stamp(location: str) -> Stamp | None:
    """The stamp of a file about to be read; None if it changed just now and may change unnoticed."""
    now = time.time_ns()
    stamp = _stamp(location)
    return stamp if stamp is not None and stamp.mtime_ns <= now - SETTLED_NS else None
