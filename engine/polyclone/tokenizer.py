"""Atoms → what the encoder reads: token ids for its dense channel, weighted word ids for its lexical one.

Dense channel: WordPiece over lower-cased sub-words, from a `tokenizer.json` in the format of Hugging Face
`tokenizers`. Lexical channel: a bag of sub-words, whole identifiers and constants; words of the bundle's
lexicon have an id of their own, every other word shares one of a fixed number of hash buckets.

The two dozen lines of greedy WordPiece stand here, and not in a library, because the usual one brings a
network client along; a test holds them equal to it.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyclone.errors import ModelError

PAD, UNK, CLS, SEP = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
STRING, BIG, REAL, NAME = "[str]", "[big]", "[real]", "[name]"

#: Operators of more than one character are tokens of their own; the single characters are in the vocabulary.
COMPOUND_OPERATORS = [
    "==",
    "!=",
    "<=",
    ">=",
    "<<",
    ">>",
    "+=",
    "-=",
    "*=",
    "/=",
    "%=",
    "&=",
    "|=",
    "^=",
    "<<=",
    ">>=",
    "**",
    "**=",
    "<=>",
    "..",
    "??",
    "=~",
    "<-",
]
MARKERS = (STRING, BIG, REAL, NAME, *(f"[{operator}]" for operator in COMPOUND_OPERATORS))

_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_MAX_STRING_WORDS = 8
_MAX_WORD_CHARS = 64


class Bag(NamedTuple):
    """Distinct word ids, int64 (m,), ascending; and 1 + ln(count) of each, float32 (m,)."""

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]


class Reading(NamedTuple):
    """Token ids of a unit's windows, int64 (t,) each, marks at both ends included; how many tokens went unread."""

    windows: list[NDArray[np.int64]]
    cut: int


@lru_cache(maxsize=200_000)
def subwords(identifier: str) -> tuple[str, ...]:
    """`parseHTTPRequest_v2` → `("parse", "http", "request", "v", "2")`."""
    return tuple(part.lower() for part in _PARTS.findall(identifier))


@lru_cache(maxsize=200_000)
def dense_words(atom: str) -> tuple[str, ...]:
    """Words of one atom as the WordPiece vocabulary spells them."""
    kind, text = atom[0], atom[1:]
    if kind in "ic":
        return subwords(text)
    if kind == "k":
        return (text,)
    if kind == "o":
        return (text,) if len(text) == 1 else (f"[{text}]",)
    if kind == "n":
        if text.isdigit():
            return (text,) if len(text) <= 4 else (BIG,)
        return (BIG,) if text == "big" else (REAL,)
    return (STRING, *subwords(text)[:_MAX_STRING_WORDS])


@lru_cache(maxsize=200_000)
def lexical_words(atom: str) -> tuple[str, ...]:
    """Words of one atom that count as vocabulary: sub-words, the folded identifier, `#constant`."""
    kind, text = atom[0], atom[1:]
    if kind in "ic":
        parts = subwords(text)
        return (*parts, "".join(parts)) if len(parts) > 1 else parts
    if kind == "n":
        return () if text in ("0", "1", "2") else ("#" + text,)
    if kind == "s":
        return subwords(text)[:24]
    return ()


