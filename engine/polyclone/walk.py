"""Which files lie below a folder, `.gitignore` honoured. Lists names; reads no file and judges none.

Inside a repository git itself is asked, because only git knows which ignored files are tracked anyway.
Outside one, and where git is missing or refuses, ripgrep's walker reads `.gitignore` and `.ignore`.
"""

# A walk handles plain strings: as `Path` objects, 100,000 names cost more than the walk itself.
# ruff: noqa: PTH118

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import ignore
from ignore.overrides import OverrideBuilder

logger = logging.getLogger(__name__)

_GIT_TIMEOUT_S = 120
_REPOSITORY_FOLDERS = (".git", ".hg", ".svn", ".jj")
_WALK_ERROR = re.compile(r"IO error for operation on (?P<path>.*): (?P<reason>.*?) \(os error \d+\)", re.DOTALL)
_GIT_WARNING = re.compile(r"^warning: could not open directory '(?P<path>.*)': (?P<reason>.*)$", re.MULTILINE)


@dataclass(slots=True)
class Listing:
    """What lies below one folder. Paths are absolute, unsorted, and may name folders' links, not folders."""

    paths: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """(path, reason) of folders that could not be listed."""


def list_folder(folder: str) -> Listing:
    """All files and links below the absolute path `folder` that no ignore rule hides. Links are not followed.

    A folder that is itself ignored is listed all the same: whoever names it wants it.
    Effect: may run `git ls-files`.
    """
    listing = Listing()
    _list_into(listing, folder)
    return listing


def _list_into(listing: Listing, folder: str) -> None:
    repository = _repository_above(folder)
    git = _find_git(folder) if repository else None
    if git is not None:
        if _is_ignored(git, folder, repository):
            _walk(listing, folder, parents=False)
            return
        answer = _git(git, folder, "ls-files", "-c", "-o", "--exclude-standard", "-z")
        if answer is not None:
            _take_git_answer(listing, folder, *answer)
            return
    _walk(listing, folder, parents=repository is not None)


def _repository_above(folder: str) -> str | None:
    """The closest real folder, from `folder` upwards, that holds `.git` (a folder, or a worktree's file)."""
    real = Path(folder).resolve()
    for candidate in (real, *real.parents):
        if os.path.lexists(candidate / ".git"):
            return str(candidate)
    return None


def _is_ignored(git: str, folder: str, repository: str | None) -> bool:
    real = os.path.realpath(folder)
    if real == repository:
        return False
    parent, name = os.path.split(real)
    return _git(git, parent, "check-ignore", "-q", "--", name) is not None


def _find_git(folder: str) -> str | None:
    """The git on the search path, unless it lies in the folder to scan: a scan never runs what it reads."""
    git = shutil.which("git")
    if git is None or Path(git).resolve().is_relative_to(Path(folder).resolve()):
        return None
    return git


def _git(git: str, folder: str, *arguments: str) -> tuple[bytes, bytes] | None:
    """stdout and stderr of a git command, or None if it failed.

    The repository's own configuration may name programs for git to run; those settings are overridden.
    The `GIT_*` variables of a hook that runs us would point git at another repository or index.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG_")
    }
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    safe = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    try:
        done = subprocess.run(
            [git, *safe, "-C", folder, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        logger.info("git could not be asked about %r: %s", folder, error)
        return None
    if done.returncode != 0:
        logger.debug("git %s in %r: %s", arguments[0], folder, done.stderr.decode("utf-8", "replace").strip())
        return None
    return done.stdout, done.stderr


def _take_git_answer(listing: Listing, folder: str, out: bytes, err: bytes) -> None:
    for name in {os.fsdecode(raw) for raw in out.split(b"\0") if raw}:
        path = os.path.join(folder, name.rstrip("/"))
        # A submodule, or an untracked repository within this one: git names only its folder.
        if _is_folder(path):
            if os.path.lexists(os.path.join(path, ".git")):
                _list_into(listing, path)
            else:
                _walk(listing, path, parents=False)
        else:
            listing.paths.append(path)
    for warning in _GIT_WARNING.finditer(os.fsdecode(err)):
        path = os.path.join(folder, warning["path"].rstrip("/"))
        listing.unreadable.append((os.path.normpath(path), warning["reason"]))


def _walk(listing: Listing, folder: str, *, parents: bool) -> None:
    """List with ripgrep's walker. `parents`: ignore files above `folder`, up to its repository, count too."""
    overrides = OverrideBuilder(Path(folder))
    for name in _REPOSITORY_FOLDERS:
        overrides.add(f"!{name}")
    builder = ignore.WalkBuilder(Path(folder))
    builder.hidden(False).require_git(False).parents(parents).git_global(parents).follow_links(False)
    walker = builder.overrides(overrides.build()).build()
    while True:
        try:
            entry = next(walker)
        except StopIteration:
            return
        except (ignore.Error, ignore.IOError, OSError) as error:
            listing.unreadable.append(_walk_error(folder, error))
            continue
        path = str(entry.path())
        if not _is_folder(path):
            listing.paths.append(path)


def _walk_error(folder: str, error: Exception) -> tuple[str, str]:
    found = _WALK_ERROR.search(str(error))
    return (found["path"], found["reason"]) if found else (folder, str(error))


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
