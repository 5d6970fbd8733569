"""Pair heads: what they learn, how their logits become probabilities, and which precision those promise."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.artifact import Calibration
from polyclone.errors import UsageError
from polyclone.model import load_model
from polyclone.values import ATOM_SEPARATOR
from polyclone.verify import FEATURES
from polyclone_distill import judge
from polyclone_distill.calibration import (
    PRECISIONS,
    average_precision,
    calibrate,
    expected_calibration_error,
    precision_thresholds,
    recall_at_precision,
    spread_top,
    surest,
    unsure_band,
)
from polyclone_distill.cross_judge import (
    CrossTraining,
    better_judge,
    compare_judges,
    cross_logits,
    make_cross_encoder,
    pad,
    top_of_draws,
    train_cross_encoder,
)
from polyclone_distill.judge import (
    RISING,
    JudgeConfig,
    Pairs,
    Pool,
    draw_pairs,
    draw_programs,
    hard_subset,
    joined,
    precision_at,
    read_pool,
    train_head,
    train_pair_head,
)
from polyclone_distill.trainer.cross_encoder import CrossConfig, CrossEncoder, load_cross_encoder
from polyclone_distill.trainer.errors import TrainerError
from polyclone_distill.trainer.pair_head import PairHead, load_pair_head, save_pair_head
from polyclone_distill.trainer.starting import pack
from support.training import CONFIG as CONFIG_OF_A_START
from support.training import tiny_encoder

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = JudgeConfig(
    draws=12, libraries=100, distractors=12, program_draws=4, program_distractors=8, epochs=20, batch=128
)


def overlapping(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels: one in three is a clone, and clones score higher, mostly."""
    chance = np.random.default_rng(seed)
    labels = (chance.random(count) < 1 / 3).astype(np.int64)
    return (chance.normal(2.5 * labels - 1.0, 1.2)).astype(np.float32), labels


# --- calibration ---


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(30, 2000), st.integers(0, 10**6))
def test_a_calibration_ascends(count: int, seed: int) -> None:
    logits, labels = overlapping(count, seed)
    points = calibrate(logits, labels, 0.9)
    xs, ys = points["logits"], points["probabilities"]
    assert len(xs) == len(ys) <= 101
    assert xs == sorted(xs)
    assert ys == sorted(ys)
    assert all(0.0 <= y <= 1.0 for y in ys)
    assert xs[-1] > logits.max()  # Certainty grows beyond what was seen.
    reached = [precision for precision, _ in points["precisions"]]
    assert reached == sorted(set(reached))
    assert set(reached) <= set(PRECISIONS)
    assert points["default_precision"] == 0.9
    assert json.loads(json.dumps(points)) == points


def test_a_calibration_is_right_on_the_average() -> None:
    fitted, labels = overlapping(6000, 1)
    points = calibrate(fitted, labels, 0.9)
    fresh, truth = overlapping(6000, 2)
    p = np.interp(fresh.astype(np.float64), points["logits"], points["probabilities"])
    assert expected_calibration_error(p, truth) < 0.03
    assert expected_calibration_error(1 / (1 + np.exp(-fresh.astype(np.float64))), truth) > 0.03


def test_a_threshold_keeps_its_promise_on_new_pairs() -> None:
    """Read as the engine reads it, from the rounded points of the manifest."""
    points = calibrate(*overlapping(8000, 1), 0.9)
    calibration = Calibration(
        logits=tuple(points["logits"]),
        probabilities=tuple(points["probabilities"]),
        precisions=tuple((a, b) for a, b in points["precisions"]),
        default_precision=0.9,
    )
    logits, labels = overlapping(8000, 2)
    p = np.round(calibration.apply(logits), 4)
    for wished in (0.7, 0.8, 0.9):
        reported = p >= np.float32(calibration.threshold(wished))
        assert reported.sum() > 100
        assert labels[reported].mean() > wished - 0.03
    assert calibration.threshold(0.9) > calibration.threshold(0.7)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=120),
)
def test_thresholds_are_those_of_the_definition(rows: list[tuple[int, int]]) -> None:
    """For each precision the least probability such that all pairs from there on, twenty or more, reach it."""
    p = np.array([value / 13 + 0.00003 for value, _ in rows])
    labels = np.array([int(lot * 4 < value) for value, lot in rows])
    expected = []
    for wished in PRECISIONS:
        good = [
            least
            for least in sorted(set(p.tolist()))
            if (p >= least).sum() >= 20 and labels[p >= least].mean() >= wished
        ]
        if good:
            expected.append([wished, math.floor(good[0] * 1e4) / 1e4])
    found = precision_thresholds(p, labels)
    assert [a for a, _ in found] == [a for a, _ in expected]
    assert [b for _, b in found] == pytest.approx([b for _, b in expected], abs=1e-9)