class WordPiece:
    """Greedy longest-match sub-word ids with a cache per word (Wu et al. 2016, §4.1)."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        missing = [token for token in (PAD, UNK, CLS, SEP, *MARKERS) if token not in vocabulary]
        if missing:
            raise ModelError(f"tokenizer.json lacks {', '.join(missing)}; rebuild the bundle.")
        self.vocabulary = dict(vocabulary)
        self.pad, self.unk = self.vocabulary[PAD], self.vocabulary[UNK]
        self.cls, self.sep = self.vocabulary[CLS], self.vocabulary[SEP]
        self._known: dict[str, tuple[int, ...]] = {}

    def word(self, word: str) -> tuple[int, ...]:
        ids = self._known.get(word)
        if ids is None:
            ids = self._split(word)
            if len(self._known) < 500_000:
                self._known[word] = ids
        return ids

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > _MAX_WORD_CHARS:
            return (self.unk,)
        ids: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                found = self.vocabulary.get(prefix + word[start:end])
                if found is not None:
                    ids.append(found)
                    start = end
                    break
            else:
                return (self.unk,)
        return tuple(ids)

    @classmethod
    def from_json(cls, text: str) -> WordPiece:
        """Reads the `model.vocab` of a Hugging Face `tokenizer.json`; `ModelError` if it is another kind."""
        try:
            model = json.loads(text)["model"]
            if model["type"] != "WordPiece" or model["continuing_subword_prefix"] != "##":
                raise ModelError(f"tokenizer.json is of type {model['type']!r}; this engine reads WordPiece.")
            return cls(model["vocab"])
        except RecursionError as error:
            raise ModelError("tokenizer.json is nested too deep; rebuild the bundle.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"tokenizer.json cannot be read ({error}); rebuild the bundle.") from error


class Lexicon:
    """Word → id: 0 is padding, 1…n the lexicon by rank, then `buckets` ids shared by all other words."""

    def __init__(self, words: Sequence[tuple[str, int]], documents: int, buckets: int) -> None:
        self.words = tuple(words)
        self.documents, self.buckets = documents, buckets
        self._ids = {word: position + 1 for position, (word, _) in enumerate(words)}
        self._frequency = dict(words)

    @property
    def size(self) -> int:
        return 1 + len(self.words) + self.buckets

    def id(self, word: str) -> int:
        known = self._ids.get(word)
        if known is not None:
            return known
        return 1 + len(self.words) + zlib.crc32(word.encode("utf-8", "surrogatepass")) % self.buckets

    def idf(self, word: str) -> float:
        """Smooth inverse document frequency, ln((1 + N) / (1 + df)) + 1, over the training functions."""
        return math.log((1 + self.documents) / (1 + self._frequency.get(word, 0))) + 1.0

    def bag(self, words: Iterable[str]) -> Bag:
        counts: Counter[int] = Counter(map(self.id, words))
        ids = np.array(sorted(counts), dtype=np.int64)
        weights = np.array([1.0 + math.log(counts[i]) for i in ids.tolist()], dtype=np.float32)
        return Bag(ids, weights)

    def to_text(self) -> str:
        head = f"# documents {self.documents} buckets {self.buckets}\n"
        return head + "".join(f"{word}\t{count}\n" for word, count in self.words)

    @classmethod
    def from_text(cls, text: str) -> Lexicon:
        try:
            head, *rows = text.splitlines()
            _, _, documents, _, buckets = head.split()
            words = [(word, int(count)) for word, count in (row.split("\t") for row in rows)]
            return cls(words, int(documents), int(buckets))
        except ValueError as error:
            raise ModelError(f"lexicon.tsv cannot be read ({error}); rebuild the bundle.") from error


class Tokenizer:
    """Both channels of one bundle."""

    def __init__(self, wordpiece: WordPiece, lexicon: Lexicon, budget: int, windows: int = 1) -> None:
        if budget < 16:
            raise ModelError(f"token budget {budget} is too small; a bundle needs at least 16.")
        self.wordpiece, self.lexicon, self.budget, self.windows = wordpiece, lexicon, budget, windows

    def ids(self, atoms: Iterable[str]) -> tuple[NDArray[np.int64], int]:
        """Token ids (t,) of one window, `[CLS]` and `[SEP]` included, and how many tokens the budget cut away.

        A unit that is too long keeps its first five eighths and its last three: the signature and what is
        returned say more than the middle.
        """
        ids = self._tokens(atoms)
        kept = fit(ids, self.budget - 2)
        return self._framed(kept), len(ids) - len(kept)

    def read(self, atoms: Iterable[str]) -> Reading:
        """All of a unit, in as few windows as it takes, of like length; the middle is cut if there are too many."""
        ids = self._tokens(atoms)
        room = self.budget - 2
        kept = fit(ids, room * self.windows)
        count = max(1, -(-len(kept) // room))
        edges = [len(kept) * number // count for number in range(count + 1)]
        windows = [self._framed(kept[start:end]) for start, end in pairwise(edges)]
        return Reading(windows, len(ids) - len(kept))

    def _tokens(self, atoms: Iterable[str]) -> list[int]:
        word = self.wordpiece.word
        return [id_ for atom in atoms for part in dense_words(atom) for id_ in word(part)]

    def _framed(self, ids: Sequence[int]) -> NDArray[np.int64]:
        return np.array([self.wordpiece.cls, *ids, self.wordpiece.sep], dtype=np.int64)

    def bag(self, atoms: Iterable[str]) -> Bag:
        return self.lexicon.bag(word for atom in atoms for word in lexical_words(atom))


def fit(ids: list[int], room: int) -> list[int]:
    """`ids` cut to `room` by leaving out the middle."""
    if len(ids) <= room:
        return ids
    head = room * 5 // 8
    return ids[:head] + ids[len(ids) - (room - head) :]
