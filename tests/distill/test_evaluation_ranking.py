"""Ranks, partners and alerts against brute force on small random pools."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from polyclone.index import NeighbourTable, quantise
from polyclone.index.agreement import Bags
from polyclone_distill.evaluation import scorers
from polyclone_distill.evaluation.alerts import combinations, measure_alerts, mutual_best
from polyclone_distill.evaluation.bootstrap import Bootstrap
from polyclone_distill.evaluation.ranking import Labels, rank
from polyclone_distill.evaluation.retrieval import _queries
from polyclone_distill.evaluation.scorers import AgreementScorer, CslsScorer, DenseScorer, ScanScorer


class Matrix:
    """A scorer that is its own score matrix."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.astype(np.float32)

    @property
    def size(self) -> int:
        return len(self.scores)

    def block(self, rows: slice) -> np.ndarray:
        return self.scores[rows]

    def symmetric(self, rows: slice, block: np.ndarray) -> np.ndarray:
        return (0.5 * (self.scores + self.scores.T))[rows]

    def pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return (0.5 * (self.scores + self.scores.T))[left, right]


def make(seed: int, n: int = 40) -> tuple[Matrix, Labels]:
    rng = np.random.default_rng(seed)
    classes = rng.integers(-1, 7, n)
    labels = Labels(
        classes=classes,
        languages=np.sort(rng.integers(0, 3, n)),
        clusters=np.where(classes < 0, 7, classes),
        names=("c", "go", "java"),
    )
    scores = np.round(rng.random((n, n)) + 0.3 * (classes[:, None] == classes), 1)  # Many ties.
    return Matrix(scores), labels


def brute_rank(row: np.ndarray, unit: int, pool: list[int], relevant: set[int]) -> list[int]:
    """Ranks of the relevant units of a pool, irrelevant first among equals."""
    ordered = sorted(pool, key=lambda i: (-row[i], i in relevant))
    return [place for place, i in enumerate(ordered, 1) if i in relevant]


@pytest.mark.parametrize("seed", range(6))
def test_ranks_equal_brute_force(seed: int) -> None:
    scorer, labels = make(seed)
    ranks, _ = rank(scorer, labels)
    n = scorer.size
    for query in range(n):
        foreign = [i for i in range(n) if labels.languages[i] != labels.languages[query]]
        own = labels.classes[query]
        relevant = {i for i in foreign if own >= 0 and labels.classes[i] == own}
        here = ranks.query == query
        assert ranks.mixed[here].tolist() == brute_rank(scorer.scores[query], query, foreign, relevant)
        assert bool(relevant) == (query in _queries(labels))
        for target in range(3):
            pool = [i for i in foreign if labels.languages[i] == target]
            there = np.sort(ranks.directed[here & (ranks.target == target)])
            assert there.tolist() == brute_rank(scorer.scores[query], query, pool, relevant & set(pool))


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, labels = make(9)
    whole = rank(scorer, labels)
    monkeypatch.setattr("polyclone_distill.evaluation.ranking._BLOCK_SCORES", 130)
    cut = rank(scorer, labels)
    for a, b in zip(whole, cut, strict=True):
        for name in a.__slots__:
            assert (getattr(a, name) == getattr(b, name)).all()


@pytest.mark.parametrize("seed", range(4))
def test_mutual_best_equals_brute_force(seed: int) -> None:
    scorer, labels = make(seed)
    both = 0.5 * (scorer.scores + scorer.scores.T)
    alerts = mutual_best(rank(scorer, labels)[1], labels)

    def best(i: int, language: int) -> int:
        pool = np.flatnonzero(labels.languages == language)
        return int(pool[both[i, pool].argmax()])

    expected = {
        (a, b)
        for a, b in itertools.combinations(range(scorer.size), 2)
        if labels.languages[a] < labels.languages[b]
        and best(a, labels.languages[b]) == b
        and best(b, labels.languages[a]) == a
    }
    assert set(zip(alerts.left.tolist(), alerts.right.tolist(), strict=True)) == expected
    assert alerts.scores == pytest.approx(both[alerts.left, alerts.right])


