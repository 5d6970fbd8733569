"""Checks of single settings: each takes a value and gives it back, in its proper type, or raises `ValueError`.

The error's text, which may be empty, is what can be added to a message that names setting, value and what is allowed.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable

from polyclone.errors import UsageError

PROBABILITY = "a number above 0 and at most 1"
FLAG = "true or false"


def number(low: float, high: float) -> Callable[[object], float]:
    """Above `low` and at most `high`."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError
        if not low < value <= high:
            raise ValueError
        return float(value)

    return parse


def whole(low: int, high: int | None = None) -> Callable[[object], int]:
    """From `low` to `high`, both included."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError
        if high is not None and value > high:
            raise ValueError
        return value

    return parse


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(suggestion(str(value), choices))
        return value

    return parse


def strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError
    return tuple(value)


def language_names(value: object) -> tuple[str, ...]:
    """Canonical names, sorted, each once."""
    from polyclone import languages

    try:
        return tuple(sorted({languages.resolve(name).name for name in strings(value)}))
    except UsageError as error:
        raise ValueError(f" ({error})") from None


def text(value: object) -> str:
    """Not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def suggestion(word: str, known: Iterable[str]) -> str:
    """What was meant, to be added to a message; empty where nothing comes near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
