"""Candidates are those of the definition, computed pair by pair; callers and what they contain are no clones."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.detect import (
    BACKGROUND_LEAST,
    BACKGROUND_Z,
    Candidates,
    Judge,
    Side,
    calls_the_other,
    contains,
    find_candidates,
)
from polyclone.index import Codes, quantise, similarity
from polyclone.index.agreement import Bags, Words
from polyclone.index.codes import codes_of
from polyclone.index.columns import CROWD, NEAREST
from polyclone.values import Function, Match, Reason
from support.fake_model import FakeModel
from support.results import function

Found = set[tuple[int, int]]
WEIGHTS = np.linspace(0, 9 * 2**16, 10).astype(np.int64)


def by_definition(
    codes: Codes,
    languages: Sequence[str],
    *,
    same_language: bool,
    near: set[tuple[int, int]] | None = None,
    words: Sequence[Words] | None = None,
    files: Sequence[int] | None = None,
) -> Found:
    """The pairs. Those whose background decides within 1e-3 go to `near`, too: either answer is right."""
    found: Found = set()
    n = len(codes)
    score = np.array([[similarity(codes, i, codes, j) for j in range(n)] for i in range(n)], np.float32).reshape(n, n)
    bags = Bags(WEIGHTS)
    bags.put(range(n), words or [np.zeros(0, np.uint32)] * n)
    like = score + 0.5 * np.array(
        [[float(bags.agree(*np.array([[i], [j]]))[0]) for j in range(n)] for i in range(n)]
    ).reshape(n, n)
    rows = {name: [i for i in range(n) if languages[i] == name] for name in languages}

    def similar(i: int, name: str) -> list[int]:
        return sorted((j for j in rows[name] if j != i), key=lambda j: (-score[i, j], j))[:NEAREST]

    def crowding(i: int, name: str) -> float:
        total = 0.0
        for j in similar(i, name)[:CROWD]:
            total += float(like[i, j])
        return total / CROWD

    def csls(i: int, j: int) -> float:
        return 2.0 * float(like[i, j]) - crowding(j, languages[i])

    told = list(range(n)) if files is None else list(files)
    votes = {
        (i, name): max(similar(i, name), key=lambda j: csls(i, j))
        for i in range(n)
        for name in rows
        if similar(i, name)
    }

    def support(i: int, j: int) -> float:
        if languages[i] == languages[j] and told[i] == told[j]:
            return 0.0
        others = [other for other in rows[languages[i]] if told[other] == told[i] and other != i]
        cast = sum(told[votes[other, languages[j]]] == told[j] for other in others)
        share = sum(told[other] == told[j] for other in rows[languages[j]]) / len(rows[languages[j]])
        chance = len(others) * share
        return max(cast - chance - 2.0 * math.sqrt(chance), 0.0) / (len(others) + 2)

    def nearest(i: int, name: str) -> int:
        return max(similar(i, name), key=lambda j: csls(i, j) + 0.75 * (support(i, j) + support(j, i)) / 2)

    for i in range(n):
        for j in range(i + 1, n):
            if languages[i] == languages[j] and not same_language:
                continue
            one, other = i, j
            if other != nearest(one, languages[other]) or one != nearest(other, languages[one]):
                continue
            value = score[one, other]
            excess = [1.0]
            for asking, name in ((one, languages[other]), (other, languages[one])):
                if len(rows[name]) >= BACKGROUND_LEAST:
                    all_of_it = score[asking, rows[name]].astype(np.float64)
                    excess.append(float(value) - all_of_it.mean() - BACKGROUND_Z * all_of_it.std())
            if near is not None and any(abs(e) < 1e-3 for e in excess):
                near.add((i, j))
            if min(excess) < 0:
                continue
            found.add((i, j))
    return found


def as_found(candidates: Candidates) -> Found:
    return set(zip(candidates.left.tolist(), candidates.right.tolist(), strict=True))


def clustered(count: int, dimension: int, seed: int) -> Codes:
    """Vectors about a third as many centres, so that neighbours are near and mutual."""
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((max(1, count // 3), dimension))
    vectors = centres[chance.integers(len(centres), size=count)] + 0.3 * chance.standard_normal((count, dimension))
    return quantise(vectors.astype(np.float32))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["c", "go", "java", "python"]), max_size=30),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_candidates_are_those_of_the_definition(languages: list[str], seed: int, same_language: bool) -> None:
    codes = clustered(len(languages), 24, seed)
    found = find_candidates(codes, languages, same_language=same_language)
    assert as_found(found) == by_definition(codes, languages, same_language=same_language)
    chance = np.random.default_rng(seed)
    words = [np.flatnonzero(chance.random(12) < 0.4).astype(np.uint32) for _ in languages]
    told = find_candidates(codes, languages, words=words, weights=WEIGHTS, same_language=same_language)
    assert as_found(told) == by_definition(codes, languages, same_language=same_language, words=words)
    files = chance.integers(0, 4, len(languages))
    told = find_candidates(codes, languages, files=files.astype(np.uint64), same_language=same_language)
    assert as_found(told) == by_definition(codes, languages, same_language=same_language, files=files.tolist())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(["c", "go"]), st.sampled_from([-1, 0, 1]), st.sampled_from([-1, 0, 1])),
                max_size=20))  # fmt: skip
def test_ties_go_to_the_first(rows: list[tuple[str, int, int]]) -> None:
    codes = codes_of(np.array([row[1:] for row in rows], np.int8).reshape(len(rows), 2))
    languages = [language for language, _, _ in rows]
    for same_language in (False, True):
        found = as_found(find_candidates(codes, languages, same_language=same_language))
        assert found == by_definition(codes, languages, same_language=same_language)


@pytest.mark.parametrize("same_language", [False, True])
def test_large_languages_ask_for_more_than_a_rank(same_language: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `BACKGROUND_LEAST` functions on, a pair has to stand out from them."""
    languages = ["go"] * (BACKGROUND_LEAST + 10) + ["ruby"] * (BACKGROUND_LEAST - 1) + ["c"] * BACKGROUND_LEAST
    codes = clustered(len(languages), 6, 7)
    near: set[tuple[int, int]] = set()
    expected = by_definition(codes, languages, same_language=same_language, near=near)
    found = as_found(find_candidates(codes, languages, same_language=same_language))
    assert found - near == expected - near
    assert len(near) < len(expected) / 4
    monkeypatch.setattr("polyclone.detect.BACKGROUND_LEAST", 1000)
    assert len(find_candidates(codes, languages, same_language=same_language)) > len(found)


