"""What is known of the workspace at one moment: a snapshot of the engine, and what of it is to be shown. Immutable.

Safe to read from any thread. Computes nothing that takes long, encodes nothing, and reads no disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from polyclone.snapshot import Snapshot
from polyclone.suppress import NONE, Suppressions
from polyclone.values import Function, Match, ScanResult

from polyclone_server.documents import Document
from polyclone_server.folders import Folder, folder_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is shown in one folder."""

    enabled: bool = True
    threshold: float = 0.0
    """Least probability, resolved."""
    same_language: bool = False
    across_folders: bool = True
    languages: frozenset[str] = frozenset()
    """Empty for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A function with its clones, best first; in each match, `left` is the function."""

    function: Function
    matches: tuple[Match, ...]

    @property
    def probability(self) -> float:
        return self.matches[0].probability

    @property
    def group(self) -> str:
        """Identity of the function together with its clones; the group's, where they are all clones of each other."""
        digests = sorted({self.function.digest, *(match.right.digest for match in self.matches)})
        return hashlib.sha256("\0".join(digests).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class View:
    """A snapshot, the open documents that went into it, and what is to be shown of it."""

    snapshot: Snapshot
    applied: Mapping[str, Document] = field(default_factory=lambda: MappingProxyType({}))
    """Open documents by key, in the versions that the snapshot was made from."""
    folders: tuple[Folder, ...] = ()
    rules: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    """By path of a folder; `""` for what lies in none."""
    suppressions: Suppressions = NONE
    model_digest: str = ""
    min_atoms: int = 0
    """Smaller functions are too small to judge."""

    @cached_property
    def _found(self) -> dict[str, tuple[Finding, ...]]:
        return {}

    def findings(self, key: str) -> tuple[Finding, ...]:
        """What is to be shown of one file, by position in it."""
        known = self._found.get(key)
        if known is None:
            known = self._found[key] = tuple(self._findings(key))
        return known

    def _findings(self, key: str) -> Iterator[Finding]:
        rule = self.rule(key)
        if not rule.enabled or (rule.languages and not self._speaks(key, rule)):
            return
        matches_in = self.snapshot.matches_in(key)
        for function in sorted(matches_in, key=lambda f: (f.span.start_byte, f.span.end_byte)):
            shown = tuple(match for match in matches_in[function] if self.shows(match, rule))
            if shown:
                yield Finding(function=function, matches=shown)

    @property
    def keys(self) -> Sequence[str]:
        """Every file that the snapshot holds."""
        return self.snapshot.paths

    def rule(self, key: str) -> Rule:
        """The rule of the folder that a file lies in."""
        home = folder_of(self.folders, key)
        return self.rules.get(home.path if home else "", Rule())

    def shows(self, match: Match, rule: Rule) -> bool:
        """Whether a match is to be shown by the rule of its left side."""
        return self._admits(match, rule, match.right) and self.suppressions.covers(match) is None

    def _admits(self, match: Match, rule: Rule, other: Function) -> bool:
        """Whether a rule lets a match pass whose far side is `other`."""
        if match.probability < rule.threshold:
            return False
        if not rule.same_language and match.left.language == match.right.language:
            return False
        if rule.languages and other.language not in rule.languages:
            return False
        return rule.across_folders or not self._apart(match)

    @property
    def result(self) -> ScanResult:
        """The findings that the folder of either side wants to see; those that were accepted are among them."""
        result = self.snapshot.result
        wanted = tuple(match for match in result.matches if self._is_wanted(match))
        if len(wanted) == len(result.matches):
            return result
        return replace(result, matches=wanted, groups=self.snapshot.groups_of(wanted))

    def _is_wanted(self, match: Match) -> bool:
        for here, other in ((match.left, match.right), (match.right, match.left)):
            rule = self.rule(here.path)
            speaks = not rule.languages or here.language in rule.languages
            if rule.enabled and speaks and self._admits(match, rule, other):
                return True
        return False

    def _apart(self, match: Match) -> bool:
        """Whether the two sides lie in different folders; what lies in none belongs to all of them."""
        left, right = (folder_of(self.folders, function.path) for function in (match.left, match.right))
        return left is not None and right is not None and left != right

    def _speaks(self, key: str, rule: Rule) -> bool:
        return any(function.language in rule.languages for function in self.snapshot.functions_in(key)[:1])
