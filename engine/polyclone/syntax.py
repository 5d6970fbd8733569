"""One parsed file as the steps after the query see it: units, scopes, regions, and small questions about places.

Pure values and functions over them; nothing here runs a parser or a query.
"""

from __future__ import annotations

import math
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter

from polyclone.languages import Language
from polyclone.normalise import Region
from polyclone.values import Span

REGION_PRIORITY = {"doc": 0, "comment": 1, "drop": 2, "string": 3}
"""What the query calls a region, and which of two at one place stays."""

_UTF8_BOM = b"\xef\xbb\xbf"
_MAX_INDENT = 200

NOT_SPACE = re.compile(rb"\S")
# Possessive throughout: what precedes a declaration may be hostile, and backtracking would be exponential.
_WORDS_BEFORE = (
    rb"export|default|declare|const|let|var|val|static|public|private|protected|internal|readonly|async|lazy"
    rb"|local|final|abstract|sealed|global|inline|private_class_method|module_function"
    rb"|extern\s*\"C\"|template\s*<(?:[^<>;{}]|<[^<>;{}]*+>)*+>"
)
# What may stand between a documentation comment and its unit, or around a unit in its own statement.
DECLARATION_PREFIX = re.compile(rb"\s*+(?:(?>" + _WORDS_BEFORE + rb")\s*+)*+\Z")
WRAPPER = re.compile(rb"[\s;,]*+(?:(?>" + _WORDS_BEFORE + rb")[\s;,]*+)*+\Z")
BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")


class GivenUpError(Exception):
    """The file is given up, for the reason in the message. Never leaves `polyclone.extract`."""


class Deadline:
    """When a file is given up, and after how many seconds that is."""

    __slots__ = ("at", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self.at = time.monotonic() + self.seconds

    def check(self) -> None:
        if time.monotonic() > self.at:
            raise GivenUpError(f"took longer than {self.seconds:g} s; raise --parse-timeout or exclude it")


@dataclass(slots=True)
class Unit:
    """A unit as the query found it, before it has a path or a kind."""

    kind: str
    start: int
    end: int
    body: tuple[int, int] | None
    name: str
    owners: tuple[str, ...]
    name_range: tuple[int, int] | None
    accessor: str


@dataclass(slots=True)
class Scope:
    """A class, object, namespace or property around units. `name` may be empty."""

    kind: str
    start: int
    end: int
    name: str


@dataclass(slots=True)
class Tree:
    """One parsed file and what the query found in it."""

    source: bytes
    row: Language
    root: tree_sitter.Node
    units: list[Unit]
    scopes: list[Scope]
    regions: list[Region]
    region_starts: list[int]
    comments: list[tuple[int, int]]
    """Byte range of every comment, sorted: those inside a string or an annotation too, documentation strings not."""
    docs: dict[int, tuple[int, int]]
    declarations: set[tuple[int, int]]
    """Top-level constructs without behaviour, such as type aliases: not part of a script."""
    prefix: list[tuple[int, str]]
    """(offset, name) of every namespace that holds from there to the end of the file."""
    newlines: list[int]
    is_incomplete: bool
    """Whether the query reached `MAX_OPEN_MATCHES` and may have missed something."""


def disjoint_regions(source: bytes, ranges: list[tuple[int, int, int, str]]) -> list[Region]:
    """Sorted and disjoint: of two that overlap the outer one stays, of two equal ones the documentation."""
    ranges.sort()
    regions: list[Region] = []
    covered = 0
    for start, negative_end, _priority, kind in ranges:
        end = -negative_end
        if start < covered or end <= start:
            continue
        covered = end
        if kind in ("doc", "comment"):
            kind = "comment"
            # Some grammars count the line end as part of a line comment.
            while source[end - 1] in b"\r\n" and end - 1 > start:
                end -= 1
        regions.append(Region(start, end, kind))
    return regions


def newlines_of(source: bytes) -> list[int]:
    return [match.start() for match in re.finditer(b"\n", source)]


def span_of(newlines: list[int], start: int, end: int) -> Span:
    return Span(
        start_byte=start,
        end_byte=end,
        start_line0=bisect_left(newlines, start),
        end_line0=bisect_left(newlines, max(start, end - 1)),
    )


def first_code(tree: Tree, start: int, end: int) -> int:
    """Skip the annotations and comments a declaration opens with: they are not part of its identity."""
    position = start
    index = bisect_left(tree.region_starts, position)
    while index < len(tree.regions):
        region = tree.regions[index]
        if region.start != position or region.kind == "string" or region.end >= end:
            break
        found = NOT_SPACE.search(tree.source, region.end, end)
        if found is None:
            return start
        position = found.start()
        index += 1
    return position


def last_code(source: bytes, start: int, end: int) -> int:
    while end > start + 1 and source[end - 1] in b" \t\r\n":
        end -= 1
    return end


def outside(tree: Tree, start: int, end: int, *kinds: str) -> Iterator[bytes]:
    """The pieces of a byte range that lie outside regions of the given kinds."""
    index = max(0, bisect_right(tree.region_starts, start) - 1)
    position = start
    while index < len(tree.regions) and tree.regions[index].start < end:
        region = tree.regions[index]
        index += 1
        if region.kind in kinds and region.end > position:
            if region.start > position:
                yield tree.source[position : region.start]
            position = region.end
    if position < end:
        yield tree.source[position:end]


def opens_line(tree: Tree, position: int) -> bool:
    """Whether nothing but white space stands before it on its line."""
    index = bisect_left(tree.newlines, position)
    line_start = tree.newlines[index - 1] + 1 if index else 0
    before = tree.source[line_start:position] if position - line_start <= _MAX_INDENT else b"?"
    return not before.removeprefix(_UTF8_BOM).strip(b" \t")
