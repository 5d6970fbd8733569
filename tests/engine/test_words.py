"""Which words count when two units are compared, and how much."""

from __future__ import annotations

import math

import numpy as np
import pytest
from polyclone.index.agreement import IDS, PARTS, SMOOTHING, Bags, bags_of, flatten
from polyclone.tokenizer import Lexicon
from polyclone.values import ATOM_SEPARATOR
from polyclone.words import Vocabulary

LEXICON = Lexicon([("value", 900), ("count", 100), ("parse", 4)], documents=1000, buckets=8)


def unit(*atoms: str) -> str:
    return ATOM_SEPARATOR.join(atoms)


def test_words_that_name_something_count_and_constants() -> None:
    vocabulary = Vocabulary(LEXICON)
    assert vocabulary.ids(unit("ivalue", "cparse", "ivalue", "kif", "o=")).tolist() == [0, 2]
    assert vocabulary.ids("").tolist() == []
    for silent in ("ii", "iv1", "ix12", "iab", "n0", "n1", "kreturn", "o+"):
        assert vocabulary.ids(silent).tolist() == [], silent
    assert len(vocabulary.ids("n86400")) == 1
    assert vocabulary.ids("n86400").tolist() != vocabulary.ids("n3600").tolist()
    # A compound counts as its parts and as a whole, however it is spelled.
    assert vocabulary.ids("iparseValue").tolist() == vocabulary.ids("iparse_value").tolist()
    assert len(vocabulary.ids("iparseValue")) == 3


def test_ids_ascend_are_distinct_and_have_room() -> None:
    vocabulary = Vocabulary(LEXICON)
    ids = vocabulary.ids(
        unit(*(f"iword{chr(97 + i)}{chr(97 + j)}xyz" for i in range(26) for j in range(26)), "icount")
    )
    assert ids.dtype == np.uint32
    assert (np.diff(ids.astype(np.int64)) > 0).all()
    assert ids[0] == 1
    assert ids[1] >= 3 and ids[-1] < IDS


def test_a_weight_is_the_idf_of_bm25_and_unknown_words_have_the_highest() -> None:
    weights = Vocabulary(LEXICON).weights / PARTS
    assert weights == pytest.approx(
        [
            math.log(1 + 100.5 / 900.5),
            math.log(1 + 900.5 / 100.5),
            *(math.log(1 + (1000.5 - n) / (n + 0.5)) for n in (4, 0)),
        ],
        abs=1e-4,
    )
    assert weights[3] == weights.max()


def test_agreement_by_hand_and_in_any_company() -> None:
    bags = Bags(np.array([1, 4, 9], np.int64) * PARTS)
    bags.put(range(4), [np.array(ids, np.uint32) for ids in ([0, 1, 7], [1, 7], [], [0])])
    left, right = np.array([[0, 1], [1, 0], [0, 3], [2, 0], [2, 2], [1, 1]]).T
    expected = [13 / (math.sqrt(14 * 13) + SMOOTHING)] * 2 + [
        1 / (math.sqrt(14) + SMOOTHING),
        0,
        0,
        13 / (13 + SMOOTHING),
    ]
    assert bags.agree(left, right) == pytest.approx(expected, rel=1e-6)
    alone = [float(bags.agree(np.array([a]), np.array([b]))[0]) for a, b in zip(left, right, strict=True)]
    assert bags.agree(left, right).tolist() == alone
    bags.drop([1])
    with pytest.raises(KeyError):
        bags.agree(left, right)


def test_bags_are_kept_as_two_arrays() -> None:
    bags = [np.array(ids, np.uint32) for ids in ([], [3], [1, 2], [])]
    words, lengths = flatten(bags)
    assert [bag.tolist() for bag in bags_of(words, lengths)] == [bag.tolist() for bag in bags]
    assert bags_of(*flatten([])) == []
    for broken in ((words[:-1], lengths), (words + np.uint32(IDS), lengths), (words, -lengths)):
        with pytest.raises(ValueError, match="fit"):
            bags_of(*broken)
