"""Features, probabilities and reasons of a pair: symmetric, bounded, equal to a computation by hand, and true."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.artifact import BACKGROUND, load_bundle
from polyclone.extract import extract_snippet
from polyclone.index import Codes, quantise
from polyclone.index.codes import codes_of
from polyclone.model import Model
from polyclone.profile import CONTROL, cosine, fold, jaccard, profile, weighted_jaccard
from polyclone.tokenizer import Lexicon
from polyclone.values import ATOM_SEPARATOR
from polyclone.verify import FEATURES, Verifier
from support.bundles import CALIBRATION, DENSE, DIMENSION, HEAD_BIAS, HEAD_WEIGHTS, array, lexicon, tiny_bundle
from support.polyglot import TOTAL_ABOVE


def unit(text: str) -> str:
    """Atoms written with blanks between them; `_` stands for a blank within a string."""
    return ATOM_SEPARATOR.join(a.replace("_", " ") if a[0] == "s" else a for a in text.split())


# --- by hand ---

LEFT = unit("cscale ivalue kfor kif o> n31 kreturn cround ivalue sbad_input")
RIGHT = unit("cscale_all kint ivalue kint kwhile kif o> o> n31 n77 kreturn cround")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """Two reference functions: one is the first dense dimension, the other the first lexical one."""
    reference = np.zeros((2, DIMENSION), np.float32)
    reference[0, 0] = reference[1, DENSE] = 1.0
    folder = tiny_bundle(tmp_path_factory.mktemp("by hand"), files={BACKGROUND: array(reference)})
    return Verifier(load_bundle(folder), lexicon())


def two_codes() -> Codes:
    values = np.zeros((2, DIMENSION), np.int8)
    values[0, [0, 1, DENSE]] = 3, 4, 12
    values[1, [0, 1, DENSE]] = 4, 3, 12
    return codes_of(values)


def test_features_of_one_pair_by_hand(by_hand: Verifier) -> None:
    judged = by_hand.prepare(two_codes(), [LEFT, RIGHT])
    np.testing.assert_allclose(judged.mean, [(3 / 13 + 12 / 13) / 2, (4 / 13 + 12 / 13) / 2], rtol=1e-6)
    np.testing.assert_allclose(judged.std, [(12 / 13 - 3 / 13) / 2, (12 / 13 - 4 / 13) / 2], rtol=1e-6)
    (found,) = by_hand.features(judged, np.array([0]), np.array([1]), np.array([0.125], np.float32))
    whole = 168 / 169
    z = sorted([(whole - 15 / 26) / (9 / 26), (whole - 16 / 26) / (8 / 26)])
    # Words: scale value #31 round bad input | scale all scaleall value #31 #77 round. Of 1000 documents, 900 hold
    # `value` and 450 hold `#31`; the lexicon knows none of the others.
    unknown, value, constant = (math.log(1001 / (1 + df)) + 1 for df in (0, 900, 450))
    shared = 2 * unknown + value + constant
    left, right = shared + 2 * unknown, shared + 3 * unknown
    expected = {
        "cosine": whole,
        "dense_cosine": 24 / 25,
        "beside_cosine": 24 / 25,
        "lexical_cosine": 1.0,
        "background_z_low": z[0],
        "background_z_high": z[1],
        "margin": 0.125,
        "word_overlap": shared / (left + right - shared),
        "word_containment": shared / left,
        "identifier_overlap": 2 / 4,
        "call_overlap": 1 / 3,
        "calls_missing": 0,
        "constant_overlap": 1 / 2,
        "constants_missing": 0,
        "constant_conflict": 0,
        "string_overlap": 0,
        "strings_missing": 1,
        "control_cosine": 2 / 3,
        "control_pair_overlap": 2 / 6,
        "operator_cosine": 1,
        "length_ratio": 10 / 12,
        "log_length": math.log(11),
    }
    assert dict(zip(FEATURES, found.tolist(), strict=True)) == pytest.approx(expected, rel=1e-5)


def test_the_probability_of_one_pair_by_hand(by_hand: Verifier) -> None:
    judged = by_hand.prepare(two_codes(), [LEFT, RIGHT])
    features = by_hand.features(judged, np.array([0]), np.array([1]))
    values = dict(zip(FEATURES, features[0].tolist(), strict=True))
    logit = HEAD_BIAS + math.fsum(weight * values[name] for name, weight in HEAD_WEIGHTS.items())
    assert by_hand.logits(features)[0] == pytest.approx(logit, abs=1e-4)
    expected = np.interp(logit, CALIBRATION.logits, CALIBRATION.probabilities)
    assert by_hand.probabilities(features)[0] == pytest.approx(expected, abs=1e-4)


def test_the_reasons_of_one_pair_by_hand(by_hand: Verifier) -> None:
    found = {reason.kind: reason for reason in by_hand.reasons(LEFT, RIGHT, 0.5)}
    assert {kind: reason.items for kind, reason in found.items()} == {
        "constants": ("31",),
        "calls": ("round",),
        "identifiers": ("value",),
    }
    assert found["constants"].text == "same constants: 31"
    assert {kind: reason.score for kind, reason in found.items()} == {
        "constants": 0.5,
        "calls": 0.3333,
        "identifiers": 0.5,
    }


def test_missing_things_are_told_from_different_ones(by_hand: Verifier) -> None:
    texts = ["ix", unit("ix n31"), unit("ix n77 n0"), unit("n31 n41 n51")]
    judged = by_hand.prepare(codes_of(np.ones((4, DIMENSION), np.int8)), texts)
    rows = by_hand.features(judged, np.array([0, 1, 1]), np.array([1, 2, 3]))
    values = [dict(zip(FEATURES, row.tolist(), strict=True)) for row in rows]
    assert [(v["constants_missing"], v["constant_conflict"], v["constant_overlap"]) for v in values] == [
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, pytest.approx(1 / 3)),
    ]


# --- parts ---


def test_the_profile_of_a_unit() -> None:
    found = profile(LEFT, lambda word: float(len(word)))
    assert found.atoms == 10
    assert found.words == {"scale", "value", "#31", "round", "bad", "input"}
    assert found.word_weight == sum(map(len, found.words))
    assert found.calls == {"scale", "round"}
    assert found.call_weight == 10
    assert found.identifiers == {"scale", "round", "value"}
    assert found.constants == {"31"}
    assert found.strings == {"bad input"}
    assert set(found.control) == {"for", "if", "return"}
    assert found.control_pairs == {("", "for"), ("for", "if"), ("if", "return"), ("return", "")}
    assert found.operators == {">": math.log(2)}


def test_common_constants_and_short_strings_do_not_count() -> None:
    found = profile(unit("n0 n1 n2 n10 n100 n0.0 n1.0 sab sabc i_"), lambda _: 1.0)
    assert found.constants == frozenset()
    assert found.strings == {"abc"}
    assert found.identifiers == frozenset()


def test_the_profile_of_nothing() -> None:
    found = profile("", lambda _: 1.0)
    assert (found.atoms, found.word_weight, found.words) == (0, 0.0, frozenset())


@pytest.mark.parametrize("name", ["get_rule_name", "getRuleName", "GetRuleName", "GET_RULE_NAME", "get-rule-name"])
def test_names_fold(name: str) -> None:
    assert fold(name) == "getrulename"


def test_measures_at_their_ends() -> None:
    a, b, none = frozenset("ab"), frozenset("bc"), frozenset[str]()
    assert (jaccard(a, b), jaccard(a, a), jaccard(none, none), jaccard(a, none)) == (1 / 3, 1.0, 0.0, 0.0)
    assert (weighted_jaccard(1.0, 2.0, 2.0), weighted_jaccard(0.0, 0.0, 0.0)) == (1 / 3, 0.0)
    assert cosine({"x": 3.0, "y": 4.0}, {"x": 4.0, "y": 3.0}) == pytest.approx(24 / 25)
    assert (cosine({}, {}), cosine({}, {"x": 1.0}), cosine({"y": 1.0}, {"x": 1.0})) == (1.0, 0.0, 0.0)


# --- laws ---

ATOMS = st.one_of(
    st.sampled_from(
        "kif kelse kfor kwhile kreturn kint kin kand o+ o== o[ o> n0 n1 n31 n77 n1.5 nbig n1000000007 i_ ix".split()
    ),
    st.sampled_from("cgetUser igetUser cget_user ivalue cround iround cmax itotalCount sbad sok snot".split()),
    st.text("abAB_9", min_size=1, max_size=6).map(lambda text: "i" + text),
    st.text("ab c", max_size=8).map(lambda text: "s" + text),
)
UNIT = st.lists(ATOMS, max_size=40).map(ATOM_SEPARATOR.join)


def random_codes(count: int, seed: int) -> Codes:
    return quantise(np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(UNIT, min_size=2, max_size=5), st.integers(0, 1000))
def test_features_are_symmetric_bounded_and_independent_of_their_company(
    model: Model, units: list[str], seed: int
) -> None:
    verifier = model.verifier
    codes = random_codes(len(units), seed)
    judged = verifier.prepare(codes, units)
    left, right = (np.array(side) for side in zip(*np.ndindex(len(units), len(units)), strict=True))
    margin = np.abs(np.sin(left + right)).astype(np.float32)
    forth = verifier.features(judged, left, right, margin)
    back = verifier.features(judged, right, left, margin)
    assert forth.tobytes() == back.tobytes()
    assert np.isfinite(forth).all()
    named = {name: forth[:, column] for column, name in enumerate(FEATURES)}
    for name in ("cosine", "dense_cosine", "beside_cosine", "lexical_cosine"):
        assert np.abs(named[name]).max() <= 1.0 + 1e-6
    for name in FEATURES[6:-1]:
        assert named[name].min() >= 0.0
        assert named[name].max() <= 1.0 + 1e-6
    assert (named["background_z_low"] <= named["background_z_high"]).all()
    row = len(left) // 2
    pair = [int(left[row]), int(right[row])]
    alone = verifier.prepare(codes.take(pair), [units[i] for i in pair])
    assert verifier.features(alone, np.array([0]), np.array([1]), margin[[row]]).tobytes() == forth[row].tobytes()
    assert verifier.probabilities(forth).tobytes() == verifier.probabilities(back).tobytes()


def test_a_unit_is_most_like_itself(model: Model) -> None:
    units = [extract_snippet(code, language).normalised for language, code in TOTAL_ABOVE.items()]
    judged = model.verifier.prepare(quantise(model.encode_normalised(units)), units)
    every = np.arange(len(units))
    rows = model.verifier.features(judged, every, every)
    alike = "word_overlap word_containment identifier_overlap call_overlap control_pair_overlap length_ratio".split()
    for name in [*(name for name in FEATURES if name.endswith("cosine")), *alike]:
        np.testing.assert_allclose(rows[:, FEATURES.index(name)], 1.0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
def test_probabilities_do_not_depend_on_the_block(count: int, model: Model) -> None:
    features = np.random.default_rng(count).standard_normal((count, len(FEATURES))).astype(np.float32)
    verifier = model.verifier
    whole = verifier.logits(features)
    assert whole.shape == (count,)
    order = np.random.default_rng(0).permutation(count)
    assert verifier.logits(features[order]).tobytes() == whole[order].tobytes()
    for size in (1, 100):
        starts = range(0, min(count, 300), size)
        parts = np.concatenate([verifier.logits(features[i : i + size]) for i in starts])
        assert parts.tobytes() == whole[: len(parts)].tobytes()
    probabilities = verifier.probabilities(features)
    assert probabilities.dtype == np.float32
    assert np.all(probabilities == np.round(probabilities, 4))


def test_the_background_does_not_depend_on_the_block(model: Model) -> None:
    codes = random_codes(2100, 5)
    units = ["ix"] * len(codes)
    whole = model.verifier.prepare(codes, units)
    for row in (0, 1, 2047, 2048, 2099):
        alone = model.verifier.prepare(codes.take([row]), units[:1])
        assert alone.mean[0] == whole.mean[row]
        assert alone.std[0] == whole.std[row]
    assert (whole.std > 0).all()


def test_nothing_to_judge(model: Model) -> None:
    verifier = model.verifier
    judged = verifier.prepare(random_codes(0, 0), [])
    none = np.zeros(0, np.int64)
    features = verifier.features(judged, none, none)
    assert features.shape == (0, len(FEATURES))
    assert verifier.probabilities(features).shape == (0,)


def test_zero_vectors_are_similar_to_nothing(model: Model) -> None:
    judged = model.verifier.prepare(codes_of(np.zeros((2, DIMENSION), np.int8)), ["", ""])
    features = model.verifier.features(judged, np.array([0]), np.array([1]))
    assert np.isfinite(features).all()
    assert features[0, 0] == 0.0


# --- reasons ---


def check_reasons(left: str, right: str, verifier: Verifier) -> None:
    """Every item that is named occurs in both units, as what it is said to be."""
    sides = [[atom for atom in text.split(ATOM_SEPARATOR) if atom] for text in (left, right)]
    found = verifier.reasons(left, right, 0.4321)
    assert found
    for reason in found:
        assert 0.0 <= reason.score <= 1.0
        for item in reason.items:
            for atoms in sides:
                facts = {
                    "constants": {a[1:] for a in atoms if a[0] == "n"},
                    "strings": {f'"{a[1:41]}"' for a in atoms if a[0] == "s"},
                    "calls": {fold(a[1:]) for a in atoms if a[0] == "c"},
                    "identifiers": {fold(a[1:]) for a in atoms if a[0] in "ic"},
                    "control_flow": {a[1:] for a in atoms if a[0] == "k"} & CONTROL,
                }[reason.kind]
                assert item in facts, (reason, atoms)
        assert reason.text.endswith("names" if reason.kind == "vectors" else "")
        for item in reason.items[:4]:
            assert item in reason.text
    assert len({reason.kind for reason in found}) == len(found)
    other_way = verifier.reasons(right, left, 0.4321)
    assert [(r.kind, sorted(r.items), r.score) for r in other_way] == [
        (r.kind, sorted(r.items), r.score) for r in found
    ]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(UNIT, UNIT)
def test_reasons_are_true(model: Model, left: str, right: str) -> None:
    check_reasons(left, right, model.verifier)


@pytest.mark.parametrize("language", sorted(TOTAL_ABOVE))
def test_reasons_for_real_code(language: str, model: Model) -> None:
    one, other = (extract_snippet(TOTAL_ABOVE[name], name).normalised for name in ("python", language))
    check_reasons(one, other, model.verifier)
    kinds = {reason.kind: reason for reason in model.verifier.reasons(one, other, 0.9)}
    assert kinds["calls"].items == ("total",)
    assert {"result", "value"} <= set(kinds["identifiers"].items)


def test_the_rarest_comes_first_and_what_is_not_shown_is_counted(model: Model) -> None:
    constants = [1000000007, 31, 5, 6, 7, 8]
    text = unit(" ".join(f"n{c}" for c in constants))
    (reason,) = model.verifier.reasons(text, text, 1.0)
    held: Lexicon = lexicon()
    assert held.idf("#31") < held.idf("#1000000007") < held.idf("#5")
    assert reason.items == ("5", "6", "7", "8", "1000000007", "31")
    assert reason.text == "same constants: 5, 6, 7, 8 (+2)"
    many = unit(" ".join(f"n{c}" for c in range(1000, 1040)))
    (reason,) = model.verifier.reasons(many, many, 1.0)
    assert len(reason.items) == 12
    assert reason.text.endswith("(+36)")


def test_an_own_name_is_no_call(model: Model) -> None:
    """What a function is called stands among its atoms as if it called itself."""
    left, right = unit("cget_total ivalues cround"), unit("cgetTotal ivalues cround")
    found = model.verifier.reasons(left, right, 0.9, names=("get_total", "getTotal"))
    assert [(reason.kind, reason.items) for reason in found] == [
        ("identifiers", ("gettotal",)),
        ("calls", ("round",)),
        ("identifiers", ("values",)),
    ]
    assert found[0].text == "same name: get_total"
    other = unit("csum_all ivalues cround cget_total")
    found = model.verifier.reasons(left, other, 0.9, names=("get_total", "sum_all"))
    assert [(reason.kind, reason.items) for reason in found] == [("calls", ("round",)), ("identifiers", ("values",))]
    for names in (("", ""), ("_", "_")):
        kinds = [reason.kind for reason in model.verifier.reasons(left, right, 0.9, names=names)]
        assert kinds == ["calls", "identifiers"]


def test_nothing_to_point_at(model: Model) -> None:
    (reason,) = model.verifier.reasons(unit("ialpha o+ n31"), unit("ibeta o+ n77"), 0.43219)
    assert (reason.kind, reason.items, reason.score) == ("vectors", (), 0.4322)


def test_the_bundle_is_only_read_when_something_is_judged(bundle: Path) -> None:
    verifier = Verifier(load_bundle(bundle), lexicon())
    assert verifier._session is None
    verifier.logits(np.zeros((1, len(FEATURES)), np.float32))
    assert verifier._session is not None


def test_encoders_beside_the_first_have_a_cosine_of_their_own(tmp_path: Path) -> None:
    verifier = Verifier(load_bundle(tiny_bundle(tmp_path, own_width=1)), lexicon())
    rows = verifier.features(verifier.prepare(two_codes(), [LEFT, RIGHT]), np.array([0]), np.array([1]))
    values = dict(zip(FEATURES, rows[0].tolist(), strict=True))
    # The first dimension is 3 · 4 of the one, the second 4 · 3 of the other; both are of one sign.
    assert (values["dense_cosine"], values["beside_cosine"], values["lexical_cosine"]) == (1.0, 1.0, 1.0)
    assert values["cosine"] == pytest.approx(168 / 169)
    other = two_codes().values.copy()
    other[1, 1] = -3
    rows = verifier.features(verifier.prepare(codes_of(other), [LEFT, RIGHT]), np.array([0]), np.array([1]))
    values = dict(zip(FEATURES, rows[0].tolist(), strict=True))
    assert (values["dense_cosine"], values["beside_cosine"]) == (1.0, -1.0)
    assert values["cosine"] == pytest.approx((12 - 12 + 144) / 169)
