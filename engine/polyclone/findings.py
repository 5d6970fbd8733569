"""Units and their judged pairs → matches, groups and a result. Shared by every kind of workspace; holds no state.

A unit is a content, however many functions have it. Pairs are judged by unit, and matches are told by function.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyclone.caching import encode_cached
from polyclone.detect import Judge, Side, Verdict, calls_the_other, codes_from, contains, ordered, place
from polyclone.group import group
from polyclone.index import Codes, ExactIndex, Words
from polyclone.model import Model
from polyclone.store import BlobStore
from polyclone.values import CloneGroup, Function, Match, Reason
from polyclone.verify import Verifier


class Unit(NamedTuple):
    """One content: what is the same for all functions that have it."""

    digest: str
    language: str
    values: bytes
    """Its code, int8 (d,)."""
    is_cut: bool
    """Whether it is longer than the token budget."""
    words: Words
    """What `Vocabulary.ids` has of it."""


class Edge(NamedTuple):
    """A reported pair of units, as seen from one of them. The better edge is the lower one."""

    minus_probability: float
    minus_similarity: float
    other: str
    """The other unit's digest."""
    reasons: tuple[Reason, ...]


def encoded_units(
    functions: Sequence[tuple[str, Function]],
    model: Model,
    store: BlobStore,
    advance: Callable[[int], None] | None = None,
) -> list[Unit]:
    """(digest, function) → units, in the same order. Effect: encodes what the store lacks, and stores it."""
    every = [function for _, function in functions]
    codes, cut = encode_cached(every, model.encoder, model.bundle.encoder_digest, store, advance)
    words = model.vocabulary.ids
    return [
        Unit(digest, function.language, values.tobytes(), bool(is_cut), words(function.normalised))
        for (digest, function), values, is_cut in zip(functions, codes.values, cut.tolist(), strict=True)
    ]


def edges_of(
    judge: Judge,
    pairs: Sequence[tuple[Unit, Unit]],
    copies: Mapping[str, Sequence[Function]],
    threshold: float,
) -> tuple[dict[str, list[Edge]], int]:
    """The pairs that are reported, seen from both sides: digest → edges, the best first; how many are unverified."""
    sides = [(side_of(a, copies), side_of(b, copies)) for a, b in pairs]
    found: dict[str, list[Edge]] = {}
    unverified = 0
    for (a, b), verdict in zip(pairs, judge(sides, threshold), strict=True):
        unverified += not verdict.verified
        if (edge := edge_of(verdict, b.digest, threshold)) is not None:
            found.setdefault(a.digest, []).append(edge)
            found.setdefault(b.digest, []).append(edge._replace(other=a.digest))
    for edges in found.values():
        edges.sort()
    return found, unverified


def edge_of(verdict: Verdict, other: str, threshold: float) -> Edge | None:
    """What is reported of a judged pair, seen from the unit that is not `other`; None if it is not reported."""
    if verdict.reasons is None or verdict.caller or verdict.probability < np.float32(threshold):
        return None
    return Edge(-round(verdict.probability, 4), -verdict.similarity, other, verdict.reasons)


def side_of(unit: Unit, copies: Mapping[str, Sequence[Function]]) -> Side:
    """A unit as the judge wants it: the first of its functions speaks for all."""
    return Side(unit.digest, unit.values, copies[unit.digest][0])


def key_of(digest: str) -> int:
    """Which of two units comes first where something has to: the first 64 bits of the digest decide."""
    return int(digest[:16], 16)


def file_of(copies: Sequence[Function]) -> int:
    """A number for the file that a unit stands in: that of the first of its functions."""
    path = copies[0].path.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(path, digest_size=8).digest())


def match(one: Function, other: Function, edge: Edge) -> Match:
    """The pair of two functions, `one` on the left."""
    return Match(
        left=one,
        right=other,
        similarity=-edge.minus_similarity,
        probability=-edge.minus_probability,
        reasons=edge.reasons,
    )


_IDENTICAL = Edge(
    -1.0, -1.0, "", (Reason(kind="identical", text="identical but for layout and comments", score=1.0),)
)


def matches_of(
    function: Function,
    digest: str,
    edges: Sequence[Edge],
    copies: Mapping[str, Sequence[Function]],
    *,
    same_language: bool,
) -> list[Match]:
    """What is reported of one function, which is on the left of all; the best match first."""
    found = [
        match(function, other, edge)
        for edge in edges
        for other in copies[edge.other]
        if not contains(function, other)
    ]
    if same_language:
        found += [match(function, other, _IDENTICAL) for other in copies[digest] if other != function]
    found.sort(key=lambda m: (-m.probability, -m.similarity, place(m.right)))
    return found


def all_matches(
    edges: Mapping[str, Sequence[Edge]], copies: Mapping[str, Sequence[Function]], *, same_language: bool
) -> list[Match]:
    """What is reported of all functions, each pair once; sorted."""
    found = [
        match(*ordered(one, other), edge)
        for digest, known in edges.items()
        for edge in known
        if digest < edge.other
        for one in copies[digest]
        for other in copies[edge.other]
        if not contains(one, other)
    ]
    if same_language:
        found += [match(a, b, _IDENTICAL) for same in copies.values() for a, b in _pairs(same)]
    found.sort(key=lambda m: (-m.probability, -m.similarity, place(m.left), place(m.right)))
    return found


