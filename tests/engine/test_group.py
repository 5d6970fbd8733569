"""Groups: equal to the plain definition, independent of order, and never with an untested edge inside."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.group import group
from polyclone.values import CloneGroup, Function, Match, Span

Table = dict[frozenset[Function], float]


def function(path: str, language: str, content: str, start: int = 0) -> Function:
    span = Span(start_byte=start, end_byte=start + 9, start_line0=start, end_line0=start)
    return Function(
        path=path, language=language, kind="function", name="f", qualified_name="f", signature="", doc="",
        span=span, name_span=None, body_span=span, normalised=content,
    )  # fmt: skip


def match(left: Function, right: Function, probability: float) -> Match:
    return Match(left=left, right=right, similarity=0.5, probability=probability, reasons=())


def scorer(table: Table, calls: list[int] | None = None) -> Callable[..., list[float]]:
    asked: set[frozenset[Function]] = set()

    def score(pairs: Sequence[tuple[Function, Function]]) -> list[float]:
        if calls is not None:
            calls.append(len(pairs))
        keys = [frozenset(pair) for pair in pairs]
        assert len(set(keys)) == len(keys), "asked twice in one call"
        assert asked.isdisjoint(keys), "asked again"
        asked.update(keys)
        return [table[key] for key in keys]

    return score


def paths(groups: Sequence[CloneGroup]) -> list[str]:
    return [" ".join(member.path for member in found.members) for found in groups]


def place(f: Function) -> tuple[str, int]:
    return (f.path, f.span.start_byte)


def oracle(matches: list[Match], table: Table, least: float, same_language: bool) -> set[frozenset[Function]]:
    """The definition, word for word, with everything looked up and nothing remembered."""

    def comparable(a: Function, b: Function) -> bool:
        return same_language or a.language != b.language or a.digest == b.digest

    told = {frozenset((m.left, m.right)): m.probability for m in matches}

    def passes(a: Function, b: Function) -> bool:
        pair = frozenset((a, b))
        default = 1.0 if a.digest == b.digest else table[pair]
        return comparable(a, b) and told.get(pair, default) >= least

    edges = [m for m in matches if m.probability >= least and comparable(m.left, m.right)]
    edges.sort(key=lambda m: (-m.probability, m.fingerprint, sorted((place(m.left), place(m.right)))))
    clusters = [frozenset({f}) for f in {f for m in edges for f in (m.left, m.right)}]
    for edge in edges:
        (left,) = (cluster for cluster in clusters if edge.left in cluster)
        (right,) = (cluster for cluster in clusters if edge.right in cluster)
        if left != right and all(passes(a, b) for a in left for b in right):
            clusters = [cluster for cluster in clusters if cluster not in (left, right)] + [left | right]
    found = {cluster for cluster in clusters if len(cluster) > 1}
    for edge in edges:
        members = frozenset().union(*found)
        if edge.left not in members or edge.right not in members:
            found.add(frozenset((edge.left, edge.right)))
    return found


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Match], Table]:
    """Up to nine functions of four languages, some of them copies, and a probability for each pair."""
    kinds = draw(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), min_size=2, max_size=9))
    functions = [
        function(f"{position % 4}.{language}", language, content, position)
        for position, (language, content) in enumerate(kinds)
    ]
    probability = st.sampled_from([0.1, 0.49, 0.5, 0.7, 0.7, 0.9, 1.0])
    table: Table = {}
    matches: list[Match] = []
    for a, b in itertools.combinations(functions, 2):
        table[frozenset((a, b))] = value = draw(probability)
        if draw(st.booleans()):
            matches.append(match(a, b, value) if draw(st.booleans()) else match(b, a, value))
    return matches, table


@given(worlds(), st.booleans())
@settings(max_examples=300)
def test_groups_are_those_of_the_definition(world: tuple[list[Match], Table], same_language: bool) -> None:
    matches, table = world
    groups = group(matches, scorer(table), min_probability=0.5, same_language=same_language)
    assert {frozenset(found.members) for found in groups} == oracle(matches, table, 0.5, same_language)


@given(worlds(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_order_does_not_matter(world: tuple[list[Match], Table], rng: random.Random) -> None:
    matches, table = world
    expected = group(matches, scorer(table), min_probability=0.5)
    shuffled = [
        match(m.right, m.left, m.probability) if rng.random() < 0.5 else m for m in rng.sample(matches, len(matches))
    ]
    assert group(shuffled, scorer(table), min_probability=0.5) == expected


@given(worlds(), st.booleans())
@settings(max_examples=150)
def test_no_group_hides_a_weak_edge_and_no_function_is_lost(
    world: tuple[list[Match], Table], same_language: bool
) -> None:
    matches, table = world
    groups = group(matches, scorer(table), min_probability=0.5, same_language=same_language)
    told = {frozenset((m.left, m.right)): m.probability for m in matches}
    for found in groups:
        edges = []
        for a, b in itertools.combinations(found.members, 2):
            pair = frozenset((a, b))
            assert same_language or a.language != b.language or a.digest == b.digest
            edges.append(told.get(pair, 1.0 if a.digest == b.digest else table[pair]))
        assert found.probability == min(edges) >= 0.5
    grouped = {f for found in groups for f in found.members}
    for m in matches:
        comparable = same_language or m.left.language != m.right.language or m.left.digest == m.right.digest
        if m.probability >= 0.5 and comparable:
            assert {m.left, m.right} <= grouped


PY, GO, JAVA = (function(f"a.{x}", x, "body") for x in ("py", "go", "java"))


def test_a_port_to_two_languages_with_a_copy_is_one_group() -> None:
    copy = function("copy/a.java", "java", "body")
    table = {
        frozenset((GO, JAVA)): 0.8,
        frozenset((GO, copy)): 0.81,
        frozenset((PY, copy)): 0.82,
    }
    (found,) = group([match(PY, GO, 0.99), match(PY, JAVA, 0.95)], scorer(table), min_probability=0.5)
    assert paths([found]) == ["a.go a.java a.py"]
    assert found.probability == 0.8
    matches = [match(PY, GO, 0.99), match(PY, JAVA, 0.95), match(GO, copy, 0.81)]
    (found,) = group(matches, scorer(table), min_probability=0.5)
    assert paths([found]) == ["a.go a.java a.py copy/a.java"]


def test_no_chain() -> None:
    table = {frozenset((PY, JAVA)): 0.1}
    groups = group([match(PY, GO, 0.9), match(GO, JAVA, 0.8)], scorer(table), min_probability=0.5)
    assert paths(groups) == ["a.go a.py", "a.go a.java"]


def test_two_different_functions_of_one_language_are_not_joined() -> None:
    other = function("b.java", "java", "other body")
    matches = [match(GO, JAVA, 0.9), match(GO, other, 0.8)]
    assert paths(group(matches, scorer({}), min_probability=0.5)) == ["a.go a.java", "a.go b.java"]
    table = {frozenset((JAVA, other)): 0.7}
    (found,) = group(matches, scorer(table), min_probability=0.5, same_language=True)
    assert (len(found.members), found.probability) == (3, 0.7)


def test_a_match_between_two_groups_is_left_to_the_list_of_matches() -> None:
    go2, py2 = function("b.go", "go", "2"), function("b.py", "py", "2")
    matches = [match(PY, GO, 0.9), match(py2, go2, 0.9), match(PY, go2, 0.6)]
    groups = group(matches, scorer({}), min_probability=0.5)
    assert sorted(paths(groups)) == ["a.go a.py", "b.go b.py"]


def test_weak_matches_make_no_groups_but_are_not_asked_again() -> None:
    matches = [match(PY, GO, 0.9), match(GO, JAVA, 0.8), match(PY, JAVA, 0.2)]
    assert len(group(matches, scorer({}), min_probability=0.5)) == 2
    assert group(matches, scorer({}), min_probability=0.95) == ()
    assert group([], scorer({}), min_probability=0.5) == ()


def test_many_components_are_asked_about_together() -> None:
    matches, table = [], {}
    for n in range(200):
        py, go, java = (function(f"{n:03}.{x}", x, str(n)) for x in ("py", "go", "java"))
        matches += [match(py, go, 0.9), match(go, java, 0.8)]
        table[frozenset((py, java))] = 0.7
    calls: list[int] = []
    groups = group(matches, scorer(table, calls), min_probability=0.5)
    assert (len(groups), calls) == (200, [200])


def test_one_large_component_is_asked_about_in_few_calls() -> None:
    """Every function of one language matches every function of the other: the boilerplate case."""
    left = [function(f"{n:03}.py", "py", str(n)) for n in range(40)]
    right = [function(f"{n:03}.go", "go", str(n)) for n in range(40)]
    java = [function(f"{n:03}.java", "java", str(n)) for n in range(40)]
    rng = random.Random(0)
    matches = [match(a, b, rng.uniform(0.5, 1)) for a, b in itertools.product(left, right)]
    matches += [match(a, b, rng.uniform(0.5, 1)) for a, b in itertools.product(right, java)]
    table = {frozenset(pair): 0.9 for pair in itertools.product(left, java)}
    calls: list[int] = []
    groups = group(matches, scorer(table, calls), min_probability=0.5)
    assert all(len(found.members) == 3 for found in groups if found.probability >= 0.9)
    assert len(calls) <= 20


def test_a_scorer_that_loses_a_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 pairs were to be scored"):
        group([match(PY, GO, 0.9), match(GO, JAVA, 0.8)], lambda pairs: [], min_probability=0.5)


def test_not_a_number_never_passes() -> None:
    matches = [match(PY, GO, 0.9), match(GO, JAVA, 0.8)]
    groups = group(matches, lambda pairs: [float("nan")] * len(pairs), min_probability=0.5)
    assert all(len(found.members) == 2 for found in groups)
