"""A drawing surface for text reports: rich, writing into a string. Knows nothing of the real terminal."""

from __future__ import annotations

from io import StringIO
from typing import TypeAlias

from rich.console import Console, RenderableType
from rich.text import Text

Part: TypeAlias = str | tuple[str, str]
"""Text, or text and its style."""


class Canvas:
    """Collects lines. Colours are the terminal's own sixteen, so that they fit its theme."""

    def __init__(self, *, width: int, color: bool) -> None:
        self._buffer = StringIO()
        self._console = Console(
            file=self._buffer,
            width=width,
            color_system="standard" if color else None,
            force_terminal=color,
            no_color=not color,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )

    def line(self, *parts: Part) -> None:
        """One line of plain or (text, style) parts. It is never wrapped, so that `path:line` stays whole."""
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def draw(self, renderable: RenderableType) -> None:
        """Anything rich can draw, fitted to the width."""
        self._console.print(renderable)

    def text(self) -> str:
        """All that was drawn; no line ends in white space."""
        return "".join(line.rstrip() + "\n" for line in self._buffer.getvalue().splitlines())
