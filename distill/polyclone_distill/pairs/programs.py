"""Submissions → programs to draw from: normalised, clustered by problem, freed of near-duplicates, split.

Everything left out is counted.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polyclone.extract import extract_snippet
from polyclone.values import ATOM_SEPARATOR

from ..data.classes import UnionFind, cluster_tasks, shape, task_key
from ..data.units import MIN_ATOMS, Unit
from .values import Collection, Submission

SPLITS = ("train", "valid", "test")
#: Set and bag similarity from which two programs are near-duplicates: Project CodeNet's own rule, after Allamanis
#: 2019, "The adverse effects of code duplication in machine learning models of code".
SET_SIMILARITY, BAG_SIMILARITY = 0.9, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A submission that pairs may be drawn from."""

    submission: Submission
    cluster: str
    split: str
    normalised: str
    atoms: int
    shifted: bool = False
    """Whether its problem belongs to what only shifted test sets are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What the builder draws from, and how it came about."""

    accepted: tuple[Program, ...]
    rejected: tuple[Program, ...]
    difficulty: Mapping[str, float]
    """Cluster → difficulty."""
    counts: Mapping[str, int]


def prepare_programs(
    collection: Collection,
    *,
    shifted_domains: Sequence[str] = (),
    shifted_share: float = 0.25,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 1,
) -> Programs:
    """Programs of at least `MIN_ATOMS` atoms with their cluster and split.

    A cluster of problems stands in one split. Where the source gives splits they hold (test before valid before
    train if a cluster has several); elsewhere clusters are dealt out by `shares`. Shifted problems, which are
    those of `shifted_domains` or else the `shifted_share` with the longest solutions, stand in `test` alone.
    """
    counts = Counter(collection.counts)
    units = {row.id: _unit(number, row) for number, row in enumerate(collection.submissions)}
    large = [row for row in collection.submissions if _atoms(units[row.id]) >= MIN_ATOMS]
    counts["too small"] = len(collection.submissions) - len(large)
    accepted = [row for row in large if row.accepted]
    clusters, given = _cluster(accepted, units, collection.same_problem)
    counts["problems that are clusters of several"] = len(clusters) - len(set(clusters.values()))
    distinct = _distinct(accepted, units, clusters, collection.near_duplicates)
    counts["near-duplicates dropped"] = len(accepted) - len(distinct)
    shifted = _shifted(distinct, units, clusters, collection.domains, shifted_domains, shifted_share)
    splits = {name: given.get(name) or _deal(name, shares, seed) for name in sorted(set(clusters.values()))}

    def program(row: Submission) -> Program:
        cluster = clusters[row.problem]
        return Program(
            submission=row,
            cluster=cluster,
            split="test" if cluster in shifted else splits[cluster],
            normalised=units[row.id].normalised,
            atoms=_atoms(units[row.id]),
            shifted=cluster in shifted,
        )

    rejected = [row for row in large if not row.accepted and row.problem in clusters]
    difficulty: dict[str, float] = {}
    for problem, value in collection.difficulty.items():
        if problem in clusters:
            difficulty[clusters[problem]] = max(value, difficulty.get(clusters[problem], value))
    counts["clusters of problems"] = len(set(clusters.values()))
    counts["clusters held out for the shifted sets"] = len(shifted)
    return Programs(
        accepted=tuple(program(row) for row in distinct),
        rejected=tuple(program(row) for row in rejected),
        difficulty=difficulty,
        counts=counts,
    )


def _unit(number: int, row: Submission) -> Unit:
    return Unit(
        program=number,
        role="program",
        task=row.problem,
        # The clusters' splits are decided here, from the submissions themselves.
        split="train",
        language=row.language,
        source=row.source,
        license=row.license,
        path=row.path,
        name="",
        qualified_name="",
        doc="",
        normalised=extract_snippet(row.code, row.language).normalised,
    )


def _atoms(unit: Unit) -> int:
    return unit.normalised.count(ATOM_SEPARATOR) + 1 if unit.normalised else 0


def _cluster(
    rows: Sequence[Submission], units: Mapping[str, Unit], same: Sequence[Sequence[str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Problem → cluster, and cluster → split where the source gives one.

    Problems are one where the source says so, where their titles agree, or where they share a program that is
    the same but for its names.
    """
    by_key, _ = cluster_tasks([units[row.id] for row in rows])
    joined = UnionFind()
    for row in rows:
        joined.union(f"p:{row.problem}", f"k:{by_key[task_key(units[row.id])]}")
    for group in same:
        for problem in group[1:]:
            joined.union(f"p:{group[0]}", f"p:{problem}")
    roots: defaultdict[str, list[str]] = defaultdict(list)
    for problem in sorted({row.problem for row in rows}):
        roots[joined.find(f"p:{problem}")].append(problem)
    clusters = {problem: members[0] for members in roots.values() for problem in members}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[clusters[row.problem]].add(row.split)
    given = {name: next((s for s in ("test", "valid", "train") if s in splits), "") for name, splits in found.items()}
    return clusters, given


def _distinct(
    rows: Sequence[Submission],
    units: Mapping[str, Unit],
    clusters: Mapping[str, str],
    known: Sequence[Sequence[str]],
) -> list[Submission]:
    """`rows` without near-duplicates within a cluster and language; the first of each stays."""
    listed = {member for group in known for member in group[1:]}
    kept: list[Submission] = []
    seen: defaultdict[tuple[str, str], list[Counter[str]]] = defaultdict(list)
    shapes: set[tuple[str, str, str]] = set()
    for row in rows:
        where = (clusters[row.problem], row.language)
        digest = shape(units[row.id])
        if row.id in listed or (digest and (*where, digest) in shapes):
            continue
        bag = Counter(units[row.id].normalised.split(ATOM_SEPARATOR))
        if any(near_duplicates(bag, other) for other in seen[where]):
            continue
        if digest:
            shapes.add((*where, digest))
        seen[where].append(bag)
        kept.append(row)
    return kept


def near_duplicates(a: Counter[str], b: Counter[str]) -> bool:
    """Whether two bags of atoms agree as sets (Jaccard ≥ .9) and as bags (≥ .8)."""
    low, high = sorted((a.total(), b.total()))
    if low < BAG_SIMILARITY * high:
        return False
    common = len(a.keys() & b.keys())
    if common < SET_SIMILARITY * (len(a) + len(b) - common):
        return False
    shared = (a & b).total()
    return shared >= BAG_SIMILARITY * (a.total() + b.total() - shared)


def _shifted(
    rows: Sequence[Submission],
    units: Mapping[str, Unit],
    clusters: Mapping[str, str],
    domains: Mapping[str, str],
    wanted: Sequence[str],
    share: float,
) -> set[str]:
    """Clusters of the wanted domains; without any, the `share` of clusters with the longest solutions."""
    if wanted:
        return {clusters[row.problem] for row in rows if domains.get(row.problem) in set(wanted)}
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        lengths[clusters[row.problem]].append(_atoms(units[row.id]))
    ordered = sorted(lengths, key=lambda name: (-sum(lengths[name]) / len(lengths[name]), name))
    return set(ordered[: round(share * len(ordered))])


def _deal(cluster: str, shares: tuple[float, float, float], seed: int) -> str:
    drawn = random.Random(f"{seed}/{cluster}").random() * sum(shares)
    return SPLITS[0] if drawn < shares[0] else SPLITS[1] if drawn < shares[0] + shares[1] else SPLITS[2]
