"""A bundle's folder → one zip to share: the same bytes for the same bundle, wherever and whenever it is packed."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from polyclone.artifact import MANIFEST, load_bundle
from polyclone.errors import UsageError

#: The earliest date a zip can hold: when a bundle was packed says nothing about it.
_DATE = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, target: Path) -> str:
    """Checks the bundle, then writes it as a zip. Returns the hex SHA-256 of the zip.

    Effect: writes `target`, complete or not at all. `ModelError` if the bundle is damaged.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not the folder of a bundle.")
    bundle = load_bundle(folder)
    partial = target.with_name(target.name + ".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        # The manifest first: who reads a zip from its start knows at once what it is.
        for name in (MANIFEST, *sorted(bundle.manifest.files)):
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = 0o100644 << 16
            archive.writestr(member, (folder / name).read_bytes(), compresslevel=6)
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    partial.replace(target)
    return digest
