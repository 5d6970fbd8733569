"""The tokenised shard: units as flat integer arrays with the ownership of every token.

`owner` says which identifier of the unit a token came from (-1: none), so that views with renamed or
removed identifiers are made from ids alone, without text, tokenizer or grammar.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import TrainerError

#: Version 2 had no signatures; it is read as if none were known.
SHARD_VERSION = 3
READABLE = (2, 3)
PROGRAM, FUNCTION, DOC = 0, 1, 2


@dataclass(frozen=True)
class Shard:
    """`n` units. Offsets have n + 1 entries; unit i owns `tokens[token_offsets[i]:token_offsets[i + 1]]`."""

    tokens: NDArray[np.uint16]
    token_owner: NDArray[np.int16]
    token_start: NDArray[np.uint8]
    """1 where an atom begins: two occurrences of one identifier may stand side by side."""
    token_offsets: NDArray[np.int64]
    words: NDArray[np.uint16]
    word_owner: NDArray[np.int16]
    word_offsets: NDArray[np.int64]
    called: NDArray[np.uint8]
    """Per identifier of a unit, 1 if it is ever called."""
    owner_offsets: NDArray[np.int64]
    named: NDArray[np.uint8]
    """1 if identifier 0 is the unit's own name."""
    label: NDArray[np.int32]
    """Clone class; -1 for a unit that has no known clone."""
    program: NDArray[np.int32]
    """Units of one file share it."""
    language: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    partner: NDArray[np.int32]
    """For a DOC unit the position of the unit it describes; -1 otherwise."""
    signature_tokens: NDArray[np.uint16]
    """How many of the unit's first tokens stand before its body; 0 if that is not known."""
    signature_words: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.label)

    def save(self, path: Path) -> None:
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez_compressed(path, version=np.array(SHARD_VERSION), **arrays)

    @classmethod
    def load(cls, path: Path) -> Shard:
        with np.load(path, allow_pickle=False) as data:
            if int(data["version"]) not in READABLE:
                raise TrainerError(f"{path} is a shard of version {int(data['version'])}; run `prepare` again.")
            unknown = np.zeros(len(data["label"]), dtype=np.uint16)
            arrays: dict[str, Any] = {name: data[name] for name in data.files if name != "version"}
            arrays = {**dict.fromkeys(("signature_tokens", "signature_words"), unknown), **arrays}
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})
