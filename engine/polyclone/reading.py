"""Files → functions, by way of the cache: what was parsed before is not parsed again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Generator, Iterable, Mapping

from polyclone.caching import EXTRACTION, extraction_key, pack_extraction, unpack_extraction
from polyclone.discover import Discovery
from polyclone.parsing import Known, Parsed, Parser
from polyclone.store import BlobStore
from polyclone.values import Extraction, SourceFile

MAX_FILE_BYTES = 1 << 31
"""No limit of the parser's own: what is too large, `discover` has left out."""
_WRITTEN_AT_ONCE = 64


def read_cached(
    parser: Parser,
    files: Iterable[SourceFile],
    store: BlobStore,
    *,
    sources: Mapping[str, bytes] | None = None,
    known: Known | None = None,
) -> Generator[Parsed]:
    """As `Parser.parse`; the store answers where `known` does not, and is given what it lacks.

    Effect: fills the store, also when the iterator is closed before its end.
    """
    fresh: dict[bytes, bytes] = {}
    answered: set[str] = set()

    def answer(digest: str, file: SourceFile) -> Extraction | None:
        found = known(digest, file) if known is not None else None
        if found is None:
            key = extraction_key(digest, file)
            content = store.get(EXTRACTION, [key]).get(key)
            found = unpack_extraction(content, file) if content is not None else None
        if found is not None:
            answered.add(file.path)
        return found

    try:
        for parsed in parser.parse(files, sources=sources, known=answer):
            if parsed.file.path not in answered and parsed.digest and not is_transient(parsed.extraction):
                fresh[extraction_key(parsed.digest, parsed.file)] = pack_extraction(parsed.extraction)
            if len(fresh) >= _WRITTEN_AT_ONCE:
                store.put(EXTRACTION, fresh)
                fresh = {}
            yield parsed
    finally:
        store.put(EXTRACTION, fresh)


def is_transient(extraction: Extraction) -> bool:
    """Whether another run might do better: a time-out or an unreadable file is not worth remembering."""
    return any(failure.stage in ("read", "parse") for failure in extraction.failures)


def absolute(found: Discovery) -> Discovery:
    """The same files, named by where they lie."""
    root = found.root
    return dataclasses.replace(
        found,
        files=tuple(sorted((dataclasses.replace(f, path=f.location) for f in found.files), key=lambda f: f.path)),
        failures=tuple(
            dataclasses.replace(f, path=os.path.normpath(os.path.join(root, f.path)))  # noqa: PTH118
            for f in found.failures
        ),
        root="",
    )
