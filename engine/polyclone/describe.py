"""What a unit says of itself: its signature and its documentation. Text for people, no part of its identity."""

from __future__ import annotations

import re
from bisect import bisect_left

from polyclone.languages.comments import MAX_DOC, clean_comments, clean_docstring
from polyclone.normalise import Region
from polyclone.syntax import BLANK_LINE, DECLARATION_PREFIX, NOT_SPACE, Tree, Unit, first_code, opens_line, outside

MAX_SIGNATURE = 200

_SPACE = re.compile(r"\s+")
_SIGNATURE_TAIL = re.compile(r"\s*(?:=>|->|=|:|\{|\bdo)?\s*\Z")


def signature_of(tree: Tree, start: int, end: int, property_start: int | None) -> str:
    """The declaration up to the body. An accessor's begins with the first line of its property."""
    raw = b" ".join(outside(tree, start, min(end, start + 4 * MAX_SIGNATURE), "comment", "drop"))
    text = _SPACE.sub(" ", raw.decode("utf-8", "replace")).strip()
    if end - start <= 4 * MAX_SIGNATURE:
        text = _SIGNATURE_TAIL.sub("", text)
    if property_start is not None:
        head_end = min(start, property_start + 4 * MAX_SIGNATURE)
        head = tree.source[first_code(tree, property_start, start) : head_end]
        first = re.split(rb"[{\n]", head, maxsplit=1)[0].decode("utf-8", "replace")
        text = f"{_SPACE.sub(' ', first).strip()} {text}"
    return text if len(text) <= MAX_SIGNATURE else text[: MAX_SIGNATURE - 1] + "…"


def doc_of(tree: Tree, unit: Unit) -> str:
    """The docstring, or the comment block directly above the declaration, without comment marks."""
    if unit.body is not None:
        first = NOT_SPACE.search(tree.source, unit.body[0], unit.body[1])
        inside = tree.docs.get(first.start()) if first else None
        if inside is not None:
            return clean_docstring(tree.source[slice(*inside)].decode("utf-8", "replace"))
    index = bisect_left(tree.region_starts, unit.start)
    gap_end = unit.start
    between: list[bytes] = []
    while index > 0 and tree.regions[index - 1].kind == "drop":
        region = tree.regions[index - 1]
        piece = tree.source[region.end : gap_end][: MAX_SIGNATURE + 1]
        if len(piece) > MAX_SIGNATURE or len(between) == 16 or BLANK_LINE.search(piece):
            return ""
        between.append(piece)
        gap_end = region.start
        index -= 1
    comments: list[Region] = []
    while index > 0 and tree.regions[index - 1].kind == "comment" and len(comments) < 64:
        region = tree.regions[index - 1]
        gap = tree.source[region.end : gap_end] if gap_end - region.end <= 2 * MAX_SIGNATURE else b"?"
        if not comments:
            fits = DECLARATION_PREFIX.match(b" ".join((gap, *reversed(between)))) is not None
        else:
            fits = not gap.strip()
        if not fits or BLANK_LINE.search(gap) or not opens_line(tree, region.start):
            break
        comments.append(region)
        gap_end = region.start
        index -= 1
        if tree.source.startswith(b"/*", region.start):
            break
    raw = [
        tree.source[region.start : min(region.end, region.start + 4 * MAX_DOC)].decode("utf-8", "replace")
        for region in reversed(comments)
    ]
    return clean_comments(raw, tree.row)
