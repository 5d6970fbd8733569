"""Workspace folders, and the way between URIs and paths. Touches no disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit


def scheme_of(uri: str) -> str:
    """The scheme in lower case, empty if there is none."""
    return uri.partition(":")[0].lower() if ":" in uri else ""


def path_of(uri: str) -> str | None:
    """The absolute path that a `file:` URI names, None for every other URI and for one that is no path."""
    if scheme_of(uri) != "file":
        return None
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    # What follows `?` and `#` is part of no file's path: in a name they arrive as %3F and %23.
    if os.name == "nt":
        path = unquote(parts.path).replace("/", "\\")
        path = path[1:] if path[2:3] == ":" else path  # `/c:/code` names a drive.
        return os.path.normpath(f"\\\\{unquote(parts.netloc)}{path}" if parts.netloc else path)
    if parts.netloc not in ("", "localhost"):
        return None
    raw = unquote_to_bytes(parts.path)
    if not raw.startswith(b"/") or b"\0" in raw:
        return None
    return os.path.normpath(os.fsdecode(raw))


def uri_of(path: str | Path) -> str:
    """The `file:` URI of an absolute path."""
    return Path(path).as_uri()


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One workspace folder."""

    uri: str
    path: str
    name: str

    def holds(self, path: str) -> bool:
        return path == self.path or path.startswith(self.path.rstrip(os.sep) + os.sep)


def folder(uri: str, name: str = "") -> Folder | None:
    """The folder at a `file:` URI; None for the others, which no path leads to."""
    path = path_of(uri)
    return None if path is None else Folder(uri=uri, path=path, name=name or Path(path).name or path)


def changed(folders: Sequence[Folder], added: Iterable[Folder], removed: Iterable[str]) -> tuple[Folder, ...]:
    """The folders after a change; `removed` are URIs, of which the path counts."""
    gone = {path_of(uri) for uri in removed}
    kept = {item.path: item for item in folders if item.path not in gone}
    for item in added:
        kept.setdefault(item.path, item)
    return tuple(kept.values())


def folder_of(folders: Iterable[Folder], path: str) -> Folder | None:
    """The innermost folder that holds `path`, or what another URI names in it, such as a notebook's cell."""
    if not os.path.isabs(path):  # noqa: PTH117
        path = os.path.normpath(unquote(urlsplit(path).path) or ".")
    return max((item for item in folders if item.holds(path)), key=lambda item: len(item.path), default=None)


def shown(folders: Sequence[Folder], path: str) -> str:
    """A path for people: posix, relative to its folder, which is named first where there are several."""
    home = folder_of(folders, path)
    if home is None:
        return path.replace(os.sep, "/")
    relative = os.path.relpath(path, home.path).replace(os.sep, "/")
    return f"{home.name}/{relative}" if len(folders) > 1 else relative
