"""Normalised units → the text and the token ids that a language-model student reads. Shared with its training.

A student sees the atoms of `polyclone.normalise`, spelled as words, so that what an encoder and a judge read is the
same content that the cache key covers. A change of what comes out here raises `PROMPT_VERSION`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.errors import ModelError
from polyclone.tokenizer import fit
from polyclone.values import ATOM_SEPARATOR

PROMPT_VERSION = 1

SINGLE = ("Function:\n", "\n")
JOINT = ("Function A:\n", "\nFunction B:\n", "\nSame behaviour:")


def render(normalised: str) -> str:
    """`ktotal␟c…` → words with spaces between: keywords, operators, identifiers, `name(` for a call, "strings"."""
    return " ".join(_word(atom) for atom in normalised.split(ATOM_SEPARATOR) if atom)


def _word(atom: str) -> str:
    kind, text = atom[0], atom[1:]
    if kind == "c":
        return f"{text}("
    if kind == "s":
        return json.dumps(text, ensure_ascii=False)
    return text


def canonical(a: str, b: str) -> tuple[str, str]:
    """The two sides of a pair in the one order in which a judge reads them, so that p(a, b) = p(b, a)."""
    return (a, b) if a <= b else (b, a)


class PromptTokenizer:
    """Units and pairs → token ids within a budget. `text` is the content of a Hugging Face `tokenizer.json`."""

    def __init__(self, text: str, budget: int, where: str = "the bundle") -> None:
        self._encode = _load(text, where)
        self.budget = budget
        self._single = [self._encode(part) for part in SINGLE]
        self._joint = [self._encode(part) for part in JOINT]
        frame = max(sum(map(len, parts)) for parts in (self._single, self._joint))
        if budget - frame < 16:
            raise ModelError(f"{where}: a budget of {budget} tokens leaves no room beside a prompt of {frame}.")

    def single(self, unit: str) -> tuple[NDArray[np.int64], int]:
        """Token ids (t,) of one framed unit, and how many tokens of it the budget cut away, from its middle."""
        ids = self._encode(render(unit))
        before, after = self._single
        kept = fit(ids, self.budget - len(before) - len(after))
        return np.array([*before, *kept, *after], np.int64), len(ids) - len(kept)

    def joint(self, a: str, b: str) -> tuple[NDArray[np.int64], int]:
        """The same for a pair in one prompt. Each side may use what the other leaves of the budget.

        The caller brings the sides into the `canonical` order.
        """
        left, right = self._encode(render(a)), self._encode(render(b))
        before, between, after = self._joint
        room = self.budget - len(before) - len(between) - len(after)
        half = room // 2
        kept_left = fit(left, max(half, room - len(right)))
        kept_right = fit(right, room - len(kept_left))
        ids = [*before, *kept_left, *between, *kept_right, *after]
        return np.array(ids, np.int64), len(left) + len(right) - len(kept_left) - len(kept_right)


def pad(rows: Sequence[NDArray[np.int64]], *, left: bool = False) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids of n rows → ids and mask, int64 (n, t), padded on the right, or on the left."""
    length = max(map(len, rows), default=1)
    ids = np.zeros((len(rows), length), np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    for i, row in enumerate(rows):
        where = slice(length - len(row), None) if left else slice(0, len(row))
        ids[i, where] = row
        mask[i, where] = 1
    return ids, mask


def _load(text: str, where: str) -> Any:
    """A function text → list of ids. `ModelError` without the library or with a file that it cannot read."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ModelError(
            f"{where} holds a language model, which needs the package tokenizers: pip install tokenizers."
        ) from error
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises a bare Exception
        raise ModelError(f"{where}: the tokenizer cannot be read ({error}). Export the bundle again.") from error
    # Limits that a file brings along would cut text unseen.
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(part: str) -> list[int]:
        # Source that was not UTF-8 leaves half characters, which the library refuses.
        whole = part.encode("utf-8", "replace").decode("utf-8")
        return list(tokenizer.encode(whole, add_special_tokens=False).ids)

    return encode
