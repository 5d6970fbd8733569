"""Something tiny to train on: made-up shards, a vocabulary for views, a data folder as `prepare` writes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from polyclone_distill.trainer.model import Encoder, EncoderConfig
from polyclone_distill.trainer.mutation import Mutations
from polyclone_distill.trainer.shards import DOC, FUNCTION, PROGRAM, Shard
from polyclone_distill.trainer.starting import pack
from polyclone_distill.trainer.views import Vocabulary

TOKENS, WORDS = 200, 300
PAD, CLS, SEP, NAME = 0, 2, 3, 4
#: Tokens and words from here on stand in for renamed identifiers; nothing else uses them.
STAND_INS = 180
STAND_IN_WORDS = 280
#: What the tokens 10 to 16 of the made-up units stand for, so that there is something to mutate.
SPELLED = {"[PAD]": PAD, "[UNK]": 1, "[CLS]": CLS, "[SEP]": SEP, "[name]": NAME, "not": 5, "<": 10, "[<=]": 11,
           ">": 12, "[>=]": 13, "and": 14, "or": 15, "if": 16}  # fmt: skip
CONFIG = EncoderConfig(
    vocabulary=TOKENS,
    lexicon=WORDS,
    layers=2,
    width=32,
    heads=4,
    feed_forward=64,
    positions=64,
    lexical_width=16,
)


def view_vocabulary() -> Vocabulary:
    """Ten stand-ins of one or two tokens."""
    tokens = np.zeros((10, 4), np.int64)
    tokens[:, 0] = np.arange(STAND_INS, STAND_INS + 10)
    tokens[5:, 1] = np.arange(STAND_INS + 10, STAND_INS + 15)
    words = np.arange(STAND_IN_WORDS, STAND_IN_WORDS + 10)
    return Vocabulary(
        pad=PAD, cls=CLS, sep=SEP, name=NAME, stand_in_tokens=tokens, stand_in_words=words, size=TOKENS,
        mutations=Mutations.of(SPELLED),
    )  # fmt: skip


class Writer:
    """Collects units and gives the shard."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.token_owner: list[int] = []
        self.token_start: list[int] = []
        self.token_offsets = [0]
        self.words: list[int] = []
        self.word_owner: list[int] = []
        self.word_offsets = [0]
        self.called: list[int] = []
        self.owner_offsets = [0]
        self.rows: list[tuple[int, int, int, int, int, int]] = []
        self.signatures: list[tuple[int, int]] = []

    def add(
        self,
        occurrences: list[tuple[int, list[int], list[int]]],
        called: list[int],
        *,
        named: int,
        label: int,
        program: int,
        language: int,
        kind: int,
        partner: int = -1,
        signature: tuple[int, int] = (0, 0),
    ) -> None:
        """`occurrences`: (identifier or -1, tokens, words), in the order of the text."""
        for who, tokens, words in occurrences:
            self.tokens += tokens
            self.token_owner += [who] * len(tokens)
            self.token_start += [int(i == 0) for i in range(len(tokens))]
            self.words += words
            self.word_owner += [who] * len(words)
        self.token_offsets.append(len(self.tokens))
        self.word_offsets.append(len(self.words))
        self.called += called
        self.owner_offsets.append(len(self.called))
        self.rows.append((named, label, program, language, kind, partner))
        self.signatures.append(signature)

    def shard(self) -> Shard:
        named, label, program, language, kind, partner = np.array(self.rows, np.int64).reshape(-1, 6).T
        return Shard(
            tokens=np.array(self.tokens, np.uint16),
            token_owner=np.array(self.token_owner, np.int16),
            token_start=np.array(self.token_start, np.uint8),
            token_offsets=np.array(self.token_offsets, np.int64),
            words=np.array(self.words, np.uint16),
            word_owner=np.array(self.word_owner, np.int16),
            word_offsets=np.array(self.word_offsets, np.int64),
            called=np.array(self.called, np.uint8),
            owner_offsets=np.array(self.owner_offsets, np.int64),
            named=named.astype(np.uint8),
            label=label.astype(np.int32),
            program=program.astype(np.int32),
            language=language.astype(np.uint8),
            kind=kind.astype(np.uint8),
            partner=partner.astype(np.int32),
            signature_tokens=np.array(self.signatures, np.uint16)[:, 0],
            signature_words=np.array(self.signatures, np.uint16)[:, 1],
        )


def synthetic_shard(
    *, classes: int = 6, languages: int = 3, singles: int = 4, docs: bool = True, seed: int = 0, length: int = 14
) -> Shard:
    """`classes` clone classes with a program in each language, some with its main function; single functions,
    every second with documentation. Units of a class share operators, a constant and two names.
    """
    chance = np.random.default_rng(seed)
    writer = Writer()
    program = 0

    def unit(topic: int, label: int, language: int, kind: int, program: int) -> None:
        # Identifier 0 is the own name, 1 is called, 2 and 3 are variables. The topic decides 0 and 2.
        tokens = [[20 + topic, 60 + topic], [100 + language], [120 + topic], [140 + int(chance.integers(20)), 161]]
        words = [
            [20 + topic, 60 + topic, 90 + topic],
            [120 + language],
            [140 + topic],
            [160 + int(chance.integers(30))],
        ]
        occurrences: list[tuple[int, list[int], list[int]]] = [(0, tokens[0], words[0])]
        for position in range(length):
            who = int(chance.integers(1, 4))
            occurrences.append((who, tokens[who], words[who]))
            occurrences.append((-1, [10 + (topic + position) % 7], []))
        occurrences.append((-1, [170 + topic % 10], [200 + topic]))
        writer.add(occurrences, [0, 1, 0, 0], named=1, label=label, program=program, language=language, kind=kind)

    for label in range(classes):
        for language in range(languages):
            unit(label, label, language, PROGRAM, program)
            if language == 0:
                unit(label, label, language, FUNCTION, program)
            program += 1
    first = len(writer.rows)
    for single in range(singles):
        unit(20 + single, -1, single % languages, FUNCTION, program)
        program += 1
    for single in range(0, singles if docs else 0, 2):
        text = [20 + 20 + single, 60 + 20 + single, 7, 8]
        occurrences = [(-1, text, [20 + 20 + single, 250])]
        writer.add(occurrences, [], named=0, label=-1, program=0, language=0, kind=DOC, partner=first + single)
    return writer.shard()


def tiny_encoder(seed: int = 0, **changes: object) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(EncoderConfig(**{**CONFIG.__dict__, **changes}))  # type: ignore[arg-type]


def write_data(folder: Path) -> Path:
    """Effect: writes what the trainer needs, and what is carried along with it."""
    folder.mkdir(parents=True)
    synthetic_shard().save(folder / "train.npz")
    synthetic_shard(classes=4, singles=0, seed=1).save(folder / "valid.npz")
    vocabulary = view_vocabulary()
    np.savez(folder / "stand_ins.npz", tokens=vocabulary.stand_in_tokens, words=vocabulary.stand_in_words)
    ids = {"pad": PAD, "cls": CLS, "sep": SEP, "name": NAME, "size": TOKENS}
    (folder / "ids.json").write_text(json.dumps(ids), "utf-8")
    torch.save(pack(CONFIG, tiny_encoder().state_dict()), folder / "start.pt")
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": SPELLED}}), "utf-8")
    (folder / "lexicon.tsv").write_text("# documents 1 buckets 1\n", "utf-8")
    return folder
