"""Macros that stand where C and C++ allow no word, hidden from the parser. Same length in and out.

A grammar knows no preprocessor: `Q_OBJECT`, `GENERATED_BODY()` or `class API Name {` make it lose the class
around them. Only the parser gets the blanked text; whatever is cut out of the file comes from the original.
"""

from __future__ import annotations

import re

_LINE = re.compile(
    rb"^[ \t]*+(?P<macro>[A-Z][A-Z0-9_]{2,}+(?:[ \t]*+\((?:[^()\n]|\([^()\n]*+\))*+\))?+)[ \t]*+(?=\r?$)",
    re.MULTILINE,
)
_CLASS_MACRO = re.compile(
    rb"\b(?:class|struct|union|enum)[ \t]++(?P<macro>[A-Z][A-Z0-9_]{2,}+(?:\([^()\n]*+\))?+)[ \t]++"
    rb"(?=[A-Za-z_][\w:]*+\s*+(?:final\s*+)?+(?::|\{))"
)
_NEXT = re.compile(rb"\s*+")
_NEAR = 400
"""Bytes in which the end of the code before a macro must be found."""


def blank_macros(source: bytes) -> bytes:
    """Replace such macros by spaces. Every offset and line stays what it was."""
    spans = [match.span("macro") for match in _CLASS_MACRO.finditer(source)]
    spans += [match.span("macro") for match in _LINE.finditer(source) if _stands_alone(source, match)]
    if not spans:
        return source
    blanked = bytearray(source)
    for start, end in spans:
        blanked[start:end] = b" " * (end - start)
    return bytes(blanked)


def _stands_alone(source: bytes, match: re.Match[bytes]) -> bool:
    """Whether a declaration has ended before the macro, and another begins after it."""
    after = _NEXT.match(source, match.end())
    following = source[after.end() : after.end() + 1] if after else b""
    if not (following.isalpha() or following in (b"_", b"~", b"}", b"/", b"#", b"[")):
        return False
    before = source[max(0, match.start() - _NEAR) : match.start()].rstrip()
    last_line = before[before.rfind(b"\n") + 1 :].lstrip()
    return (
        before[-1:] in (b"", b"{", b"}", b";", b":")
        or before.endswith(b"*/")
        or last_line.startswith((b"//", b"#"))
        or _LINE.fullmatch(last_line) is not None
    )
