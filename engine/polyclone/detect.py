"""Vectors → judged pairs: candidates per target language, rules against hubs, probability, reasons.

A pair is a candidate when each side is the other's nearest in the other's language (mutual nearest neighbours by
CSLS and the consensus of files, see `index.table`) and stands out from the background of both. The pair head judges
candidates only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyclone.index import Codes, NeighbourTable, Words
from polyclone.index.codes import codes_of
from polyclone.profile import fold
from polyclone.tokenizer import subwords
from polyclone.values import ATOM_SEPARATOR, Function, Reason
from polyclone.verify import Verifier

#: Each side of a pair has to stand out by so many deviations from its similarities to all functions of the other's
#: language,
BACKGROUND_Z = 2.0
#: where that language has enough functions for a deviation to mean something.
BACKGROUND_LEAST = 50
_INSERTED = 1024
"""Units taken into the table between two reports of progress."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n pairs of units. `left`, `right` int64 (n,), left < right, sorted."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.left)


def find_candidates(
    codes: Codes,
    languages: Sequence[str],
    *,
    words: Sequence[Words] | None = None,
    weights: NDArray[np.int64] | None = None,
    files: NDArray[np.uint64] | None = None,
    same_language: bool = False,
    keys: NDArray[np.uint64] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Candidates:
    """Mutual nearest neighbours among `codes` (n, d), whose i-th row is of `languages[i]` and has `words[i]`.

    One neighbour, not several: more would let siblings in, `AND.eval` in one language beside `OR.eval` in the
    other, when each has its own counterpart. Of neighbours equally near the one with the lowest of `keys` (n,)
    is taken, by default the first. `weights` are those of words, as `Vocabulary` has them; without words and weights
    vectors alone decide. `files` (n,) says by any number which rows stand in one file; without it none do.
    """
    table = NeighbourTable(codes.dimension, weights, within=same_language)
    if keys is None:
        keys = np.arange(len(codes), dtype=np.uint64)
    for start in range(0, len(codes), _INSERTED):
        block = slice(start, start + _INSERTED)
        told = None if words is None else words[block]
        table.insert(codes.take(block), languages[block], keys[block], told, None if files is None else files[block])
        if advance:
            advance(len(languages[block]))
    # In an empty table the handles are the positions.
    left, right = mutual(table)
    return Candidates(left, right)


def mutual(table: NeighbourTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The candidates of a table, as two columns of handles: left < right, sorted."""
    first, second = table.pairs(deviations=BACKGROUND_Z, least=BACKGROUND_LEAST)
    # Handles are below 2³¹: both fit into one number, and numbers are quicker to sort.
    packed = np.sort((np.minimum(first, second) << 32) | np.maximum(first, second))
    return packed >> 32, packed & 0xFFFFFFFF


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


class Side(NamedTuple):
    """One side of a pair to be judged: a unit's content, its code, and the first function that has it."""

    digest: str
    values: NDArray[np.int8] | bytes
    """int8 (d,), or the same as bytes."""
    function: Function


class Verdict(NamedTuple):
    """What is known of a pair of units. `similarity` is rounded, `probability` is as the head gave it."""

    probability: float
    similarity: float
    caller: bool
    """Whether one calls the other, which is then no clone."""
    reasons: tuple[Reason, ...] | None
    """None as long as nobody asked."""
    verified: bool = True
    """False if a language model was to verify the pair and its time was up before."""


class Judge:
    """Verdicts on pairs of units. What was judged once is remembered by content, until `keep` forgets it.

    Not remembered is a verdict that was to be verified and was not: next time there may be time for it.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._known: dict[VerdictKey, Verdict] = {}

    def __call__(self, pairs: Sequence[tuple[Side, Side]], threshold: float) -> list[Verdict]:
        """A verdict for each pair; with reasons from `threshold` on, unless one side calls the other."""
        keys = [_verdict_key(*pair) for pair in pairs]
        found = {key: self._known[key] for key in keys if key in self._known}
        missing = [i for i, key in enumerate(keys) if key not in found]
        found.update(zip((keys[i] for i in missing), self._judge([pairs[i] for i in missing]), strict=True))
        least = np.float32(threshold)
        for (one, other), key in zip(pairs, keys, strict=True):
            verdict = found[key]
            if verdict.reasons is None and not verdict.caller and verdict.probability >= least:
                found[key] = verdict._replace(reasons=self._reasons(one.function, other.function, verdict.similarity))
        self._known.update((key, verdict) for key, verdict in found.items() if verdict.verified)
        return [found[key] for key in keys]

    @property
    def known(self) -> dict[VerdictKey, Verdict]:
        """What is remembered. Another judge of the same bundle may be given it."""
        return self._known

    def keep(self, pairs: Iterable[tuple[Side, Side]]) -> None:
        """Forget all but these."""
        keys = (_verdict_key(*pair) for pair in pairs)
        self._known = {key: self._known[key] for key in keys if key in self._known}

    def _judge(self, pairs: Sequence[tuple[Side, Side]]) -> list[Verdict]:
        if not pairs:
            return []
        sides = {side.digest: side for pair in pairs for side in pair}
        row = {digest: i for i, digest in enumerate(sides)}
        codes = codes_from(side.values for side in sides.values())
        prepared = self._verifier.prepare(codes, [side.function.normalised for side in sides.values()])
        left, right = (np.array([row[pair[i].digest] for pair in pairs], dtype=np.int64) for i in (0, 1))
        features = self._verifier.features(prepared, left, right)
        probabilities = self._verifier.probabilities(features)
        return [
            Verdict(
                probability=float(probability),
                similarity=round(float(similarity), 4),
                caller=calls_the_other(one.function, other.function),
                reasons=None,
                verified=not self._verifier.is_unverified(one.function.normalised, other.function.normalised),
            )
            for (one, other), probability, similarity in zip(pairs, probabilities, features[:, 0], strict=True)
        ]

    def _reasons(self, one: Function, other: Function, similarity: float) -> tuple[Reason, ...]:
        # The order decides whose spelling of a common name is shown; like the key, it depends on content alone.
        one, other = sorted((one, other), key=lambda function: (function.language, function.digest))
        return self._verifier.reasons(one.normalised, other.normalised, similarity, names=(one.name, other.name))


VerdictKey = tuple[str, str, str, str]
"""The digests, the lower first, and the names that go with them: a name is no part of the content."""


def _verdict_key(one: Side, other: Side) -> VerdictKey:
    low, high = (one, other) if one.digest <= other.digest else (other, one)
    return (low.digest, high.digest, low.function.name, high.function.name)


def codes_from(rows: Iterable[NDArray[np.int8] | bytes]) -> Codes:
    """Codes of single rows."""
    every = [np.frombuffer(row, np.int8) if isinstance(row, bytes) else row for row in rows]
    return codes_of(np.stack(every) if every else np.zeros((0, 0), np.int8))


def ordered(a: Function, b: Function) -> tuple[Function, Function]:
    return (a, b) if place(a) <= place(b) else (b, a)


def place(function: Function) -> tuple[str, int, int]:
    """Where a function stands; the order of everything that is reported."""
    return (function.path, function.span.start_byte, function.span.end_byte)
