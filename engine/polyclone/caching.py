"""What is cached, under which key, in which bytes. The store keeps opaque values; this module gives them meaning.

Every key is a SHA-256 over all that the value depends on, so that no entry is ever wrong, only absent.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from polyclone.encode import Encoder
from polyclone.extract import EXTRACTOR_VERSION
from polyclone.index import Codes, quantise
from polyclone.index.codes import codes_of
from polyclone.languages import grammar_version
from polyclone.normalise import NORMALISER_VERSION
from polyclone.store import BlobStore
from polyclone.values import Extraction, Failure, Function, Ignored, SourceFile, Span

EXTRACTION, VECTOR = "extraction", "vector"
#: Units encoded between two writes: what a killed process loses at most.
ENCODE_BATCH = 256


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def extraction_key(digest: str, file: SourceFile) -> bytes:
    """Key of the functions of a file with this content: a name decides dialect and script name, a folder nothing."""
    name = PurePosixPath(file.path).name
    return _key(
        EXTRACTION, str(EXTRACTOR_VERSION), str(NORMALISER_VERSION), file.language,
        grammar_version(file.language), name, digest,
    )  # fmt: skip


def vector_key(function: Function, encoder_digest: str) -> bytes:
    """Key of the vector of a function under one encoder."""
    return _key(
        VECTOR, str(NORMALISER_VERSION), function.language, grammar_version(function.language), encoder_digest,
        function.normalised,
    )  # fmt: skip


def extraction_rows(extraction: Extraction) -> list[Any]:
    """An extraction as lists of plain values, for JSON. Paths are left out."""
    rows = [
        [
            f.kind, f.name, f.qualified_name, f.signature, f.doc, dataclasses.astuple(f.span),
            dataclasses.astuple(f.name_span) if f.name_span else None, dataclasses.astuple(f.body_span), f.normalised,
            dataclasses.astuple(f.ignored) if f.ignored else None,
        ]
        for f in extraction.functions
    ]  # fmt: skip
    failures = [[f.stage, f.message] for f in extraction.failures]
    return [rows, failures]


def pack_extraction(extraction: Extraction) -> bytes:
    """Paths are left out: the same content under another path is the same entry."""
    return zlib.compress(json.dumps(extraction_rows(extraction), ensure_ascii=True).encode(), 1)


def unpack_extraction(content: bytes, file: SourceFile) -> Extraction:
    return extraction_of(json.loads(zlib.decompress(content)), file)


def extraction_of(values: Sequence[Any], file: SourceFile) -> Extraction:
    """The inverse of `extraction_rows`, for a file of any path."""
    rows, failures = values
    return Extraction(
        functions=tuple(
            Function(
                path=file.path,
                language=file.language,
                kind=kind,
                name=name,
                qualified_name=qualified,
                signature=signature,
                doc=doc,
                span=_span(span),
                name_span=_span(name_span) if name_span else None,
                body_span=_span(body_span),
                normalised=normalised,
                ignored=_ignored(ignored) if ignored else None,
            )
            for kind, name, qualified, signature, doc, span, name_span, body_span, normalised, ignored in rows
        ),
        failures=tuple(Failure(path=file.path, stage=stage, message=message) for stage, message in failures),
    )


def _span(values: Sequence[int]) -> Span:
    start, end, first, last = values
    return Span(start_byte=start, end_byte=end, start_line0=first, end_line0=last)


def _ignored(values: Sequence[Any]) -> Ignored:
    reason, line0, whole_file = values
    return Ignored(reason=reason, line0=line0, whole_file=whole_file)


def encode_cached(
    functions: Sequence[Function],
    encoder: Encoder,
    encoder_digest: str,
    store: BlobStore,
    advance: Callable[[int], None] | None = None,
) -> tuple[Codes, np.ndarray]:
    """Codes (n, d) of the functions and how many tokens of each went unread, int32 (n,).

    Effect: what the store does not know is encoded, the longest first, and written batch by batch.
    """
    width = encoder.dimension
    values = np.zeros((len(functions), width), dtype=np.int8)
    cut = np.zeros(len(functions), dtype=np.int32)
    keys = [vector_key(function, encoder_digest) for function in functions]
    known = store.get(VECTOR, keys)
    missing: dict[bytes, list[int]] = {}
    for row, key in enumerate(keys):
        content = known.get(key)
        if content is not None and len(content) == width + 4:
            values[row] = np.frombuffer(content, dtype=np.int8, count=width)
            cut[row] = int.from_bytes(content[width:], "little")
        else:
            missing.setdefault(key, []).append(row)
    if advance:
        advance(len(functions) - sum(map(len, missing.values())))
    pending = sorted(missing.items(), key=lambda item: -len(functions[item[1][0]].normalised))
    for start in range(0, len(pending), ENCODE_BATCH):
        batch = pending[start : start + ENCODE_BATCH]
        encoded = encoder.encode([functions[rows[0]].normalised for _, rows in batch])
        codes = quantise(encoded.vectors)
        fresh: dict[bytes, bytes] = {}
        for position, (key, rows) in enumerate(batch):
            values[rows], cut[rows] = codes.values[position], encoded.cut[position]
            fresh[key] = codes.values[position].tobytes() + int(encoded.cut[position]).to_bytes(4, "little")
        store.put(VECTOR, fresh)
        if advance:
            advance(sum(len(rows) for _, rows in batch))
    return codes_of(values), cut
