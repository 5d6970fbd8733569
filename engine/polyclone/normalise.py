"""Source text of one unit → atoms: the language-independent form that training and inference share.

An atom is one character of kind followed by its text:

    k  keyword of the shared inventory (`kif`, `kreturn`, `knull`, `kint`)
    o  operator of the shared inventory (`o==`, `o+`, `o[` for indexing)
    c  identifier that is called          i  any other identifier (case kept)
    n  number in canonical decimal        s  content of a string literal

Comments, imports, annotations, punctuation, modifiers and declaration keywords leave no atom. A change of
what comes out here must raise `NORMALISER_VERSION`: it is part of every cache key and of every bundle.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from polyclone.keywords import OVERRIDES, RESERVED, SHARED, TYPES
from polyclone.values import ATOM_SEPARATOR

NORMALISER_VERSION = 2

#: Longest string content that an atom keeps, in characters; the rest does not count towards identity.
MAX_STRING = 240


class Region(NamedTuple):
    """A byte range the grammar marked as `comment`, `string` or `drop` (imports, annotations)."""

    start: int
    end: int
    kind: str


_TOKEN = rb"""
    (?P<number>
        0[xX][0-9a-fA-F_]+ | 0[bB][01_]+ | 0[oO][0-7_]+
      | (?:\d[\d_']*)(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)? | \.\d[\d_]*(?:[eE][+-]?\d+)?
    )[A-Za-z_]*[0-9]*
  | (?P<lifetime>'[A-Za-z_]\w*)
  | [$@]*(?P<word>[A-Za-z_\x80-\xff][\w\x80-\xff]*%s)%s(?P<call>\s*!?\s*\()?
  | (?P<operator>
        <=>|===|!==|\*\*=|<<=|>>>=|>>=|>>>|\?\?=|&&=|\|\|=|//=|\.\.\.|\.\.=|\.\.<
      | \+\+|--|&&|\|\||==|!=|<=|>=|<<|>>|\+=|-=|\*=|/=|%%=|&=|\|=|\^=|:=|->|=>|<-|\*\*|//|\?\?|\?\.|\?:|::|\.\.|=~|!!
      | [-+*/%%<>=!&|^~?\[]
    )
"""
#: A Ruby name may end in `?` or `!`.
_IN_A_NAME = {"ruby": rb"(?:[?!](?![=\w]|\s*:))?"}
#: Marks behind a name that compute nothing: `value!`, `value!!`, `vec![…]`; in some languages `Type?`.
_ASSERTION = rb"(?:!!?(?![=\w(]))?"
_OPTIONAL = rb"(?:!!?(?![=\w(])|\?(?![=\w(?:.]|\s*:))?"
_BEHIND_A_NAME = {"ruby": b"", "csharp": _OPTIONAL, "kotlin": _OPTIONAL, "rust": _OPTIONAL, "swift": _OPTIONAL}


@cache
def _tokens(language: str) -> re.Pattern[bytes]:
    inside, behind = _IN_A_NAME.get(language, b""), _BEHIND_A_NAME.get(language, _ASSERTION)
    return re.compile(_TOKEN % (inside, behind), re.VERBOSE)


_OPERATORS: Mapping[bytes, tuple[str, ...]] = {
    b"&&": ("kand",),
    b"||": ("kor",),
    b"!": ("knot",),
    b"===": ("o==",),
    b"!==": ("o!=",),
    b"++": ("o+=", "n1"),
    b"--": ("o-=", "n1"),
    b":=": ("o=",),
    b"//": ("o/",),
    b"//=": ("o/=",),
    b">>>": ("o>>",),
    b">>>=": ("o>>=",),
    b"?:": (),
    b"??=": ("o??",),
    b"&&=": ("kand",),
    b"||=": ("kor",),
    b"..=": ("o..",),
    b"..<": ("o..",),
    b"...": ("o..",),
    b"->": (),
    b"=>": (),
    b"::": (),
    b"?.": (),
    b"!!": (),
}

#: Kotlin and PHP have `?:`; elsewhere it marks an optional parameter. Rust and Kotlin have no `a ? b : c`.
_OPERATORS_OF: Mapping[str, Mapping[bytes, tuple[str, ...]]] = {
    "kotlin": {**_OPERATORS, b"?:": ("o??",), b"?": ()},
    "php": {**_OPERATORS, b"?:": ("o??",)},
    "rust": {**_OPERATORS, b"?": ()},
}

# Type arguments are brackets, not comparisons. Innermost first; four rounds cover what people write.
_TYPE_ARGUMENTS = re.compile(rb"(?<=[\w:])<((?:[\w\s,.?:*\[\]'$]|&(?!&))*)>")
_WITH_TYPE_ARGUMENTS = frozenset({"java", "typescript", "cpp", "csharp", "kotlin", "swift", "rust"})

_STRING_OPEN = re.compile(rb"^[A-Za-z@$%&]{0,3}#{0,3}(\"\"\"|'''|\"|'|`|/|\[|\(|<|\{|\|)?")
_ESCAPE = re.compile(r"\\(?:[nrtabfv0]|u\{?[0-9a-fA-F]{1,8}\}?|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_SPACE = re.compile(r"\s+")


@cache
def _words(language: str) -> Mapping[bytes, tuple[str, ...]]:
    """Reserved words and basic types of a language → their atoms."""
    table: dict[bytes, tuple[str, ...]] = {word.encode(): (atom,) for word, atom in TYPES.items()}
    overrides = OVERRIDES.get(language, {})
    for word in RESERVED.get(language, frozenset()):
        table[word.encode()] = overrides.get(word, SHARED.get(word, ()))
    return table


@cache
def _number(text: bytes) -> str:
    """Canonical decimal of a numeric literal: `0xFF`, `255`, `255u8` and `2_5_5` are one constant."""
    digits = text.replace(b"_", b"").replace(b"'", b"").decode("ascii").lower()
    try:
        if digits[:2] in ("0x", "0b", "0o"):
            value: int | float = int(digits, 0)
        elif digits.isdigit():
            value = int(digits)
        else:
            value = float(digits)
    except (ValueError, OverflowError):
        return "n" + digits[:40]
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return f"n{int(value)}.0" if "e" not in digits else f"n{int(value)}"
        return f"n{value!r}"
    # Python refuses to print integers of more than 4,300 digits; such a literal is data.
    return f"n{value}" if value.bit_length() < 256 else "nbig"


def _string(text: bytes) -> str:
    """Content of a string literal: quotes and prefixes off, escapes and white space collapsed."""
    opened = _STRING_OPEN.match(text)
    body = text[opened.end() :] if opened and opened.group(1) else text
    body = body.rstrip(b"\"'`#)]>}|/")
    content = _ESCAPE.sub(" ", body[: 4 * MAX_STRING].decode("utf-8", "replace"))
    content = _SPACE.sub(" ", content.replace(ATOM_SEPARATOR, " ")).strip()
    return "s" + content[:MAX_STRING]


def _scan(text: bytes, language: str, atoms: list[str]) -> None:
    """Append the atoms of a stretch of code that holds no literal strings and no comments."""
    if language in _WITH_TYPE_ARGUMENTS and b"<" in text:
        for _ in range(4):
            text, replaced = _TYPE_ARGUMENTS.subn(rb" \1 ", text)
            if not replaced:
                break
    words, operators = _words(language), _OPERATORS_OF.get(language, _OPERATORS)
    for token in _tokens(language).finditer(text):
        group = token.lastgroup
        if group == "word" or group == "call":
            word = token.group("word")
            known = words.get(word)
            if known is not None:
                atoms.extend(known)
            else:
                atoms.append(("c" if group == "call" else "i") + word.decode("utf-8", "replace"))
        elif group == "operator":
            operator = token.group("operator")
            known = operators.get(operator)
            if known is not None:
                atoms.extend(known)
            else:
                atoms.append("o" + operator.decode("ascii"))
        elif group == "number":
            atoms.append(_number(token.group("number")))


def normalise(source: bytes, start: int, end: int, regions: Sequence[Region], language: str) -> str:
    """Atoms of `source[start:end]`, joined by `ATOM_SEPARATOR`.

    `regions` are those of the whole file, sorted by start and disjoint. Never raises on content: bytes that
    are not UTF-8 are replaced. The result does not depend on anything outside the range.
    """
    atoms: list[str] = []
    position = start
    index = bisect_left(regions, start, key=lambda region: region.end)
    while index < len(regions) and regions[index].start < end:
        region = regions[index]
        index += 1
        if region.end <= position:
            continue
        if region.start > position:
            _scan(source[position : region.start], language, atoms)
        if region.kind == "string":
            atoms.append(_string(source[max(region.start, start) : min(region.end, end)]))
        position = min(region.end, end)
    if position < end:
        _scan(source[position:end], language, atoms)
    return ATOM_SEPARATOR.join(atoms)
