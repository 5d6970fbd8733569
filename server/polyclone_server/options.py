"""What holds in each folder → the engine's options for all of them, and the rules by which each is shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pathspec
from polyclone.api import Model, Options, default_jobs
from polyclone.discover import DiscoverOptions
from polyclone.errors import UsageError

from polyclone_server.folders import Folder
from polyclone_server.settings import DEFAULTS, Problem, Scope, Settings
from polyclone_server.view import Rule

ANYWHERE = ""
"""The scope of what lies in no folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the index is to hold, and by what rules. Two equal ones ask for the same."""

    folders: tuple[Folder, ...] = ()
    scopes: Mapping[str, Scope] = field(default_factory=lambda: MappingProxyType({}))
    """By path of a folder; `ANYWHERE` for the rest."""

    @property
    def settings(self) -> Settings:
        """The client's settings outside of any folder: those that hold for the whole process."""
        found = self.scopes.get(ANYWHERE)
        return found.settings if found else DEFAULTS

    @property
    def roots(self) -> tuple[str, ...]:
        """Folders to read: none where the user has switched it all off."""
        return tuple(folder.path for folder in self.folders if self.scope(folder.path).settings.enable)

    def scope(self, path: str) -> Scope:
        return self.scopes.get(path) or self.scopes.get(ANYWHERE) or Scope()


def threshold_of(scope: Scope, model: Model) -> float:
    """The least probability shown in a folder; the bundle's own where it cannot tell what is asked for."""
    try:
        return Options(min_probability=scope.min_probability, precision=scope.precision).threshold(model)
    except UsageError:
        return Options().threshold(model)


def problems_of(wanted: Wanted, model: Model) -> tuple[Problem, ...]:
    """What is asked for and cannot be had from this model."""
    problems: dict[str, Problem] = {}
    for scope in wanted.scopes.values():
        try:
            Options(min_probability=scope.min_probability, precision=scope.precision).threshold(model)
        except UsageError as error:
            problems[str(error)] = Problem(key="precision", message=f"{error} The model's own threshold is used.")
    return tuple(problems.values())


def rules_of(wanted: Wanted, model: Model) -> Mapping[str, Rule]:
    """How each folder is shown, by path."""
    rules: dict[str, Rule] = {}
    for path in (ANYWHERE, *(folder.path for folder in wanted.folders)):
        scope = wanted.scope(path)
        rules[path] = Rule(
            enabled=scope.settings.enable,
            threshold=threshold_of(scope, model),
            same_language=scope.same_language,
            across_folders=wanted.settings.across_folders,
            languages=frozenset(scope.languages),
        )
    return MappingProxyType(rules)


def options_of(wanted: Wanted, model: Model) -> Options:
    """One set of options that finds whatever any folder wants to be shown.

    Where folders differ, the most permissive value counts, and their rules narrow what is shown. Patterns do not
    mix: each is tied to its own folder.
    """
    scopes = [wanted.scope(folder.path) for folder in wanted.folders] or [wanted.scope(ANYWHERE)]
    languages = None if not all(s.languages for s in scopes) else frozenset(x for s in scopes for x in s.languages)
    least = [scope.min_atoms for scope in scopes if scope.min_atoms is not None]
    jobs = wanted.settings.jobs or default_jobs()
    base, patterns = _patterns(wanted)
    return Options(
        min_probability=min(threshold_of(scope, model) for scope in scopes),
        same_language=any(scope.same_language for scope in scopes),
        min_atoms=min(least) if len(least) == len(scopes) else None,
        jobs=jobs,
        discover=DiscoverOptions(
            languages=languages,
            exclude=patterns,
            exclude_base=base,
            include_generated=any(scope.include_generated for scope in scopes),
            include_vendored=any(scope.include_vendored for scope in scopes),
            max_file_bytes=max(scope.max_file_bytes for scope in scopes),
        ),
    )


def is_excluded(options: Options, path: str) -> bool:
    """Whether the patterns leave out a file, open or not."""
    chosen = options.discover
    if not chosen.exclude or chosen.exclude_base is None or not os.path.isabs(path):  # noqa: PTH117
        return False
    relative = os.path.relpath(path, chosen.exclude_base).replace(os.sep, "/")
    return not relative.startswith("../") and pathspec.GitIgnoreSpec.from_lines(chosen.exclude).match_file(relative)


def _patterns(wanted: Wanted) -> tuple[str | None, tuple[str, ...]]:
    """All folders' patterns, relative to one folder above them all."""
    parts = [
        (scope.exclude_base or folder.path, scope.exclude)
        for folder in wanted.folders
        if (scope := wanted.scope(folder.path)).exclude
    ]
    if not parts:
        return None, ()
    if len(wanted.folders) == 1:
        return parts[0]
    try:
        base = os.path.commonpath([path for path, _ in parts])
    except ValueError:  # On Windows, different drives: only the first one's patterns can be told from the others.
        return parts[0]
    return base, tuple(_rooted(os.path.relpath(path, base), pattern) for path, items in parts for pattern in items)


def _rooted(folder: str, pattern: str) -> str:
    """A pattern relative to `folder`, as one relative to the base: anchored patterns stay so, others match below."""
    if folder == ".":
        return pattern
    negated = "!" if pattern.startswith("!") else ""
    body = pattern[len(negated) :]
    if not body.strip() or body.startswith("#"):
        return pattern
    folder = folder.replace(os.sep, "/")
    anchored = "/" in body.rstrip("/")
    return f"{negated}/{folder}/{body.lstrip('/')}" if anchored else f"{negated}/{folder}/**/{body}"
