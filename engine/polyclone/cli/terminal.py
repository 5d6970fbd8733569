"""The two streams: results on stdout, everything else on stderr. Decides about colour, width and progress bars."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from polyclone.errors import UsageError
from polyclone.report.wording import printable

if TYPE_CHECKING:
    from polyclone.api import Progress

_WIDTH_OF_A_PIPE = 120


class Terminal:
    """What a command may do to the outside: `emit` results, `say` a line, show progress."""

    def __init__(self, *, color: str | None, verbose: int) -> None:
        self.verbose = verbose
        self._when = color or "auto"
        if sys.stderr is None:  # Closed by `2>&-`. `print` would turn to stdout, which carries results only.
            sys.stderr = io.StringIO()
        logging.basicConfig(
            stream=sys.stderr,
            level={0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG),
            format="polyclone: %(levelname)s: %(message)s" if verbose < 2 else "%(levelname)s %(name)s: %(message)s",
            force=True,
        )
        for stream in (sys.stdout, sys.stderr):
            # A path or a name that the locale cannot spell must not end the command.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    def configure(self, color: str) -> None:
        """What a configuration file says about colour; the command line has been heard already."""
        self._when = color

    @property
    def color(self) -> bool:
        """Whether results are coloured."""
        return self._colored(sys.stdout)

    @property
    def width(self) -> int:
        return max(40, shutil.get_terminal_size((_WIDTH_OF_A_PIPE, 24)).columns)

    def emit(self, text: str) -> None:
        """Results, to stdout. A reader that has gone away (`| head`) has seen enough: that is no error.

        Raises `UsageError` for a stdout that takes nothing, such as a closed one or a full disk.
        """
        refuse_closed_stdout()
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            _give_up_stdout()
        except (OSError, ValueError) as error:
            _give_up_stdout()
            reason = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"stdout cannot be written: {reason}") from None

    def say(self, message: str) -> None:
        """One line for people, to stderr."""
        lines = [printable(line) for line in message.splitlines()] or [""]
        print("polyclone: " + "\n".join(lines), file=sys.stderr, flush=True)

    def say_trouble(self, error: Exception) -> None:
        """An error that is polyclone's own: one line, or all of it with `-v`."""
        if self.verbose:
            traceback.print_exception(error, file=sys.stderr)
        text = " ".join(str(error).split())
        kind = type(error).__name__
        hint = "" if self.verbose else "; run with -v for the traceback"
        self.say(f"internal error: {kind}: {text}{hint}" if text else f"internal error: {kind}{hint}")

    @contextmanager
    def progress(self) -> Iterator[Callable[[Progress], None] | None]:
        """A listener that draws bars on stderr; None where nobody would see them."""
        if not _is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
            yield None
            return
        from polyclone.cli.progress import bars

        with bars(color=self._colored(sys.stderr)) as listener:
            yield listener

    def _colored(self, stream: TextIO) -> bool:
        if self._when != "auto":
            return self._when == "always"
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return _is_terminal(stream)


def refuse_closed_stdout() -> None:
    """Raises `UsageError` where there is no stdout, as after `>&-`."""
    if sys.stdout is None or sys.stdout.closed:
        raise UsageError("stdout is closed; open it, or write the results to a file with --output FILE")


def _give_up_stdout() -> None:
    """Whatever is still buffered would raise again when the interpreter closes the stream."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # It has no descriptor: nothing will be flushed to one.
        return


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # Detached or closed.
        return False