def test_combinations_by_hand() -> None:
    labels = Labels(
        classes=np.array([0, 0, 1, 0, 1, -1, 0, 2]),
        languages=np.array([0, 0, 0, 1, 1, 1, 2, 2]),
        clusters=np.zeros(8, dtype=np.int64),
        names=("c", "go", "java"),
    )
    assert combinations(labels).tolist() == [[0, 0, 1], [0, 0, 2], [0, 1, 2], [1, 0, 1]]
    alone = Labels(classes=np.array([-1]), languages=np.array([0]), clusters=np.array([0]), names=("c",))
    assert len(combinations(alone)) == 0


def test_alert_figures_by_hand() -> None:
    # Classes 0–3 in two languages, and a function without a counterpart in each (−1).
    labels = Labels(
        classes=np.array([0, 1, 2, 3, -1, 0, 1, 2, 3, -1]),
        languages=np.array([0] * 5 + [1] * 5),
        clusters=np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]),
        names=("c", "go"),
    )
    scores = np.zeros((10, 10))
    for a, b, score in ((0, 5, 0.9), (1, 6, 0.8), (4, 9, 0.7), (2, 8, 0.6), (3, 7, 0.5)):
        scores[a, b] = scores[b, a] = score
    alerts = mutual_best(rank(Matrix(scores), labels)[1], labels)
    figures, rows = measure_alerts(alerts, labels, Bootstrap(5, 50))
    assert figures["precision"].value == pytest.approx(2 / 5)
    assert figures["precision_known"].value == pytest.approx(2 / 4)
    assert figures["recall"].value == pytest.approx(2 / 4)
    assert figures["recall@p90"].value == pytest.approx(2 / 4)
    assert not figures["p@50"].known
    assert not figures["p@50_known"].known
    assert rows == [
        {
            "languages": ["c", "go"],
            "to_find": 4,
            "all": {"reported": 5, "precision": 0.4, "recall": 0.5},
            "at_p90": {"reported": 2, "precision": 1.0, "recall": 0.5},
        }
    ]
    certain = np.where(labels.classes[alerts.left] == labels.classes[alerts.right], 1.0, 0.0).astype(np.float32)
    judged, _ = measure_alerts(alerts, labels, Bootstrap(5, 50), certain)
    assert judged["ece"].value == pytest.approx(1 / 5)  # The pair of −1 is wrong and was called certain.


def test_alerts_that_cannot_be_judged_are_left_out_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyclone_distill.evaluation.alerts.AT", (2,))
    labels = Labels(
        classes=np.array([0, 1, -1, 0, 1, -1]), languages=np.repeat([0, 1], 3), clusters=np.arange(6) % 3,
        names=("c", "go"),
    )  # fmt: skip
    alerts = mutual_best(rank(Matrix(np.kron(np.ones((2, 2)), np.eye(3))), labels)[1], labels)
    # The functions without a counterpart come first.
    figures, _ = measure_alerts(alerts, labels, Bootstrap(3, 20), np.where(alerts.left == 2, 0.9, 0.5))
    assert figures["p@2"].value == pytest.approx(1 / 2)
    assert figures["p@2_known"].value == pytest.approx(1.0)
    known = Labels(
        classes=labels.classes % 3, languages=labels.languages, clusters=labels.clusters, names=labels.names
    )
    assert "p@2_known" not in measure_alerts(alerts, known, Bootstrap(3, 20))[0]


def test_a_combination_counts_once() -> None:
    labels = Labels(
        classes=np.zeros(4, dtype=np.int64),
        languages=np.array([0, 0, 1, 1]),
        clusters=np.zeros(4, dtype=np.int64),
        names=("c", "go"),
    )
    scores = np.eye(4)
    scores[0, 2] = scores[2, 0] = 0.9
    scores[1, 3] = scores[3, 1] = 0.8
    figures, _ = measure_alerts(mutual_best(rank(Matrix(scores), labels)[1], labels), labels, Bootstrap(1, 10))
    assert figures["recall"].value == 1.0


def test_no_alert_at_all() -> None:
    labels = Labels(classes=np.array([0]), languages=np.array([0]), clusters=np.array([0]), names=("c",))
    alerts = mutual_best(rank(Matrix(np.ones((1, 1))), labels)[1], labels)
    figures, rows = measure_alerts(alerts, labels, Bootstrap(1, 10))
    assert not figures["precision"].known
    assert rows == []


