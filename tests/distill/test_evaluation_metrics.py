"""Figures against hand-computed values, brute force and scikit-learn; intervals of the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from polyclone_distill.evaluation.bootstrap import Bootstrap
from polyclone_distill.evaluation.metrics import (
    alert_order,
    calibration_error,
    decision_quality,
    precision_at,
    query_metrics,
    ranking_quality,
    recall_at_precision,
    reliability,
)
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score


def one(n: int) -> np.ndarray:
    return np.ones((1, n))


def test_query_metrics_by_hand() -> None:
    # First query: three relevant units at ranks 1, 3 and 7; second: one at rank 2; third: one at rank 11.
    found = query_metrics(np.array([1, 3, 7, 2, 11]), np.array([0, 3, 4, 5]))
    assert found["mrr"] == pytest.approx([1.0, 0.5, 1 / 11])
    assert found["r@1"].tolist() == [1, 0, 0]
    assert found["r@10"].tolist() == [1, 1, 0]
    # R = 3: of the ranks up to 3, precision 1/1 at rank 1 and 2/3 at rank 3, over R.
    assert found["map@r"] == pytest.approx([(1 + 2 / 3) / 3, 0.0, 0.0])


def test_query_metrics_of_nothing() -> None:
    assert all(len(v) == 0 for v in query_metrics(np.zeros(0, int), np.zeros(1, int)).values())


def test_ties_count_against_the_system() -> None:
    order = alert_order(np.array([True, False, False]), np.array([0.5, 0.9, 0.5]))
    assert order.tolist() == [1, 2, 0]
    by_two = alert_order(np.array([True, False, True]), np.array([1.0, 1.0, 1.0]), np.array([0.2, 0.3, 0.3]))
    assert by_two.tolist() == [1, 2, 0]


def test_precision_at() -> None:
    relevant = np.array([True, True, False, True])
    weights = np.array([[1, 1, 1, 1], [0, 2, 1, 1], [1, 0, 0, 0]], dtype=np.float64)
    assert precision_at(relevant, 2, weights)[:2] == pytest.approx([1.0, 1.0])
    assert precision_at(relevant, 3, weights)[:2] == pytest.approx([2 / 3, 2 / 3])
    assert np.isnan(precision_at(relevant, 3, weights)[2])
    assert np.isnan(precision_at(np.zeros(0, bool), 50, np.zeros((1, 0)))[0])


def test_recall_at_precision_by_hand() -> None:
    relevant = np.array([True] * 9 + [False, True, False])
    found = np.array([1.0] * 8 + [0.0, 0.0, 1.0, 0.0])
    # Nine of the first ten are right, ten of eleven too (.909), ten of twelve are not.
    recall, cut = recall_at_precision(relevant, found, np.array([20.0]), one(12), 0.9)
    assert recall[0] == pytest.approx(9 / 20)
    assert cut[0] == 11


def test_recall_at_an_unreached_precision_is_zero() -> None:
    recall, cut = recall_at_precision(np.array([False, True]), np.array([0.0, 1.0]), np.array([1.0]), one(2))
    assert (recall[0], cut[0]) == (0.0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_quality_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(120) < 0.3
    scores = np.round(rng.random(120) + 0.3 * labels, 1)  # Many ties.
    weights = np.stack([np.ones(120), rng.integers(0, 3, 120)]).astype(np.float64)
    found = ranking_quality(scores, labels, weights)
    for row, w in enumerate(weights):
        assert found["auc"][row] == pytest.approx(roc_auc_score(labels, scores, sample_weight=w))
        assert found["pr_auc"][row] == pytest.approx(average_precision_score(labels, scores, sample_weight=w))
        precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=w)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        assert found["best_f1"][row] == pytest.approx(f1.max())
        assert found["recall@p90"][row] == pytest.approx(recall[precision >= 0.9].max())


def test_ranking_quality_of_one_label_is_unknown() -> None:
    assert np.isnan(ranking_quality(np.array([0.1, 0.2]), np.array([True, True]), one(2))["auc"][0])


def test_decision_quality_by_hand() -> None:
    decided, labels = np.array([True, True, True, False]), np.array([True, True, False, True])
    found = decision_quality(decided, labels, one(4))
    assert [found[name][0] for name in ("precision", "recall", "f1")] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    silent = decision_quality(np.zeros(4, bool), labels, one(4))
    assert np.isnan(silent["precision"][0])
    assert silent["f1"][0] == 0.0


def test_calibration_error_by_hand() -> None:
    p = np.array([0.05, 0.05, 0.95, 0.95])
    labels = np.array([False, True, True, True])
    # Two bins: |.5 − .05| and |1 − .95|, half of the pairs each.
    assert calibration_error(p, labels, one(4))[0] == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    doubled = calibration_error(np.repeat(p, 2), np.repeat(labels, 2), one(8))
    assert doubled[0] == pytest.approx(calibration_error(p, labels, 2 * one(4))[0])


def test_calibration_of_the_ends() -> None:
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True]), one(2))[0] == 0.0
    rows = reliability(np.array([0.0, 1.0, 0.99]), np.array([False, True, True]))
    assert [(row["pairs"], row["clones"]) for row in rows] == [(1, 0.0), (2, 1.0)]


def test_bootstrap_is_deterministic_and_covers_the_estimate() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 40, 500)
    columns = {"x": rng.random(500)}
    first = Bootstrap(40, 1000, seed=3).means(columns, clusters)["x"]
    assert first == Bootstrap(40, 1000, seed=3).means(columns, clusters)["x"]
    assert first != Bootstrap(40, 1000, seed=4).means(columns, clusters)["x"]
    assert first.low < first.value < first.high
    assert first.value == pytest.approx(columns["x"].mean())


def test_bootstrap_equals_a_loop() -> None:
    rng = np.random.default_rng(1)
    clusters, values = rng.integers(0, 5, 30), rng.random(30)
    bootstrap = Bootstrap(5, 20, seed=1)
    expected = [np.average(values, weights=draw[clusters]) for draw in bootstrap.weights]
    assert bootstrap.mean_samples(values, clusters) == pytest.approx(np.array(expected), rel=1e-5)


def test_bootstrap_of_clusters_is_wider_than_that_of_units() -> None:
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(30), 20)
    values = np.repeat(rng.random(30), 20)  # Units of a cluster agree entirely.
    by_cluster = Bootstrap(30, 1000).means({"x": values}, clusters)["x"]
    by_unit = Bootstrap(600, 1000).means({"x": values}, np.arange(600))["x"]
    assert by_cluster.high - by_cluster.low > 3 * (by_unit.high - by_unit.low)


def test_bootstrap_interval_of_a_mean_matches_theory() -> None:
    values = np.random.default_rng(3).normal(size=400)
    found = Bootstrap(400, 4000).means({"x": values}, np.arange(400))["x"]
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


def test_bootstrap_of_nothing_is_unknown() -> None:
    empty = np.zeros(0, dtype=np.int64)
    assert not Bootstrap(1, 10).means({"x": np.zeros(0)}, empty)["x"].known
