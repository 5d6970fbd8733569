"""`polyclone scan PATH…`: all clones among the files there."""

from __future__ import annotations

import argparse

from polyclone.cli.exits import Exit
from polyclone.cli.session import deliver, text_options, workspace
from polyclone.cli.settings import settings
from polyclone.cli.terminal import Terminal
from polyclone.report import json_v1, text
from polyclone.report.wording import count


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: reads the files, prints or writes the report. Only `--fail-on-clones` makes a find an exit code."""
    wanted = settings(arguments, arguments.paths, terminal)
    with workspace(arguments, wanted.options, terminal) as space, terminal.progress() as report:
        space.open(arguments.paths, report)
        result = space.result(report)
    if wanted.config.format == "json":
        rendered = json_v1.render(result)
    else:
        options = text_options(arguments, terminal, result.root, max_groups=wanted.config.max_groups)
        rendered = text.render(result, options)
    deliver(rendered, arguments.output, terminal)
    if arguments.fail_on_clones and result.matches:
        terminal.say(f"{count(len(result.matches), 'pair')} found, and --fail-on-clones was given")
        return Exit.GATE
    return Exit.OK
