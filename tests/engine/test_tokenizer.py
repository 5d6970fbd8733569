"""Words, sub-words, ids and bags; WordPiece equals the library that made the vocabulary."""

from __future__ import annotations

import math
import string
from pathlib import Path

import numpy as np
import polyclone
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.errors import ModelError
from polyclone.tokenizer import (
    BIG,
    CLS,
    COMPOUND_OPERATORS,
    MARKERS,
    NAME,
    PAD,
    REAL,
    SEP,
    STRING,
    UNK,
    Lexicon,
    Tokenizer,
    WordPiece,
    dense_words,
    fit,
    lexical_words,
    subwords,
)
from support.bundles import lexicon, tokenizer_json, vocabulary

SHIPPED = Path(polyclone.__file__).parent / "bundles" / "compact" / "tokenizer.json"


# --- words ---


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("parseHTTPRequest_v2", "parse http request v 2"),
        ("HTMLParser", "html parser"),
        ("snake_case_name", "snake case name"),
        ("SCREAMING_CASE", "screaming case"),
        ("PascalCase", "pascal case"),
        ("kebab-ish", "kebab ish"),
        ("__init__", "init"),
        ("_", ""),
        ("", ""),
        ("x", "x"),
        ("X", "x"),
        ("a1b22", "a 1 b 22"),
        ("utf8ToUtf16LE", "utf 8 to utf 16 le"),
        ("iOS8Device", "i os 8 device"),
        ("empty?", "empty"),
        ("save!", "save"),
        ("日本語", "日本語"),
    ],
)
def test_identifiers_fall_into_subwords(identifier: str, expected: str) -> None:
    assert subwords(identifier) == tuple(expected.split())


@pytest.mark.parametrize(
    ("atom", "dense", "lexical"),
    [
        ("igetUserName", ("get", "user", "name"), ("get", "user", "name", "getusername")),
        ("cget_user_name", ("get", "user", "name"), ("get", "user", "name", "getusername")),
        ("itotal", ("total",), ("total",)),
        ("i_", (), ()),
        ("kreturn", ("return",), ()),
        ("o+", ("+",), ()),
        ("o<=>", ("[<=>]",), ()),
        ("n0", ("0",), ()),
        ("n2", ("2",), ()),
        ("n31", ("31",), ("#31",)),
        ("n9999", ("9999",), ("#9999",)),
        ("n10000", (BIG,), ("#10000",)),
        ("nbig", (BIG,), ("#big",)),
        ("n1.5", (REAL,), ("#1.5",)),
        ("s", (STRING,), ()),
        ("snot found: %s", (STRING, "not", "found", "s"), ("not", "found", "s")),
        ("s" + "a " * 40, (STRING, *"a" * 8), tuple("a" * 24)),
    ],
)
def test_atoms_become_words(atom: str, dense: tuple[str, ...], lexical: tuple[str, ...]) -> None:
    assert dense_words(atom) == dense
    assert lexical_words(atom) == lexical


def test_a_name_has_the_same_words_however_it_is_spelt() -> None:
    spellings = ["igetRuleName", "iget_rule_name", "iGetRuleName", "cGET_RULE_NAME"]
    assert len({lexical_words(atom) for atom in spellings}) == 1
    assert len({dense_words(atom) for atom in spellings}) == 1


def test_every_operator_is_one_token() -> None:
    wordpiece = WordPiece(vocabulary())
    for operator in [*COMPOUND_OPERATORS, *"+-*/%<>=!&|^~?["]:
        (word,) = dense_words("o" + operator)
        (token,) = wordpiece.word(word)
        assert token != wordpiece.unk


# --- WordPiece ---


@pytest.fixture(scope="module")
def ours() -> WordPiece:
    return WordPiece.from_json(SHIPPED.read_text("utf-8"))


@pytest.fixture(scope="module")
def theirs() -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(SHIPPED))


def agree(ours: WordPiece, theirs: tokenizers.Tokenizer, word: str) -> None:
    assert list(ours.word(word)) == theirs.encode(word, add_special_tokens=False).ids, word


