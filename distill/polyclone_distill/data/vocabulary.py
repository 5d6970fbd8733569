"""The vocabularies of a student: a pretrained WordPiece cut down to what code needs, and the lexicon."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from polyclone.tokenizer import (
    CLS,
    MARKERS,
    PAD,
    SEP,
    UNK,
    Lexicon,
    WordPiece,
    dense_words,
    lexical_words,
    subwords,
)
from polyclone.values import ATOM_SEPARATOR

from .units import Unit

LEXICON_WORDS = 20_479
LEXICON_BUCKETS = 12_288


def trim_vocabulary(full: Mapping[str, int], units: Iterable[Unit], *, min_count: int = 4) -> dict[str, int]:
    """Token → new id. Kept: what occurs at least `min_count` times, single characters, frame and markers."""
    start = {**full}
    for marker in MARKERS:
        start.setdefault(marker, len(start))
    wordpiece = WordPiece(start)
    spelled = {number: token for token, number in start.items()}
    words: Counter[str] = Counter()
    for unit in units:
        for atom in unit.normalised.split(ATOM_SEPARATOR):
            words.update(dense_words(atom))
        words.update(subwords(unit.doc))
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for token in wordpiece.word(word):
            counts[spelled[token]] += count
    characters = {t for t in full if len(t.removeprefix("##")) == 1 and t.removeprefix("##").isascii()}
    kept = {token for token, count in counts.items() if count >= min_count} | characters
    frame = [PAD, UNK, CLS, SEP, *MARKERS]
    ordered = frame + sorted(kept - set(frame), key=lambda token: full.get(token, len(full)))
    return {token: number for number, token in enumerate(ordered)}


def build_lexicon(units: Sequence[Unit], *, min_documents: int = 3) -> Lexicon:
    """The most frequent lexical words by document frequency (ties by spelling)."""
    frequency: Counter[str] = Counter()
    for unit in units:
        atoms = set(unit.normalised.split(ATOM_SEPARATOR))
        frequency.update({word for atom in atoms for word in lexical_words(atom)})
    common = [(word, count) for word, count in frequency.items() if count >= min_documents and "\t" not in word]
    common.sort(key=lambda item: (-item[1], item[0]))
    return Lexicon(common[:LEXICON_WORDS], len(units), LEXICON_BUCKETS)


def stand_ins(wordpiece: WordPiece, lexicon: Lexicon, *, seed: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Tokens (k, 4) and word ids (k,) of names that say nothing: v1…v60, letters, and random known words."""
    rng = np.random.default_rng(seed)
    names = [f"v{number}" for number in range(1, 61)] + [chr(97 + i) for i in range(26)]
    usable = [word for word, _ in lexicon.words[100:6000] if word.isalpha() and len(word) > 2]
    names += [usable[i] for i in rng.choice(len(usable), min(400, len(usable)), replace=False)]
    tokens = np.zeros((len(names), 4), dtype=np.int64)
    words = np.zeros(len(names), dtype=np.int64)
    for row, name in enumerate(names):
        ids = [token for part in subwords(name) for token in wordpiece.word(part)][:4]
        tokens[row, : len(ids)] = ids
        words[row] = lexicon.id("".join(subwords(name)))
    return tokens, words


def tokenizer_json(vocabulary: Mapping[str, int]) -> str:
    """A Hugging Face `tokenizer.json` that splits on white space and spells words by WordPiece."""
    ordered = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    special = [
        {"id": ordered[token], "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for token in (PAD, UNK, CLS, SEP)
    ]  # fmt: skip
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": special,
            "normalizer": None,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": None,
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
            "model": {
                "type": "WordPiece",
                "unk_token": UNK,
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 64,
                "vocab": ordered,
            },
        },
        ensure_ascii=False,
    )
