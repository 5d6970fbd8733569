"""`polyclone ignore`: leave a pair out of reports from now on, and write down why."""

from __future__ import annotations

import argparse
from pathlib import Path

from polyclone.cli.arguments import Place
from polyclone.cli.exits import Exit
from polyclone.cli.places import function_at
from polyclone.cli.session import workspace
from polyclone.cli.settings import Settings, common_folder, settings
from polyclone.cli.suppressions import workspace_root
from polyclone.cli.terminal import Terminal
from polyclone.errors import UsageError
from polyclone.suppress import Entry, entry_for, label, pair_entry
from polyclone.suppress_file import render
from polyclone.values import ScanResult, pair_fingerprint
from polyclone.workspace_files import ignore, ignored_path


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: writes `.polyclone/ignored` of the workspace; prints the lines it now has. Raises `UsageError`."""
    places = [target for target in arguments.targets if isinstance(target, Place)]
    fingerprints = [target for target in arguments.targets if isinstance(target, str)]
    if (len(places), len(fingerprints)) not in ((2, 0), (0, 1)):
        raise UsageError("name two functions, FILE:LINE FILE:LINE, or one finding by its fingerprint")
    around = [place.path for place in places] or [Path()]
    root: Path = arguments.root or workspace_root(common_folder(around))
    wanted = settings(arguments, [root], terminal)
    if places:
        entries = [_pair(places[0], places[1], arguments.reason, wanted)]
    else:
        entries = _found(fingerprints[0], arguments, wanted, root, terminal)
    ignore(root, entries)
    lines = "".join(f"{render(entry)}\n" for entry in entries)
    terminal.emit(f"{ignored_path(root).as_posix()}:\n{lines}")
    return Exit.OK


def _pair(one: Place, other: Place, reason: str, wanted: Settings) -> Entry:
    """The entry of two functions, whether a scan would report them or not."""
    left, right = (function_at(place, deadline_s=wanted.config.parse_timeout_s) for place in (one, other))
    if (left.path, left.span) == (right.path, right.span):
        raise UsageError(f"both places are in {left.qualified_name}; name two functions")
    return pair_entry(pair_fingerprint(left, right), label(left), label(right), reason)


def _found(
    fingerprint: str, arguments: argparse.Namespace, wanted: Settings, root: Path, terminal: Terminal
) -> list[Entry]:
    """The entry of a reported pair, or those of all pairs in a reported group."""
    with workspace(arguments, wanted.options, terminal) as space, terminal.progress() as report:
        space.open([root], report)
        result = space.result(report)
    entries = {entry.fingerprint: entry for entry in _entries_of(fingerprint, result, arguments.reason)}
    if not entries:
        raise UsageError(
            f"no finding below {root} has the fingerprint {fingerprint}; give the options of the scan that showed it"
        )
    return sorted(entries.values(), key=lambda entry: entry.fingerprint)


def _entries_of(fingerprint: str, result: ScanResult, reason: str) -> list[Entry]:
    members = {f for group in result.groups if group.fingerprint == fingerprint for f in group.members}
    return [
        entry_for(match, reason)
        for match in result.matches
        if match.fingerprint == fingerprint or (match.left in members and match.right in members)
    ]