def test_a_few_pairs_promise_nothing() -> None:
    assert precision_thresholds(np.linspace(0.5, 1, 19), np.ones(19, np.int64)) == []
    assert len(precision_thresholds(np.linspace(0.5, 1, 20), np.ones(20, np.int64))) == len(PRECISIONS)
    assert precision_thresholds(np.linspace(0.5, 1, 50), np.zeros(50, np.int64)) == []


def test_without_a_clone_there_is_nothing_to_calibrate() -> None:
    with pytest.raises(UsageError, match=r"none of the 1,200 retrieved pairs is a clone.*raise --draws"):
        calibrate(np.zeros(1200, np.float32), np.zeros(1200, np.int64), 0.9)


def test_the_surest_pairs_have_an_order() -> None:
    """Two kinds of pairs that no threshold confuses: half of the curve is one flat level."""
    chance = np.random.default_rng(0)
    labels = np.repeat([0, 1], [4000, 400])
    logits = np.where(labels == 1, chance.normal(8, 2, 4400), chance.normal(-8, 2, 4400)).astype(np.float32)
    points = calibrate(logits, labels, 0.9)
    p = np.round(np.interp(logits[labels == 1], points["logits"], points["probabilities"]), 4)
    assert len(np.unique(p)) > 30
    assert p.max() <= 0.9999
    assert points["probabilities"][-2] < 0.9999
    order = np.argsort(logits[labels == 1])
    assert (np.diff(p[order]) >= 0).all()


def test_a_level_is_spread_around_its_value() -> None:
    xs, ys = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.2, 0.8, 0.8, 0.8])
    assert spread_top(xs, ys).tolist() == pytest.approx([0.2, 0.70005, 0.8, 0.89995])
    low = np.array([0.2, 0.3, 0.3, 0.3])
    assert spread_top(xs, low).tolist() == pytest.approx([0.2, 0.25, 0.3, 0.35])
    rising = np.array([0.1, 0.2, 0.3, 0.4])
    assert spread_top(xs, rising).tolist() == rising.tolist()
    assert spread_top(xs, np.full(4, 0.9999)).tolist() == pytest.approx([0.9999] * 4)


def test_the_surest_pairs_begin_where_no_error_follows() -> None:
    logits = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], np.float32)
    assert surest(logits, np.array([0, 1, 0, 1, 1, 1])) == 3.0
    assert surest(logits[::-1], np.array([1, 1, 1, 0, 1, 0])) == 3.0
    # An error at the very top: the level of all above the last rise is one.
    assert surest(logits, np.array([0, 0, 0, 1, 1, 0])) == 3.0
    with pytest.raises(UsageError, match="none of the 6 retrieved pairs is a clone"):
        surest(logits, np.zeros(6, np.int64))


def test_the_unsure_band_by_hand() -> None:
    p = np.linspace(0.05, 0.95, 10)
    labels = np.array([0, 1, 0, 1, 1, 0, 1, 1, 1, 1])
    # Of seven clones none may lie below the band: a tenth of seven is less than one.
    assert unsure_band(p, labels, [[0.5, 0.2], [0.9, 0.65]], 0.9) == [0.15, 0.65]
    assert unsure_band(p, labels, [[0.5, 0.2]], 0.9) == [0.15, 1.0]
    assert unsure_band(p, labels, [[0.9, 0.1]], 0.9) == [0.1, 0.1]
    many = np.linspace(0, 1, 101)
    assert unsure_band(many, np.ones(101, np.int64), [[0.9, 0.5]], 0.9) == [0.1, 0.5]


# --- measures ---


def test_the_calibration_error_by_hand() -> None:
    # Bins of a half: 0.1 and 0.3 (one clone of two), 0.6, 0.8 and 1.0 (two of three).
    p, labels = np.array([0.1, 0.3, 0.6, 0.8, 1.0]), np.array([0, 1, 1, 0, 1])
    expected = 2 / 5 * abs(0.2 - 1 / 2) + 3 / 5 * abs(0.8 - 2 / 3)
    assert expected_calibration_error(p, labels, bins=2) == pytest.approx(expected)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([0, 1])) == 0.0
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([0, 1])) == 1.0


