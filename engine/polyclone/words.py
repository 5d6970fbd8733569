"""Which words of a unit count when two units are compared, and how much: those that name something."""

from __future__ import annotations

import math
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from polyclone.index.agreement import IDS, PARTS, Words
from polyclone.tokenizer import Lexicon, lexical_words
from polyclone.values import ATOM_SEPARATOR

_LETTERS = 3
"""Fewer of them are a loop variable, an abbreviation, or a number: they agree by chance."""


class Vocabulary:
    """Words → ids and weights, from a bundle's lexicon."""

    def __init__(self, lexicon: Lexicon) -> None:
        known = lexicon.words[: IDS // 2]
        self._rank = {word: rank for rank, (word, _) in enumerate(known)}
        self._first_hash = len(known)
        n = lexicon.documents
        frequencies = [count for _, count in known] + [0]
        self.weights: NDArray[np.int64] = np.array(
            [round(PARTS * math.log1p(max(0.0, n - df + 0.5) / (df + 0.5))) for df in frequencies], np.int64
        )
        """By id, in multiples of 2⁻¹⁶: ln(1 + (n − df + ½) / (df + ½)), BM25's idf (Robertson & Zaragoza 2009,
        eq. 3.15, as Lucene has it). The last one is that of all words that the lexicon lacks."""
        self._of_atom = lru_cache(maxsize=200_000)(self._ids_of_atom)

    def ids(self, normalised: str) -> Words:
        """uint32 (m,): the distinct words of a unit that have three letters, and its constants; ascending."""
        atoms = set(normalised.split(ATOM_SEPARATOR)) if normalised else set()
        return np.array(sorted(set().union(*map(self._of_atom, atoms))), np.uint32)

    def _ids_of_atom(self, atom: str) -> tuple[int, ...]:
        return tuple(self._id(word) for word in lexical_words(atom) if _counts(word))

    def _id(self, word: str) -> int:
        rank = self._rank.get(word)
        if rank is not None:
            return rank
        first = self._first_hash
        return first + zlib.crc32(word.encode("utf-8", "surrogatepass")) % (IDS - first)


def _counts(word: str) -> bool:
    return word[0] == "#" or sum(map(str.isalpha, word)) >= _LETTERS
