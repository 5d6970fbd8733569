"""The statements of a file's top level as one unit, if there are enough of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import PurePosixPath

import tree_sitter

from polyclone.languages import Language
from polyclone.normalise import normalise
from polyclone.syntax import WRAPPER, Deadline, Tree, last_code, outside, span_of
from polyclone.values import ATOM_SEPARATOR, Function

MIN_SCRIPT_STATEMENTS = 5


def script_of(tree: Tree, path: str, deadline: Deadline) -> Function | None:
    """The statements of the top level as one unit, if there are enough of them."""
    row = tree.row
    if not {"*", PurePosixPath(path).suffix.lower()}.intersection(row.script_extensions) or tree.root.is_error:
        return None
    definitions = _outermost(tree)
    pieces: list[tuple[int, int]] = []
    statements: list[tree_sitter.Node] = []
    for node in tree.root.named_children:
        deadline.check()
        if node.is_error or node.is_missing or node.byte_range in tree.declarations:
            continue
        if row.script_statements and node.type not in row.script_statements:
            continue
        if _is_region(tree, node):
            continue
        own = _subtract(node.start_byte, node.end_byte, definitions)
        leftover = b" ".join(piece for part in own for piece in outside(tree, *part, "comment", "drop"))
        if WRAPPER.match(leftover) if len(own) != 1 or own[0] != node.byte_range else not leftover.strip():
            continue
        pieces.extend(own)
        statements.append(node)
    if not statements or not _has_statements(statements, row, definitions):
        return None
    atoms = [normalise(tree.source, start, end, tree.regions, row.name) for start, end in pieces]
    span = span_of(tree.newlines, pieces[0][0], last_code(tree.source, pieces[0][0], pieces[-1][1]))
    name = PurePosixPath(path).stem or "script"
    return Function(
        path=path,
        language=row.name,
        kind="script",
        name=name,
        qualified_name=name,
        signature="",
        doc="",
        span=span,
        name_span=None,
        body_span=span,
        normalised=ATOM_SEPARATOR.join(filter(None, atoms)),
    )


def _outermost(tree: Tree) -> list[tuple[int, int]]:
    """Byte ranges of the definitions no other definition contains, in order."""
    definers = ("scope.type", "scope.namespace")
    ranges = [(unit.start, -unit.end) for unit in tree.units]
    ranges += [(scope.start, -scope.end) for scope in tree.scopes if scope.kind in definers]
    outer: list[tuple[int, int]] = []
    for start, negative_end in sorted(ranges):
        if not outer or start >= outer[-1][1]:
            outer.append((start, -negative_end))
    return outer


def _is_region(tree: Tree, node: tree_sitter.Node) -> bool:
    index = bisect_right(tree.region_starts, node.start_byte) - 1
    if index < 0:
        return False
    region = tree.regions[index]
    # A comment's region may end before the line end that its node includes.
    return region.kind != "string" and region.end >= last_code(tree.source, node.start_byte, node.end_byte)


def _subtract(start: int, end: int, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of [start, end) outside the sorted, disjoint ranges."""
    parts: list[tuple[int, int]] = []
    index = max(0, bisect_right(ranges, (start, -1)) - 1)
    position = start
    while index < len(ranges) and ranges[index][0] < end:
        low, high = ranges[index]
        index += 1
        if high <= position:
            continue
        if low > position:
            parts.append((position, low))
        position = high
    if position < end:
        parts.append((position, end))
    return parts


def _has_statements(
    statements: Sequence[tree_sitter.Node], row: Language, definitions: Sequence[tuple[int, int]]
) -> bool:
    """Whether there are enough statements, counting those inside `if`, `for` and other blocks."""
    count = len(statements)
    inside = dict(definitions)
    visits = 20_000
    for statement in statements:
        cursor = statement.walk()
        depth_done = False
        while not depth_done and count < MIN_SCRIPT_STATEMENTS and visits:
            visits -= 1
            node = cursor.node
            assert node is not None
            is_definition = inside.get(node.start_byte) == node.end_byte
            if not is_definition and node.type in row.blocks:
                count += sum(1 for child in node.named_children if "comment" not in child.type)
            if not is_definition and cursor.goto_first_child():
                continue
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    depth_done = True
                    break
    return count >= MIN_SCRIPT_STATEMENTS
