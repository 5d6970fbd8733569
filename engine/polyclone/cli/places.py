"""A place that somebody typed → the function there. Reads the one file and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polyclone import languages
from polyclone.cli.arguments import Place
from polyclone.errors import UsageError
from polyclone.extract import extract
from polyclone.unwanted import HEAD_BYTES
from polyclone.values import Function


def function_at(place: Place, *, deadline_s: float) -> Function:
    """The innermost function there, its path absolute. Raises `UsageError` naming those that the file has.

    Effect: reads the file.
    """
    path = place.path
    source = _read(path)
    language = languages.detect(path.name, source[:HEAD_BYTES])
    if language is None:
        raise UsageError(f"{path}: not in a language that polyclone reads; see `polyclone languages`")
    extraction = extract(source, language, path.name, deadline_s=deadline_s)
    functions = extraction.functions
    # A column in the margin still means the function of that line.
    column = [f for f in _around(functions, place) if _holds(f, _offset(source, place))] if place.column else []
    found = min(
        column or _around(functions, place),
        key=lambda f: (f.span.end_byte - f.span.start_byte, f.span.start_byte),
        default=None,
    )
    if found is None:
        trouble = "".join(f"; {failure.message}" for failure in extraction.failures if failure.stage == "parse")
        raise UsageError(f"{path}:{place.line}: no function there{trouble or _hint(functions)}")
    return replace(found, path=path.absolute().as_posix())


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise UsageError(f"{path}: not a file; name a place in one, such as {path / 'FILE'}:12")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None


def _around(functions: Sequence[Function], place: Place) -> list[Function]:
    return [f for f in functions if f.span.start_line0 <= place.line - 1 <= f.span.end_line0]


def _holds(function: Function, offset: int) -> bool:
    return function.span.start_byte <= offset < function.span.end_byte


def _offset(source: bytes, place: Place) -> int:
    """Byte offset of a place."""
    lines = source.split(b"\n")
    before = sum(len(text) + 1 for text in lines[: place.line - 1])
    text = lines[place.line - 1].decode("utf-8", "surrogateescape") if place.line <= len(lines) else ""
    return before + len(text[: (place.column or 1) - 1].encode("utf-8", "surrogateescape"))


def _hint(functions: Sequence[Function]) -> str:
    places = [f"{f.name} ({f.span.start_line0 + 1}-{f.span.end_line0 + 1})" for f in functions]
    if not places:
        return "; none was found in the file"
    return f"; the file has {', '.join(places[:8])}" + (f" and {len(places) - 8} more" if len(places) > 8 else "")
