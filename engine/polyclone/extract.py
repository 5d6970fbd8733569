"""Bytes and a language in, functions and failures out. No disk, and no exception for what a file contains.

The language's query finds units, scopes and regions in C; this module orders them, names them and hands each
unit's byte range to `polyclone.normalise`. It never recurses over a syntax tree: deep nesting cannot hurt it.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Sequence
from typing import NamedTuple

import tree_sitter

from polyclone import languages
from polyclone.describe import MAX_SIGNATURE, doc_of, signature_of
from polyclone.ignore_comments import attach
from polyclone.languages import Language
from polyclone.languages.macros import blank_macros
from polyclone.languages.naming import declared, dotted, object_name, plain_name, scope_name, target, text_of
from polyclone.normalise import Region, normalise
from polyclone.script import script_of
from polyclone.syntax import (
    REGION_PRIORITY,
    Deadline,
    GivenUpError,
    Scope,
    Tree,
    Unit,
    disjoint_regions,
    first_code,
    last_code,
    newlines_of,
    span_of,
)
from polyclone.values import Extraction, Failure, Function

EXTRACTOR_VERSION = 2
"""Raise it whenever other units or other spans come out of the same file: results of older versions are stale."""
MAX_NESTING = 32
"""Functions nested deeper are left out and counted in a `Failure`: each level repeats the text inside it."""
MAX_OPEN_MATCHES = 2048
"""Patterns the query may be in the middle of. Real code stays below 256; without a limit it can be quadratic."""
SNIPPET_SECONDS = 5.0

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_READ_BYTES = 65_536
_UNIT_KINDS = ("function", "method", "constructor", "lambda")
_SCOPE_KINDS = ("scope.type", "scope.object", "scope.namespace", "scope.property")
# Error recovery turns `else if (x) { … }` without its beginning into a function called `if`.
_CONTROL_WORDS = frozenset({"if", "for", "foreach", "while", "switch", "catch", "else", "do", "return", "sizeof"})


class _Open(NamedTuple):
    """A scope or unit that encloses what comes next, while the file is read from top to bottom."""

    end: int
    kind: str
    start: int
    path: str
    name: str
    depth: int
    """How many units enclose it, itself included."""


def extract(source: bytes, language: str, path: str = "", *, deadline_s: float | None = None) -> Extraction:
    """The functions of one file.

    `path` chooses between grammars of one language (`.tsx`), names the script unit and is copied into the
    results. A file on which the grammar loops, or that takes longer than `deadline_s` seconds, is given up with
    a `Failure`. Raises `UsageError` for an unknown language and nothing else.
    """
    row = languages.resolve(language)
    if source.startswith(_UTF16_BOMS):
        message = "is UTF-16, not UTF-8; convert it (for example with iconv) or exclude it"
        return Extraction(failures=(Failure(path=path, stage="parse", message=message),))
    deadline = Deadline(deadline_s)
    try:
        grammar = languages.grammar(row.name, path)
        root = _parse(blank_macros(source) if row.has_macros else source, grammar, deadline)
        tree = _collect(source, row, root, languages.query(row.name, grammar), deadline)
        functions, too_deep = _functions(tree, path, deadline)
        if (script := script_of(tree, path, deadline)) is not None:
            functions.append(script)
        functions.sort(key=lambda function: (function.span.start_byte, -function.span.end_byte))
        functions, mistakes = attach(tree, functions, deadline)
    except GivenUpError as reason:
        return Extraction(failures=(Failure(path=path, stage="parse", message=str(reason)),))
    failures = [
        Failure(path=path, stage="suppress", message=f"line {mistake.line0 + 1}: the comment {mistake.message}")
        for mistake in mistakes
    ]
    if too_deep:
        message = f"{too_deep} functions nested deeper than {MAX_NESTING} levels were left out"
        failures.append(Failure(path=path, stage="extract", message=message))
    if tree.is_incomplete:
        message = "is nested so deeply that some functions may have been missed"
        failures.append(Failure(path=path, stage="extract", message=message))
    if not functions and _is_mostly_errors(root):
        message = f"could not be read as {row.display_name}; no function found"
        failures.append(Failure(path=path, stage="parse", message=message))
    return Extraction(functions=tuple(functions), failures=tuple(failures))


def extract_snippet(code: str | bytes, language: str, *, deadline_s: float = SNIPPET_SECONDS) -> Function:
    """All of `code` as one unit of kind `snippet`: a function, a bare body, a program, or nothing at all.

    A function's snippet normalises to the same atoms as the function does within its file. Code on which the
    grammar loops, or takes longer than `deadline_s` seconds, is normalised all the same, its comments and
    strings found by their marks alone. Raises `UsageError` for an unknown language and nothing else.
    """
    row = languages.resolve(language)
    original = code.encode("utf-8", "surrogatepass") if isinstance(code, str) else code
    source = _dedent(original) if row.name == "python" else original
    lead = len(row.snippet_prefix) if b"<?" not in source else 0
    padded = row.snippet_prefix[:lead] + source
    try:
        regions = _snippet_regions(padded, row, Deadline(deadline_s))
    except GivenUpError:
        regions = _marked_regions(padded, row)
    span = span_of(newlines_of(original), 0, len(original))
    return Function(
        path="",
        language=row.name,
        kind="snippet",
        name="snippet",
        qualified_name="snippet",
        signature="",
        doc="",
        span=span,
        name_span=None,
        body_span=span,
        normalised=normalise(padded, lead, len(padded), regions, row.name),
    )


def _snippet_regions(source: bytes, row: Language, deadline: Deadline) -> list[Region]:
    parsed = blank_macros(source) if row.has_macros else source
    first, *others = languages.snippet_grammars(row.name)
    grammar, root = first, _parse(parsed, first, deadline)
    for other in others:
        if root.has_error and not (attempt := _parse(parsed, other, deadline)).has_error:
            grammar, root = other, attempt
    return _collect(source, row, root, languages.query(row.name, grammar), deadline).regions


def _marked_regions(source: bytes, row: Language) -> list[Region]:
    """Comments and strings without a grammar. Right for nearly all code, and done in one pass."""
    comments = [re.escape(start) + ".*?(?:" + re.escape(end) + "|\\Z)" for start, end in row.block_comments]
    comments += [re.escape(prefix) + "[^\\n]*" for prefix in row.line_comments]
    strings = r"""\"(?:\\.|[^\"\\\n])*+\"|'(?:\\.|[^'\\\n])*+'"""
    pattern = re.compile(f"(?P<comment>{'|'.join(comments)})|{strings}".encode(), re.DOTALL)
    return [
        Region(match.start(), match.end(), "comment" if match.lastgroup else "string")
        for match in pattern.finditer(source)
    ]


