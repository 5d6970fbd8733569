"""The text of `.polyclone/ignored` and `.polyclone/baseline`: one pair a line, sorted, mergeable. No disk.

    <fingerprint>  <language qualified_name>  <language qualified_name>  # <reason>

Two blanks separate the fields; everything after the fingerprint is for people. Lines that begin with `#` are
comments. What cannot be understood is told and kept: no rewrite loses a line that somebody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from polyclone.suppress import Entry, Problem

_ENTRY = re.compile(r"(?P<fingerprint>[0-9a-f]{32})(?P<rest>\s.*)?")
_REASON = re.compile(r"(?:^|\s)#(?=\s|$)")
_FIELDS = re.compile(r"\s{2,}|\t")
_CONFLICT = re.compile(r"(?:<{7}|>{7}|\|{7})(?:\s.*)?|={7}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class _Block:
    """One entry as it was written, and the lines above it that belong to no other."""

    above: tuple[str, ...]
    line: str
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """A file's lines. The head stays above all entries, the tail below them."""

    head: tuple[str, ...]
    blocks: tuple[_Block, ...]
    tail: tuple[str, ...]
    line_end: str


def parse(text: str, path: str, *, needs_reason: bool) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """The entries of a file in their order, and the lines that are none. `path` is what people call the file."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for line0, line in enumerate(_lines(text)):
        entry = _entry(line)
        if entry is None:
            message = _complaint(line)
        elif needs_reason and not entry.reason:
            message = "has no reason, so the pair is still reported; end the line with `  # why`"
        else:
            entries.append(replace(entry, path=path, line0=line0))
            continue
        if message:
            problems.append(Problem(path=path, line0=line0, message=message))
    return tuple(entries), tuple(problems)


def add(text: str, entries: Iterable[Entry]) -> str:
    """`text` with `entries` in their places. What is said of a pair already stays as it is, reason and all."""
    document = _read(text)
    known = {block.entry.fingerprint for block in document.blocks}
    # Of two new entries about one pair the first counts, as everywhere.
    fresh = {entry.fingerprint: entry for entry in reversed(tuple(entries)) if entry.fingerprint not in known}
    blocks = (_Block((), render(entry), entry) for entry in fresh.values())
    return _written(replace(document, blocks=(*document.blocks, *blocks)))


def put(text: str, entries: Iterable[Entry]) -> str:
    """`text` with `entries`, each in place of whatever was said of that pair."""
    wanted = tuple(entries)
    return add(remove(text, {entry.fingerprint for entry in wanted}), wanted)


def remove(text: str, fingerprints: Collection[str]) -> str:
    """`text` without the entries of these pairs. The comments above them stay."""
    document = _read(text)
    kept: list[_Block] = []
    left_over: tuple[str, ...] = ()
    for block in document.blocks:
        if block.entry.fingerprint in fingerprints:
            left_over += block.above
        else:
            kept.append(replace(block, above=left_over + block.above))
            left_over = ()
    return _written(replace(document, blocks=tuple(kept), tail=left_over + document.tail))


def render(entry: Entry) -> str:
    """The line of an entry."""
    fields = [entry.fingerprint, *filter(None, (_name(entry.left), _name(entry.right)))]
    if reason := _plain(entry.reason):
        fields.append(f"# {reason}")
    return "  ".join(fields)


def _plain(text: str) -> str:
    """On one line, with single blanks, so that it is one field of one line."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _name(text: str) -> str:
    """A field that cannot be taken for the beginning of the reason either."""
    return re.sub(r"(?:^|(?<= ))#(?= |$)", "?", _plain(text))


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _entry(line: str) -> Entry | None:
    found = _ENTRY.fullmatch(line.strip())
    if found is None:
        return None
    rest = found["rest"] or ""
    mark = _REASON.search(rest)
    left, *right = _FIELDS.split((rest[: mark.start()] if mark else rest).strip())
    reason = rest[mark.end() :].strip() if mark else ""
    return Entry(fingerprint=found["fingerprint"], left=left, right=" ".join(right), reason=reason)


def _complaint(line: str) -> str:
    """What is wrong with a line that is no entry; empty for blank lines and comments."""
    line = line.strip()
    if not line or line.startswith("#"):
        return ""
    if _CONFLICT.fullmatch(line):
        return "is left over from a merge; delete the line (the entries around it count, those of both sides)"
    return "is no entry, which begins with a fingerprint of 32 digits 0-9a-f; mend or delete it"


def _read(text: str) -> _Document:
    blocks: list[_Block] = []
    above: list[str] = []
    for line in _lines(text):
        if (entry := _entry(line)) is None:
            above.append(line)
        else:
            blocks.append(_Block(tuple(above), line, entry))
            above = []
    while above and not above[-1].strip():
        above.pop()
    if not blocks:
        return _Document(head=tuple(above), blocks=(), tail=(), line_end=_line_end(text))
    first, *others = blocks
    return _Document(
        head=first.above,
        blocks=(replace(first, above=()), *others),
        tail=tuple(above),
        line_end=_line_end(text),
    )


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _written(document: _Document) -> str:
    """The file's text, its entries sorted. Of two equal lines, as a merge leaves them, one stays."""
    lines = [*document.head]
    seen: set[str] = set()
    for block in sorted(document.blocks, key=lambda block: (block.entry.fingerprint, block.line)):
        lines += block.above
        if block.line not in seen:
            lines.append(block.line)
            seen.add(block.line)
    lines += document.tail
    return "".join(line + document.line_end for line in lines)