def _pairs(functions: Sequence[Function]) -> Iterator[tuple[Function, Function]]:
    return ((a, b) for i, a in enumerate(functions) for b in functions[i + 1 :])


def grouped(
    matches: Sequence[Match], model: Model, units: Mapping[str, Unit], *, threshold: float, same_language: bool
) -> tuple[CloneGroup, ...]:
    """The groups of the matches. Pairs that no search proposed are scored from the units' codes."""
    scorer = _Scorer(model.verifier, units)
    return group(matches, scorer, min_probability=threshold, same_language=same_language)


class _Scorer:
    """Probabilities for pairs that no search proposed, from the codes at hand; each pair by content alone."""

    def __init__(self, verifier: Verifier, units: Mapping[str, Unit]) -> None:
        self._verifier, self._units = verifier, units

    def __call__(self, pairs: Sequence[tuple[Function, Function]]) -> list[float]:
        sides = [(a.digest, b.digest) for a, b in pairs]
        texts: dict[str, str] = {}
        for (digest_a, digest_b), (a, b) in zip(sides, pairs, strict=True):
            texts[digest_a], texts[digest_b] = a.normalised, b.normalised
        row = {digest: i for i, digest in enumerate(texts)}
        codes = codes_from(self._units[digest].values for digest in texts)
        judged = self._verifier.prepare(codes, list(texts.values()))
        left, right = (np.array([row[side[i]] for side in sides], dtype=np.int64) for i in (0, 1))
        probabilities = self._verifier.probabilities(self._verifier.features(judged, left, right))
        return [
            0.0 if calls_the_other(a, b) else round(float(p), 4)
            for (a, b), p in zip(pairs, probabilities, strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is searched for: a function, its code (1, d), and how many answers are wanted."""

    target: Function
    codes: Codes
    limit: int
    same_language: bool


def nearest(
    query: Query,
    shelves: Iterable[tuple[Codes, Sequence[str]]],
    copies: Mapping[str, Sequence[Function]],
    verifier: Verifier,
) -> tuple[Match, ...]:
    """The most probable clones of a function, of any probability, which is on the left of all; best first.

    `shelves` hold the units to search, one language each: codes (n, d) and the n digests, sorted.
    """
    target, digest = query.target, query.target.digest
    found: list[tuple[str, NDArray[np.int8], float]] = []
    for codes, digests in shelves:
        language = copies[digests[0]][0].language if digests else ""
        if not digests or (language == target.language and not query.same_language):
            continue
        found += _nearest_of(query, digest, codes, digests)
    if not found:
        return ()
    every = codes_from([*(values for _, values, _ in found), query.codes.values[0]])
    texts = [*(copies[other][0].normalised for other, _, _ in found), target.normalised]
    judged = verifier.prepare(every, texts)
    right = np.arange(len(found), dtype=np.int64)
    left = np.full(len(found), len(found), dtype=np.int64)
    features = verifier.features(judged, left, right, np.array([m for _, _, m in found], dtype=np.float32))
    matches: list[Match] = []
    for row, probability in enumerate(verifier.probabilities(features).tolist()):
        unit = copies[found[row][0]][0]
        if calls_the_other(target, unit):
            continue
        similarity = round(float(features[row, 0]), 4)
        reasons = verifier.reasons(target.normalised, unit.normalised, similarity, names=(target.name, unit.name))
        edge = Edge(-round(probability, 4), -similarity, found[row][0], reasons)
        matches += [match(target, copy, edge) for copy in copies[found[row][0]]]
    matches.sort(key=lambda m: (-m.probability, -m.similarity, place(m.right)))
    return tuple(matches[: query.limit])


def _nearest_of(
    query: Query, digest: str, codes: Codes, digests: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.int8], float]]:
    """(digest, values, margin) of the nearest in one language, the asked content itself left out."""
    found = ExactIndex(codes).search(query.codes, min(query.limit + 1, len(digests)))
    near = [
        (int(row), float(similarity))
        for row, similarity in zip(found.indices[0], found.similarities[0], strict=True)
        if digests[row] != digest
    ][: query.limit]
    for row, similarity in near:
        yield digests[row], codes.values[row], max(0.0, near[0][1] - similarity)


def copies_by_digest(functions: Iterable[tuple[str, Function]]) -> dict[str, tuple[Function, ...]]:
    """(digest, function) → all functions of each digest, sorted by place."""
    found: dict[str, list[Function]] = {}
    for digest, function in functions:
        found.setdefault(digest, []).append(function)
    return {digest: tuple(sorted(same, key=place)) for digest, same in found.items()}


def innermost(functions: Sequence[Function], line0: int, byte: int | None) -> Function | None:
    """The smallest of some functions around a 0-based line; with `byte`, around that offset in the file."""
    around = [
        f
        for f in functions
        if f.span.start_line0 <= line0 <= f.span.end_line0
        and (byte is None or f.span.start_byte <= byte < f.span.end_byte)
    ]
    return min(around, key=lambda f: (f.span.end_byte - f.span.start_byte, f.span.start_byte), default=None)
