"""The table that grew and shrank is the table that was just made, and both are the definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.index import Codes, NeighbourTable, quantise, similarity
from polyclone.index import columns as columns_module
from polyclone.index import table as module
from polyclone.index.agreement import SMOOTHING
from polyclone.index.codes import codes_of

LANGUAGES = ("c", "go", "java")
DIMENSION = 3
NEAREST = 3
#: Weights of words by id; the last one holds for all ids beyond, too.
WEIGHTS = np.array([3, 0, 70_000, 1_000_000], np.int64)
Row = tuple[str, tuple[int, ...], frozenset[int]]

#: Few directions, so that many similarities are equal and the keys have to decide.
rows = st.tuples(
    st.sampled_from(LANGUAGES),
    st.tuples(*[st.sampled_from([-1, 0, 1])] * DIMENSION),
    st.frozensets(st.sampled_from([0, 1, 2, 3, 4, 5, 999_999])),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.lists(rows, max_size=5)),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 100), max_size=4)),
        st.tuples(st.just("move"), st.lists(st.tuples(st.integers(0, 100), st.integers(0, 3)), max_size=4)),
        st.tuples(st.just("within"), st.booleans()),
        st.tuples(st.just("save"), st.none()),
    ),
    max_size=8,
)


def codes(vectors: Sequence[tuple[int, ...]]) -> Codes:
    return codes_of(np.array(vectors, np.int8).reshape(len(vectors), DIMENSION))


def key_of(number: int) -> int:
    """Keys in an order that has nothing to do with that of the insertions."""
    return number * 7919 % 10007


def bag(words: frozenset[int]) -> Any:
    return np.array(sorted(words), np.uint32)


def likeness(cosine: float, a: frozenset[int], b: frozenset[int]) -> float:
    shared, mine, theirs = (sum(WEIGHTS[min(word, 3)] for word in words) / 2**16 for words in (a & b, a, b))
    agreement = np.float32(shared / (math.sqrt(mine) * math.sqrt(theirs) + SMOOTHING))
    return float(np.float32(cosine + 0.5 * float(agreement)))


def known(table: NeighbourTable) -> dict[tuple[int, str], tuple[Any, ...]]:
    """(key, other language) → keys of the nearest, similarities, likeness, sums: everything but the handles."""
    arrays = table.to_arrays()
    names = [str(name) for name in arrays["languages"]]
    key = {h: k for i in range(len(names)) for h, k in zip(arrays[f"{i}.handles"], arrays[f"{i}.keys"], strict=True)}
    found = {}
    for i in range(len(names)):
        for j, other in enumerate(names):
            if not len(arrays[f"{j}.handles"]) or f"{i}.{j}.0" not in arrays:
                continue
            columns = zip(*(arrays[f"{i}.{j}.{part}"].tolist() for part in range(7)), strict=True)
            for mine, (best, values, like, _, _, *rest) in zip(arrays[f"{i}.keys"].tolist(), columns, strict=True):
                found[mine, other] = (
                    [int(key[handle]) if handle >= 0 else None for handle in best[:NEAREST]],
                    values[:NEAREST],
                    like[:NEAREST],
                    *rest,
                )
    return found


def by_definition(held: dict[int, Row], within: bool) -> dict[tuple[int, str], tuple[Any, ...]]:
    every = codes([vector for _, vector, _ in held.values()])
    numbers = list(held)
    found = {}
    for i, number in enumerate(numbers):
        for other in {language for language, _, _ in held.values()}:
            if other == held[number][0] and not within:
                continue
            there = [j for j, n in enumerate(numbers) if held[n][0] == other]
            near = {j: similarity(every, i, every, j) for j in there}
            whole = [int(np.rint(value * np.float32(2**16))) for value in near.values()]
            others = sorted((j for j in there if j != i), key=lambda j: (-near[j], key_of(numbers[j])))
            mine = held[number][2]
            nearest: list[Any] = [
                (key_of(numbers[j]), float(near[j]), likeness(float(near[j]), mine, held[numbers[j]][2]))
                for j in others[:NEAREST]
            ]
            nearest += [(None, -np.inf, -np.inf)] * (NEAREST - len(nearest))
            columns = ([entry[side] for entry in nearest] for side in range(3))
            found[key_of(number), other] = (*columns, sum(whole), sum(value * value for value in whole))
    return found


def made_anew(held: dict[int, Row], file: dict[int, int], within: bool) -> NeighbourTable:
    table = NeighbourTable(DIMENSION, WEIGHTS, within=within)
    numbers = sorted(held, reverse=True)
    table.insert(
        codes([held[number][1] for number in numbers]),
        [held[number][0] for number in numbers],
        np.array([key_of(number) for number in numbers], np.uint64),
        [bag(held[number][2]) for number in numbers],
        np.array([2**63 + file[number] for number in numbers], np.uint64),
    )
    return table


def pairs_of(table: NeighbourTable) -> set[frozenset[int]]:
    """Keys of the pairs."""
    left, right = table.pairs(deviations=0.0, least=3)
    return {frozenset(pair) for pair in zip(table.keys(left).tolist(), table.keys(right).tolist(), strict=True)}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps, st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
def test_any_history_leads_to_the_definition(
    history: list[tuple[str, Any]], rows_: int, columns: int, spare: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_ROWS", rows_)
        patch.setattr(module, "_BLOCK_COLUMNS", columns)
        patch.setattr(columns_module, "CROWD", NEAREST - 1)
        patch.setattr(columns_module, "NEAREST", NEAREST)
        patch.setattr(module, "NEAREST", NEAREST)
        patch.setattr(columns_module, "HELD", NEAREST + spare)
        table = NeighbourTable(DIMENSION, WEIGHTS)
        held: dict[int, Row] = {}
        handle: dict[int, int] = {}
        file: dict[int, int] = {}
        count = 0
        for action, value in history:
            if action == "insert":
                names = [language for language, _, _ in value]
                numbers = range(count, count + len(value))
                count += len(value)
                keys = np.array([key_of(number) for number in numbers], np.uint64)
                words = [bag(some) for _, _, some in value]
                files = np.array([number % 3 for number in numbers], np.uint64)
                handles = table.insert(codes([vector for _, vector, _ in value]), names, keys, words, files)
                file |= dict(zip(numbers, files.tolist(), strict=True))
                handle |= dict(zip(numbers, handles.tolist(), strict=True))
                held |= dict(zip(numbers, value, strict=True))
            elif action == "remove":
                gone = {sorted(held)[i % len(held)] for i in value} if held else set()
                table.remove([handle[number] for number in gone])
                held = {number: row for number, row in held.items() if number not in gone}
            elif action == "move":
                moved = {sorted(held)[i % len(held)]: place for i, place in value} if held else {}
                table.move(np.array([handle[n] for n in moved], np.int64), np.array([*moved.values()], np.uint64))
                file |= moved
            elif action == "within":
                table.set_within(value)
            else:
                table = NeighbourTable.from_arrays(table.to_arrays(), WEIGHTS)
            # What is remembered of pairs is what a new table would find.
            fresh = NeighbourTable.from_arrays(table.to_arrays(), WEIGHTS)
            for left, right in zip(*(t.pairs(deviations=0.0, least=3) for t in (table, fresh)), strict=True):
                assert left.tolist() == right.tolist()
            assert known(table) == by_definition(held, table.within)
            assert pairs_of(table) == pairs_of(made_anew(held, file, table.within))
            assert len(table) == len(held)


def grown(count: int, seed: int, *, within: bool = False) -> tuple[NeighbourTable, Codes, list[str]]:
    vectors = quantise(np.random.default_rng(seed).standard_normal((count, 40)).astype(np.float32))
    languages = [LANGUAGES[i % 3] for i in range(count)]
    table = NeighbourTable(40, within=within)
    table.insert(vectors, languages, np.arange(count, dtype=np.uint64))
    return table, vectors, languages


def test_the_sums_give_the_mean_and_the_deviation_of_all_similarities() -> None:
    table, vectors, languages = grown(300, 1)
    arrays = table.to_arrays()
    mine, theirs = (np.array([language == name for language in languages]) for name in ("c", "go"))
    scores = vectors.to_vectors()[mine].astype(np.float64) @ vectors.to_vectors()[theirs].T.astype(np.float64)
    mean = arrays["0.1.5"] / 2**16 / 100
    deviation = np.sqrt(arrays["0.1.6"] / 2**32 / 100 - mean**2)
    np.testing.assert_allclose(mean, scores.mean(axis=1), atol=2e-6)
    np.testing.assert_allclose(deviation, scores.std(axis=1), atol=2e-6)


@pytest.mark.parametrize("within", [False, True])
def test_pairs_are_each_others_nearest_for_how_crowded_they_are(within: bool) -> None:
    table, vectors, languages = grown(90, 2, within=within)
    left, right = table.pairs(deviations=0.0, least=10**6)
    score = np.array([[similarity(vectors, i, vectors, j) for j in range(90)] for i in range(90)]).astype(np.float64)
    np.fill_diagonal(score, -2)

    def nearest(i: int, language: str) -> int:
        """By the definition of CSLS, over all of the language."""
        there = [k for k in range(90) if languages[k] == language and k != i]
        back = {k: [j for j in range(90) if languages[j] == languages[i] and j != k] for k in there}
        crowded = {k: np.sort(score[k, back[k]])[-10:].mean() for k in there}
        own = np.sort(score[i, there])[-10:].mean()
        return max(there, key=lambda k: 2 * score[i, k] - own - crowded[k])

    expected = {
        frozenset((i, j))
        for i in range(90)
        for j in range(i + 1, 90)
        if (within or languages[i] != languages[j])
        and nearest(i, languages[j]) == j
        and nearest(j, languages[i]) == i
    }
    assert {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)} == expected
    assert len(left) == len(expected) > 20

    def most_similar(i: int, language: str) -> float:
        return float(max(score[i, k] for k in range(90) if languages[k] == language))

    by_similarity = {
        frozenset((i, j))
        for i in range(90)
        for j in range(i + 1, 90)
        if (within or languages[i] != languages[j])
        and score[i, j] == most_similar(i, languages[j]) == most_similar(j, languages[i])
    }
    assert expected != by_similarity  # The correction does something.


def test_a_hub_does_not_take_the_place_of_a_counterpart() -> None:
    """Ten functions and their counterparts, and one that is nearer to each of the ten than its counterpart is."""
    bodies, details = np.eye(20, dtype=np.float32)[:10], np.eye(20, dtype=np.float32)[10:]
    hub = bodies.sum(axis=0) / np.sqrt(np.float32(10))
    mine, theirs = bodies + hub, np.concatenate([bodies + 0.75 * details, [hub]])
    codes = quantise(np.concatenate([mine, theirs]).astype(np.float32))
    table = NeighbourTable(20)
    table.insert(codes, ["c"] * 10 + ["go"] * 11, np.arange(21, dtype=np.uint64))
    by_similarity = table.to_arrays()["0.1.0"][:, 0]
    left, right = table.pairs(deviations=0.0, least=10**6)
    assert np.count_nonzero(by_similarity == 20) > 2  # The hub is the most similar one of several,
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == {
        (i, i + 10) for i in range(10)
    }  # and of none here.


def test_of_neighbours_equally_near_the_one_that_shares_words_is_the_counterpart() -> None:
    """And rare words say more than common ones. A bag of one common word does not beat one of several rare ones."""
    same = quantise(np.ones((4, 8), np.float32))
    weights = np.array([2**16, *[6 * 2**16] * 20], np.int64)
    mine, common, rare = (np.array(ids, np.uint32) for ids in ([0, 3, 4, 5], [0], [3, 4, 5, 6]))
    table = NeighbourTable(8, weights)
    table.insert(same, ["c", "go", "go", "go"], np.arange(4, dtype=np.uint64), [mine, common, rare, common])
    left, right = table.pairs(deviations=0.0, least=10**6)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 2)]
    wordless = NeighbourTable(8, weights)
    wordless.insert(same, ["c", "go", "go", "go"], np.arange(4, dtype=np.uint64))
    assert wordless.pairs(deviations=0.0, least=10**6)[1].tolist() == [1]


def test_handles_are_never_used_again() -> None:
    table, vectors, languages = grown(9, 3)
    table.remove(range(9))
    assert len(table) == 0
    assert table.languages == ()
    assert table.pairs(deviations=0, least=1)[0].tolist() == []
    again = table.insert(vectors, languages, np.arange(9, dtype=np.uint64))
    assert again.tolist() == list(range(9, 18))
    with pytest.raises(KeyError):
        table.remove([3])


def test_misuse_is_refused() -> None:
    table, _, _ = grown(6, 4)
    with pytest.raises(ValueError, match="3 dimensions"):
        table.insert(codes([(1, 1, 1)]), ["c"], np.zeros(1, np.uint64))
    arrays = table.to_arrays()
    with pytest.raises(ValueError, match="fit"):
        NeighbourTable.from_arrays({**arrays, "0.1.0": arrays["0.1.0"][:1]})
    with pytest.raises(KeyError):
        NeighbourTable.from_arrays({name: array for name, array in arrays.items() if name != "1.handles"})
