"""The values of the pair builder: a submission, a collection of them, a labelled pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from polyclone.errors import UsageError

CLONE, RANDOM, RETRIEVED, REJECTED = "clone", "random", "retrieved", "rejected"
KINDS = (CLONE, RANDOM, RETRIEVED, REJECTED)
"""Where a pair comes from. `clone`: two accepted solutions of one problem. The others are not clones: `random`
solutions of two problems, the `retrieved` neighbour of another problem, a `rejected` submission of the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One program with what a judge said of it."""

    id: str
    problem: str
    language: str
    """Canonical name of the engine, such as `csharp`."""
    code: str
    accepted: bool
    path: str = ""
    split: str = ""
    """What its source assigns it to; `` leaves the choice to the builder."""
    source: str = ""
    license: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Submissions of one source, and what the source knows about them."""

    submissions: tuple[Submission, ...]
    same_problem: tuple[tuple[str, ...], ...] = ()
    """Groups of problems that the source knows to be identical."""
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    """Groups of ids that the source knows to be near-duplicates, the one to keep first."""
    difficulty: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Problem → difficulty, larger is harder; problems without a figure are absent."""
    domains: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Problem → where it comes from, such as the judge that posed it; absent where nothing is known."""
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """What was read and what was left out, in the order of the reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One program of a pair."""

    id: str
    problem: str
    """The cluster of identical problems, not the problem."""
    language: str
    code: str
    atoms: int = 0
    """Length in normalised atoms; 0 where it was not counted."""

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Side:
        return Side(
            id=str(raw.get("id", "")),
            problem=str(raw.get("task", "")),
            language=str(raw["language"]),
            code=str(raw["code"]),
            atoms=int(raw.get("atoms", 0)),
        )

    def to_json(self) -> dict[str, Any]:
        """Its fields; the problem is called `task`, as everywhere in evaluation."""
        raw = {"id": self.id, "task": self.problem, "language": self.language, "code": self.code}
        return {**raw, "atoms": self.atoms}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two programs in two languages and whether they solve the same problem."""

    id: str
    left: Side
    right: Side
    label: bool
    kind: str
    difficulty: float | None = None
    """Of the left program's problem; None where nothing is known."""

    @property
    def languages(self) -> str:
        """Such as `python-java`: left, then right."""
        return f"{self.left.language}-{self.right.language}"

    def to_json(self) -> dict[str, Any]:
        raw: dict[str, Any] = {
            "id": self.id,
            "left": self.left.to_json(),
            "right": self.right.to_json(),
            "label": int(self.label),
            "kind": self.kind,
        }
        return raw if self.difficulty is None else {**raw, "difficulty": self.difficulty}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Pair:
        """Inverse of `to_json`. `UsageError` names what is missing or wrong."""
        try:
            if raw["label"] not in (0, 1):
                raise UsageError(f"label {raw['label']!r} is neither 0 nor 1.")
            label = bool(raw["label"])
            left, right = Side.from_json(raw["left"]), Side.from_json(raw["right"])
            return Pair(
                id=str(raw.get("id") or f"{left.id}~{right.id}"),
                left=left,
                right=right,
                label=label,
                kind=str(raw.get("kind") or (CLONE if label else RANDOM)),
                difficulty=None if raw.get("difficulty") is None else float(raw["difficulty"]),
            )
        except KeyError as error:
            raise UsageError(f"{error} is missing.") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{error}.") from error
