"""A view as seen from the texts that the client has right now: findings, moved to where their functions stand.

What was edited since the view was made has no place in it until the next view: nothing stale is ever shown.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polyclone.values import Function

from polyclone_server.documents import Document
from polyclone_server.folders import shown, uri_of
from polyclone_server.text import Encoding, Move, Text, moves
from polyclone_server.view import Finding, View

_KEPT_TEXTS = 256
_LARGEST_TEXT = 4_000_000


class DiskTexts:
    """Texts of files, the most recently used ones kept. Thread-safe. Effect: reads files."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, tuple[tuple[int, int], Text]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str) -> Text | None:
        """The text at `path` as it is now; None for what is no readable file."""
        try:
            status = os.stat(path)  # noqa: PTH116
            stamp = (status.st_mtime_ns, status.st_size)
            with self._lock:
                known = self._texts.get(path)
                if known is not None and known[0] == stamp:
                    self._texts.move_to_end(path)
                    return known[1]
            if status.st_size > _LARGEST_TEXT:
                return None
            text = Text.from_disk(Path(path).read_bytes())
        except (OSError, ValueError):
            return None
        with self._lock:
            self._texts[path] = (stamp, text)
            while len(self._texts) > _KEPT_TEXTS:
                self._texts.popitem(last=False)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a function stands in the text that the client has. Offsets are bytes of `text`."""

    uri: str
    text: Text
    start: int
    stop: int
    name_start: int
    name_stop: int
    """Of its name, or of its first line where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A finding and where its function stands."""

    finding: Finding
    place: Place


class Scene:
    """One view, one set of open documents. Cheap to make, to be used for one answer."""

    def __init__(
        self,
        view: View,
        documents: Mapping[str, Document],
        disk: DiskTexts,
        encoding: Encoding,
    ) -> None:
        self.view = view
        self.documents = documents
        self.encoding: Encoding = encoding
        self._disk = disk
        self._moves: dict[str, tuple[Text, Move] | None] = {}
        self._findings: dict[str, tuple[Placed, ...]] = {}

    def uri(self, key: str) -> str:
        """The client's own URI for what is open, else the file's."""
        document = self.documents.get(key)
        if document is not None:
            return document.uri
        return uri_of(key) if os.path.isabs(key) else key  # noqa: PTH117

    def shown(self, key: str) -> str:
        """A path for people."""
        return shown(self.view.folders, key) if os.path.isabs(key) else key  # noqa: PTH117

    def text(self, key: str) -> Text | None:
        """The text that the client has of a file: an open document's, else the disk's."""
        document = self.documents.get(key)
        return document.text if document is not None else self._disk.get(key)

    def current(self, key: str) -> bool:
        """Whether the view was made from the text that the client has."""
        document, applied = self.documents.get(key), self.view.applied.get(key)
        return document is None or (applied is not None and applied.revision == document.revision)

    def place(self, function: Function) -> Place | None:
        """Where a function stands now; None if it was edited or its file is gone."""
        if function.path not in self._moves:
            self._moves[function.path] = self._mover(function.path)
        known = self._moves[function.path]
        if known is None:
            return None
        text, move = known
        span = move(function.span.start_byte, function.span.end_byte)
        if span is None or span[1] > len(text.data):
            return None
        shift = span[0] - function.span.start_byte
        name = function.name_span
        if name is not None:
            name_start, name_stop = name.start_byte + shift, name.end_byte + shift
        else:
            name_start = span[0]
            name_stop = min(span[1], text.line_bounds(text.point(name_start, "utf-8").line)[1])
        return Place(
            uri=self.uri(function.path),
            text=text,
            start=span[0],
            stop=span[1],
            name_start=name_start,
            name_stop=max(name_start, name_stop),
        )

    def findings(self, key: str) -> tuple[Placed, ...]:
        """What is to be shown of one file now, by position."""
        if key not in self._findings:
            self._findings[key] = tuple(
                Placed(finding=finding, place=place)
                for finding in self.view.findings(key)
                if (place := self.place(finding.function)) is not None
            )
        return self._findings[key]

    def function_at(self, key: str, offset: int) -> Function | None:
        """The innermost function around a byte offset of the text that the client has."""
        around = [
            (place.stop - place.start, place.start, function)
            for function in self.view.snapshot.functions_in(key)
            if (place := self.place(function)) is not None
            and place.start <= offset < max(place.stop, place.start + 1)
        ]
        return min(around, key=lambda item: item[:2])[2] if around else None

    def _mover(self, key: str) -> tuple[Text, Move] | None:
        document, applied = self.documents.get(key), self.view.applied.get(key)
        if document is None:
            # Closed, but the snapshot may still hold what was in the editor; the spans of that are what it has.
            text = self._disk.get(key)
            if text is None:
                return None
            return text, moves(applied.text, text) if applied is not None else _stay
        before = applied.text if applied is not None else self._disk.get(key)
        return None if before is None else (document.text, moves(before, document.text))


_stay: Move = lambda start, stop: (start, stop)  # noqa: E731
