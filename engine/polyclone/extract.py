"""Bytes and a language in, functions and failures out. No disk, and no exception for what a file contains.

The language's query finds units, scopes and regions in C; this module orders them, names them and hands each
unit's byte range to `polyclone.normalise`. It never recurses over a syntax tree: deep nesting cannot hurt it.
"""

from __future__ import annotations

import math
import re
import textwrap
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import tree_sitter

from polyclone import languages
from polyclone.languages import Language
from polyclone.languages.comments import MAX_DOC, clean_comments, clean_docstring
from polyclone.languages.macros import blank_macros
from polyclone.languages.naming import declared, dotted, object_name, plain_name, scope_name, target, text_of
from polyclone.normalise import Region, normalise
from polyclone.values import ATOM_SEPARATOR, Extraction, Failure, Function, Span

EXTRACTOR_VERSION = 1
"""Raise it whenever other units or other spans come out of the same file: results of older versions are stale."""
MAX_SIGNATURE = 200
MAX_NESTING = 32
"""Functions nested deeper are left out and counted in a `Failure`: each level repeats the text inside it."""
MAX_OPEN_MATCHES = 2048
"""Patterns the query may be in the middle of. Real code stays below 256; without a limit it can be quadratic."""
MIN_SCRIPT_STATEMENTS = 5
SNIPPET_SECONDS = 5.0

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_READ_BYTES = 65_536
_UTF8_BOM = b"\xef\xbb\xbf"
_UNIT_KINDS = ("function", "method", "constructor", "lambda")
_SCOPE_KINDS = ("scope.type", "scope.object", "scope.namespace", "scope.property")
_REGION_PRIORITY = {"doc": 0, "comment": 1, "drop": 2, "string": 3}
# Error recovery turns `else if (x) { … }` without its beginning into a function called `if`.
_CONTROL_WORDS = frozenset({"if", "for", "foreach", "while", "switch", "catch", "else", "do", "return", "sizeof"})

_SPACE = re.compile(r"\s+")
_NOT_SPACE = re.compile(rb"\S")
_SIGNATURE_TAIL = re.compile(r"\s*(?:=>|->|=|:|\{|\bdo)?\s*\Z")
# Possessive throughout: what precedes a declaration may be hostile, and backtracking would be exponential.
_WORDS_BEFORE = (
    rb"export|default|declare|const|let|var|val|static|public|private|protected|internal|readonly|async|lazy"
    rb"|local|final|abstract|sealed|global|inline|private_class_method|module_function"
    rb"|extern\s*\"C\"|template\s*<(?:[^<>;{}]|<[^<>;{}]*+>)*+>"
)
# What may stand between a documentation comment and its unit, or around a unit in its own statement.
_DECLARATION_PREFIX = re.compile(rb"\s*+(?:(?>" + _WORDS_BEFORE + rb")\s*+)*+\Z")
_WRAPPER = re.compile(rb"[\s;,]*+(?:(?>" + _WORDS_BEFORE + rb")[\s;,]*+)*+\Z")
_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")


class _GivenUpError(Exception):
    """The file is given up, for the reason in the message. Never leaves this module."""


@dataclass(slots=True)
class _Unit:
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
class _Scope:
    """A class, object, namespace or property around units. `name` may be empty."""

    kind: str
    start: int
    end: int
    name: str


class _Open(NamedTuple):
    """A scope or unit that encloses what comes next, while the file is read from top to bottom."""

    end: int
    kind: str
    start: int
    path: str
    name: str
    depth: int
    """How many units enclose it, itself included."""


@dataclass(slots=True)
class _Tree:
    """One parsed file and what the query found in it."""

    source: bytes
    row: Language
    root: tree_sitter.Node
    units: list[_Unit]
    scopes: list[_Scope]
    regions: list[Region]
    region_starts: list[int]
    docs: dict[int, tuple[int, int]]
    declarations: set[tuple[int, int]]
    """Top-level constructs without behaviour, such as type aliases: not part of a script."""
    prefix: list[tuple[int, str]]
    """(offset, name) of every namespace that holds from there to the end of the file."""
    newlines: list[int]
    is_incomplete: bool
    """Whether the query reached `MAX_OPEN_MATCHES` and may have missed something."""


