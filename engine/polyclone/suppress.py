"""Which findings are left out of reports, and what that leaves. Pure rules: no disk, no syntax tree.

Three things suppress a pair: a comment on either function, an ignored pair with a reason, and a baseline of
findings accepted as they stood. The last two name a pair by its content fingerprint.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from polyclone.values import CloneGroup, Function, Match, ScanResult

Source: TypeAlias = Literal["comment", "ignored", "baseline"]
SOURCES: tuple[Source, ...] = ("comment", "ignored", "baseline")
"""In the order in which they are asked: the first that covers a pair is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One pair of a suppression file. `left`, `right` and `reason` are for people; the fingerprint decides."""

    fingerprint: str
    left: str = ""
    """`language qualified_name`, see `label`."""
    right: str = ""
    reason: str = ""
    path: str = field(default="", compare=False)
    """The file it was read from, as people see it; empty if it was not read."""
    line0: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A line of a suppression file that could not be used. Everything else in the file counts."""

    path: str
    line0: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """Why a pair is not reported."""

    source: Source
    reason: str
    """Of a comment or an ignored pair; a baseline needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressions:
    """What a workspace's files suppress, by fingerprint. Comments travel with the functions themselves."""

    ignored: Mapping[str, Entry] = field(default_factory=dict)
    baseline: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def covers(self, match: Match) -> Suppressed | None:
        """What suppresses `match`, or None if it is to be reported."""
        comment = match.left.ignored or match.right.ignored
        if comment is not None:
            return Suppressed(source="comment", reason=comment.reason)
        if not self.ignored and not self.baseline:
            return None
        fingerprint = match.fingerprint
        if (entry := self.ignored.get(fingerprint)) is not None:
            return Suppressed(source="ignored", reason=entry.reason)
        if (entry := self.baseline.get(fingerprint)) is not None:
            return Suppressed(source="baseline", reason=entry.reason)
        return None


NONE = Suppressions()
"""No files; comments count all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A suppression that covered no pair. `path` and `line0` say where it stands."""

    source: Source
    path: str
    line0: int
    text: str
    """The reason of a comment, or the names of an entry."""
    fingerprint: str = ""
    """Of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was left out of a result, and why."""

    pairs: Mapping[Source, int] = field(default_factory=dict)
    """How many pairs each source covered; every source is named."""
    reasons: tuple[tuple[Source, str, int], ...] = ()
    """(source, reason, pairs), in the order of `SOURCES`, the most frequent reason first."""
    unused: tuple[Unused, ...] | None = ()
    """Comments first, each source sorted by place. None where it cannot be told, as only a part was scanned."""
    problems: tuple[Problem, ...] = ()

    @property
    def total(self) -> int:
        return sum(self.pairs.values())


def label(function: Function) -> str:
    """`language qualified_name` on one line and without runs of blanks: what a file's entry says of a function."""
    return " ".join(f"{function.language} {function.qualified_name}".split())


def entry_for(match: Match, reason: str = "") -> Entry:
    """The entry that suppresses `match`."""
    return pair_entry(match.fingerprint, label(match.left), label(match.right), reason)


def pair_entry(fingerprint: str, left: str, right: str, reason: str = "") -> Entry:
    """An entry from texts. The two sides are sorted, so that it does not matter from where the pair was found."""
    low, high = sorted((left, right))
    return Entry(fingerprint=fingerprint, left=low, right=high, reason=reason)


def names(entry: Entry) -> str:
    """An entry for people."""
    return f"{entry.left} and {entry.right}" if entry.left and entry.right else entry.fingerprint


def merged(parts: Iterable[Suppressions]) -> Suppressions:
    """The suppressions of several workspace folders as one; of two entries for a pair the first counts."""
    ignored: dict[str, Entry] = {}
    baseline: dict[str, Entry] = {}
    problems: list[Problem] = []
    for part in parts:
        ignored = {**part.ignored, **ignored}
        baseline = {**part.baseline, **baseline}
        problems += part.problems
    return Suppressions(ignored=ignored, baseline=baseline, problems=tuple(problems))


def apply(
    result: ScanResult, suppressions: Suppressions = NONE, functions: Iterable[Function] | None = None
) -> tuple[ScanResult, Account]:
    """`result` without what is suppressed, and an account of that.

    A group keeps the members that still have a reported pair within it, and falls into parts where nothing
    else held it together. A pair that is then without any group becomes one of two, as in `polyclone.group`.
    `functions` are all of the workspace; give them if all of it was scanned, as only then is it known which
    suppressions cover nothing.
    """
    kept: list[Match] = []
    reasons: Counter[tuple[Source, str]] = Counter()
    for match in result.matches:
        covered = suppressions.covers(match)
        if covered is None:
            kept.append(match)
        else:
            reasons[covered.source, covered.reason] += 1
    groups = result.groups if len(kept) == len(result.matches) else _regrouped(result, kept)
    account = Account(
        pairs={source: sum(n for (s, _), n in reasons.items() if s == source) for source in SOURCES},
        reasons=tuple((source, reason, n) for (source, reason), n in sorted(reasons.items(), key=_by_weight)),
        unused=None if functions is None else _unused(suppressions, functions, result.matches),
        problems=suppressions.problems,
    )
    return replace(result, matches=tuple(kept), groups=groups), account


