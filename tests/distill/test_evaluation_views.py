"""Views take names away and nothing else; baselines equal plain references on the same words."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from polyclone.errors import UsageError
from polyclone.values import ATOM_SEPARATOR
from polyclone_distill.evaluation.baselines import K1, B, bm25, count_words, tfidf, words_of
from polyclone_distill.evaluation.scorers import Bm25Scorer, DenseScorer, Scorer, TfidfScorer
from polyclone_distill.evaluation.views import apply_view, check_views
from sklearn.feature_extraction.text import TfidfVectorizer


def unit(*atoms: str) -> str:
    return ATOM_SEPARATOR.join(atoms)


FACTORIAL = unit("cfact", "in", "kif", "in", "o<=", "n1", "kreturn", "in", "o*", "cfact", "sfact of n")


@pytest.mark.parametrize(
    ("view", "name", "atoms", "expected"),
    [
        ("visible", "fact", FACTORIAL, FACTORIAL),
        ("masked", "fact", FACTORIAL, unit("in", "kif", "in", "o<=", "n1", "kreturn", "in", "o*", "sfact of n")),
        ("masked", "", FACTORIAL, FACTORIAL),
        ("masked", "Fact", FACTORIAL, FACTORIAL),
        ("masked", "~Stack", unit("iStack", "o~", "cStack", "ix"), unit("o~", "ix")),
        ("masked", "find!", unit("cfind", "cfind!", "cfinder"), unit("cfinder")),
        ("masked", "swap<int>", unit("cswap", "ia"), unit("ia")),
        ("masked", "push", unit("iStack", "cpush", "ix", "iself", "cpush"), unit("iStack", "ix", "iself")),
        ("renamed", "fact", FACTORIAL, unit(*"cv1 iv2 kif iv2 o<= n1 kreturn iv2 o* cv1".split())),
        ("renamed", "", unit("ia", "ca", "ib", "n7", "knull"), unit("iv1", "cv1", "iv2", "n7", "knull")),
        ("masked", "fact", "", ""),
        ("renamed", "fact", "", ""),
    ],
)
def test_views(view: str, name: str, atoms: str, expected: str) -> None:
    assert apply_view(view, atoms, name) == expected


def test_renaming_twice_changes_nothing() -> None:
    once = apply_view("renamed", FACTORIAL, "")
    assert apply_view("renamed", once, "") == once


def test_unknown_view_says_which_there_are() -> None:
    with pytest.raises(UsageError, match="visible, masked, renamed"):
        check_views(["visible", "upside-down"])
    with pytest.raises(UsageError, match="--views"):
        check_views([])
    assert check_views(["masked", "masked"]) == ("masked",)


UNITS = [
    FACTORIAL,
    unit("cfactorial", "in", "kreturn", "ireduce", "imul", "crange", "n17", "in", "o+", "n1"),
    unit("creverseString", "itext", "kreturn", "itext", "cjoin", "in"),
    unit("creverse_string", "is", "kfor", "ic", "is", "iout", "o=", "ic", "o+", "iout", "kreturn", "iout"),
    unit("kif", "o=="),  # No lexical word at all.
]


def test_tfidf_equals_scikit_learn() -> None:
    reference = TfidfVectorizer(analyzer=words_of, sublinear_tf=True)
    expected = reference.fit_transform(UNITS)
    found = TfidfScorer(count_words(UNITS)).block(slice(0, len(UNITS)))
    assert found == pytest.approx((expected @ expected.T).toarray(), abs=1e-6)
    assert tfidf(count_words(UNITS)).shape == expected.shape


def naive_bm25(query: str, document: str) -> float:
    bags = [Counter(words_of(text)) for text in UNITS]
    mean = sum(sum(bag.values()) for bag in bags) / len(bags)
    bag = Counter(words_of(document))
    total = 0.0
    for word in set(words_of(query)):
        df = sum(word in other for other in bags)
        idf = math.log(1 + (len(bags) - df + 0.5) / (df + 0.5))
        total += idf * bag[word] * (K1 + 1) / (bag[word] + K1 * (1 - B + B * sum(bag.values()) / mean))
    return total


def test_bm25_equals_the_naive_one() -> None:
    found = Bm25Scorer(count_words(UNITS)).block(slice(0, len(UNITS)))
    assert found == pytest.approx(np.array([[naive_bm25(q, d) for d in UNITS] for q in UNITS]), abs=1e-5)


def test_bm25_leaves_the_counts_alone() -> None:
    counts = count_words(UNITS)
    before = counts.toarray()
    bm25(counts)
    tfidf(counts)
    assert (counts.toarray() == before).all()


def scorers() -> list[Scorer]:
    counts = count_words(UNITS)
    vectors = np.random.default_rng(0).normal(size=(len(UNITS), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [DenseScorer(vectors), TfidfScorer(counts), Bm25Scorer(counts)]


@pytest.mark.parametrize("scorer", scorers(), ids=lambda s: type(s).__name__)
def test_symmetric_scores_are_symmetric_and_equal_pairs(scorer: Scorer) -> None:
    everything = slice(0, scorer.size)
    matrix = scorer.symmetric(everything, scorer.block(everything))
    assert matrix == pytest.approx(matrix.T, abs=1e-6)
    left, right = (part.ravel() for part in np.indices(matrix.shape))
    assert scorer.pairs(left, right) == pytest.approx(matrix.ravel(), abs=1e-6)
    part = scorer.block(slice(1, 3))
    assert part == pytest.approx(scorer.block(everything)[1:3], abs=1e-6)


def test_bm25_of_a_unit_with_itself_is_one() -> None:
    positions = np.arange(4)
    assert Bm25Scorer(count_words(UNITS)).pairs(positions, positions) == pytest.approx(np.ones(4), abs=1e-6)