def extract(source: bytes, language: str, path: str = "", *, deadline_s: float | None = None) -> Extraction:
    """The functions of one file.

    `path` chooses between grammars of one language (`.tsx`), names the script unit and is copied into the
    results. A file on which the grammar loops, or that takes longer than `deadline_s` seconds, is given up with
    a `Failure`. Raises `UsageError` for an
    unknown language and nothing else.
    """
    row = languages.resolve(language)
    if source.startswith(_UTF16_BOMS):
        message = "is UTF-16, not UTF-8; convert it (for example with iconv) or exclude it"
        return Extraction(failures=(Failure(path=path, stage="parse", message=message),))
    deadline = _Deadline(deadline_s)
    try:
        grammar = languages.grammar(row.name, path)
        root = _parse(blank_macros(source) if row.has_macros else source, grammar, deadline)
        tree = _collect(source, row, root, languages.query(row.name, grammar), deadline)
        functions, too_deep = _functions(tree, path, deadline)
        script = _script(tree, path, deadline)
    except _GivenUpError as reason:
        return Extraction(failures=(Failure(path=path, stage="parse", message=str(reason)),))
    if script is not None:
        functions.append(script)
    functions.sort(key=lambda function: (function.span.start_byte, -function.span.end_byte))
    failures = []
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
        regions = _snippet_regions(padded, row, _Deadline(deadline_s))
    except _GivenUpError:
        regions = _marked_regions(padded, row)
    span = _span(_newlines(original), 0, len(original))
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


def _snippet_regions(source: bytes, row: Language, deadline: _Deadline) -> list[Region]:
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


