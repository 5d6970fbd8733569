"""Comments `polyclone: ignore[reason]`: which functions they cover, and which of them cannot be meant.

The grammar has told what is a comment, so that the same words in a string mean nothing. Pure, no I/O.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

from polyclone.normalise import Region
from polyclone.syntax import (
    BLANK_LINE,
    DECLARATION_PREFIX,
    NOT_SPACE,
    Deadline,
    Tree,
    first_code,
    opens_line,
    outside,
)
from polyclone.values import Function, Ignored

MAX_STEPS = 64
"""Comments and annotations that may stand between a comment and its function."""
MAX_REASON = 2000
"""Bytes of a line in which a reason must end."""

_WORD = b"polyclone"
_DIRECTIVE = re.compile(rb"polyclone[ \t]*+:[ \t]*+(?P<verb>ignore[\w-]*+)(?P<rest>[^\r\n]{0,%d}+)" % MAX_REASON)
# The words begin their line of the comment, or follow a remark to another tool and a mark of their own.
_LEAD = re.compile(rb"(?:.*(?:#|//|;))?[\s*/!#=-]*")
_REASON = re.compile(rb"[ \t]*+\[(?P<reason>(?:[^\[\]]++|\[[^\[\]]*+\])*+)\]")
# What a body may open with. In other languages it begins with its first statement.
_OPENING = re.compile(rb"(?:\{|=>|->|=|do\b|begin\b)[^\n]*+")
_MAX_PREFIX = 400
_MAX_LEAD = 400
_VERBS = ("ignore", "ignore-file")

_NO_REASON = "says no reason, so nothing is ignored; write `polyclone: {verb}[why]`"
_NOT_CLOSED = (
    f"has no `]` on its line within {MAX_REASON} bytes, so nothing is ignored; write `polyclone: {{verb}}[why]`"
)
_UNKNOWN = "is not understood: `polyclone: {verb}`; write `polyclone: ignore[why]` or `polyclone: ignore-file[why]`"
_NO_FUNCTION = (
    "covers no function; it belongs directly above one, on the line of its name, or on the first line of its body"
)
_TOO_LATE = "stands below the first function or type, so nothing is ignored; move it to the top of the file"
_NOTHING_THERE = "covers no function, as none was found in the file; delete it"
_TWICE = "covers a function that the comment in line {line} covers already; delete one of them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A comment that speaks to polyclone and has no effect. The message continues a sentence about it."""

    line0: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directive:
    """What a comment says to polyclone, or why that is nothing."""

    opening: int
    """Where the comment begins, with its mark."""
    end: int
    start: int
    """Where its words to polyclone begin."""
    line0: int
    verb: str
    reason: str
    mistake: str = ""


class _Place(NamedTuple):
    """A declaration that a comment can stand at: a function, or a property around its accessors."""

    start: int
    header_end: int
    """A comment before that is on the declaration, or the first thing in the body."""
    end: int
    last_line0: int
    """The line on which all of the body stands; -1 if it is longer."""
    functions: tuple[int, ...]
    """Positions in the file's list of functions."""


def attach(tree: Tree, functions: Sequence[Function], deadline: Deadline) -> tuple[list[Function], list[Mistake]]:
    """The functions, each that a comment covers with its `ignored`; and the comments that have no effect."""
    if _WORD not in tree.source:
        return list(functions), []
    directives = list(_directives(tree, deadline))
    mistakes = [Mistake(line0=one.line0, message=one.mistake) for one in directives if one.mistake]
    single = [one for one in directives if not one.mistake and one.verb == "ignore"]
    covered, without_effect = _covered(tree, single, functions, deadline)
    whole = [one for one in directives if not one.mistake and one.verb == "ignore-file"]
    of_file, more_without_effect = _of_file(tree, whole, functions)
    marked = [
        replace(function, ignored=ignored) if (ignored := covered.get(position, of_file)) else function
        for position, function in enumerate(functions)
    ]
    mistakes += without_effect + more_without_effect
    return marked, sorted(mistakes, key=lambda mistake: (mistake.line0, mistake.message))


