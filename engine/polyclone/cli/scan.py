"""`polyclone scan PATH…`: all clones among the files there, but for those that are suppressed."""

from __future__ import annotations

import argparse

from polyclone.cli.exits import Exit
from polyclone.cli.session import deliver, text_options, workspace
from polyclone.cli.settings import settings
from polyclone.cli.suppressions import heeded, is_whole
from polyclone.cli.terminal import Terminal
from polyclone.errors import UsageError
from polyclone.report import json_v1, text
from polyclone.report.wording import count
from polyclone.suppress import Account


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: reads the files, prints or writes the report. Only `--fail-on-clones` makes a find an exit code.

    `--write-baseline` also writes what was found into the baseline, before anything is reported.
    """
    if arguments.no_suppressions and (arguments.baseline or arguments.write_baseline):
        raise UsageError("--no-suppressions heeds no baseline; leave out --baseline and --write-baseline")
    wanted = settings(arguments, arguments.paths, terminal)
    files = None
    if not arguments.no_suppressions:
        files = heeded(wanted, arguments.paths, may_be_new=arguments.write_baseline)
        if arguments.write_baseline:
            files.baseline_to_write()  # Where there is none to choose, that is told before the scan.
    account: Account | None = None
    with workspace(arguments, wanted.options, terminal) as space, terminal.progress() as report:
        space.open(arguments.paths, report)
        result = space.result(report)
        if files is not None and arguments.write_baseline:
            files, path, added = files.accept(result.matches)
            terminal.say(f"{count(added, 'pair')} added to {path}")
        if files is not None:
            whole = is_whole(arguments, files, arguments.paths)
            result, account = files.applied(result, space, is_whole=whole)
    if wanted.config.format == "json":
        rendered = json_v1.render(result, account)
    else:
        options = text_options(arguments, terminal, result.root, max_groups=wanted.config.max_groups)
        rendered = text.render(result, options, account)
    deliver(rendered, arguments.output, terminal)
    if arguments.fail_on_clones and result.matches:
        terminal.say(f"{count(len(result.matches), 'pair')} found, and --fail-on-clones was given")
        return Exit.GATE
    return Exit.OK