WORDS = st.one_of(
    st.text(string.ascii_lowercase, min_size=1, max_size=20),
    st.text(string.ascii_lowercase + string.digits, min_size=60, max_size=70),
    st.text(string.digits, min_size=1, max_size=6),
    st.lists(
        st.sampled_from("re get set un ing er tion able parse count index value ed s ly http json a x q z".split()),
        min_size=1,
        max_size=6,
    ).map("".join),
    st.text(st.characters(codec="utf-8", categories=("Ll", "Lo", "Nd")), min_size=1, max_size=12),
)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(word=WORDS)
def test_words_are_spelt_as_by_hugging_face(ours: WordPiece, theirs: tokenizers.Tokenizer, word: str) -> None:
    agree(ours, theirs, word)
    assert ours.word(word) is ours.word(word)  # From the cache, the second time.


def test_whole_vocabulary_and_limits_as_by_hugging_face(ours: WordPiece, theirs: tokenizers.Tokenizer) -> None:
    pieces = [token.removeprefix("##") for token in ours.vocabulary if token[0] != "["]
    for word in pieces[::3]:
        agree(ours, theirs, word)
    for word in (*MARKERS, "a" * 64, "a" * 65, "é" * 64, "é" * 65, "[", "[]", "[name"):
        agree(ours, theirs, word)
    assert ours.word("a" * 65) == (ours.unk,)


def test_longest_match_comes_first() -> None:
    words = [PAD, UNK, CLS, SEP, *MARKERS, "un", "una", "##aff", "##ff", "##able", "##a", "##ble"]
    wordpiece = WordPiece({word: number for number, word in enumerate(words)})
    spelt = {number: word for word, number in wordpiece.vocabulary.items()}
    assert [spelt[i] for i in wordpiece.word("unaffable")] == ["una", "##ff", "##able"]
    assert [spelt[i] for i in wordpiece.word("unaffables")] == [UNK]
    assert wordpiece.word("") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"model":' * 200_000, "nested too deep; rebuild the bundle"),
        ('{"model": {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": 3}}', "cannot be read"),
        ('{"model": {"type": "BPE", "vocab": {}}}', "'BPE'; this engine reads WordPiece"),
        (tokenizer_json({PAD: 0, UNK: 1, CLS: 2}), rf"lacks \[SEP\], \{STRING[:-1]}"),
    ],
)
def test_another_tokenizer_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        WordPiece.from_json(text)


# --- lexicon ---


def test_ids_of_words() -> None:
    held = lexicon()
    assert held.size == 1 + len(held.words) + held.buckets
    assert [held.id(word) for word, _ in held.words] == list(range(1, len(held.words) + 1))
    others = {held.id(f"word{n}") for n in range(500)}
    assert min(others) > len(held.words)
    assert max(others) < held.size
    assert len(others) > 400
    assert held.id("unheard") == lexicon().id("unheard")
    held.id("\ud800")  # A lone surrogate, as in text that was not UTF-8.


def test_idf_is_the_smooth_one() -> None:
    held = Lexicon([("common", 999), ("rare", 9)], documents=999, buckets=8)
    assert held.idf("common") == pytest.approx(1.0)
    assert held.idf("rare") == pytest.approx(math.log(1000 / 10) + 1)
    assert held.idf("never seen") == pytest.approx(math.log(1000) + 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.text(st.characters(codec="utf-8", categories=("Ll", "Lo", "Nd")), min_size=1),
                    st.integers(1, 10**6)),
    st.integers(0, 10**7),
    st.integers(1, 10**5),
)  # fmt: skip
def test_a_lexicon_survives_its_text(words: dict[str, int], documents: int, buckets: int) -> None:
    held = Lexicon(list(words.items()), documents, buckets)
    again = Lexicon.from_text(held.to_text())
    assert (again.words, again.documents, again.buckets) == (held.words, documents, buckets)
    assert again.to_text() == held.to_text()
    assert all(again.id(word) == held.id(word) for word in [*words, "other", "#31"])