class _Deadline:
    """When a file is given up, and after how many seconds that is."""

    __slots__ = ("at", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self.at = time.monotonic() + self.seconds

    def check(self) -> None:
        if time.monotonic() > self.at:
            raise _GivenUpError(f"took longer than {self.seconds:g} s; raise --parse-timeout or exclude it")


def _parse(source: bytes, grammar: tree_sitter.Language, deadline: _Deadline) -> tree_sitter.Node:
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
            raise _GivenUpError("makes the grammar loop, it is probably broken; mend it or exclude it") from None
        deadline.check()
        raise


def _collect(
    source: bytes,
    row: Language,
    root: tree_sitter.Node,
    query: tree_sitter.Query,
    deadline: _Deadline,
) -> _Tree:
    """Run the query and sort what it captured into units, scopes and regions."""
    # `matches` would take a progress callback too, but in py-tree-sitter 0.26.1 that crashes the interpreter.
    cursor = tree_sitter.QueryCursor(query, match_limit=MAX_OPEN_MATCHES)
    matches = cursor.matches(root)
    deadline.check()
    ranges: list[tuple[int, int, int, str]] = []
    docs: dict[int, tuple[int, int]] = {}
    declarations: set[tuple[int, int]] = set()
    prefix: list[tuple[int, str]] = []
    scopes: dict[tuple[int, int, str], _Scope] = {}
    units: dict[tuple[int, int], _Unit] = {}
    stubs: set[tuple[int, int]] = set()
    errors = root.has_error
    for _pattern, captures in matches:
        for kind, nodes in captures.items():
            if (priority := _REGION_PRIORITY.get(kind)) is not None:
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
                node = nodes[0]
                named = captures.get("scope.name")
                key = (node.start_byte, node.end_byte, kind)
                if key not in scopes or named:
                    naming = object_name if kind == "scope.object" else scope_name
                    name = naming(text_of(source, named[0])) if named else ""
                    scopes[key] = _Scope(kind, node.start_byte, node.end_byte, name)
            elif kind in _UNIT_KINDS:
                unit = _unit(source, kind, nodes[0], captures)
                if unit is None or (errors and unit.name in _CONTROL_WORDS):
                    continue
                # `const f = function g() {}` is found twice; the outer of two units with one body stays.
                key2 = unit.body or (unit.start, unit.end)
                known = units.get(key2)
                if known is None or (unit.end - unit.start) > (known.end - known.start):
                    units[key2] = unit
    regions = _regions(source, ranges)
    return _Tree(
        source=source,
        row=row,
        root=root,
        units=[unit for unit in units.values() if (unit.start, unit.end) not in stubs],
        scopes=list(scopes.values()),
        regions=regions,
        region_starts=[region.start for region in regions],
        docs=docs,
        declarations=declarations | stubs,
        prefix=sorted(prefix),
        newlines=_newlines(source),
        is_incomplete=bool(cursor.did_exceed_match_limit),
    )


def _regions(source: bytes, ranges: list[tuple[int, int, int, str]]) -> list[Region]:
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


def _unit(
    source: bytes, kind: str, node: tree_sitter.Node, captures: dict[str, list[tree_sitter.Node]]
) -> _Unit | None:
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
    return _Unit(kind, node.start_byte, node.end_byte, body, name, owners, name_range, accessor)


def _newlines(source: bytes) -> list[int]:
    return [match.start() for match in re.finditer(b"\n", source)]


def _span(newlines: list[int], start: int, end: int) -> Span:
    return Span(
        start_byte=start,
        end_byte=end,
        start_line0=bisect_left(newlines, start),
        end_line0=bisect_left(newlines, max(start, end - 1)),
    )


def _functions(tree: _Tree, path: str, deadline: _Deadline) -> tuple[list[Function], int]:
    """Name every unit by the scopes and units around it. Also counts the units that are nested too deep."""
    items: list[tuple[int, int, int, _Unit | _Scope]] = [
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
        if isinstance(item, _Scope):
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


def _kind(row: Language, unit: _Unit, stack: Sequence[_Open]) -> tuple[str, str]:
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
    tree: _Tree, unit: _Unit, path: str, kind: str, name: str, qualified: str, property_start: int | None
) -> Function:
    start = _first_code(tree, unit.start, unit.end)
    end = _last_code(tree.source, start, unit.end)
    body_start, body_end = unit.body or (end, end)
    body_start, body_end = min(max(body_start, start), end), min(max(body_end, start), end)
    return Function(
        path=path,
        language=tree.row.name,
        kind=kind,
        name=name,
        qualified_name=qualified,
        signature=_signature(tree, start, body_start, property_start),
        doc=_doc(tree, unit),
        span=_span(tree.newlines, start, end),
        name_span=_span(tree.newlines, *unit.name_range) if unit.name_range else None,
        body_span=_span(tree.newlines, body_start, body_end),
        normalised=normalise(tree.source, start, end, tree.regions, tree.row.name),
    )


def _first_code(tree: _Tree, start: int, end: int) -> int:
    """Skip the annotations and comments a declaration opens with: they are not part of its identity."""
    position = start
    index = bisect_left(tree.region_starts, position)
    while index < len(tree.regions):
        region = tree.regions[index]
        if region.start != position or region.kind == "string" or region.end >= end:
            break
        found = _NOT_SPACE.search(tree.source, region.end, end)
        if found is None:
            return start
        position = found.start()
        index += 1
    return position


def _last_code(source: bytes, start: int, end: int) -> int:
    while end > start + 1 and source[end - 1] in b" \t\r\n":
        end -= 1
    return end


def _outside(tree: _Tree, start: int, end: int, *kinds: str) -> Iterator[bytes]:
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


def _signature(tree: _Tree, start: int, end: int, property_start: int | None) -> str:
    """The declaration up to the body. An accessor's begins with the first line of its property."""
    raw = b" ".join(_outside(tree, start, min(end, start + 4 * MAX_SIGNATURE), "comment", "drop"))
    text = _SPACE.sub(" ", raw.decode("utf-8", "replace")).strip()
    if end - start <= 4 * MAX_SIGNATURE:
        text = _SIGNATURE_TAIL.sub("", text)
    if property_start is not None:
        head_end = min(start, property_start + 4 * MAX_SIGNATURE)
        head = tree.source[_first_code(tree, property_start, start) : head_end]
        first = re.split(rb"[{\n]", head, maxsplit=1)[0].decode("utf-8", "replace")
        text = f"{_SPACE.sub(' ', first).strip()} {text}"
    return text if len(text) <= MAX_SIGNATURE else text[: MAX_SIGNATURE - 1] + "…"


def _doc(tree: _Tree, unit: _Unit) -> str:
    """The docstring, or the comment block directly above the declaration, without comment marks."""
    if unit.body is not None:
        first = _NOT_SPACE.search(tree.source, unit.body[0], unit.body[1])
        inside = tree.docs.get(first.start()) if first else None
        if inside is not None:
            return clean_docstring(tree.source[slice(*inside)].decode("utf-8", "replace"))
    index = bisect_left(tree.region_starts, unit.start)
    gap_end = unit.start
    between: list[bytes] = []
    while index > 0 and tree.regions[index - 1].kind == "drop":
        region = tree.regions[index - 1]
        piece = tree.source[region.end : gap_end][: MAX_SIGNATURE + 1]
        if len(piece) > MAX_SIGNATURE or len(between) == 16 or _BLANK_LINE.search(piece):
            return ""
        between.append(piece)
        gap_end = region.start
        index -= 1
    comments: list[Region] = []
    while index > 0 and tree.regions[index - 1].kind == "comment" and len(comments) < 64:
        region = tree.regions[index - 1]
        gap = tree.source[region.end : gap_end] if gap_end - region.end <= 2 * MAX_SIGNATURE else b"?"
        if not comments:
            fits = _DECLARATION_PREFIX.match(b" ".join((gap, *reversed(between)))) is not None
        else:
            fits = not gap.strip()
        if not fits or _BLANK_LINE.search(gap) or not _opens_line(tree, region.start):
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


def _opens_line(tree: _Tree, position: int) -> bool:
    index = bisect_left(tree.newlines, position)
    line_start = tree.newlines[index - 1] + 1 if index else 0
    before = tree.source[line_start:position] if position - line_start <= MAX_SIGNATURE else b"?"
    return not before.removeprefix(_UTF8_BOM).strip(b" \t")


def _script(tree: _Tree, path: str, deadline: _Deadline) -> Function | None:
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
        leftover = b" ".join(piece for part in own for piece in _outside(tree, *part, "comment", "drop"))
        if _WRAPPER.match(leftover) if len(own) != 1 or own[0] != node.byte_range else not leftover.strip():
            continue
        pieces.extend(own)
        statements.append(node)
    if not statements or not _has_statements(statements, row, definitions):
        return None
    atoms = [normalise(tree.source, start, end, tree.regions, row.name) for start, end in pieces]
    span = _span(tree.newlines, pieces[0][0], _last_code(tree.source, pieces[0][0], pieces[-1][1]))
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


def _outermost(tree: _Tree) -> list[tuple[int, int]]:
    """Byte ranges of the definitions no other definition contains, in order."""
    definers = ("scope.type", "scope.namespace")
    ranges = [(unit.start, -unit.end) for unit in tree.units]
    ranges += [(scope.start, -scope.end) for scope in tree.scopes if scope.kind in definers]
    outer: list[tuple[int, int]] = []
    for start, negative_end in sorted(ranges):
        if not outer or start >= outer[-1][1]:
            outer.append((start, -negative_end))
    return outer


def _is_region(tree: _Tree, node: tree_sitter.Node) -> bool:
    index = bisect_right(tree.region_starts, node.start_byte) - 1
    if index < 0:
        return False
    region = tree.regions[index]
    # A comment's region may end before the line end that its node includes.
    return region.kind != "string" and region.end >= _last_code(tree.source, node.start_byte, node.end_byte)


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