# --- correction for hubs ---


def unit_vectors(count: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_csls_is_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "_ROWS", 7)
    vectors = unit_vectors(40, 1)
    languages = np.repeat([0, 1, 2], [4, 16, 20])
    cosine = vectors @ vectors.T

    def crowding(unit: int, language: int) -> float:
        near = np.sort(cosine[unit, languages == language])[::-1][:10]
        return float(near.sum()) / 10

    expected = [
        [2 * cosine[i, j] - crowding(i, languages[j]) - crowding(j, languages[i]) for j in range(40)]
        for i in range(40)
    ]
    scorer = CslsScorer(DenseScorer(vectors), languages)
    found = np.concatenate([scorer.block(slice(0, 9)), scorer.block(slice(9, 40))])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    left, right = np.array([0, 5, 30]), np.array([8, 1, 2])
    np.testing.assert_allclose(scorer.pairs(left, right), found[left, right], atol=1e-6)


@pytest.mark.parametrize("filed", [False, True])
def test_an_evaluation_compares_as_a_scan_does(filed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "_ROWS", 7)
    chance = np.random.default_rng(2)
    codes = quantise(unit_vectors(90, 2))
    words = [np.flatnonzero(chance.random(30) < 0.3).astype(np.uint32) for _ in range(90)]
    weights = np.linspace(0, 9 * 2**16, 20).astype(np.int64)
    languages = np.repeat([0, 1, 2], [20, 30, 40])
    classes = np.full(90, -1)
    labels = Labels(classes=classes, languages=languages, clusters=np.zeros(90, np.int64), names=("a", "b", "c"))
    cosine = DenseScorer(codes.to_vectors())
    files = chance.integers(0, 12, 90) if filed else None
    scorer = ScanScorer(cosine, AgreementScorer(words, weights), languages, files)
    alerts = mutual_best(rank(scorer, labels)[1], labels)
    table = NeighbourTable(6, weights)
    told = files.astype(np.uint64) if files is not None else None
    table.insert(codes, [labels.names[i] for i in languages], np.arange(90, dtype=np.uint64), words, told)
    left, right = table.pairs(deviations=0.0, least=10**6)
    found = {(min(a, b), max(a, b)) for a, b in zip(left.tolist(), right.tolist(), strict=True)}
    assert set(zip(alerts.left.tolist(), alerts.right.tolist(), strict=True)) == found
    assert len(found) > 10
    if files is not None:
        fileless = ScanScorer(cosine, AgreementScorer(words, weights), languages)
        without = mutual_best(rank(fileless, labels)[1], labels)
        assert set(zip(without.left.tolist(), without.right.tolist(), strict=True)) != found
    # Words do something, and what is not among the nearest comes after them, by the cosine.
    wordless = mutual_best(rank(CslsScorer(cosine, languages), labels)[1], labels)
    assert set(zip(wordless.left.tolist(), wordless.right.tolist(), strict=True)) != found
    scores, plain = scorer.block(slice(0, 5)), cosine.block(slice(0, 5))
    for row in range(5):
        there = np.arange(50, 90)
        order = there[np.argsort(-plain[row, there], kind="stable")]
        assert scores[row, order[:16]].min() > 2 > scores[row, order[16:]].max()
        np.testing.assert_array_equal(scores[row, order[16:]], plain[row, order[16:]])
    np.testing.assert_allclose(scorer.pairs(left, right), scorer.block(slice(0, 90))[left, right], atol=1e-5)


def test_agreement_is_that_of_the_engine() -> None:
    chance = np.random.default_rng(5)
    words = [np.flatnonzero(chance.random(40) < share).astype(np.uint32) for share in np.linspace(0, 0.6, 12)]
    weights = (chance.random(30) * 2**19).astype(np.int64)
    bags = Bags(weights)
    bags.put(range(12), words)
    left, right = np.divmod(np.arange(144), 12)
    scorer = AgreementScorer(words, weights)
    expected = bags.agree(left, right)
    np.testing.assert_allclose(scorer.block(slice(0, 12)).ravel(), expected, atol=1e-6)
    np.testing.assert_allclose(scorer.pairs(left, right), expected, atol=1e-6)
