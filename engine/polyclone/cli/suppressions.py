"""Which suppression files a command heeds and writes: those of the workspaces around the scanned paths."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polyclone.api import Workspace
from polyclone.cli.settings import Settings
from polyclone.errors import UsageError
from polyclone.suppress import Account, Suppressions, apply, entry_for, merged
from polyclone.values import Match, ScanResult
from polyclone.workspace_files import add_to_baseline, baseline_path, find_root, load_suppressions

_NARROWING = (
    *("languages", "exclude", "min_probability", "precision", "same_language"),
    *("include_generated", "include_vendored", "max_file_bytes"),
)
"""Options that make a scan find other pairs than the workspace's own settings do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heeded:
    """The files of one command, read."""

    roots: tuple[Path, ...]
    named: Path | None
    """The baseline that an option or the configuration names; None for each workspace's own."""
    suppressions: Suppressions

    def baseline_to_write(self) -> Path:
        """The file that accepted pairs go to. Raises `UsageError` if there are several."""
        if self.named is not None:
            return self.named
        if len(self.roots) > 1:
            names = ", ".join(root.as_posix() for root in self.roots)
            raise UsageError(f"the paths are in several workspaces ({names}); choose a file with --baseline FILE")
        return baseline_path(self.roots[0])

    def applied(self, result: ScanResult, space: Workspace, *, is_whole: bool) -> tuple[ScanResult, Account]:
        """What is left of a result, and an account of the rest. `is_whole`: all of the workspaces was scanned."""
        return apply(result, self.suppressions, space.functions if is_whole else None)

    def accept(self, matches: Iterable[Match]) -> tuple[Heeded, Path, int]:
        """The same with all reported `matches` in the baseline; its file, and how many pairs are new in it.

        Effect: writes the file. What a comment or an ignored pair covers already is not added.
        """
        path = self.baseline_to_write()
        reported = [match for match in matches if self.suppressions.covers(match) is None]
        entries = {entry.fingerprint: entry for entry in map(entry_for, reported)}
        add_to_baseline(self.roots[0], entries.values(), path)
        baseline = {**self.suppressions.baseline, **entries}
        return replace(self, suppressions=replace(self.suppressions, baseline=baseline)), path, len(entries)


def workspace_root(path: Path) -> Path:
    """The workspace around a path; outside of any the current folder, if the path is in it."""
    return find_root(path, otherwise=Path())


def heeded(wanted: Settings, paths: Sequence[Path], *, may_be_new: bool = False) -> Heeded:
    """Reads the files. A baseline that was named must exist unless it `may_be_new`.

    Raises `UsageError` and `SuppressionError`.
    """
    roots = tuple(dict.fromkeys(workspace_root(path) for path in paths))
    named = _named(wanted, may_be_new=may_be_new)
    return Heeded(roots=roots, named=named, suppressions=merged([load_suppressions(root, named) for root in roots]))


def is_whole(arguments: argparse.Namespace, files: Heeded, paths: Sequence[Path]) -> bool:
    """Whether all of every workspace is scanned with its own settings: only then an unused entry is known as one."""
    if any(getattr(arguments, option, None) is not None for option in _NARROWING):
        return False
    scanned = [path.resolve() for path in paths]
    return all(any(root.resolve().is_relative_to(path) for path in scanned) for root in files.roots)


def _named(wanted: Settings, *, may_be_new: bool) -> Path | None:
    if wanted.config.baseline is None:
        return None
    path = Path(wanted.config.baseline)
    source = wanted.sources["baseline"]
    if not may_be_new and not path.exists():
        where = "--baseline" if source == "command line" else f"{source}: `baseline`"
        raise UsageError(f"{where}: {path}: no such file; make it with `polyclone scan --write-baseline`")
    return path
