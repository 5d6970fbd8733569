"""What every scanning command opens and closes: model, cache, workspace. And where its results go."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from polyclone.api import Options, Workspace, load_model
from polyclone.cli.terminal import Terminal
from polyclone.errors import UsageError
from polyclone.report.source import cut
from polyclone.report.text import TextOptions
from polyclone.store import ManagedStore, NullStore, open_store
from polyclone.values import Function

_WIDTH_OF_A_FILE = 120


@contextmanager
def workspace(arguments: argparse.Namespace, options: Options, terminal: Terminal) -> Iterator[Workspace]:
    """An empty workspace on the model and the cache that were asked for. Raises `ModelError`, `StoreError`.

    Effect: loads the model; opens the cache until the block ends.
    """
    model = load_model(arguments.model, threads=options.jobs, device=arguments.device)
    with closing(_store(arguments, terminal)) as store:
        yield Workspace(model, options=options, store=store)


def _store(arguments: argparse.Namespace, terminal: Terminal) -> ManagedStore:
    if arguments.no_cache:
        return NullStore()
    return open_store(arguments.cache_dir, warn=lambda message: terminal.say(f"warning: {message}"))


def text_options(
    arguments: argparse.Namespace,
    terminal: Terminal,
    root: str,
    *,
    max_groups: int | None = None,
    snippet: str = "",
) -> TextOptions:
    """How text looks where it goes. `snippet` is the source of a function that is in no file."""
    to_file = arguments.output is not None
    return TextOptions(
        width=_WIDTH_OF_A_FILE if to_file else terminal.width,
        color=terminal.color and not to_file,
        place=_placer(root),
        code=_reader(root, snippet) if arguments.show else None,
        max_groups=max_groups,
        all_failures=terminal.verbose > 0,
    )


def deliver(text: str, output: Path | None, terminal: Terminal) -> None:
    """Effect: results to `output`, or to stdout. Raises `UsageError` if the file cannot be written."""
    if output is None:
        terminal.emit(text)
        return
    try:
        output.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written: {error.strerror or error}") from None


def _placer(root: str) -> Callable[[str], str]:
    """Paths of results → paths that lead to the file from the current folder, or absolute ones from outside."""
    here = Path.cwd()

    def place(path: str) -> str:
        whole = Path(os.path.normpath(Path(root, path)))
        return (whole.relative_to(here) if whole.is_relative_to(here) else whole).as_posix()

    return place


def _reader(root: str, snippet: str) -> Callable[[Function], str | None]:
    def read(function: Function) -> str | None:
        source = snippet
        if function.path:
            try:
                source = Path(root, function.path).read_bytes().decode("utf-8-sig", "replace")
            except OSError:
                return None
        return cut(source, function.span.start_line0, function.span.end_line0)

    return read