def _covered(
    tree: Tree, directives: Sequence[_Directive], functions: Sequence[Function], deadline: Deadline
) -> tuple[dict[int, Ignored], list[Mistake]]:
    """Position of a function → the first comment that covers it alone."""
    covered: dict[int, Ignored] = {}
    mistakes: list[Mistake] = []
    places = _places(tree, functions, deadline) if directives else []
    starts = [place.start for place in places]
    for one in directives:
        deadline.check()
        comment = Ignored(reason=one.reason, line0=one.line0)
        chosen = _below(tree, one, places, starts) or _around(one, places, starts) or _before(one, places, starts)
        message = "" if chosen else _NO_FUNCTION
        for position in (position for place in chosen for position in place.functions):
            if (known := covered.setdefault(position, comment)) is not comment:
                message = _TWICE.format(line=known.line0 + 1)
        if message:
            mistakes.append(Mistake(line0=one.line0, message=message))
    return covered, mistakes


def _of_file(
    tree: Tree, directives: Sequence[_Directive], functions: Sequence[Function]
) -> tuple[Ignored | None, list[Mistake]]:
    """The first comment that covers the whole file. It stands above all functions and types."""
    starts = [unit.start for unit in tree.units]
    starts += [scope.start for scope in tree.scopes if scope.kind == "scope.type"]
    top = min(starts, default=len(tree.source))
    chosen: Ignored | None = None
    mistakes: list[Mistake] = []
    for one in directives:
        if one.start > top:
            message = _TOO_LATE
        elif not functions:
            message = _NOTHING_THERE
        elif chosen is not None:
            message = _TWICE.format(line=chosen.line0 + 1)
        else:
            chosen = Ignored(reason=one.reason, line0=one.line0, whole_file=True)
            continue
        mistakes.append(Mistake(line0=one.line0, message=message))
    return chosen, mistakes


def _directives(tree: Tree, deadline: Deadline) -> Iterator[_Directive]:
    """The comments that speak to polyclone, right or wrong, from top to bottom."""
    marks = tuple(
        mark.encode() for mark in (*tree.row.line_comments, *(opening for opening, _ in tree.row.block_comments))
    )
    position = 0
    while (position := tree.source.find(_WORD, position)) >= 0:
        deadline.check()
        start = position
        position += len(_WORD)
        index = bisect_right(tree.comments, start, key=itemgetter(0)) - 1
        opening, end = tree.comments[index] if index >= 0 else (0, 0)
        # What follows Ruby's `__END__` counts as a comment elsewhere; it has no mark.
        if end <= start or not tree.source.startswith(marks, opening):
            continue
        if (found := _DIRECTIVE.match(tree.source, start, end)) is None:
            continue
        line_start = max(opening, start - _MAX_LEAD, tree.source.rfind(b"\n", max(0, start - _MAX_LEAD), start) + 1)
        if _LEAD.fullmatch(tree.source, line_start, start) is None:
            continue
        verb = found["verb"].decode("utf-8", "replace")
        reason, mistake = _understood(verb, found["rest"])
        line0 = bisect_left(tree.newlines, start)
        yield _Directive(
            opening=opening,
            end=end,
            start=start,
            line0=line0,
            verb=verb,
            reason=reason,
            mistake=mistake.format(verb=verb),
        )


def _understood(verb: str, rest: bytes) -> tuple[str, str]:
    """The reason, or what is wrong with the comment."""
    if verb not in _VERBS:
        return "", _UNKNOWN
    found = _REASON.match(rest)
    if found is None:
        return "", _NOT_CLOSED if rest.lstrip().startswith(b"[") else _NO_REASON
    reason = " ".join(found["reason"].decode("utf-8", "replace").split())
    return reason, "" if reason else _NO_REASON


# --- where a comment can stand ---