def test_average_precision_by_hand() -> None:
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0])
    assert average_precision(scores, labels) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert math.isnan(average_precision(scores, np.zeros(4, np.int64)))


def test_precision_at_a_count_is_a_mean_over_draws() -> None:
    labels = np.array([1, 0, 1, 0, 0, 1])
    pairs = Pairs(np.zeros((6, 1), np.float32), labels, np.array([0, 0, 0, 1, 1, 1]))
    scores = np.array([0.9, 0.8, 0.7, 0.9, 0.8, 0.7])
    assert precision_at(scores, pairs, 1) == pytest.approx((1 + 0) / 2)
    assert precision_at(scores, pairs, 2) == pytest.approx((1 / 2 + 0) / 2)
    assert precision_at(scores, pairs, 50) == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_recall_at_a_precision_by_hand() -> None:
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([1, 0, 1, 1, 0])
    # From the top: precision 1, 1/2, 2/3, 3/4, 3/5 and recall 1/3, 1/3, 2/3, 1, 1.
    assert recall_at_precision(scores, labels, 0.9) == pytest.approx(1 / 3)
    assert recall_at_precision(scores, labels, 0.75) == 1.0
    assert recall_at_precision(scores, labels[::-1], 0.9) == 0.0
    assert recall_at_precision(scores, np.zeros(5, np.int64), 0.5) == 0.0


# --- heads ---


def test_training_keeps_all_clones_and_the_hardest_others() -> None:
    features = np.zeros((400, len(FEATURES)), np.float32)
    column = FEATURES.index("background_z_low")
    features[:, column] = np.random.default_rng(0).permutation(400)
    labels = (np.arange(400) % 100 == 0).astype(np.int64)
    pairs = Pairs(features, labels, np.arange(400))
    config = dataclasses.replace(CONFIG, negatives=10)
    kept = hard_subset(pairs, config)
    assert kept.labels.sum() == 4
    assert len(kept.labels) == len(set(kept.draw.tolist())) == 4 + 40
    others = features[labels == 0, column]
    hardest = set(sorted(others.tolist())[-20:])
    assert hardest <= set(kept.features[kept.labels == 0, column].tolist())
    assert np.array_equal(kept.features, features[kept.draw])
    assert np.array_equal(hard_subset(pairs, config).draw, kept.draw)
    assert len(hard_subset(pairs, dataclasses.replace(CONFIG, negatives=1000)).labels) == 400


def toy_pairs(count: int = 1000, seed: int = 0) -> Pairs:
    """A clone if and only if the first two features have one sign: no linear head can tell."""
    chance = np.random.default_rng(seed)
    features = chance.standard_normal((count, 4)).astype(np.float32) * np.array([1, 1, 5, 1], np.float32) + 3
    labels = ((features[:, 0] > 3) == (features[:, 1] > 3)).astype(np.int64)
    return Pairs(features, labels, np.zeros(count, np.int64))


def test_a_head_separates_a_toy_set() -> None:
    head = train_head(toy_pairs(), dataclasses.replace(CONFIG, epochs=40, learning_rate=2e-2, weight_decay=1e-3))
    assert not head.training
    fresh = toy_pairs(seed=1)
    with torch.no_grad():
        logits = head(torch.from_numpy(fresh.features)).numpy()
    assert ((logits > 0) == (fresh.labels == 1)).mean() > 0.95
    np.testing.assert_allclose(head.mean, toy_pairs().features.mean(0), rtol=1e-4)


def test_a_head_is_decided_by_its_seed() -> None:
    config = dataclasses.replace(CONFIG, epochs=3)
    pairs = toy_pairs(300)
    one, other = train_head(pairs, config), train_head(pairs, config)
    third = train_head(pairs, dataclasses.replace(config, seed=6))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(third.parameters()))


