"""Vectors → judged pairs: candidates per target language, rules against hubs, probability, reasons.

A pair is a candidate when each side is among the other's nearest in the other's language (mutual nearest
neighbours) and stands out from the background of both. The pair head judges candidates only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyclone.index import Codes, ExactIndex, Neighbours
from polyclone.profile import fold
from polyclone.tokenizer import subwords
from polyclone.values import ATOM_SEPARATOR, Function, Match
from polyclone.verify import Verifier

#: Each side has to be among the other's first so many in the other's language. More than one lets siblings in:
#: `AND.eval` in one language beside `OR.eval` in the other, when each has its own counterpart.
MUTUAL_RANK = 1
#: … and stand out by so many deviations from its similarities to all functions of that language,
BACKGROUND_Z = 2.0
#: where that language has enough functions for a deviation to mean something.
BACKGROUND_LEAST = 50


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n pairs of units. `left`, `right` int64 (n,), left < right, sorted; `margin` float32 (n,) ≥ 0."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    margin: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.left)


def find_candidates(
    codes: Codes,
    languages: Sequence[str],
    *,
    same_language: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Candidates:
    """Mutual near neighbours among `codes` (n, d), whose i-th row is of `languages[i]`."""
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row, language in enumerate(languages):
        rows_of[language].append(row)
    names = sorted(rows_of)
    rows = {name: np.array(rows_of[name], dtype=np.int64) for name in names}
    indices = {name: ExactIndex(codes.take(rows[name])) for name in names}
    pairs: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for position, one in enumerate(names):
        for other in names[position if same_language else position + 1 :]:
            within = one == other
            forward = indices[other].search(codes.take(rows[one]), MUTUAL_RANK + within)
            backward = forward if within else indices[one].search(codes.take(rows[other]), MUTUAL_RANK)
            left, right, margin = _mutual(forward, backward, len(rows[one]), len(rows[other]), within)
            pairs.append((rows[one][left], rows[other][right], margin))
        if advance:
            advance(len(rows[one]))
    if not pairs:
        return Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    first, second, margins = (np.concatenate(column) for column in zip(*pairs, strict=True))
    left, right = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((right, left))
    return Candidates(left[order], right[order], margins[order].astype(np.float32))


def _mutual(
    forward: Neighbours, backward: Neighbours, size_one: int, size_other: int, within: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Pairs (i, j) with j among i's nearest and i among j's; their margin below the best of either side."""
    there, similarity, best_there = _edges(forward, size_other, within)
    back, _, best_back = _edges(backward, size_one, within)
    # An edge as one number, i · size + j, so that both directions can be intersected.
    a = there[0] * size_other + there[1]
    b = back[1] * size_other + back[0]
    kept = np.isin(a, b)
    left, right, similarity = there[0][kept], there[1][kept], similarity[kept]
    if within:
        ordered = left < right
        left, right, similarity = left[ordered], right[ordered], similarity[ordered]
    margin = np.maximum(best_there[left] - similarity, best_back[right] - similarity)
    outstanding = np.ones(len(left), dtype=bool)
    if size_other >= BACKGROUND_LEAST:
        outstanding &= similarity >= forward.mean[left] + BACKGROUND_Z * forward.std[left]
    if size_one >= BACKGROUND_LEAST:
        outstanding &= similarity >= backward.mean[right] + BACKGROUND_Z * backward.std[right]
    return left[outstanding], right[outstanding], np.maximum(margin[outstanding], 0.0)


def _edges(
    found: Neighbours, size: int, within: bool
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32], NDArray[np.float32]]:
    """(queries, rows) and similarities of all neighbours, and each query's best; itself left out if `within`."""
    indices = found.indices.astype(np.int64)
    queries = np.repeat(np.arange(len(indices), dtype=np.int64), indices.shape[1]).reshape(indices.shape)
    valid = (indices >= 0) & (indices < size)
    if within:
        valid &= indices != queries
    best = np.where(valid, found.similarities, -1.0).max(1, initial=-1.0).astype(np.float32)
    return (queries[valid], indices[valid]), found.similarities[valid], best


def calls_the_other(a: Function, b: Function) -> bool:
    """Whether one of two functions of different names calls the other's name: a caller is not a clone.

    A snippet has no name of its own, and what it defines looks like a call; it is not asked.
    """
    if "snippet" in (a.kind, b.kind):
        return False
    name_a, name_b = fold(a.name), fold(b.name)
    if not name_a or not name_b or name_a == name_b:
        return False
    return _calls(a, name_b) or _calls(b, name_a)


def _calls(function: Function, name: str) -> bool:
    return any(
        atom[0] == "c" and "".join(subwords(atom[1:])) == name
        for atom in function.normalised.split(ATOM_SEPARATOR)
        if atom
    )


def contains(a: Function, b: Function) -> bool:
    """Whether one of two functions lies inside the other."""
    if a.path != b.path:
        return False
    (start_a, end_a), (start_b, end_b) = ((f.span.start_byte, f.span.end_byte) for f in (a, b))
    return (start_a <= start_b and end_b <= end_a) or (start_b <= start_a and end_a <= end_b)


def judge(
    units: Sequence[Function],
    codes: Codes,
    candidates: Candidates,
    verifier: Verifier,
    threshold: float,
    copies: Callable[[Function], Sequence[Function]],
) -> list[Match]:
    """Matches of at least `threshold`. `copies` gives every function with the content of a unit."""
    judged = verifier.prepare(codes, [unit.normalised for unit in units])
    features = verifier.features(judged, candidates.left, candidates.right, candidates.margin)
    probabilities = verifier.probabilities(features)
    matches: list[Match] = []
    for row in np.flatnonzero(probabilities >= np.float32(threshold)).tolist():
        a, b = units[int(candidates.left[row])], units[int(candidates.right[row])]
        if calls_the_other(a, b):
            continue
        similarity = round(float(features[row, 0]), 4)
        reasons = verifier.reasons(a.normalised, b.normalised, similarity, names=(a.name, b.name))
        probability = round(float(probabilities[row]), 4)
        matches += [
            Match(left=one, right=two, similarity=similarity, probability=probability, reasons=reasons)
            for first in copies(a)
            for second in copies(b)
            for one, two in (_ordered(first, second),)
            if not contains(one, two)
        ]
    return matches


def _ordered(a: Function, b: Function) -> tuple[Function, Function]:
    return (a, b) if place(a) <= place(b) else (b, a)


def place(function: Function) -> tuple[str, int, int]:
    """Where a function stands; the order of everything that is reported."""
    return (function.path, function.span.start_byte, function.span.end_byte)
