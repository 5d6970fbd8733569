"""`polyclone query FILE:LINE`: what does the same as this one function, best first, sure or not."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from polyclone.cli.exits import Exit
from polyclone.cli.places import function_at
from polyclone.cli.session import deliver, text_options, workspace
from polyclone.cli.settings import settings
from polyclone.cli.terminal import Terminal
from polyclone.errors import UsageError
from polyclone.extract import extract, extract_snippet
from polyclone.report import json_v1, text
from polyclone.values import Function


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: reads the files below the root, and stdin for `-`; prints or writes the matches."""
    wanted = settings(arguments, [arguments.root], terminal)
    snippet = _stdin(arguments, terminal)
    with workspace(arguments, wanted.options, terminal) as space, terminal.progress() as report:
        # The target first: a wrong place is told before a large root is read.
        if arguments.target is None:
            target = _parsed(snippet, arguments.language)
        else:
            target = function_at(arguments.target, deadline_s=wanted.options.parse_timeout_s)
        space.open([arguments.root], report)
        if not space.judgeable(target):
            raise UsageError(f"{target.qualified_name} is too small to judge ({len(target.atoms)} atoms)")
        matches = space.query(target, limit=arguments.limit)
        threshold = wanted.options.threshold(space.model)
        model, root = space.model.info, space.root
    target = replace(target, path=_within(target.path, root))
    matches = tuple(replace(match, left=target) for match in matches)
    if wanted.config.format == "json":
        rendered = json_v1.render_query(target, matches, threshold=threshold, model=model)
    else:
        options = text_options(arguments, terminal, root, snippet=snippet.decode("utf-8", "replace"))
        rendered = text.render_query(target, matches, threshold=threshold, model=model, options=options)
    deliver(rendered, arguments.output, terminal)
    return Exit.OK


def _stdin(arguments: argparse.Namespace, terminal: Terminal) -> bytes:
    """The snippet, if one is asked about. Raises `UsageError` for a call that does not fit together."""
    if arguments.target is not None:
        if arguments.language is not None:
            raise UsageError("--language goes with code on stdin (-); a file's name tells its language")
        return b""
    if arguments.language is None:
        raise UsageError("code on stdin has no name that tells its language; add --language NAME")
    if sys.stdin.isatty():
        terminal.say(f"reading {arguments.language} code from the terminal; end it with Ctrl-D")
    code = sys.stdin.buffer.read()
    if not code.strip():
        raise UsageError("there was no code on stdin")
    return code


def _parsed(snippet: bytes, language: str) -> Function:
    """The function that the snippet is, by its own name; otherwise all of it as one nameless unit."""
    whole = extract_snippet(snippet, language)
    functions = extract(snippet, whole.language).functions
    outer = max(functions, key=lambda f: f.span.end_byte - f.span.start_byte, default=None)
    if outer is None or any(
        f.span.start_byte < outer.span.start_byte or f.span.end_byte > outer.span.end_byte for f in functions
    ):
        return whole
    return outer


def _within(path: str, root: str) -> str:
    """`path` as the results below `root` say it, if it lies there."""
    return Path(path).relative_to(root).as_posix() if path and Path(path).is_relative_to(root) else path
