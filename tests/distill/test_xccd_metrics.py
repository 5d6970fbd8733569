"""Figures of X-CCD against scikit-learn and by hand; McNemar's test; tables that say what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from polyclone.errors import UsageError
from polyclone_distill.evaluation.xccd import (
    SILENT,
    Judged,
    Row,
    binomial_two_sided,
    confusion,
    evaluate_set,
    mcnemar,
)
from polyclone_distill.evaluation.xccd_report import latex, markdown
from polyclone_distill.evaluation.xccd_systems import best_threshold
from sklearn import metrics


def judged(system: str, verdicts: list[int], scores: list[float] | None = None) -> Judged:
    n = len(verdicts)
    return Judged(
        system=system,
        verdicts=np.array(verdicts),
        scores=None if scores is None else np.array(scores),
        seconds=np.full(n, 0.5),
        tokens=np.full(n, 100.0),
    )


def test_figures_are_those_of_the_field() -> None:
    rng = np.random.default_rng(0)
    said, labels = rng.random(200) < 0.4, rng.random(200) < 0.5
    found = {name: float(value[0]) for name, value in confusion(said, labels, np.ones((1, 200))).items()}
    assert found["precision"] == pytest.approx(metrics.precision_score(labels, said))
    assert found["recall"] == pytest.approx(metrics.recall_score(labels, said))
    assert found["f1"] == pytest.approx(metrics.f1_score(labels, said))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, said))
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, said))


def test_weights_are_repetitions() -> None:
    said, labels = np.array([True, False, True, False]), np.array([True, True, False, False])
    times = np.array([3, 1, 2, 4])
    found = confusion(said, labels, times[None].astype(float))
    again = confusion(np.repeat(said, times), np.repeat(labels, times), np.ones((1, 10)))
    assert {name: float(v[0]) for name, v in found.items()} == {name: float(v[0]) for name, v in again.items()}


def test_a_system_that_never_says_yes() -> None:
    found = confusion(np.zeros(4, bool), np.array([True, False, True, False]), np.ones((1, 4)))
    assert np.isnan(found["precision"][0]) and found["f1"][0] == 0.0 and found["mcc"][0] == 0.0


def rows() -> list[Row]:
    labels = np.array([True, True, True, False, False, False])
    problems = ["a", "b", "c", "a", "b", "c"]
    systems = [
        judged("free", [1, SILENT, SILENT, 0, 1, SILENT]),
        judged("head & co", [1, 1, 0, 0, 0, 1], [0.9, 0.8, 0.4, 0.1, 0.2, 0.6]),
    ]
    return evaluate_set("python-java", labels, problems, systems, 200, 1)


def test_silence_is_told_apart_and_counted_as_no() -> None:
    """Three of six judged: one hit, one false alarm, one right no. As no: one hit, two missed, one false alarm."""
    free, head = rows()
    assert free.response_rate.value == 0.5
    assert free.judged["precision"].value == 0.5 and free.judged["recall"].value == 1.0
    assert free.judged["accuracy"].value == pytest.approx(2 / 3)
    assert free.silent_is_no["recall"].value == pytest.approx(1 / 3)
    assert free.silent_is_no["accuracy"].value == pytest.approx(3 / 6)
    assert free.auc is None
    assert head.response_rate.value == 1.0 and head.judged == head.silent_is_no
    assert head.auc is not None and head.auc.value == pytest.approx(8 / 9)
    assert head.auc.low <= head.auc.value <= head.auc.high


def test_mcnemar_is_the_exact_binomial() -> None:
    labels = np.array([True] * 10)
    first = np.array([1] * 9 + [0])
    second = np.array([0] * 8 + [1, 1])
    found = mcnemar(first, second, labels)
    assert (found.only_first, found.only_second) == (8, 1)
    assert found.p_value == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(first, first, labels).p_value == 1.0
    # Silence counts as no: right for what is no clone.
    silent = mcnemar(np.full(10, SILENT), np.ones(10, np.int64), ~labels)
    assert (silent.only_first, silent.only_second) == (10, 0)
    with pytest.raises(UsageError):
        mcnemar(first[:5], second, labels)


@pytest.mark.parametrize(("k", "n", "p"), [(0, 0, 1.0), (0, 1, 1.0), (0, 5, 2 / 32), (2, 4, 1.0), (1, 10, 22 / 1024)])
def test_the_binomial_has_two_sides(k: int, n: int, p: float) -> None:
    assert binomial_two_sided(k, n) == pytest.approx(p)


def test_the_threshold_stands_in_the_best_gap() -> None:
    scores = np.array([0.9, 0.7, 0.6, 0.4, 0.2])
    assert best_threshold(scores, np.array([True, True, False, False, False])) == pytest.approx(0.65)
    assert best_threshold(scores, np.array([True] * 5)) < 0.2
    assert best_threshold(scores, np.zeros(5, bool)) > 0.9
    equal = np.array([0.5, 0.5, 0.5])
    cut = best_threshold(equal, np.array([True, True, False]))
    assert ((equal >= cut) == [True] * 3).all()


def test_tables_hold_every_row_and_nothing_breaks_them() -> None:
    found = rows()
    comparison = mcnemar(np.array([1, 0]), np.array([1, 1]), np.array([True, True]))
    text = markdown(found, {("free against head", "python-java"): comparison}, ["A note."])
    blocks = [block.splitlines() for block in text.split("\n\n")]
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1
    figures, _, intervals, compared, notes = blocks
    assert "50.0 %" in figures[2] and "head & co" in figures[3] and "[" not in figures[3] and "[" in intervals[3]
    assert compared[2] == "| free against head | python-java | 0 | 1 | 1 |" and notes == ["A note."]
    tex = latex(found)
    assert r"head \& co" in tex and tex.count(r"\\") == 3 and "–" not in tex
    assert all(line.count("&") - line.count(r"\&") == 11 for line in tex.splitlines() if line.endswith(r"\\"))
