"""The example project on the model that ships: every known clone is found, no look-alike is."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from polyclone.api import scan
from polyclone.discover import discover
from polyclone.extract import extract
from polyclone.values import Function, ScanResult

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPECTED = json.loads((EXAMPLES / "expected.json").read_text(encoding="utf-8"))
CLASSES: dict[str, list[str]] = EXPECTED["clone_classes"]
NEAR_MISSES: list[tuple[str, str]] = [tuple(entry["pair"]) for entry in EXPECTED["near_misses"]]
KNOWN = {frozenset(pair) for members in CLASSES.values() for pair in combinations(members, 2)}


@pytest.fixture(scope="module")
def functions() -> dict[str, Function]:
    """Every function of the examples by its qualified name."""
    found = discover([EXAMPLES])
    assert not found.failures
    extractions = [extract(Path(f.location).read_bytes(), f.language, f.path) for f in found.files]
    assert not [failure for extraction in extractions for failure in extraction.failures]
    every = [function for extraction in extractions for function in extraction.functions]
    assert len({function.qualified_name for function in every}) == len(every)
    return {function.qualified_name: function for function in every}


@pytest.fixture(scope="module")
def result() -> ScanResult:
    return scan([EXAMPLES])


def test_what_is_expected_exists(functions: dict[str, Function]) -> None:
    named = {name for members in CLASSES.values() for name in members} | {n for pair in NEAR_MISSES for n in pair}
    assert named <= functions.keys()
    assert not KNOWN & {frozenset(pair) for pair in NEAR_MISSES}
    assert len({function.language for function in functions.values()}) >= 7
    for members in CLASSES.values():
        assert len({functions[name].language for name in members}) == len(members) >= 2
    assert all(functions[name].span.end_line0 - functions[name].span.start_line0 >= 7 for name in named)


@pytest.mark.parametrize("members", CLASSES.values(), ids=CLASSES.keys())
def test_a_known_clone_class_is_found_as_one_group(members: list[str], result: ScanResult) -> None:
    groups = [{member.qualified_name for member in group.members} for group in result.groups]
    assert any(set(members) <= group for group in groups), f"groups: {groups}"


@pytest.mark.parametrize("pair", NEAR_MISSES, ids=" - ".join)
def test_a_look_alike_is_not_reported(pair: tuple[str, str], result: ScanResult) -> None:
    reported = {frozenset((m.left.qualified_name, m.right.qualified_name)): m.probability for m in result.matches}
    assert frozenset(pair) not in reported, f"p = {reported[frozenset(pair)]}"


def test_nothing_else_is_reported(result: ScanResult) -> None:
    reported = {frozenset((m.left.qualified_name, m.right.qualified_name)) for m in result.matches}
    assert sorted(map(sorted, reported - KNOWN)) == []


def test_every_find_comes_with_a_reason(result: ScanResult) -> None:
    assert result.matches
    assert all(match.reasons for match in result.matches)
