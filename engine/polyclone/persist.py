"""The index of a live workspace as a file, so that the next start reads only what changed. No pickle, no trust.

The file is a heading, a SHA-256 and arrays in numpy's format. It is a copy of what could be made again: one that
is damaged, cut off, foreign or of another version is passed over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import io
import json
import logging
import os
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.caching import extraction_of, extraction_rows
from polyclone.detect import Verdict, VerdictKey
from polyclone.discover import DiscoverOptions
from polyclone.extract import EXTRACTOR_VERSION
from polyclone.findings import Unit
from polyclone.holdings import Holdings
from polyclone.index import NeighbourTable
from polyclone.languages import LANGUAGES, grammar_version
from polyclone.model import Model
from polyclone.normalise import NORMALISER_VERSION
from polyclone.snapshot import HeldFile, Stamp
from polyclone.values import Extraction, Reason, SourceFile

logger = logging.getLogger(__name__)

FORMAT = 4
"""Raised when the table keeps something else, or a unit comes to other words (`polyclone.words`)."""
_MAGIC = b"polyclone index\n"
_DIGEST_BYTES = 32
_PREFIX, _SUFFIX = "index-", ".bin"
_KEPT_DAYS = 30
"""Indices of other folders or models that nobody has written for so long are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What was held when the file was written."""

    files: Mapping[str, HeldFile]
    units: Mapping[int, Unit]
    """By handle in the table."""
    table: NeighbourTable
    verdicts: Mapping[VerdictKey, Verdict]
    min_atoms: int
    origin: str
    """`origin_of` the folders and options that decided which files were held."""


def origin_of(roots: Sequence[str], options: DiscoverOptions) -> str:
    """Tells walks apart that may find different files on the same disk."""
    languages = sorted(options.languages) if options.languages is not None else None
    return repr((sorted(roots), languages, dataclasses.replace(options, languages=None)))


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """While a hundred thousand objects are made that all stay, looking for garbage doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def index_file(folder: Path, roots: Sequence[Path | str], model: Model) -> Path:
    """Where the index of these roots belongs, in the cache folder: one for each set of roots and each model."""
    names = "\0".join(sorted(os.path.abspath(root) for root in roots))  # noqa: PTH100
    digest = hashlib.sha256(f"{_identity(model)}\0{names}".encode("utf-8", "surrogatepass")).hexdigest()
    return folder / f"{_PREFIX}{digest[:32]}{_SUFFIX}"


def _identity(model: Model) -> str:
    """Everything that what is held depends on, besides content and options."""
    grammars = {name: grammar_version(name) for name in sorted(LANGUAGES)}
    parts = [FORMAT, EXTRACTOR_VERSION, NORMALISER_VERSION, model.bundle.digest, grammars]
    return json.dumps(parts)


def write(path: Path, holdings: Holdings, model: Model, *, origin: str) -> None:
    """Replace the index file. Raises `OSError`; what was there then stays.

    Effect: writes to disk, the folder included, and never a half; removes indices that are out of use.
    """
    with collector_paused():
        content = _pack(holdings, model, origin)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(content).digest())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:  # raised again: an interrupt must not leave the part file behind either
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    _remove_old(path.parent)


def kept_indices(folder: Path) -> list[Path]:
    """The index files in a cache folder, those that were not finished included."""
    return sorted(folder.glob(f"{_PREFIX}*"))