def _parse(source: bytes, grammar: tree_sitter.Language, deadline: Deadline) -> tree_sitter.Node:
    effort = 500 + len(source) // 5  # Real code reports progress once in 30 bytes or more, hostile code in 10.

    def read(offset: int, _point: tree_sitter.Point) -> bytes:
        return source[offset : offset + _READ_BYTES]

    def cancel(_offset: int, _has_error: bool) -> bool:
        nonlocal effort
        effort -= 1
        return effort < 0 or time.monotonic() > deadline.at

    try:
        return tree_sitter.Parser(grammar).parse(read, progress_callback=cancel).root_node
    except ValueError:  # "Parsing failed": it was cancelled.
        if effort < 0:  # Unlike the time limit, this one gives the same result on every machine.
            raise GivenUpError("makes the grammar loop, it is probably broken; mend it or exclude it") from None
        deadline.check()
        raise


def _collect(
    source: bytes,
    row: Language,
    root: tree_sitter.Node,
    query: tree_sitter.Query,
    deadline: Deadline,
) -> Tree:
    """Run the query and sort what it captured into units, scopes and regions."""
    # `matches` would take a progress callback too, but in py-tree-sitter 0.26.1 that crashes the interpreter.
    cursor = tree_sitter.QueryCursor(query, match_limit=MAX_OPEN_MATCHES)
    matches = cursor.matches(root)
    deadline.check()
    ranges: list[tuple[int, int, int, str]] = []
    docs: dict[int, tuple[int, int]] = {}
    declarations: set[tuple[int, int]] = set()
    prefix: list[tuple[int, str]] = []
    scopes: dict[tuple[int, int, str], Scope] = {}
    units: dict[tuple[int, int], Unit] = {}
    stubs: set[tuple[int, int]] = set()
    errors = root.has_error
    for _pattern, captures in matches:
        for kind, nodes in captures.items():
            if (priority := REGION_PRIORITY.get(kind)) is not None:
                for node in nodes:
                    ranges.append((node.start_byte, -node.end_byte, priority, kind))
                    if kind == "doc":
                        docs[node.start_byte] = node.byte_range
            elif kind == "declaration":
                declarations.update(node.byte_range for node in nodes)
            elif kind == "stub":
                stubs.update(node.byte_range for node in nodes)
            elif kind == "scope.rest":
                prefix.append((nodes[0].end_byte, dotted(text_of(source, nodes[0]))))
            elif kind in _SCOPE_KINDS:
                key = (nodes[0].start_byte, nodes[0].end_byte, kind)
                named = captures.get("scope.name")
                if key not in scopes or named:
                    scopes[key] = _scope(source, kind, nodes[0], named)
            elif kind in _UNIT_KINDS:
                unit = _unit(source, kind, nodes[0], captures)
                if unit is None or (errors and unit.name in _CONTROL_WORDS):
                    continue
                _keep_outer(units, unit)
    regions = disjoint_regions(source, ranges)
    return Tree(
        source=source,
        row=row,
        root=root,
        units=[unit for unit in units.values() if (unit.start, unit.end) not in stubs],
        scopes=list(scopes.values()),
        regions=regions,
        region_starts=[region.start for region in regions],
        comments=sorted((start, -negative_end) for start, negative_end, _, kind in ranges if kind == "comment"),
        docs=docs,
        declarations=declarations | stubs,
        prefix=sorted(prefix),
        newlines=newlines_of(source),
        is_incomplete=bool(cursor.did_exceed_match_limit),
    )