def _places(tree: Tree, functions: Sequence[Function], deadline: Deadline) -> list[_Place]:
    """Every declaration that a comment can stand at, sorted; of two at one position the outer one comes first."""
    places = [
        _Place(
            function.span.start_byte,
            _header_end(tree, function),
            function.span.end_byte,
            function.span.end_line0 if function.body_span.start_line0 == function.span.end_line0 else -1,
            (position,),
        )
        for position, function in enumerate(functions)
        if function.kind != "script"
    ]
    starts = [place.start for place in places]
    properties: list[_Place] = []
    for scope in tree.scopes:
        deadline.check()
        if scope.kind == "scope.property":
            start = first_code(tree, scope.start, scope.end)
            accessors = _outermost(places[bisect_left(starts, start) : bisect_left(starts, scope.end)])
            if accessors and accessors[0].start > start:
                inside = tuple(position for accessor in accessors for position in accessor.functions)
                properties.append(_Place(start, accessors[0].start, scope.end, -1, inside))
    return sorted([*places, *properties], key=lambda place: (place.start, -place.end))


def _header_end(tree: Tree, function: Function) -> int:
    """Where the first statement of the body begins, the comments above it passed."""
    position = function.body_span.start_byte
    if opening := _OPENING.match(tree.source, position, function.span.end_byte):
        position = opening.end()
    for _ in range(MAX_STEPS):
        found = NOT_SPACE.search(tree.source, position, function.span.end_byte)
        if found is None:
            return function.span.end_byte
        region = _region_at(tree, found.start())
        if region is None or region.kind != "comment":
            return found.start()
        position = region.end
    return position


def _below(tree: Tree, directive: _Directive, places: Sequence[_Place], starts: Sequence[int]) -> Sequence[_Place]:
    """What begins directly below a comment that shares its first line with annotations at most."""
    if not _follows_no_code(tree, directive.opening):
        return ()
    code = _next_code(tree, directive.end)
    if code is None:
        return ()
    index = bisect_left(starts, code)
    if index == len(places):
        return ()
    if (line_end := tree.source.find(b"\n", code)) < 0:
        line_end = len(tree.source)
    on_line = places[index : min(bisect_left(starts, line_end), index + MAX_STEPS)]
    if on_line:
        return _outermost(on_line)
    first = places[index].start
    between = b"?" if first - code > _MAX_PREFIX else b" ".join(outside(tree, code, first, "comment", "drop"))
    return _outermost(places[index : index + 2]) if DECLARATION_PREFIX.match(between) else ()


def _follows_no_code(tree: Tree, position: int) -> bool:
    line_start = tree.source.rfind(b"\n", 0, position) + 1
    if opens_line(tree, position):
        return True
    within_reach = position - line_start <= _MAX_PREFIX
    return within_reach and not b"".join(outside(tree, line_start, position, "comment", "drop")).strip()


def _around(directive: _Directive, places: Sequence[_Place], starts: Sequence[int]) -> Sequence[_Place]:
    """The innermost declaration whose header holds the comment."""
    index = bisect_right(starts, directive.start)
    for place in reversed(places[max(0, index - MAX_STEPS) : index]):
        if directive.start < place.header_end:
            return (place,)
    return ()


def _before(directive: _Directive, places: Sequence[_Place], starts: Sequence[int]) -> Sequence[_Place]:
    """What ends on the comment's line, before it, and has all of its body there."""
    index = bisect_right(starts, directive.start)
    near = places[max(0, index - MAX_STEPS) : index]
    return _outermost([place for place in near if place.last_line0 == directive.line0])


def _outermost(places: Sequence[_Place]) -> list[_Place]:
    """Those of sorted places that no other contains."""
    outer: list[_Place] = []
    for place in places:
        if not outer or place.start >= outer[-1].end:
            outer.append(place)
    return outer


def _next_code(tree: Tree, position: int) -> int | None:
    """Where code goes on after a comment, past other comments and annotations; None beyond a blank line."""
    for _ in range(MAX_STEPS):
        found = NOT_SPACE.search(tree.source, position)
        if found is None or BLANK_LINE.search(tree.source, position, found.start()):
            return None
        region = _region_at(tree, found.start())
        if region is None or region.kind == "string":
            return found.start()
        position = region.end
    return None


def _region_at(tree: Tree, position: int) -> Region | None:
    """The region that begins at a position."""
    index = bisect_left(tree.region_starts, position)
    return tree.regions[index] if index < len(tree.regions) and tree.regions[index].start == position else None
