"""Which language a file is written in: by name, then extension, then `#!` line. Reads nothing itself."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from polyclone.languages.table import ROWS

_BY_NAME = {name: row.name for row in ROWS for name in row.file_names}
_BY_EXTENSION = {extension: row.name for row in ROWS for extension in row.extensions}
_BY_INTERPRETER = {interpreter: row.name for row in ROWS for interpreter in row.interpreters}

_HEAD = 65_536
"""Bytes of a header that decide between C and C++."""

_SHEBANG = re.compile(rb"#![ \t]*(\S+)([^\r\n]*)")
_VERSION = re.compile(r"-?[\d.]+$")
_COMMENTS_AND_STRINGS = re.compile(
    rb"//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
_CPP_ONLY = re.compile(
    rb"""
    ^[ \t]*(?:
        (?:class|namespace|using)\s+\w | namespace\s*\{ | template\s*<
      | (?:public|private|protected)\s*:
      | (?:inline|static|constexpr|export|final)\s+(?:class|namespace|constexpr)\b
    )
    | \w\s*::\s*[\w~]
    | \b(?:constexpr|nullptr|noexcept|typename|mutable|decltype|static_cast|reinterpret_cast|dynamic_cast)\b
    | \boperator\s*[^\w\s;]
    | ^[ \t]*\#[ \t]*include[ \t]*<\w+>  # a system header without `.h`
    """,
    re.MULTILINE | re.VERBOSE,
)
# Only C++ reads what such a guard holds, and an `extern "C"` in it means that the header is for C, too.
_C_GUARDED = re.compile(
    rb"^[ \t]*#[ \t]*if(?:def[ \t]|[ \t]+defined)[^\n]*__cplusplus\b.*?(?:^[ \t]*#[ \t]*(?:endif|else)\b|\Z)",
    re.MULTILINE | re.DOTALL,
)


def detect(path: str, head: bytes) -> str | None:
    """The canonical name of the language of `path`, or None.

    `head` is the beginning of the file (some kilobytes are plenty). It decides files without a known name
    or extension (`#!` line), and headers: `.h` is C unless something in it can only be C++.
    """
    pure = PurePosixPath(path)
    if (by_name := _BY_NAME.get(pure.name)) is not None:
        return by_name
    suffix = pure.suffix.lower()
    if suffix == ".h":
        return "cpp" if _looks_like_cpp(head) else "c"
    if pure.suffix == ".C":  # A Unix habit: upper case is C++.
        return "cpp"
    if (by_extension := _BY_EXTENSION.get(suffix)) is not None:
        return by_extension
    return _by_shebang(head)


def _looks_like_cpp(head: bytes) -> bool:
    code = _COMMENTS_AND_STRINGS.sub(b" ", _C_GUARDED.sub(b" ", head[:_HEAD]))
    return _CPP_ONLY.search(code) is not None


def _by_shebang(head: bytes) -> str | None:
    match = _SHEBANG.match(head.removeprefix(b"\xef\xbb\xbf"))
    if match is None:
        return None
    words = [match.group(1), *match.group(2).split()]
    for word in words:
        program = word.decode("latin-1").rsplit("/", 1)[-1]
        if program == "env" or program.startswith("-") or "=" in program:
            continue
        return _BY_INTERPRETER.get(program) or _BY_INTERPRETER.get(_VERSION.sub("", program))
    return None