def _keep_outer(units: dict[tuple[int, int], Unit], unit: Unit) -> None:
    """`const f = function g() {}` is found twice; the outer of two units with one body stays."""
    body = unit.body or (unit.start, unit.end)
    known = units.get(body)
    if known is None or (unit.end - unit.start) > (known.end - known.start):
        units[body] = unit


def _scope(source: bytes, kind: str, node: tree_sitter.Node, named: list[tree_sitter.Node] | None) -> Scope:
    naming = object_name if kind == "scope.object" else scope_name
    name = naming(text_of(source, named[0])) if named else ""
    return Scope(kind, node.start_byte, node.end_byte, name)


def _unit(
    source: bytes, kind: str, node: tree_sitter.Node, captures: dict[str, list[tree_sitter.Node]]
) -> Unit | None:
    bodies = captures.get("body")
    if bodies is None and (field := node.child_by_field_name("body")) is not None:
        bodies = [field]
    body = (bodies[0].start_byte, bodies[-1].end_byte) if bodies else None
    if body is not None and body[0] >= body[1]:  # Error recovery invented the body.
        return None
    owners: tuple[str, ...] = ()
    name_range: tuple[int, int] | None = None
    accessor = ""
    name = ""
    if named := captures.get("name"):
        name_range = named[0].byte_range
        name = plain_name(text_of(source, named[0]))
    elif targets := captures.get("target"):
        name, owners, name_range = target(source, targets[0])
    elif declarators := captures.get("declarator"):
        name, owners, name_range = declared(source, declarators[0])
        if not name:
            return None
    elif "accessor" not in captures and (field := node.child_by_field_name("name")) is not None:
        name_range = field.byte_range
        name = plain_name(text_of(source, field))
    if receivers := captures.get("receiver"):
        owners = (scope_name(text_of(source, receivers[0])), *owners)
    if operators := captures.get("operator"):  # C#'s `operator +`, `operator int` and `~Name`.
        operator = text_of(source, operators[0])
        name = f"{operator}{name}" if operator == "~" else f"{operator} {name}"
    if accessors := captures.get("accessor"):
        accessor = text_of(source, accessors[0])
        name_range = accessors[0].byte_range
    return Unit(kind, node.start_byte, node.end_byte, body, name, owners, name_range, accessor)