def test_a_feature_that_never_changes_does_no_harm() -> None:
    pairs = toy_pairs(200)
    pairs.features[:, 3] = 7.0
    head = train_head(pairs, dataclasses.replace(CONFIG, epochs=1))
    assert torch.isfinite(head(torch.from_numpy(pairs.features))).all()
    assert float(head.scale.min()) >= 1e-3


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_a_rising_head_never_falls(seed: int) -> None:
    """Labels that fall with a feature: a free head follows them, a rising one must not, wherever it is asked."""
    chance = np.random.default_rng(seed)
    features = chance.standard_normal((300, 5)).astype(np.float32)
    labels = ((features[:, 0] - features[:, 1] + features[:, 4]) > 0).astype(np.int64)
    pairs = Pairs(features, labels, np.zeros(300, np.int64))
    config = dataclasses.replace(CONFIG, epochs=3, learning_rate=5e-2, hidden=6, seed=seed)
    head = train_head(pairs, config, rising=(0, 1, 2))
    asked = torch.from_numpy(chance.uniform(-12, 12, (200, 5)).astype(np.float32))
    with torch.no_grad():
        for column in (0, 1, 2):
            more = asked.clone()
            more[:, column] += torch.from_numpy(chance.uniform(0, 6, 200).astype(np.float32))
            assert (head(more) - head(asked)).min() >= -1e-5


def test_a_rising_head_may_fall_with_other_features() -> None:
    features = np.random.default_rng(0).standard_normal((600, 3)).astype(np.float32)
    pairs = Pairs(features, (features[:, 0] > features[:, 2]).astype(np.int64), np.zeros(600, np.int64))
    head = train_head(pairs, dataclasses.replace(CONFIG, learning_rate=5e-2), rising=(0, 1))
    with torch.no_grad():
        logits = head(torch.from_numpy(features)).numpy()
    assert average_precision(logits, pairs.labels) > 0.95
    low, high = (head(torch.tensor([[0.0, 0.0, x]])).item() for x in (-2.0, 2.0))
    assert low > high


def test_a_promise_is_one_that_was_kept(caplog: pytest.LogCaptureFixture) -> None:
    reached = {"default_precision": 0.9, "precisions": [[0.5, 0.2], [0.75, 0.6]]}
    judge._promise_what_was_reached(reached)
    assert reached["default_precision"] == 0.75
    assert "no threshold has a precision of 0.9; the default is now 0.75" in caplog.text
    enough = {"default_precision": 0.9, "precisions": [[0.9, 0.6], [0.95, 0.7]]}
    judge._promise_what_was_reached(enough)
    assert enough["default_precision"] == 0.9
    none: dict[str, object] = {"default_precision": 0.9, "precisions": []}
    judge._promise_what_was_reached(none)
    assert none["default_precision"] == 0.9
    assert "too few or too mixed for any threshold, and a bundle needs one" in caplog.text


def test_above_its_ceiling_a_head_is_led_by_the_lift() -> None:
    head = PairHead(2, 3, (0, 1)).eval()
    x = torch.tensor([[5.0, 0.0], [6.0, 1.0], [7.0, 0.5], [-3.0, -3.0]])
    with torch.no_grad():
        assert head.skip is not None
        head.skip.weight[:] = torch.tensor([[1.0, 0.0]])
        before = head(x)
        head.ceiling.fill_(float(before[0]) - 1.0)
        head.lift[1] = 0.25
        after = head(x)
    # The first three are beyond the ceiling: now the second feature orders them.
    assert before[:3].argsort().tolist() == [0, 1, 2]
    assert after[:3].argsort().tolist() == [0, 2, 1]
    torch.testing.assert_close(after[:3], head.ceiling + 0.25 * x[:3, 1])
    torch.testing.assert_close(after[3], before[3] + 0.25 * x[3, 1])


def test_rising_features_are_those_of_likeness() -> None:
    assert {FEATURES[i] for i in range(len(FEATURES)) if i not in RISING} == {
        "margin", "log_length", "calls_missing", "constants_missing", "constant_conflict", "strings_missing",
    }  # fmt: skip


@pytest.mark.parametrize("rising", [(), (0, 2)])
def test_a_saved_head_is_the_same_head(tmp_path: Path, rising: tuple[int, ...]) -> None:
    head = PairHead(4, 6, rising).eval()
    save_pair_head(head, tmp_path / "head.pt", {"metrics": {}})
    again, record = load_pair_head(tmp_path / "head.pt")
    x = torch.randn(9, 4)
    assert torch.equal(head(x), again(x))
    assert again.rising == rising
    assert record == {"metrics": {}}


