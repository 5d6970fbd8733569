"""Documentation comments and docstrings without their marks. Text in, text out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from polyclone.languages.table import Language

MAX_DOC = 1000
"""Characters kept of a documentation text."""


def clean_docstring(text: str) -> str:
    """The content of a Python string literal, its indentation removed."""
    text = text.replace("\r\n", "\n")
    body = re.sub(r"\A[A-Za-z]{0,2}(\"\"\"|'''|\"|')", "", text)
    quote = text[len(text) - len(body) - 3 : len(text) - len(body)]
    body = body.removesuffix(quote) if quote in ('"""', "'''") else body[:-1]
    first, _, others = body.partition("\n")
    return f"{first.strip()}\n{textwrap.dedent(others)}".strip()[:MAX_DOC]


def clean_comments(comments: Sequence[str], row: Language) -> str:
    """The text of one comment block, given as the comments it is made of."""
    lines: list[str] = []
    for comment in comments:
        lines.extend(_clean_comment(comment, row))
    return "\n".join(lines).strip()[:MAX_DOC]


def _clean_comment(comment: str, row: Language) -> list[str]:
    for opening, closing in row.block_comments:
        if comment.startswith(opening):
            inner = comment[len(opening) :].removesuffix(closing)
            return [re.sub(r"\A\s*\*+(?!\w) ?|\A\s+", "", line).rstrip() for line in inner.split("\n")]
    for prefix in row.line_comments:
        if comment.startswith(prefix):
            inner = comment[len(prefix) :]
            return [inner.removeprefix(" ").rstrip()]
    return [comment.strip()]