@pytest.mark.parametrize("dense", [0, 1 << 20])
def test_the_others_of_a_file_decide_between_two(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`size` of a stack is as near to that of a queue; where the rest of the stack is, there is its own."""
    monkeypatch.setattr("polyclone.index.consensus._DENSE", dense)
    chance = np.random.default_rng(4)
    # Eight methods for each of five classes in two languages; the last method is the same in all.
    methods = chance.standard_normal((5, 8, 40))
    methods[:, 7] = methods[0, 7]
    here, there = (methods + 0.1 * chance.standard_normal(methods.shape) for _ in range(2))
    codes = quantise(np.concatenate([here, there]).reshape(80, 40).astype(np.float32))
    languages = ["go"] * 40 + ["java"] * 40
    files = np.repeat(np.arange(10, dtype=np.uint64) * 2**60, 8)
    ported = {(i, i + 40) for i in range(40)}
    assert as_found(find_candidates(codes, languages, files=files)) == ported
    alone = as_found(find_candidates(codes, languages))
    assert {pair for pair in ported if pair[0] % 8 != 7} <= alone
    assert len(ported - alone) >= 3
    # Strangers in a file prove nothing.
    mixed = as_found(find_candidates(codes, languages, files=chance.permutation(files)))
    assert mixed == alone


def test_candidates_are_ordered_and_of_two_languages() -> None:
    languages = [("go", "c", "java")[i % 3] for i in range(40)]
    found = find_candidates(clustered(40, 16, 3), languages)
    assert len(found) > 10
    pairs = list(zip(found.left.tolist(), found.right.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert all(a < b and languages[a] != languages[b] for a, b in pairs)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["c", "go", "java"]), min_size=1, max_size=24), st.integers(0, 10**6), st.booleans())
def test_the_order_of_the_functions_does_not_matter(languages: list[str], seed: int, same_language: bool) -> None:
    codes = clustered(len(languages), 24, seed)
    order = np.random.default_rng(seed).permutation(len(languages))
    straight = as_found(find_candidates(codes, languages, same_language=same_language))
    shuffled = as_found(
        find_candidates(codes.take(order), [languages[i] for i in order], same_language=same_language)
    )
    assert {(min(order[a], order[b]), max(order[a], order[b])) for a, b in shuffled} == straight


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(["c", "go"]), st.sampled_from([-1, 0, 1])), max_size=12), st.randoms())
def test_keys_decide_about_ties_whatever_the_order(rows: list[tuple[str, int]], chance: random.Random) -> None:
    keys = np.array(chance.sample(range(1000), len(rows)), np.uint64)
    order = np.array(chance.sample(range(len(rows)), len(rows)), np.int64)
    values = np.array([[1, value] for _, value in rows], np.int8).reshape(len(rows), 2)
    languages = [language for language, _ in rows]

    def named(positions: np.ndarray, same_language: bool) -> set[frozenset[int]]:
        found = find_candidates(
            codes_of(values[positions]),
            [languages[i] for i in positions],
            same_language=same_language,
            keys=keys[positions],
        )
        return {frozenset(pair) for pair in zip(positions[found.left], positions[found.right], strict=True)}

    for same_language in (False, True):
        assert named(order, same_language) == named(np.arange(len(rows)), same_language)


def test_progress_counts_every_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyclone.detect._INSERTED", 4)
    told: list[int] = []
    find_candidates(clustered(9, 8, 1), ["c", "go", "java"] * 3, advance=told.append)
    assert told == [4, 4, 1]


@pytest.mark.parametrize("languages", [[], ["c"], ["c", "c"], ["c", "go"]])
def test_few_functions(languages: list[str]) -> None:
    codes = codes_of(np.ones((len(languages), 4), np.int8))
    assert len(find_candidates(codes, languages)) == (languages == ["c", "go"])
    assert len(find_candidates(codes, languages, same_language=True)) == (len(languages) == 2)


# --- callers, and functions within functions ---


@pytest.mark.parametrize(
    ("name", "text", "other_name", "other_text", "expected"),
    [
        ("total", "ctotal\x1fcround", "round", "cround\x1fix", True),
        ("total", "ctotal\x1fix", "report", "creport\x1fctotal", True),
        ("get_total", "cget_total", "report", "creport\x1fcgetTotal", True),  # However it is spelt.
        ("total", "ctotal\x1firound", "round", "cround", False),  # Named, not called.
        ("total", "ctotal\x1fcrounded", "round", "cround", False),
        ("total", "ctotal\x1fctotal", "total", "ctotal\x1fctotal", False),  # Both call themselves.
        ("get_total", "cget_total", "getTotal", "cgetTotal\x1fcget_total", False),
        ("", "cround", "round", "cround", False),
        ("_", "cround", "round", "cround", False),
        ("total", "", "round", "", False),
    ],
)
def test_a_caller_is_no_clone(name: str, text: str, other_name: str, other_text: str, expected: bool) -> None:
    one = function("a.py", "python", name, text=text or " ")
    other = function("b.go", "go", other_name, text=other_text or " ")
    assert calls_the_other(one, other) == calls_the_other(other, one) == expected


def test_a_snippet_is_not_asked_whom_it_calls() -> None:
    one = dataclasses.replace(function("", "python", "snippet", text="cround"), kind="snippet")
    assert not calls_the_other(one, function("b.go", "go", "round", text="cround\x1fcsnippet"))


def spanned(path: str, start: int, end: int) -> Function:
    made = function(path, "python", f"f{start}_{end}")
    return dataclasses.replace(made, span=dataclasses.replace(made.span, start_byte=start, end_byte=end))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("a", 0, 100), ("a", 10, 20), True),
        (("a", 0, 100), ("a", 0, 20), True),
        (("a", 0, 100), ("a", 80, 100), True),
        (("a", 0, 100), ("a", 0, 100), True),
        (("a", 0, 100), ("a", 100, 120), False),
        (("a", 0, 100), ("a", 50, 120), False),
        (("a", 0, 100), ("b", 10, 20), False),
    ],
)
def test_what_lies_inside(one: tuple[str, int, int], other: tuple[str, int, int], expected: bool) -> None:
    a, b = spanned(*one), spanned(*other)
    assert contains(a, b) == contains(b, a) == expected


# --- judging ---


def side(function: Function) -> Side:
    """All of them have one and the same vector: the probability of every pair is 1."""
    return Side(function.digest, np.ones(4, np.int8), function)


class CountingVerifier:
    """A verifier that remembers how many pairs it judged."""

    def __init__(self) -> None:
        self._inner = FakeModel().verifier
        self.pairs = 0
        self.asked_for_reasons = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def features(self, judged: Any, left: Any, right: Any, margin: Any = None) -> Any:
        self.pairs += len(left)
        return self._inner.features(judged, left, right, margin)

    def reasons(self, left: str, right: str, similarity: float, *, names: tuple[str, str]) -> Any:
        self.asked_for_reasons += 1
        return (Reason(kind="vectors", text=f"{left} {right} {names}", score=similarity),)


A = function("a.py", "python", "report", 1, text="creport\x1fcround")
B = function("b.go", "go", "round", 1, text="cround\x1fix")
C = function("c.rb", "ruby", "shorten", 1, text="cshorten\x1fix")


def test_callers_get_no_reasons() -> None:
    verifier = CountingVerifier()
    verdicts = Judge(verifier)([(side(A), side(B)), (side(B), side(C))], 0.5)  # type: ignore[arg-type]
    assert [(v.caller, v.reasons is None, v.probability) for v in verdicts] == [
        (True, True, 1.0),
        (False, False, 1.0),
    ]
    assert verifier.asked_for_reasons == 1


def test_the_threshold_is_included() -> None:
    judge = Judge(CountingVerifier())  # type: ignore[arg-type]
    for least, reported in ((1.01, False), (1.0, True)):
        (verdict,) = judge([(side(B), side(C))], least)
        assert (verdict.reasons is not None) == reported


def test_nothing_is_judged_twice_from_whatever_side() -> None:
    verifier = CountingVerifier()
    judge = Judge(verifier)  # type: ignore[arg-type]
    (first,) = judge([(side(B), side(C))], 0.5)
    (again,) = judge([(side(C), side(B))], 0.5)
    assert first == again
    assert (verifier.pairs, verifier.asked_for_reasons) == (1, 1)
    renamed = dataclasses.replace(C, name="brief")
    (other,) = judge([(side(B), side(renamed))], 0.5)
    assert other != first
    assert verifier.pairs == 2


def test_what_is_forgotten_is_judged_again() -> None:
    verifier = CountingVerifier()
    judge = Judge(verifier)  # type: ignore[arg-type]
    pairs = [(side(A), side(C)), (side(B), side(C))]
    first = judge(pairs, 0.5)
    judge.keep(pairs[1:])
    assert list(judge.known.values()) == first[1:]
    assert judge(pairs, 0.5) == first
    assert verifier.pairs == 3


def test_what_a_language_model_did_not_come_to_is_asked_again() -> None:
    verifier = CountingVerifier()
    missed = [True, False]
    verifier.is_unverified = lambda left, right: missed.pop(0)  # type: ignore[attr-defined]
    judge = Judge(verifier)  # type: ignore[arg-type]
    verdicts = [judge([(side(B), side(C))], least)[0] for least in (1.01, 0.5, 0.5)]
    assert [verdict.verified for verdict in verdicts] == [False, True, True]
    assert verifier.pairs == 2


def paired(a: Function, b: Function) -> Match:
    return Match(left=a, right=b, similarity=1.0, probability=1.0, reasons=())


def test_a_fingerprint_does_not_know_sides() -> None:
    one = paired(function("a.py", "python", "f", 1), function("b.go", "go", "g", 1))
    swapped = dataclasses.replace(one, left=one.right, right=one.left)
    moved = dataclasses.replace(one, left=dataclasses.replace(one.left, path="elsewhere.py"))
    assert one.fingerprint == swapped.fingerprint == moved.fingerprint
    assert len(one.fingerprint) == 32
    other = dataclasses.replace(one, left=dataclasses.replace(one.left, normalised="ih"))
    assert other.fingerprint != one.fingerprint
