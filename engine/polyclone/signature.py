"""Whether a file was signed by the holder of a key, in the format of minisign (https://jedisct1.github.io/minisign).

The cryptography is that of the package `py-minisign`, which is only needed here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from polyclone.errors import ModelError, UsageError

SUFFIX = ".minisig"


def verify_signature(file: BinaryIO, where: str, signature: Path, public_key: str) -> str:
    """The signed comment of `signature`, if it is that of `public_key` over all of `file`; else `ModelError`.

    `public_key` is the key itself, the base64 text that minisign prints, or the path of a file with it.
    Effect: reads `file` to its end.
    """
    minisign = _library()
    try:
        key_file = Path(public_key)
        key = (
            minisign.PublicKey.from_file(key_file)
            if key_file.is_file()
            else minisign.PublicKey.from_base64(public_key)
        )
    except (minisign.Error, OSError, ValueError) as error:
        raise UsageError(
            f"--public-key {public_key}: neither a minisign key nor a file with one ({error})."
        ) from error
    try:
        signed = minisign.Signature.from_file(signature)
    except OSError as error:
        raise UsageError(f"--signature {signature}: cannot be read ({error.strerror or error}).") from error
    except (minisign.Error, ValueError) as error:
        raise ModelError(f"{signature} is no minisign signature ({error}). Get it again.") from error
    try:
        key.verify(file, signed)
    except (minisign.Error, ValueError) as error:
        raise ModelError(
            f"{where} was not signed by this key, or was changed since ({error}). Nothing was installed."
        ) from error
    return str(signed.trusted_comment)


def _library() -> Any:
    try:
        minisign: Any = import_module("minisign")
    except ImportError as error:
        raise ModelError(
            "To check a signature, polyclone needs the package py-minisign: pip install py-minisign. Nothing was"
            " installed."
        ) from error
    if not hasattr(minisign, "PublicKey"):
        raise ModelError(
            "Another package of the name minisign is installed: pip uninstall minisign, then pip install py-minisign."
        )
    return minisign