def test_a_head_of_before_there_were_rising_features_loads(tmp_path: Path) -> None:
    head = PairHead(4, 6).eval()
    torch.save({"features": 4, "hidden": 6, "state": head.state_dict(), "record": {}}, tmp_path / "old.pt")
    again, _ = load_pair_head(tmp_path / "old.pt")
    x = torch.randn(9, 4)
    assert torch.equal(head(x), again(x))


# --- pools and pairs ---


@pytest.fixture(scope="module")
def pool(prepared: Path) -> Pool:
    return read_pool(prepared, CONFIG, min_atoms=12)


def test_a_pool_holds_unseen_exercises_and_libraries(pool: Pool, prepared: Path) -> None:
    rows = pq.read_table(prepared / "units.parquet").to_pylist()
    unseen = {row["class"] for row in rows if row["split"] == "valid" and row["task"] is not None}
    assert set(pool.classes) - {""} == unseen
    sizes = {
        len(values) for values in (pool.normalised, pool.classes, pool.names, pool.sources, pool.languages, pool.half)
    }
    assert len(sizes) == 1
    assert sum(name == "" for name in pool.classes) == min(CONFIG.libraries, sum(row["task"] is None for row in rows))
    # A class, or a library, is of one half.
    keys = [name or origin for name, origin in zip(pool.classes, pool.sources, strict=True)]
    for key in set(keys):
        assert len({int(half) for k, half in zip(keys, pool.half, strict=True) if k == key}) == 1
    assert set(pool.half.tolist()) == {0, 1}


def test_disguises_change_names_and_nothing_else(pool: Pool, prepared: Path) -> None:
    rows = pq.read_table(prepared / "units.parquet").to_pylist()
    library = {row["normalised"] for row in rows if row["task"] is None}
    originals = {row["normalised"] for row in rows}
    kinds = {"as it was": 0, "disguised": 0}
    for text, name in zip(pool.normalised, pool.classes, strict=True):
        if not name:
            assert text in library
        else:
            kinds["as it was" if text in originals else "disguised"] += 1
    assert min(kinds.values()) > 5
    text = ATOM_SEPARATOR.join("cown ione kif itwo cother n31 ione kreturn cown".split())
    seen = set()
    for seed in range(60):
        hidden = judge._disguise(text, "own", np.random.default_rng(seed)).split(ATOM_SEPARATOR)
        rest = [atom for atom in hidden if atom[0] not in "ic"]
        assert rest == ["kif", "n31", "kreturn"]
        seen.add(("cown" in hidden, "cother" in hidden, "ione" in hidden))
        if len(hidden) == 9 and "ione" not in hidden:
            assert hidden[1] == hidden[6]  # One name has one new name.
    assert {(True, True, True), (False, False, False)} <= seen
    assert judge._disguise(text, "own", np.random.default_rng(3)) == judge._disguise(
        text, "own", np.random.default_rng(3)
    )


def test_drawn_pairs_and_their_labels(pool: Pool, bundle: Path) -> None:
    from polyclone.index import quantise

    model = load_model(bundle)
    codes = quantise(model.encode_normalised(pool.normalised))
    halves = [draw_pairs(pool, codes, model, half, CONFIG) for half in (0, 1)]
    for pairs in halves:
        assert pairs.features.shape == (len(pairs.labels), len(FEATURES))
        assert len(pairs.draw) == len(pairs.labels)
        assert set(pairs.labels.tolist()) == {0, 1}
        assert set(pairs.draw.tolist()) == set(range(CONFIG.draws))
        assert np.isfinite(pairs.features).all()
    again = draw_pairs(pool, codes, model, 0, CONFIG)
    assert again.features.tobytes() == halves[0].features.tobytes()


def test_workspaces_of_whole_programs(pool: Pool, bundle: Path) -> None:
    from polyclone.index import quantise

    model = load_model(bundle)
    codes = quantise(model.encode_normalised(pool.normalised))
    pairs = draw_programs(pool, codes, model, 0, CONFIG)
    assert set(pairs.draw.tolist()) <= set(range(CONFIG.draws, CONFIG.draws + CONFIG.program_draws))
    assert 1 in pairs.labels.tolist()
    for side in (pairs.left, pairs.right):
        assert {pool.roles[row] for row in side.tolist() if pool.classes[row]} == {"program"}
    both = joined([draw_pairs(pool, codes, model, 0, CONFIG), pairs])
    assert len(both.labels) == len(both.left) == len(both.features)
    assert both.draw.tolist() == sorted(both.draw.tolist())