@pytest.mark.parametrize("text", ["words", "# documents x buckets 3\n", "# documents 1 buckets 2\nno count\n"])
def test_a_broken_lexicon_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"lexicon\.tsv cannot be read"):
        Lexicon.from_text(text)


def test_a_bag_counts_by_logarithm() -> None:
    held = Lexicon([("b", 2), ("a", 1)], documents=3, buckets=4)
    bag = held.bag(["a", "b", "a", "a"])
    assert bag.ids.tolist() == [1, 2]
    assert bag.ids.dtype == np.int64
    assert bag.weights.dtype == np.float32
    np.testing.assert_allclose(bag.weights, [1.0, 1.0 + math.log(3)], rtol=1e-6)
    empty = held.bag([])
    assert empty.ids.shape == empty.weights.shape == (0,)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.text("abc", min_size=1, max_size=3), max_size=30), st.randoms(use_true_random=False))
def test_a_bag_does_not_know_the_order(words: list[str], chance: object) -> None:
    held = Lexicon([("a", 2), ("ab", 1)], documents=3, buckets=5)
    shuffled = list(words)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = held.bag(words), held.bag(shuffled)
    assert one.ids.tolist() == other.ids.tolist() == sorted({held.id(word) for word in words})
    assert one.weights.tobytes() == other.weights.tobytes()


# --- both channels ---


def make(budget: int) -> Tokenizer:
    return Tokenizer(WordPiece(vocabulary()), lexicon(), budget)


def test_ids_are_framed() -> None:
    tokenizer = make(64)
    word = tokenizer.wordpiece.word
    ids, cut = tokenizer.ids(["kreturn", "itotal", "o+", "n31"])
    assert ids.dtype == np.int64
    frame = [tokenizer.wordpiece.cls, tokenizer.wordpiece.sep]
    assert ids.tolist() == [frame[0], *word("return"), *word("total"), *word("+"), *word("31"), frame[1]]
    assert cut == 0
    empty, cut = tokenizer.ids([])
    assert (empty.tolist(), cut) == (frame, 0)


@pytest.mark.parametrize(("length", "budget"), [(15, 16), (14, 16), (100, 16), (63, 64), (62, 64), (1000, 64)])
def test_the_budget_leaves_out_the_middle_and_counts_it(length: int, budget: int) -> None:
    operators = "+-*/%<>"
    atoms = ["o" + operators[i % len(operators)] for i in range(length)]
    tokenizer = make(budget)
    whole = make(length + 2).ids(atoms)[0].tolist()[1:-1]
    ids, cut = tokenizer.ids(atoms)
    room = budget - 2
    assert cut == max(0, length - room)
    assert len(ids) == min(length, room) + 2
    if cut:
        head = room * 5 // 8
        assert ids.tolist()[1:-1] == whole[:head] + whole[-(room - head) :]
    else:
        assert ids.tolist()[1:-1] == whole


@given(st.lists(st.integers(), max_size=50), st.integers(1, 60))
@settings(derandomize=True, deadline=None)
def test_fitting_keeps_head_and_tail(ids: list[int], room: int) -> None:
    kept = fit(ids, room)
    assert len(kept) == min(len(ids), room)
    head = len(kept) if len(ids) <= room else room * 5 // 8
    assert kept[:head] == ids[:head]
    assert kept[head:] == ids[len(ids) - (len(kept) - head) :]


def test_the_bag_reads_what_the_budget_cut() -> None:
    tokenizer = make(16)
    atoms = [f"iword{'abcdefghijklmnopqrstuvwxyz'[i]}" for i in range(26)]
    assert tokenizer.ids(atoms)[1] > 0
    bag = tokenizer.bag(atoms)
    assert bag.ids.tolist() == sorted({tokenizer.lexicon.id(atom[1:]) for atom in atoms})


def test_a_budget_without_room_is_refused() -> None:
    with pytest.raises(ModelError, match="at least 16"):
        make(15)


def test_a_hidden_name_has_a_token() -> None:
    assert NAME in vocabulary()
    assert NAME in WordPiece.from_json(SHIPPED.read_text("utf-8")).vocabulary
