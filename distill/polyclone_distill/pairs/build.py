"""The pair builder: programs → balanced and natural sets of pairs, deterministic by seed.

Draws a cluster first and then one of its programs, so that popular problems do not speak for all.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polyclone.errors import UsageError
from polyclone.languages import resolve

from .programs import Program, Programs
from .retrieval import nearest
from .values import CLONE, RANDOM, REJECTED, RETRIEVED, Pair, Side

#: Draws without a new pair after which what there is counts as exhausted.
_PATIENCE = 200
LanguagePair = tuple[str, str]
PAPER_PAIRS: tuple[LanguagePair, ...] = (
    ("python", "java"),
    ("rust", "java"),
    ("rust", "python"),
    ("rust", "ruby"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOptions:
    """How many pairs of a set, and of what kind."""

    pairs: int = 1000
    prevalence: float = 0.5
    """Share of clones."""
    retrieved_share: float = 0.25
    """Share of the others that retrieval proposes."""
    rejected_share: float = 0.25
    """Share of the others whose right program is a rejected submission of the left one's problem."""
    nearest_k: int = 10
    """A retrieved pair takes one of this many nearest programs of other problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSet:
    """Pairs of one language pair, and what could not be drawn."""

    pairs: tuple[Pair, ...]
    counts: Mapping[str, int]


def parse_languages(text: str) -> LanguagePair:
    """`python-java`, `cpp–csharp` → names of the engine; `UsageError` for anything else."""
    parts = text.replace("–", "-").split("-")
    if len(parts) != 2:
        raise UsageError(f"{text!r} is not a language pair; write it like python-java.")
    left, right = (resolve(part).name for part in parts)
    if left == right:
        raise UsageError(f"{text!r} names one language twice; a pair has two languages.")
    return left, right


def draw_pairs(
    programs: Programs, split: str, languages: LanguagePair, options: SetOptions, *, shifted: bool, seed: int
) -> PairSet:
    """Pairs of `languages` (left, right) over the programs of `split`. No pair comes twice.

    What a kind cannot deliver is made up by random pairs and counted. A set that would be of one label is empty.
    """
    if not 0.0 < options.prevalence < 1.0:
        raise UsageError(f"the prevalence must lie between 0 and 1, not {options.prevalence:g}.")
    hard = (options.retrieved_share, options.rejected_share)
    if min(hard) < 0 or sum(hard) > 1:
        raise UsageError("the shares of retrieved and rejected pairs must not be negative nor add up to more than 1.")
    drawer = _Drawer(programs, split, languages, shifted, seed, options.nearest_k)
    clones = drawer.draw(round(options.pairs * options.prevalence), drawer.clone)
    # Where one side runs out, the other shrinks with it, so that the prevalence holds.
    others = round(len(clones) * (1 - options.prevalence) / options.prevalence)
    retrieved = drawer.draw(round(others * options.retrieved_share), drawer.neighbour)
    rejected = drawer.draw(round(others * options.rejected_share), drawer.rejected)
    strangers = drawer.draw(others - len(retrieved) - len(rejected), drawer.stranger)
    drawn = len(retrieved) + len(rejected) + len(strangers)
    clones = clones[: round(drawn * options.prevalence / (1 - options.prevalence))]
    kinds = ((CLONE, clones), (RETRIEVED, retrieved), (REJECTED, rejected), (RANDOM, strangers))
    pairs = [_pair(a, b, kind, programs.difficulty) for kind, drawn in kinds for a, b in drawn]
    random.Random(f"{seed}/order").shuffle(pairs)
    counts = Counter({f"{kind} pairs": len(drawn) for kind, drawn in kinds})
    counts["pairs asked for that there are not"] = options.pairs - len(pairs)
    return PairSet(pairs=tuple(pairs), counts=counts)


def _pair(a: Program, b: Program, kind: str, difficulty: Mapping[str, float]) -> Pair:
    return Pair(
        id=f"{a.submission.id}~{b.submission.id}",
        left=_side(a),
        right=_side(b),
        label=kind == CLONE,
        kind=kind,
        difficulty=difficulty.get(a.cluster),
    )


def _side(program: Program) -> Side:
    row = program.submission
    return Side(id=row.id, problem=program.cluster, language=row.language, code=row.code, atoms=program.atoms)


class _Drawer:
    """Draws pairs of one language pair and split. Equal seeds draw equal pairs, whatever the order of the input."""

    def __init__(
        self, programs: Programs, split: str, languages: LanguagePair, shifted: bool, seed: int, nearest_k: int
    ) -> None:
        self._rng = random.Random(f"{seed}/{split}/{'-'.join(languages)}/{shifted}")
        self._k = nearest_k
        self._left = _by_cluster(programs.accepted, split, languages[0], shifted)
        self._right = _by_cluster(programs.accepted, split, languages[1], shifted)
        self._wrong = _by_cluster(programs.rejected, split, languages[1], shifted)
        self._shared = sorted(self._left.keys() & self._right.keys())
        self._failed = sorted(self._left.keys() & self._wrong.keys())
        self._lefts, self._rights = sorted(self._left), sorted(self._right)
        self._drawn: set[tuple[str, str]] = set()
        self._asking: list[Program] = []
        self._near: dict[str, list[Program]] | None = None

    def draw(self, wanted: int, once: Callable[[], tuple[Program, Program] | None]) -> list[tuple[Program, Program]]:
        found: list[tuple[Program, Program]] = []
        failures = 0
        while len(found) < wanted and failures < _PATIENCE:
            pair = once()
            key = (pair[0].submission.id, pair[1].submission.id) if pair else ("", "")
            if pair is None or key in self._drawn:
                failures += 1
                continue
            failures = 0
            self._drawn.add(key)
            found.append(pair)
        return found

    def clone(self) -> tuple[Program, Program] | None:
        if not self._shared:
            return None
        cluster = self._rng.choice(self._shared)
        return self._rng.choice(self._left[cluster]), self._rng.choice(self._right[cluster])

    def rejected(self) -> tuple[Program, Program] | None:
        if not self._failed:
            return None
        cluster = self._rng.choice(self._failed)
        return self._rng.choice(self._left[cluster]), self._rng.choice(self._wrong[cluster])

    def stranger(self) -> tuple[Program, Program] | None:
        if not self._lefts or not self._rights:
            return None
        # Both sides come from problems that clones come from too: a problem alone must not tell the label.
        left = self._rng.choice(self._shared or self._lefts)
        right = self._rng.choice(self._shared or self._rights)
        if left == right:
            return None
        return self._rng.choice(self._left[left]), self._rng.choice(self._right[right])

    def neighbour(self) -> tuple[Program, Program] | None:
        if not self._shared:
            return None
        if self._near is None:
            # One program of each problem asks: as many questions as there are problems, not as there are programs.
            self._asking = [self._rng.choice(self._left[cluster]) for cluster in self._shared]
            rights = [program for cluster in self._rights for program in self._right[cluster]]
            self._near = nearest(self._asking, rights, self._k)
        left = self._rng.choice(self._asking)
        near = self._near[left.submission.id]
        return (left, self._rng.choice(near)) if near else None


def _by_cluster(programs: Sequence[Program], split: str, language: str, shifted: bool) -> dict[str, list[Program]]:
    groups: defaultdict[str, list[Program]] = defaultdict(list)
    for program in sorted(programs, key=lambda p: p.submission.id):
        if program.split == split and program.submission.language == language and program.shifted == shifted:
            groups[program.cluster].append(program)
    return groups