def test_what_is_known_about_a_pair() -> None:
    made = Pool(
        normalised=[""] * 6,
        classes=["a", "a", "b", "", "", ""],
        names=["f", "g", "f", "f", "f", "h"],
        sources=["x", "y", "x", "lib", "other", "lib"],
        languages=["go"] * 6,
        half=np.zeros(6, np.int64),
    )
    truth = {(a, b): judge._truth(made, a, b) for a in range(6) for b in range(6) if a < b}
    assert truth[0, 1] == 1  # One class.
    assert truth[0, 2] == truth[0, 3] == truth[2, 5] == 0  # Two classes, or an exercise and a library.
    assert truth[3, 4] == -1  # Two library functions of one name,
    assert truth[3, 5] == -1  # or of one library, may be ports.
    assert truth[4, 5] == 0
    assert all(judge._truth(made, b, a) == label for (a, b), label in truth.items())


def test_a_head_from_end_to_end(bundle: Path, prepared: Path, tmp_path: Path) -> None:
    metrics = train_pair_head(bundle, prepared, tmp_path / "deep" / "head.pt", CONFIG)
    head, record = load_pair_head(tmp_path / "deep" / "head.pt")
    assert record["metrics"] == metrics
    assert record == json.loads((tmp_path / "deep" / "head.json").read_text("utf-8"))
    assert record["config"] == dataclasses.asdict(CONFIG)
    assert len(head.mean) == len(FEATURES)
    assert head.rising == RISING
    assert float(head.ceiling) < 100
    assert np.flatnonzero(head.lift.numpy()).tolist() == [FEATURES.index("cosine")]
    assert metrics["programs"]["pairs"] > 5
    assert set(metrics["programs"]) == set(metrics) - {"programs"}
    assert metrics["pairs"] > 20
    assert 0 < metrics["prevalence"] < 1
    assert 0 < metrics["average_precision"] <= 1
    assert set(metrics) >= {"precision_at_50", "recall_at_precision_90", "expected_calibration_error"}


