"""A bundle that somebody shared → a folder that `--model` takes. Nothing is written before all of it was checked."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from polyclone.archive import Archive
from polyclone.artifact import MANIFEST, Bundle, load_bundle, read_bundle
from polyclone.encode.graph_check import check_graph
from polyclone.errors import ModelError, UsageError
from polyclone.signature import SUFFIX, verify_signature

#: What a bundle is made of. Nothing here is a program, and nothing is unpickled.
SUFFIXES = frozenset({".onnx", ".json", ".tsv", ".npy", ".md", ".txt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Where a bundle is now, and what is known of it."""

    path: Path
    bundle: Bundle
    sha256: str
    """Hex digest of the file that was installed."""
    signed: str | None
    """The signed comment of its signature; None if none was checked."""
    already: bool
    """Whether the very same bundle was there before."""


def models_dir() -> Path:
    """Where bundles are kept unless another place is named."""
    return Path(platformdirs.user_data_dir("polyclone", appauthor=False)) / "models"


def install(
    file: Path, *, into: Path | None = None, signature: Path | None = None, public_key: str | None = None
) -> Installed:
    """Checks the zip `file` and unpacks it below `into`. `ModelError` says what is wrong with it.

    With `public_key` the signature has to be that key's; it lies beside the file if `signature` does not say where.
    Checked besides: names, sizes, digests, that no file lacks one, and that the graphs are self-contained.
    Effect: one new folder, complete or not at all.
    """
    if signature is not None and public_key is None:
        raise UsageError("--signature needs --public-key: a signature says nothing without the key to check it by.")
    try:
        opened = file.open("rb")
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror or error}). Give the zip of a bundle.") from error
    with opened:
        signed = None
        if public_key is not None:
            beside = file.with_name(file.name + SUFFIX)
            signed = verify_signature(opened, str(file), signature or beside, public_key)
            opened.seek(0)
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        opened.seek(0)
        # The same open file, so that what was signed is what is unpacked.
        source = Archive(file, opened)
        bundle = read_bundle(source, str(file))
        check_contents(bundle, source.names)
        folder = (into or models_dir()) / _folder_name(bundle)
        already = folder.exists()
        if already:
            _same(folder, bundle)
        else:
            _unpack(source, bundle, folder)
    return Installed(path=folder, bundle=load_bundle(folder), sha256=sha256, signed=signed, already=already)


def check_contents(bundle: Bundle, names: Iterable[str]) -> None:
    """`ModelError` if a file has no digest or an odd kind, or if a graph is not self-contained."""
    stray = sorted(set(names) - {*bundle.manifest.files, MANIFEST})
    if stray:
        raise ModelError(f"{bundle.location}: {stray[0]} is not in the manifest, so no digest covers it. Refused.")
    for name in bundle.manifest.files:
        if Path(name).suffix not in SUFFIXES:
            raise ModelError(f"{bundle.location}: {name} is no kind of file that a bundle has. Refused.")
        if name.endswith(".onnx"):
            check_graph(bundle.read(name), f"{bundle.location}: {name}")


def _folder_name(bundle: Bundle) -> str:
    """From the manifest, but only letters, digits and dashes of it: a name must not lead anywhere."""
    manifest = bundle.manifest
    plain = re.sub(r"[^A-Za-z0-9]+", "-", f"{manifest.name}-{manifest.version}").strip("-")[:60]
    return f"{plain or 'model'}-{bundle.digest[:12]}"


def _same(folder: Path, bundle: Bundle) -> None:
    if load_bundle(folder).digest != bundle.digest:
        raise ModelError(f"{folder} holds another bundle; remove it, or choose another place with --into.")


def _unpack(source: Archive, bundle: Bundle, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".installing-", dir=folder.parent))
    try:
        for name in (*bundle.manifest.files, MANIFEST):
            with (staging / name).open("xb") as out:
                for chunk in source.chunks(name):
                    out.write(chunk)
        staging.chmod(0o755)
        staging.rename(folder)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