def _remove_old(folder: Path) -> None:
    oldest = time.time() - _KEPT_DAYS * 86_400
    for path in kept_indices(folder):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def read(path: Path, model: Model) -> Index | None:
    """The index in a file; None, and a line in the log, where there is none that can be used."""
    try:
        with path.open("rb") as file:
            written_ns = os.fstat(file.fileno()).st_mtime_ns
            head = file.read(len(_MAGIC) + _DIGEST_BYTES)
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s: the index cannot be read (%s); it is made anew", path, error.strerror or error)
        return None
    if head[: len(_MAGIC)] != _MAGIC or hashlib.sha256(content).digest() != head[len(_MAGIC) :]:
        logger.warning("%s: the index is damaged, or no index; it is made anew", path)
        return None
    try:
        with collector_paused():
            return _unpack(content, model, written_ns)
    except (KeyError, ValueError, TypeError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        logger.warning("%s: the index cannot be used (%s); it is made anew", path, error)
        return None


def _pack(holdings: Holdings, model: Model, origin: str) -> bytes:
    arrays: dict[str, Any] = {f"table.{name}": array for name, array in holdings.table.to_arrays().items()}
    digests = [[unit.digest, handle, unit.is_cut] for unit, handle in _units(holdings)]
    verdicts = [
        [
            *key,
            v.probability,
            v.similarity,
            v.caller,
            None if v.reasons is None else [_reason_row(r) for r in v.reasons],
        ]
        for key, v in holdings.judge.known.items()
        if key[0] in holdings.units and key[1] in holdings.units
    ]
    files = [
        [f.path, f.language, f.content_digest, f.stamp, extraction_rows(_extraction(f))]
        for f in holdings.files.values()
    ]
    heading = {"identity": _identity(model), "origin": origin, "min_atoms": holdings.min_atoms}
    for name, value in {**heading, "units": digests, "verdicts": verdicts, "files": files}.items():
        packed = zlib.compress(json.dumps(value, ensure_ascii=True).encode(), 1)
        arrays[name] = np.frombuffer(packed, np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _units(holdings: Holdings) -> list[tuple[Unit, int]]:
    return [(unit, holdings.handles[digest]) for digest, unit in holdings.units.items()]


def _extraction(file: HeldFile) -> Extraction:
    return Extraction(functions=file.functions, failures=file.failures)


def _reason_row(reason: Reason) -> list[Any]:
    return [reason.kind, reason.text, reason.items, reason.score]


def _unpack(content: bytes, model: Model, written_ns: int) -> Index:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays: dict[str, NDArray[Any]] = dict(archive)

    def text(name: str) -> Any:
        return json.loads(zlib.decompress(arrays[name].tobytes()))

    if text("identity") != _identity(model):
        raise ValueError("it is of another version or another model")
    table = NeighbourTable.from_arrays(
        {name.removeprefix("table."): array for name, array in arrays.items() if name.startswith("table.")},
        model.vocabulary.weights,
    )
    known = {
        handle: (language, values.tobytes(), words)
        for language in table.languages
        for codes, handles in (table.codes(language),)
        for handle, values, words in zip(handles.tolist(), codes.values, table.words(handles), strict=True)
    }
    units = {}
    for digest, handle, is_cut in text("units"):
        language, values, words = known[handle]
        units[handle] = Unit(digest, language, values, is_cut, words)
    files = {path: _file(path, written_ns, *row) for path, *row in text("files")}
    digest_of = {unit.digest: unit.digest for unit in units.values()}
    verdicts = {
        (digest_of[a], digest_of[b], sys.intern(c), sys.intern(d)): Verdict(
            probability, similarity, caller, None if reasons is None else tuple(_reason(*row) for row in reasons)
        )
        for a, b, c, d, probability, similarity, caller, reasons in text("verdicts")
    }
    return Index(
        files=files,
        units=units,
        table=table,
        verdicts=verdicts,
        min_atoms=text("min_atoms"),
        origin=text("origin"),
    )


def _file(
    path: str, written_ns: int, language: str, content_digest: str, stamp: Sequence[int] | None, rows: Sequence[Any]
) -> HeldFile:
    """A file as it was held. A stamp counts only if it is older than the index, as git has it."""
    source = SourceFile(path=path, location=path, language=sys.intern(language), size_bytes=0)
    extraction = extraction_of(rows, source)
    return HeldFile(
        path=path,
        language=source.language,
        content_digest=content_digest,
        stamp=Stamp(*stamp) if stamp is not None and stamp[0] < written_ns else None,
        functions=extraction.functions,
        digests=tuple(function.digest for function in extraction.functions),
        failures=extraction.failures,
    )


def _reason(kind: str, text: str, items: Sequence[str], score: float) -> Reason:
    return Reason(kind=sys.intern(kind), text=text, items=tuple(items), score=score)