def test_vectors_are_kept_for_the_next_head(
    bundle: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train_pair_head(bundle, prepared, tmp_path / "head.pt", CONFIG)
    (kept,) = tmp_path.glob("codes-*.npz")
    model = load_model(bundle)
    pool = read_pool(prepared, CONFIG, model.min_atoms)
    other = dataclasses.replace(pool, normalised=[*pool.normalised[:-1], "ix"])
    codes = judge.encode_pool(model, other, tmp_path / "other.npz")
    assert judge.encode_pool(model, other, kept).values.tobytes() == codes.values.tobytes()  # Not those of `pool`.
    again = train_pair_head(bundle, prepared, tmp_path / "again.pt", CONFIG)
    monkeypatch.setattr("polyclone.model.Model.encode_normalised", None)
    assert train_pair_head(bundle, prepared, tmp_path / "head.pt", CONFIG) == first == again


# --- a cross-encoder beside the head ---


def test_a_cross_encoder_has_no_order() -> None:
    torch.manual_seed(0)
    model = CrossEncoder(CrossConfig(vocabulary=50, layers=2, width=16, heads=2, feed_forward=16, embedding=8)).eval()
    units = [np.array([2, *range(5, 5 + n), 3]) for n in (4, 9, 6)]
    a, b = pad(units, np.array([0, 1])), pad(units, np.array([2, 0]))
    with torch.no_grad():
        torch.testing.assert_close(model.symmetric(*a, *b), model.symmetric(*b, *a))
        assert (model(*a, *b) - model(*b, *a)).abs().max() > 1e-5
        # Padding does not matter.
        alone = model(*pad(units, np.array([0])), *pad(units, np.array([2])))
        torch.testing.assert_close(alone[0], model(*a, *b)[0], atol=1e-5, rtol=0)


def test_a_long_unit_does_not_push_out_the_other() -> None:
    torch.manual_seed(0)
    config = CrossConfig(vocabulary=50, layers=1, width=16, heads=2, feed_forward=16, embedding=8, side=6)
    model = CrossEncoder(config).eval()
    units = [np.arange(5, 45), np.array([2, 7, 3]), np.array([2, 9, 3]), np.arange(5, 11)]
    with torch.no_grad():
        seven, nine = (model(*pad(units, np.array([0])), *pad(units, np.array([row]))) for row in (1, 2))
        cut = model(*pad(units, np.array([3])), *pad(units, np.array([1])))
    assert (seven - nine).abs() > 1e-5
    torch.testing.assert_close(cut, seven)


def test_a_cross_encoder_learns_what_is_the_same(tmp_path: Path) -> None:
    """Clones share a token that no other pair shares."""
    torch.save(pack(CONFIG_OF_A_START, tiny_encoder().state_dict()), tmp_path / "start.pt")
    chance = np.random.default_rng(0)
    units = [np.array([2, 100 + i // 2, *chance.integers(10, 60, 5), 3]) for i in range(40)]
    left = np.repeat(np.arange(0, 40, 2), 4)
    right = (left + np.tile([1, 1, 3, 7], 20)) % 40
    labels = (left // 2 == right // 2).astype(np.int64)
    pairs = Pairs(np.zeros((80, len(FEATURES)), np.float32), labels, np.zeros(80, np.int64), left, right)
    config = CrossTraining(layers=1, width=32, heads=2, feed_forward=32, epochs=40, batch=16, learning_rate=5e-3)
    model = train_cross_encoder(units, pairs, tmp_path / "start.pt", config)
    logits = cross_logits(model, units, pairs, batch=7)
    assert average_precision(logits, labels) > 0.95
    np.testing.assert_allclose(logits, cross_logits(model, units, pairs, batch=80), atol=1e-4)


def test_the_nearest_of_each_draw_are_judged() -> None:
    features = np.zeros((10, len(FEATURES)), np.float32)
    features[:, FEATURES.index("background_z_low")] = [5, 1, 4, 2, 3, 9, 8, 7, 6, 0]
    pairs = Pairs(features, np.zeros(10, np.int64), np.repeat([0, 1], 5), np.arange(10), np.arange(10))
    assert top_of_draws(pairs, 2).left.tolist() == [0, 2, 5, 6]


def test_the_better_judge_keeps_the_top_clean() -> None:
    def results(cosine: float, head: tuple[float, float], cross: tuple[float, float]) -> dict[str, dict[str, float]]:
        return {
            "cosine": {"precision_at_50": cosine, "average_precision": 0.5},
            "pair_head": {"precision_at_50": head[0], "average_precision": head[1]},
            "cross_encoder": {"precision_at_50": cross[0], "average_precision": cross[1]},
        }

    assert better_judge(results(0.6, (0.8, 0.7), (0.9, 0.75))) == "cross_encoder"
    assert better_judge(results(0.6, (0.8, 0.7), (0.5, 0.9))) == "pair_head"
    assert better_judge(results(0.9, (0.8, 0.7), (0.5, 0.9))) == "cosine"


def test_judges_are_compared_from_end_to_end(bundle: Path, prepared: Path, tmp_path: Path) -> None:
    train_pair_head(bundle, prepared, tmp_path / "head.pt", CONFIG)
    small = CrossTraining(layers=1, width=16, heads=2, feed_forward=16, side=40, epochs=1, judged_per_draw=20)
    metrics = make_cross_encoder(bundle, prepared, tmp_path / "cross.pt", CONFIG, small)
    assert 0 < metrics["average_precision"] <= 1
    reader, record = load_cross_encoder(tmp_path / "cross.pt")
    assert reader.config.side == 40
    assert len(record["calibration"]["unsure"]) == 2
    result = compare_judges(bundle, prepared, tmp_path / "head.pt", tmp_path / "cross.pt", CONFIG, 20)
    assert set(result["judges"]) == {"cosine", "pair_head", "cross_encoder"}
    assert len({row["pairs"] for row in result["judges"].values()}) == 1
    assert result["judges"]["cross_encoder"]["average_precision"] == metrics["average_precision"]
    assert result["better"] in result["judges"]
    with pytest.raises(TrainerError, match=r"holds no cross-encoder; run"):
        load_cross_encoder(tmp_path / "head.pt")
    with pytest.raises(UsageError, match="run `polyclone-distill train pair-head`"):
        compare_judges(bundle, prepared, tmp_path / "none.pt", tmp_path / "cross.pt", CONFIG, 20)
