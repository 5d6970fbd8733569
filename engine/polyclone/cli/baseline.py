"""`polyclone baseline [prune]`: how much is accepted, and which of it covers nothing any more."""

from __future__ import annotations

import argparse
from pathlib import Path

from polyclone.cli.exits import Exit
from polyclone.cli.session import workspace
from polyclone.cli.settings import settings
from polyclone.cli.suppressions import heeded, workspace_root
from polyclone.cli.terminal import Terminal
from polyclone.report.wording import count, printable
from polyclone.workspace_files import remove_from_baseline


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: scans the workspace and prints; `prune` takes out of the file what covers nothing."""
    root: Path = arguments.root or workspace_root(Path())
    wanted = settings(arguments, [root], terminal)
    files = heeded(wanted, [root])
    path = files.baseline_to_write()
    accepted = files.suppressions.baseline
    for problem in files.suppressions.problems:
        terminal.say(f"warning: {problem.path}:{problem.line0 + 1}: the line {problem.message}")
    if not accepted:
        terminal.emit(f"{path}: no pair is accepted; `polyclone scan --write-baseline` accepts what it finds\n")
        return Exit.OK
    with workspace(arguments, wanted.options, terminal) as space, terminal.progress() as report:
        space.open([root], report)
        _, account = files.applied(space.result(report), space, is_whole=True)
    stale = [unused for unused in account.unused or () if unused.source == "baseline"]
    if arguments.action == "prune":
        remove_from_baseline(root, {unused.fingerprint for unused in stale}, path)
        told = f"{count(len(stale), 'pair')} removed, {len(accepted) - len(stale):,} left"
    else:
        told = f"{count(len(accepted), 'pair')} accepted, {len(stale):,} of them without effect"
    lines = (f"  {unused.fingerprint}  {printable(unused.text)}\n" for unused in stale)
    terminal.emit(f"{path}: {told}\n{''.join(lines)}")
    return Exit.OK
