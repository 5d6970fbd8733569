"""Files of a folder, or of a zip from somebody else, read with suspicion: listed and checked before any is unpacked.

Knows nothing of models. Nothing is ever written here; who installs a bundle writes the bytes this module gives.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO, Protocol

from polyclone.errors import ModelError

#: A name without folders, drives or a leading dot: it cannot lead anywhere.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
#: No file of a bundle may be larger (16 GiB), and neither may all of them together.
MAX_BYTES = 16 << 30
MAX_ENTRIES = 64
#: Deflate reaches 1,032 : 1 on zeros alone. Weights stay under 2 : 1, text under 20 : 1.
MAX_RATIO = 200
#: A small file may be packed well; only a large one can hurt.
_RATIO_FROM = 1 << 20
_CHUNK = 1 << 20


class Files(Protocol):
    """Named contents. Every method raises `ModelError` with the place in its message."""

    @property
    def names(self) -> set[str]: ...

    def size(self, name: str) -> int: ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content in pieces, so that a large file can be checked without being held."""
        ...


def open_files(path: Path) -> Files:
    """A folder or a zip; `ModelError` if it is neither."""
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise ModelError(f"There is no model bundle at {path}. Reinstall polyclone, or give --model DIR.")
    return Archive(path)


class Folder:
    """The plain files of a folder, links to such included: whoever can write them can write the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sizes = {entry.name: entry.stat().st_size for entry in path.iterdir() if entry.is_file()}

    @property
    def names(self) -> set[str]:
        return set(self._sizes)

    def size(self, name: str) -> int:
        return self._sizes[name]

    def chunks(self, name: str) -> Iterator[bytes]:
        if self._sizes[name] > MAX_BYTES:
            raise ModelError(f"{self.path}: {name} has {self._sizes[name]:,} bytes, which is more than a model has.")
        try:
            with (self.path / name).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise ModelError(f"{self.path}: {name} cannot be read ({error.strerror or error}).") from error


class Archive:
    """The members of a zip by name. `ModelError` if any of them is not a plain file of a sane size."""

    def __init__(self, path: Path, file: BinaryIO | None = None) -> None:
        """`file` is the opened zip, where the caller has already looked into it; `path` is what messages say."""
        self.path = path
        try:
            self._zip = zipfile.ZipFile(file or path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ModelError(f"{path} is neither a bundle folder nor a zip of one ({error}).") from error
        self._sizes = self._check()

    @property
    def names(self) -> set[str]:
        return set(self._sizes)

    def size(self, name: str) -> int:
        """Unpacked bytes, as the zip declares them; `chunks` gives no more than that."""
        return self._sizes[name]

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(name) as member:
                while chunk := member.read(_CHUNK):
                    yield chunk
        except (
            zipfile.BadZipFile,
            zlib.error,
            LZMAError,
            NotImplementedError,
            RuntimeError,
            OSError,
            EOFError,
        ) as error:
            raise ModelError(f"{self.path}: {name} cannot be unpacked ({error}).") from error

    def _check(self) -> dict[str, int]:
        members = self._zip.infolist()
        if len(members) > MAX_ENTRIES:
            raise ModelError(f"{self.path} holds {len(members):,} files, a bundle at most {MAX_ENTRIES}; refused.")
        sizes: dict[str, int] = {}
        for member in members:
            wrong = _suspicion(member)
            if wrong is None and member.filename in sizes:
                wrong = "occurs twice"
            if wrong is not None:
                raise ModelError(f"{self.path}: {member.filename!r} {wrong}; refused.")
            sizes[member.filename] = member.file_size
        total = sum(sizes.values())
        if total > MAX_BYTES:
            raise ModelError(f"{self.path} would unpack to {total:,} bytes; at most {MAX_BYTES:,} are read. Refused.")
        return sizes


def _suspicion(member: zipfile.ZipInfo) -> str | None:
    """What speaks against a member, as the end of a sentence; None if nothing does."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if not PLAIN_NAME.fullmatch(member.filename):
        return "leads out of the bundle or is not a plain file name"
    if kind not in (0, stat.S_IFREG):
        return "is a link or a special file, not a plain one"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.file_size > MAX_BYTES:
        return f"claims {member.file_size:,} bytes, which is more than a model has"
    if member.file_size > _RATIO_FROM and member.file_size > MAX_RATIO * max(1, member.compress_size):
        return f"would grow from {member.compress_size:,} to {member.file_size:,} bytes, as no model does"
    return None
