"""Units → a `Shard`: token and word ids, with the identifier every id came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from polyclone.languages import LANGUAGES
from polyclone.tokenizer import Tokenizer, dense_words, lexical_words, subwords
from polyclone.values import ATOM_SEPARATOR

from ..trainer.shards import DOC, FUNCTION, PROGRAM, Shard
from .units import Unit

#: No unit keeps more tokens or words than this; views cut to their budget later.
MAX_TOKENS, MAX_WORDS = 400, 500
_ROLES = {"program": PROGRAM, "function": FUNCTION}


class _Flat:
    """Growing flat arrays with offsets."""

    def __init__(self) -> None:
        self.values: list[np.ndarray] = []
        self.owners: list[np.ndarray] = []
        self.starts: list[np.ndarray] = []
        self.offsets = [0]

    def add(self, values: Sequence[int], owners: Sequence[int], starts: Sequence[int] = ()) -> None:
        self.values.append(np.array(values, dtype=np.uint16))
        self.owners.append(np.array(owners, dtype=np.int16))
        self.starts.append(np.array(starts, dtype=np.uint8))
        self.offsets.append(self.offsets[-1] + len(values))


def _middle_out(room: int, *columns: list[int]) -> list[list[int]]:
    """The columns without what lies between their first five eighths and their end, where they are too long."""
    length, head = len(columns[0]), room * 5 // 8
    if length <= room:
        return list(columns)
    return [column[:head] + column[length - (room - head) :] for column in columns]


def make_shard(units: Sequence[Unit], labels: Mapping[int, int], tokenizer: Tokenizer) -> Shard:
    """`labels`: position of a unit → clone class. Documented units of a library get a DOC unit beside them."""
    languages = {name: number for number, name in enumerate(sorted(LANGUAGES))}
    tokens, words = _Flat(), _Flat()
    called: list[np.ndarray] = []
    owner_offsets = [0]
    named: list[int] = []
    rows: list[tuple[int, int, int, int, int]] = []
    signatures: list[tuple[int, int]] = []
    docs: list[tuple[int, Unit]] = []
    for position, unit in enumerate(units):
        signatures.append(_add_unit(unit, tokenizer, tokens, words, called, owner_offsets, named))
        rows.append((labels.get(position, -1), unit.program, languages[unit.language], _ROLES[unit.role], -1))
        if unit.task is None and len(subwords(unit.doc)) >= 4:
            docs.append((position, unit))
    for position, unit in docs:
        text = [*subwords(unit.qualified_name), *subwords(unit.doc)][:160]
        ids = [token for word in text for token in tokenizer.wordpiece.word(word)]
        bag = [tokenizer.lexicon.id(word) for word in text]
        tokens.add(ids, [-1] * len(ids), [1] * len(ids))
        words.add(bag, [-1] * len(bag))
        owner_offsets.append(owner_offsets[-1])
        named.append(0)
        rows.append((-1, unit.program, languages[unit.language], DOC, position))
        signatures.append((0, 0))
    label, program, language, kind, partner = np.array(rows, dtype=np.int64).T
    signature_tokens, signature_words = np.array(signatures, dtype=np.uint16).T
    return Shard(
        tokens=np.concatenate(tokens.values),
        token_owner=np.concatenate(tokens.owners),
        token_start=np.concatenate(tokens.starts),
        token_offsets=np.array(tokens.offsets, dtype=np.int64),
        words=np.concatenate(words.values),
        word_owner=np.concatenate(words.owners),
        word_offsets=np.array(words.offsets, dtype=np.int64),
        called=np.concatenate(called) if called else np.zeros(0, dtype=np.uint8),
        owner_offsets=np.array(owner_offsets, dtype=np.int64),
        named=np.array(named, dtype=np.uint8),
        label=label.astype(np.int32),
        program=program.astype(np.int32),
        language=language.astype(np.uint8),
        kind=kind.astype(np.uint8),
        partner=partner.astype(np.int32),
        signature_tokens=signature_tokens,
        signature_words=signature_words,
    )


def _add_unit(
    unit: Unit,
    tokenizer: Tokenizer,
    tokens: _Flat,
    words: _Flat,
    called: list[np.ndarray],
    owner_offsets: list[int],
    named: list[int],
) -> tuple[int, int]:
    """Effect: appends the unit. Returns how many of its tokens and words are of its signature."""
    atoms = unit.normalised.split(ATOM_SEPARATOR)
    names: dict[str, int] = {unit.name: 0} if unit.name else {}
    is_called = [0] * len(names)
    ids: list[int] = []
    id_owners: list[int] = []
    starts: list[int] = []
    bag: list[int] = []
    bag_owners: list[int] = []
    signature = (0, 0)
    for position, atom in enumerate(atoms):
        if position == unit.signature_atoms:
            signature = len(ids), len(bag)
        who = -1
        if atom[0] in "ic":
            who = names.setdefault(atom[1:], len(names))
            if who == len(is_called):
                is_called.append(0)
            if atom[0] == "c" and not (who == 0 and unit.name):
                is_called[who] = 1
        new = [token for part in dense_words(atom) for token in tokenizer.wordpiece.word(part)]
        ids.extend(new)
        id_owners.extend([who] * len(new))
        starts.extend([1, *[0] * (len(new) - 1)] if new else ())
        for word in lexical_words(atom):
            bag.append(tokenizer.lexicon.id(word))
            bag_owners.append(who)
    tokens.add(*_middle_out(MAX_TOKENS, ids, id_owners, starts))
    words.add(*_middle_out(MAX_WORDS, bag, bag_owners))
    called.append(np.array(is_called, dtype=np.uint8))
    owner_offsets.append(owner_offsets[-1] + len(is_called))
    named.append(1 if unit.name else 0)
    # The middle of a long unit is left out; a signature that reaches into it is none to cut off.
    fits = signature[0] <= MAX_TOKENS * 5 // 8 and signature[1] <= MAX_WORDS * 5 // 8
    return signature if fits else (0, 0)
