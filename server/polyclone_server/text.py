"""One version of a text: bytes, lines, and positions in the three encodings of the protocol. Knows no protocol types.

Offsets are bytes of UTF-8, as the engine counts. A position is a 0-based line and a character in code units of the
negotiated encoding. Line ends are the protocol's own three, CR LF, LF and CR, and nothing else that Unicode knows.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from typing import Final, Literal, NamedTuple

Encoding = Literal["utf-8", "utf-16", "utf-32"]
ENCODINGS: Final[tuple[Encoding, ...]] = ("utf-8", "utf-16", "utf-32")

_LINE_END = re.compile(rb"\r\n|\n|\r")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")
_BOM = b"\xef\xbb\xbf"


class Point(NamedTuple):
    """A position in code units of some encoding."""

    line: int
    character: int


class Text:
    """An immutable text. `data` is UTF-8; a lone surrogate, which JSON can carry, stands as its three bytes."""

    def __init__(self, data: bytes, *, hides_mark: bool = False) -> None:
        self.data = data
        self._hidden = len(_BOM) if hides_mark and data.startswith(_BOM) else 0

    @classmethod
    def of(cls, string: str) -> Text:
        """The text of a client."""
        return cls(_encode(string))

    @classmethod
    def from_disk(cls, data: bytes) -> Text:
        """A file's text as an editor would show it: what is no UTF-8 replaced, a byte order mark hidden."""
        return cls(data, hides_mark=True)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_END.finditer(self.data))]

    @property
    def line_count(self) -> int:
        return len(self._starts)

    @property
    def string(self) -> str:
        return _decode(self.data[self._hidden :])

    def line_bounds(self, line: int) -> tuple[int, int]:
        """Offsets of a line's first byte and of the end of its content, its line end left out. Lines are clamped."""
        line = min(max(line, 0), self.line_count - 1)
        start = self._starts[line]
        stop = self._starts[line + 1] if line + 1 < self.line_count else len(self.data)
        while stop > start and self.data[stop - 1] in b"\r\n":
            stop -= 1
        return (self._hidden if line == 0 else start), stop

    def point(self, offset: int, encoding: Encoding) -> Point:
        """The position of a byte offset; one within a line end is at the end of the line, one outside is clamped."""
        offset = min(max(offset, 0), len(self.data))
        line = bisect_right(self._starts, offset) - 1
        start, stop = self.line_bounds(line)
        return Point(line, _units(self.data[start : max(start, min(offset, stop))], encoding))

    def offset(self, line: int, character: int, encoding: Encoding) -> int:
        """The byte offset of a position. Past the last line is the end; past a line's end is the end of that line.

        A position between the halves of one character is taken back to its start.
        """
        if line >= self.line_count:
            return len(self.data)
        start, stop = self.line_bounds(line)
        return start + _bytes_of_units(self.data[start:stop], max(character, 0), encoding)

    def replace(self, start: int, stop: int, new: str) -> Text:
        """The text with the bytes of [start, stop) replaced; the two may come in either order."""
        start, stop = min(start, stop), max(start, stop)
        data = self.data[:start] + _encode(new) + self.data[stop:]
        if _SURROGATE.search(data):  # Two halves may have met.
            data = _encode(_decode(data))
        return Text(data)

    def lines(self, first: int, last: int) -> list[str]:
        """The lines from `first` to `last`, both inclusive, without their line ends."""
        bounds = (self.line_bounds(line) for line in range(first, min(last, self.line_count - 1) + 1))
        return [_decode(self.data[start:stop]) for start, stop in bounds]


Move = Callable[[int, int], tuple[int, int] | None]
"""[start, stop) of the old text → the same bytes in the new one, or None if any of them were touched."""


def moves(old: Text, new: Text) -> Move:
    """Where the parts of `old` stand in `new`, if one stretch in between was edited."""
    if old.data == new.data:
        return lambda start, stop: (start, stop)
    head = _common(old.data, new.data)
    tail = min(_common(old.data[::-1], new.data[::-1]), min(len(old.data), len(new.data)) - head)
    shift = len(new.data) - len(old.data)

    def move(start: int, stop: int) -> tuple[int, int] | None:
        # What touches the edit may have grown by it, unless all that came is whole lines above.
        if stop < head:
            return start, stop
        moved = start + shift
        below = start > len(old.data) - tail or (
            start == len(old.data) - tail and (moved == 0 or new.data[moved - 1] in b"\r\n")
        )
        return (moved, stop + shift) if below else None

    return move


def _common(one: bytes, other: bytes) -> int:
    """Length of the longest common prefix, by bisection: comparing slices is fast, comparing bytes is not."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _encode(string: str) -> bytes:
    data = string.encode("utf-8", "surrogatepass")
    if _SURROGATE.search(data):
        return string.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass").encode(
            "utf-8", "surrogatepass"
        )  # fmt: skip
    return data


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def _units(data: bytes, encoding: Encoding) -> int:
    if data.isascii() or encoding == "utf-8":
        return len(data)
    string = _decode(data)
    return len(string) if encoding == "utf-32" else len(string) + sum(c > "\uffff" for c in string)


def _bytes_of_units(data: bytes, units: int, encoding: Encoding) -> int:
    """How many bytes the first `units` code units take, whole characters only."""
    if data.isascii():
        return min(units, len(data))
    if encoding == "utf-8":
        end = min(units, len(data))
        while 0 < end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        return end
    used = taken = 0
    for character in _decode(data):
        used += 2 if encoding == "utf-16" and character > "\uffff" else 1
        if used > units:
            break
        taken += len(character.encode("utf-8", "surrogatepass"))
    return min(taken, len(data))
