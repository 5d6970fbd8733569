"""Small pieces of wording that the emitters share: numbers, names, and text that is safe to print."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from polyclone.languages import LANGUAGES
from polyclone.values import Function

_SKIPPED = {
    "binary": "binary",
    "declarations": "declarations only",
    "empty": "empty",
    "excluded": "excluded",
    "generated": "generated",
    "language_filtered": "other languages",
    "minified": "minified",
    "not_a_file": "not regular files",
    "symlink": "links",
    "too_large": "too large",
    "unsupported_language": "not source files",
    "vendored": "vendored",
}
_SUPPRESSED = {"comment": "by comments", "ignored": "ignored pairs", "baseline": "accepted in the baseline"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def count(number: int, singular: str, plural: str = "") -> str:
    """`1 file`, `2 files`, `12,345 files`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def probability(value: float) -> str:
    """Two places, never rounded up: nothing below 1 reads as 1.00, nothing below a threshold as that threshold."""
    return f"{round(value * 10_000) // 100 / 100:.2f}"


def language(name: str) -> str:
    """`csharp` → `C#`; a name that is not known stays as it is."""
    row = LANGUAGES.get(name)
    return row.display_name if row else printable(name)


def languages(functions: Iterable[Function]) -> str:
    """`Go, TypeScript ×2`, in alphabetical order."""
    counted = Counter(language(function.language) for function in functions)
    return ", ".join(name if number == 1 else f"{name} ×{number}" for name, number in sorted(counted.items()))


def skipped(reason: str) -> str:
    return _SKIPPED.get(reason, reason.replace("_", " "))


def suppressed_by(source: str) -> str:
    return _SUPPRESSED[source]


def printable(text: str) -> str:
    """`text` on one line, its control characters escaped: a file's name must not command the terminal."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def printable_code(text: str) -> str:
    """The same for source text, whose line ends and tabs stay."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join("\t".join(printable(cell) for cell in line.split("\t")) for line in plain.split("\n"))
