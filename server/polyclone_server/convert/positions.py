"""Byte offsets ↔ positions and ranges; content changes → edits; spans of functions → ranges."""

from __future__ import annotations

from collections.abc import Iterable

from lsprotocol import types

from polyclone_server import protocol
from polyclone_server.documents import Edit
from polyclone_server.scene import Place
from polyclone_server.text import Encoding, Point, Text


def position_at(text: Text, offset: int, encoding: Encoding) -> types.Position:
    point = text.point(offset, encoding)
    return types.Position(line=point.line, character=point.character)


def range_at(text: Text, start: int, stop: int, encoding: Encoding) -> types.Range:
    return types.Range(start=position_at(text, start, encoding), end=position_at(text, stop, encoding))


def offset_at(text: Text, position: types.Position, encoding: Encoding) -> int:
    return text.offset(position.line, position.character, encoding)


def name_range(place: Place, encoding: Encoding) -> types.Range:
    """Range of a function's name."""
    return range_at(place.text, place.name_start, place.name_stop, encoding)


def whole_range(place: Place, encoding: Encoding) -> types.Range:
    return range_at(place.text, place.start, place.stop, encoding)


def edits_of(changes: Iterable[types.TextDocumentContentChangeEvent]) -> list[Edit]:
    """The content changes of one notification, in order."""
    edits: list[Edit] = []
    for change in changes:
        if isinstance(change, types.TextDocumentContentChangePartial):
            start, end = change.range.start, change.range.end
            edits.append(Edit(Point(start.line, start.character), Point(end.line, end.character), change.text))
        else:
            edits.append(Edit(None, None, change.text))
    return edits


def json_position(position: types.Position) -> protocol.Position:
    return {"line": position.line, "character": position.character}


def json_range(value: types.Range) -> protocol.Range:
    return {"start": json_position(value.start), "end": json_position(value.end)}