def _functions(tree: Tree, path: str, deadline: Deadline) -> tuple[list[Function], int]:
    """Name every unit by the scopes and units around it. Also counts the units that are nested too deep."""
    items: list[tuple[int, int, int, Unit | Scope]] = [
        *((scope.start, -scope.end, 0, scope) for scope in tree.scopes),
        *((unit.start, -unit.end, 1, unit) for unit in tree.units),
    ]
    items.sort(key=lambda item: item[:3])
    functions: list[Function] = []
    stack: list[_Open] = []
    rest = iter([*tree.prefix, (len(tree.source) + 1, "")])
    next_prefix, prefix = next(rest), ""
    too_deep = 0
    for start, _end, _order, item in items:
        deadline.check()
        while start >= next_prefix[0]:
            prefix = next_prefix[1]
            next_prefix = next(rest)
        while stack and stack[-1].end <= start:
            stack.pop()
        around = stack[-1] if stack else _Open(len(tree.source), "file", 0, prefix, "", 0)
        if isinstance(item, Scope):
            simple = item.name.rsplit(".", 1)[-1]
            outer = _join(around.path, item.name)
            stack.append(_Open(item.end, item.kind, item.start, outer, simple, around.depth))
            continue
        if around.depth >= MAX_NESTING:
            too_deep += 1
            continue
        kind, enclosing = _kind(tree.row, item, stack)
        name = item.name
        signature_start = None
        if item.accessor:
            name = around.name if around.kind == "scope.property" else item.accessor
            qualified = _join(around.path, item.accessor)
            signature_start = around.start if around.kind == "scope.property" else None
        elif around.kind == "scope.property" and around.end == item.end and around.name == name:
            qualified = around.path  # A property that is both a unit and the scope of its accessors.
        else:
            qualified = _join(around.path, ".".join((*_without_overlap(item.owners, enclosing), name)))
        functions.append(_function(tree, item, path, kind, name, qualified, signature_start))
        stack.append(_Open(item.end, "unit", item.start, qualified, name, around.depth + 1))
    return functions, too_deep


def _join(outer: str, name: str) -> str:
    joined = f"{outer}.{name}" if outer and name else outer or name
    return joined if len(joined) <= 2 * MAX_SIGNATURE else "…" + joined[-2 * MAX_SIGNATURE :]


def _without_overlap(owners: tuple[str, ...], enclosing: str) -> tuple[str, ...]:
    """`class A { A.f = () => 1 }` is still one `A`."""
    return owners[1:] if owners and enclosing and owners[0] == enclosing else owners


def _kind(row: Language, unit: Unit, stack: Sequence[_Open]) -> tuple[str, str]:
    """The unit's kind, and the name of the type around it if it stands directly in one."""
    around = next((place for place in reversed(stack) if place.kind != "scope.property"), None)
    in_type = around is not None and around.kind == "scope.type"
    enclosing = around.name if around is not None and in_type else ""
    if unit.kind not in ("function", "method"):
        return unit.kind, enclosing
    if unit.kind == "function" and not in_type and not unit.owners:
        return "function", enclosing
    type_name = unit.owners[-1].rsplit(".", 1)[-1] if unit.owners else enclosing
    if unit.name in row.constructor_names or (row.constructor_named_as_type and type_name == unit.name):
        return "constructor", enclosing
    return "method", enclosing


def _function(
    tree: Tree, unit: Unit, path: str, kind: str, name: str, qualified: str, property_start: int | None
) -> Function:
    start = first_code(tree, unit.start, unit.end)
    end = last_code(tree.source, start, unit.end)
    body_start, body_end = unit.body or (end, end)
    body_start, body_end = min(max(body_start, start), end), min(max(body_end, start), end)
    return Function(
        path=path,
        language=tree.row.name,
        kind=kind,
        name=name,
        qualified_name=qualified,
        signature=signature_of(tree, start, body_start, property_start),
        doc=doc_of(tree, unit),
        span=span_of(tree.newlines, start, end),
        name_span=span_of(tree.newlines, *unit.name_range) if unit.name_range else None,
        body_span=span_of(tree.newlines, body_start, body_end),
        normalised=normalise(tree.source, start, end, tree.regions, tree.row.name),
    )


def _is_mostly_errors(root: tree_sitter.Node) -> bool:
    """Whether more than half of the file's bytes made no sense to the grammar."""
    if not root.has_error:
        return False
    if root.is_error:
        return True
    broken = sum(child.end_byte - child.start_byte for child in root.children if child.is_error)
    return 2 * broken > root.end_byte - root.start_byte


def _dedent(source: bytes) -> bytes:
    """Python code cut out of a class or function, moved to the left margin so that it parses."""
    stripped = source.lstrip(b"\r\n")
    if not stripped[:1].isspace():
        return source
    text = textwrap.dedent(source.decode("latin-1"))  # latin-1 maps every byte to one character and back.
    return text.encode("latin-1").lstrip()
