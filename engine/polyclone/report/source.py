"""Several functions side by side, syntax highlighted, fitted to a width. Is given the source, reads none."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from rich import box
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from polyclone.report.wording import printable, printable_code

LEAST_COLUMN = 56
"""Narrower columns wrap too much code to be compared; what does not fit goes below."""
MAX_LINES = 80
"""Lines of one function that are shown; how many more it has is said below them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A function's source, or None if it cannot be read any more."""

    title: str
    language: str
    first_line: int
    code: str | None


def side_by_side(excerpts: Sequence[Excerpt], *, width: int) -> Iterator[Table]:
    """Tables to be drawn below each other, each with as many columns as `width` allows."""
    columns = max(1, min(len(excerpts), width // LEAST_COLUMN))
    rows = -(-len(excerpts) // columns)
    columns = -(-len(excerpts) // rows)  # Four excerpts in two rows are two and two, not three and one.
    for start in range(0, len(excerpts), columns):
        chosen = excerpts[start : start + columns]
        table = Table(box=box.MINIMAL, pad_edge=False, width=width, border_style="dim")
        for excerpt in chosen:
            table.add_column(Text(printable(excerpt.title), style="bold cyan"), ratio=1, overflow="fold")
        table.add_row(*(_highlighted(excerpt) for excerpt in chosen))
        yield table


def cut(source: str, start_line0: int, end_line0: int) -> str | None:
    """The lines of a function within its file, both inclusive, without their common indentation."""
    lines = source.split("\n")
    if end_line0 >= len(lines):
        return None
    return textwrap.dedent("\n".join(lines[start_line0 : end_line0 + 1]).expandtabs(4))


def _highlighted(excerpt: Excerpt) -> Syntax | Text:
    if excerpt.code is None:
        return Text("(the file has changed or cannot be read)", style="dim")
    lines = printable_code(excerpt.code).rstrip().split("\n")
    shown = lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        shown.append(f"… {len(lines) - MAX_LINES} more lines")
    return Syntax(
        "\n".join(shown),
        _lexer(excerpt.language),
        theme="ansi_dark",
        background_color="default",
        line_numbers=True,
        start_line=excerpt.first_line,
        word_wrap=True,
    )


def _lexer(language: str) -> Lexer | str:
    try:
        # PHP code is only recognised after `<?php`, which a function does not have.
        options = {"startinline": True} if language == "php" else {}
        return get_lexer_by_name(language, **options)
    except ClassNotFound:
        return "text"