def _by_weight(item: tuple[tuple[Source, str], int]) -> tuple[int, int, str]:
    (source, reason), number = item
    return SOURCES.index(source), -number, reason


def _unused(
    suppressions: Suppressions, functions: Iterable[Function], matches: Sequence[Match]
) -> tuple[Unused, ...]:
    return (*_unused_comments(functions, matches), *_unused_entries(suppressions, matches))


def _unused_comments(functions: Iterable[Function], matches: Sequence[Match]) -> list[Unused]:
    comments = {(f.path, f.ignored) for f in functions if f.ignored is not None}
    used = {(f.path, f.ignored) for match in matches for f in (match.left, match.right) if f.ignored is not None}
    unused = sorted(comments - used, key=lambda item: (item[0], item[1].line0))
    return [Unused(source="comment", path=path, line0=c.line0, text=c.reason) for path, c in unused]


def _unused_entries(suppressions: Suppressions, matches: Sequence[Match]) -> list[Unused]:
    """Entries whose pair was not found. One that was found and is suppressed twice over is in use."""
    if not suppressions.ignored and not suppressions.baseline:
        return []
    found = {match.fingerprint for match in matches}
    unused = [
        Unused(source=source, path=entry.path, line0=entry.line0, text=names(entry), fingerprint=fingerprint)
        for source, entries in _by_source(suppressions)
        for fingerprint, entry in entries.items()
        if fingerprint not in found
    ]
    return sorted(unused, key=lambda entry: (SOURCES.index(entry.source), entry.path, entry.line0))


def _by_source(suppressions: Suppressions) -> tuple[tuple[Source, Mapping[str, Entry]], ...]:
    return ("ignored", suppressions.ignored), ("baseline", suppressions.baseline)


def _regrouped(result: ScanResult, kept: Sequence[Match]) -> tuple[CloneGroup, ...]:
    """The groups that the matches `kept` still hold together. An untouched group stays the same value."""
    probabilities = {_pair(match.left, match.right): match.probability for match in result.matches}
    partners: defaultdict[Function, set[Function]] = defaultdict(set)
    for match in kept:
        partners[match.left].add(match.right)
        partners[match.right].add(match.left)
    made: list[CloneGroup] = []
    for group in result.groups:
        parts = _parts(group.members, partners)
        made += [group if len(part) == len(group.members) else _part(group, part, probabilities) for part in parts]
    grouped = {member for group in made for member in group.members}
    loose = [match for match in kept if match.left not in grouped or match.right not in grouped]
    for match in sorted(loose, key=lambda m: (-m.probability, m.fingerprint, _place(m.left), _place(m.right))):
        ends = _pair(match.left, match.right)
        if not grouped.issuperset(ends):
            made.append(CloneGroup(members=ends, probability=match.probability))
            grouped.update(ends)
    made.sort(key=lambda group: (-group.probability, group.fingerprint, [_place(f) for f in group.members]))
    return tuple(made)


def _parts(members: Sequence[Function], partners: Mapping[Function, set[Function]]) -> list[list[Function]]:
    """The connected parts of a group, each in the order of `members`; who has no partner there is in none."""
    inside, seen = set(members), set[Function]()
    parts: list[list[Function]] = []
    for first in members:
        if first in seen:
            continue
        part, waiting = {first}, [first]
        while waiting:
            fresh = (partners.get(waiting.pop(), set()) & inside) - part
            part |= fresh
            waiting += fresh
        seen |= part
        if len(part) > 1:
            parts.append([member for member in members if member in part])
    return parts


def _part(
    group: CloneGroup, members: Sequence[Function], probabilities: Mapping[tuple[Function, Function], float]
) -> CloneGroup:
    """A group of some of a group's members. Its probability is exact where every pair is known from a match.

    Otherwise it is that of the whole group, which no pair of it is below.
    """
    known = [
        1.0 if one.digest == other.digest else probabilities.get(_pair(one, other), group.probability)
        for position, one in enumerate(members)
        for other in members[position + 1 :]
    ]
    return CloneGroup(members=tuple(members), probability=min(known))


def _pair(one: Function, other: Function) -> tuple[Function, Function]:
    return (one, other) if _place(one) <= _place(other) else (other, one)


def _place(function: Function) -> tuple[str, int, int, str, str, str]:
    span = function.span
    return (function.path, span.start_byte, span.end_byte, function.qualified_name, function.language, function.kind)
