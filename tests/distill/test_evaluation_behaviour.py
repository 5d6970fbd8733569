"""Mutants and negative controls: what is changed, what is counted, and what a system that sees nothing would get."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polyclone.encode.hashing import HashingEncoder
from polyclone.errors import UsageError
from polyclone.extract import extract_snippet
from polyclone.tokenizer import Lexicon
from polyclone.values import ATOM_SEPARATOR, ModelInfo
from polyclone.words import Vocabulary
from polyclone_distill.data.programs import COLUMNS
from polyclone_distill.evaluation import command
from polyclone_distill.evaluation.controls import CONTROLS, boilerplate, evaluate_controls, shuffled, skeleton
from polyclone_distill.evaluation.mutants import evaluate_mutants, make_mutants
from polyclone_distill.evaluation.mutation import CHANGES, mutate
from polyclone_distill.evaluation.pair_source import Pairs
from polyclone_distill.evaluation.pool import Item, Pool

KINDS = list(CHANGES)


def unit(*atoms: str) -> str:
    return ATOM_SEPARATOR.join(atoms)


class Words:
    """A model that knows which atoms a unit has, and not their order."""

    info = ModelInfo(name="words", kind="compact", version="1", digest="0" * 64, dimension=256)
    vocabulary = Vocabulary(Lexicon([("total", 9), ("values", 40)], documents=100, buckets=4))

    def __init__(self) -> None:
        self._encoder = HashingEncoder(256)

    def encode_normalised(self, units: Sequence[str]) -> np.ndarray:
        return np.asarray(self._encoder.encode(units).vectors)

    def pair_probability_normalised(self, left: Sequence[str], right: Sequence[str]) -> np.ndarray:
        """1 where both have the same atoms, else the share they have in common."""
        pairs = [
            (set(a.split(ATOM_SEPARATOR)), set(b.split(ATOM_SEPARATOR))) for a, b in zip(left, right, strict=True)
        ]
        return np.array([len(a & b) / len(a | b) for a, b in pairs], dtype=np.float32)


# --- changes ---


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("comparison flipped", ["kif", "ia", "o<", "ib"], [["kif", "ia", "o>", "ib"]]),
        ("comparison flipped", ["ia", "o==", "n1"], [["ia", "o!=", "n1"]]),
        ("off by one", ["ia", "o<", "ib"], [["ia", "o<=", "ib"]]),
        ("off by one", ["ia", "o>=", "ib"], [["ia", "o>", "ib"]]),
        ("branches swapped", ["kif", "ia"], [["kif", "knot", "ia"]]),
        ("branches swapped", ["kwhile", "knot", "ia"], [["kwhile", "ia"]]),
        ("constant changed", ["ia", "n7"], [["ia", f"n{n}"] for n in (6, 8, 9, 17)]),
        ("constant changed", ["kreturn", "n0"], [["kreturn", f"n{n}"] for n in (1, 2, 3)]),
        ("constant changed", ["kreturn", "ktrue"], [["kreturn", "kfalse"]]),
    ],
)
def test_each_kind_of_change(kind: str, before: list[str], after: list[list[str]]) -> None:
    found = {mutate(unit(*before), kind, seed) for seed in range(30)}
    assert found == {unit(*atoms) for atoms in after}


@pytest.mark.parametrize(
    ("kind", "atoms"),
    [
        ("comparison flipped", ["ia", "o+", "ib"]),
        ("off by one", ["ia", "o==", "ib"]),
        ("branches swapped", ["kfor", "ia", "kif"]),
        ("constant changed", ["n2.5", "nbig", "s12", "i7", "n" + "1" * 19]),
    ],
)
def test_where_there_is_nothing_to_change(kind: str, atoms: list[str]) -> None:
    assert mutate(unit(*atoms), kind) is None


@given(st.lists(st.sampled_from(["kif", "knot", "o<", "o==", "n3", "ktrue", "ia", "cf"]), min_size=1, max_size=30),
       st.sampled_from(KINDS), st.integers(0, 5))  # fmt: skip
def test_a_mutant_differs_in_one_place_and_is_always_the_same(atoms: list[str], kind: str, seed: int) -> None:
    text = unit(*atoms)
    changed = mutate(text, kind, seed)
    assert changed == mutate(text, kind, seed)
    if changed is None:
        return
    new = changed.split(ATOM_SEPARATOR)
    if len(new) == len(atoms):
        assert sum(a != b for a, b in zip(atoms, new, strict=True)) == 1
    else:
        assert kind == "branches swapped"
        assert abs(len(new) - len(atoms)) == 1
        assert Counter(new) - Counter(atoms) in (Counter({"knot": 1}), Counter())


def test_a_negated_source_is_the_negated_unit() -> None:
    """Code has no parentheses once it is normalised: the change of atoms is that of the source."""
    plain = extract_snippet("def f(a, b):\n    if a < b:\n        return a\n    return b\n", "python").normalised
    source = "def f(a, b):\n    if not (a < b):\n        return a\n    return b\n"
    assert mutate(plain, "branches swapped") == extract_snippet(source, "python").normalised


# --- shares ---


def made_pairs(*texts: tuple[str, str, str]) -> Pairs:
    """Of (class, language, text): clones are two of one class, all others are none."""
    items = tuple(
        Item(normalised=text, language=language, group=group, name="", origin=f"{i}")
        for i, (group, language, text) in enumerate(texts)
    )
    rows = [(i, j) for i in range(len(items)) for j in range(i + 1, len(items))]
    labels = [items[i].group == items[j].group for i, j in rows]
    groups = sorted({item.group for item in items})
    return Pairs(
        items=items,
        left=np.array([i for i, _ in rows]),
        right=np.array([j for _, j in rows]),
        labels=np.array(labels),
        kinds=tuple("clone" if label else "random" for label in labels),
        clusters=np.array([groups.index(items[i].group) for i, _ in rows]),
        counts={},
    )


LOOP = unit("kif", "ia", "o<", "n7", "kreturn", "ix", "iy", "iz")
TREE = unit("kwhile", "ileft", "o==", "n3", "kreturn", "iroot", "ileaf", "cgrow")
CLONES = [("loop", "go", LOOP), ("loop", "rust", LOOP), ("tree", "go", TREE), ("tree", "java", TREE)]


def test_one_mutant_a_kind_and_pair() -> None:
    pairs = made_pairs(*CLONES)
    mutants = make_mutants(pairs, seed=3)
    assert Counter(mutants.kinds) == {"comparison flipped": 2, "off by one": 1, "branches swapped": 2,
                                      "constant changed": 2}  # fmt: skip
    assert set(pairs.labels[mutants.origins].tolist()) == {True}
    # All mutants of a pair are of one side of it.
    for origin in set(mutants.origins.tolist()):
        assert len(set(mutants.left[mutants.origins == origin].tolist())) == 1
    with pytest.raises(UsageError, match="no clone has a comparison"):
        make_mutants(made_pairs(("a", "go", unit("ia")), ("a", "c", unit("ib"))))


def test_shares_by_hand() -> None:
    pairs = made_pairs(*CLONES)
    results = evaluate_mutants(pairs, Words(), views=["visible"], threshold=0.8, resamples=50, seed=3)
    assert [result.system for result in results] == ["probability", "cosine", "tfidf", "bm25"]
    probability = results[0]
    assert probability.recall.value == 1.0
    assert probability.false_calls.value == 0.0
    # One of eight atoms replaced: 7 of 9 in common, below the threshold; one put in: 8 of 9, above it.
    called = {kind: shares.called.value for kind, shares in probability.kinds.items()}
    assert called == {"comparison flipped": 0, "off by one": 0, "branches swapped": 1, "constant changed": 0}
    assert probability.total.called.value == pytest.approx(2 / 7)
    assert probability.total.still.value == pytest.approx(2 / 7)
    assert probability.total.lower.value == 1.0
    assert sum(shares.mutants for shares in probability.languages.values()) == probability.total.mutants == 7
    assert probability.total.called.low <= 2 / 7 <= probability.total.called.high
    # Words do not see an operator: TF-IDF calls every flipped comparison a clone.
    tfidf = results[2]
    assert tfidf.kinds["comparison flipped"].called.value == 1.0
    assert tfidf.kinds["comparison flipped"].lower.value == 0.0


def test_clones_that_are_missed_leave_no_share() -> None:
    (result, *_) = evaluate_mutants(made_pairs(*CLONES), Words(), views=["visible"], threshold=1.1, resamples=10)
    assert result.recall.value == result.total.called.value == 0.0
    assert math.isnan(result.total.still.value)


# --- controls ---


def test_shuffled_keeps_the_bag_and_not_the_order() -> None:
    text = unit(*(f"i{n}" for n in range(30)))
    (first,), (again,) = (shuffled([text], ["go"], 1) for _ in range(2))
    assert first == again != text
    assert Counter(first.split(ATOM_SEPARATOR)) == Counter(text.split(ATOM_SEPARATOR))
    assert shuffled([text], ["go"], 2) != [first]


def test_a_skeleton_is_what_a_quarter_of_a_language_has() -> None:
    texts = [unit("imain", "kif", f"iown{n}", *(["irare"] if n == 0 else [])) for n in range(8)]
    languages = ["go"] * 8 + ["c"]
    kept = skeleton([*texts, unit("iown1", "kif")], languages, 1)
    assert kept == [unit("imain", "kif")] * 8 + [unit("iown1", "kif")]
    assert boilerplate([*texts, unit("iown1", "kif")], languages, 1) == ["imain"] * 8 + ["iown1"]
    assert skeleton([unit("ia"), unit("ib"), *[unit("ic")] * 8], ["go"] * 10, 1)[0] == ""


def pool() -> Pool:
    chance = np.random.default_rng(0)
    items = []
    for language in ("go", "java", "rust"):
        for task in range(12):
            order = chance.permutation(6)
            text = unit("imain", "kreturn", *(f"it{task}w{n}" for n in order))
            items.append(Item(normalised=text, language=language, group=f"t{task}", name="", origin=""))
    return Pool(items=tuple(items), counts={})


def test_controls_of_a_system_that_sees_words() -> None:
    results = evaluate_controls(pool(), Words(), views=["visible", "renamed"], resamples=20)
    mrr = {(r.control, r.view, r.system): r.metrics["mrr"].value for r in results}
    assert len(mrr) == len(CONTROLS) * 2 * 4
    for system in ("tfidf", "bm25", "model"):
        assert mrr["whole", "visible", system] == 1.0
        assert mrr["shuffled", "visible", system] == 1.0  # The bag of words is still there,
        assert mrr["shuffled", "renamed", system] < 0.5  # without names it is not,
        # and what all have tells nobody apart.
        assert mrr["skeleton", "visible", system] < 0.3
        assert mrr["boilerplate", "visible", system] < 0.3
    assert 0.02 < mrr["whole", "visible", "chance"] < 0.4
    kept = {r.control: r.atoms_kept for r in results}
    assert kept["whole"] == kept["shuffled"] == 1.0
    assert kept["skeleton"] == pytest.approx(2 / 8)
    assert kept["boilerplate"] == pytest.approx(1 / 8)


# --- commands ---

TEMPLATES = {
    "python": "def {name}(values, {b}):\n    total = 7\n    for item in values:\n        if item < {b}:\n"
    "            total += item {op} {b}\n    return total\n",
    "java": "class S {{ int {name}(int[] values, int {b}) {{ int total = 7;\n"
    "for (int item : values) {{ if (item < {b}) {{ total += item {op} {b}; }} }} return total; }} }}\n",
}


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    tasks = [("scaleSum", "factor", "*"), ("maskedBits", "mask", "&"), ("moduloClock", "hours", "%")]
    rows = [
        {"task": f"rosetta/{name}", "split": "test", "language": language, "source": "x", "license": "MIT",
         "path": f"{name}.{language}", "code": template.format(name=name, b=b, op=op)}
        for name, b, op in tasks
        for language, template in TEMPLATES.items()
    ]  # fmt: skip
    path = tmp_path / "tasks.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema([(c, pa.string()) for c in COLUMNS])), path)
    return path


def invoke(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    options = parser.parse_args(["evaluate", *map(str, arguments)])
    return int(options.run(options))


def test_mutants_by_command(
    parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load", lambda options: (Words(), 0.5))
    target = tmp_path / "out.json"
    assert invoke("mutants", parquet, "--pairs", 12, "--resamples", 20, "--threshold", 0.7, "--json", target) == 0
    text = capsys.readouterr().out
    assert "probability by kind of change" in text
    assert "tfidf by language of the changed side" in text
    report = json.loads(target.read_text("utf-8"))
    assert report["part"] == "mutants"
    assert report["threshold"] == 0.7
    assert report["options"]["unit"] == "function"
    assert {result["view"] for result in report["results"]} == {"visible"}
    assert set(report["results"][0]["kinds"]) == set(KINDS)


def test_controls_by_command(parquet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.json"
    arguments = ["--baselines-only", "--views", "visible", "--resamples", 20, "--json", target]
    assert invoke("controls", parquet, *arguments) == 0
    assert "boilerplate (" in capsys.readouterr().out
    results = json.loads(target.read_text("utf-8"))["results"]
    assert {(r["control"], r["system"]) for r in results} == {
        (control, system) for control in CONTROLS for system in ("tfidf", "bm25", "chance")
    }
