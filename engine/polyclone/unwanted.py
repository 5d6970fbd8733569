"""Which files nobody wrote by hand: vendored, generated, declarations only, minified, binary. Pure, no I/O.

Every rule is a guess about intent, so `discover` counts what they skip, and a file that is named outright
is never asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

HEAD_BYTES = 8 * 1024
"""How much of a file decides its language, and whether it is binary or generated."""
SAMPLE_BYTES = 64 * 1024
"""How much of a file decides whether it is minified."""

VENDORED_FOLDERS = frozenset(
    {
        *("node_modules", "bower_components", "jspm_packages", ".yarn", ".pnpm-store"),
        *("vendor", "vendors", "_vendor"),
        *("third_party", "third-party", "thirdparty", "3rdparty", "3rd_party"),
        *("site-packages", "dist-packages", ".venv", "venv", "__pypackages__", ".tox", ".nox", ".eggs"),
        *("Pods", "Carthage", "Godeps", ".bundle", ".gradle", ".m2", ".cargo"),
        *("dist", ".next", ".nuxt", ".svelte-kit", ".output", "__pycache__"),
    }
)
"""Names of folders that hold other people's code, or what a build made of one's own."""

_MARKER_FILES = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})

_DECLARATIONS = re.compile(r"(?:\.d(?:\.[\w-]+)?\.[mc]?ts|\.pyi)$")
_GENERATED_NAME = re.compile(
    r"""(?:
        \.pb(?:\.gw|\.validate)?\.(?:go|cc|h|swift|rs) | _grpc\.pb\.go | \.grpc\.pb\.(?:cc|h) | \.grpc\.swift
      | _pb2(?:_grpc)?\.pyi? | (?:_grpc)?_pb\.(?:js|ts|rb) | _services_pb\.rb
      | \.(?:g|g\.i|designer|generated)\.cs | \.generated\.(?:ts|js|kt|swift) | \.g\.kt
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
_MINIFIED_NAME = re.compile(r"[.-]min\.[mc]?js$", re.IGNORECASE)
_MINIFIED_LANGUAGES = frozenset({"javascript", "typescript", "php"})
_MINIFIED_MEAN_LINE_BYTES = 300
_MINIFIED_LEAST_BYTES = 1024

_COMMENT_LINE = re.compile(r"\s*(?://|#|/\*|\*|<!--|--|;|\"\"\"|''')")
_BLOCK_OPENS = re.compile(r"\s*(?:<\?php\s*)?(/\*|\"\"\"|''')")
_BLOCK_CLOSES = {"/*": "*/", '"""': '"""', "'''": "'''"}
_HEADER_CODE_LINES = 5
"""A file's header ends here: `<?php`, a package clause or `"use strict"` may precede the mark."""

_AUTO = r"(?:auto[- ]?|automatically\s+)"
_NEVER_EDIT = r"\bdo\s+not\s+(?:hand[- ]?)?(?:edit|modify|change|touch)\b"
_TOOLS = r"(?:the\s+protocol\s+buffer\s+compiler|thrift|cython|flex|re2c|ragel|swig|coffeescript|peg(?:gy|\.js))"
_GENERATED_MARK = re.compile(
    rf"""
    (?<![\w`'"@.])@generated(?![\w`'"(])
  | <auto-?generated
  | (?i:
        \b(?:code\s+generated|{_AUTO}generated|generated\s+(?:by|from|using|with|file|code))\b
            .{{0,200}}? {_NEVER_EDIT}
      | {_NEVER_EDIT} .{{0,200}}? \b{_AUTO}?generated\b
      | \bthis\s+(?:(?:source|code|header)\s+)?(?:file|code|class|module)\s+(?:was|is|has\s+been)\s+
            {_AUTO}?generated\b
      | \bgenerated\s+from\s+\S+\.g4?\s+by\s+antlr
      | \bgenerated\s+by\s+{_TOOLS}(?![\w-])
      | \bmade\s+by\s+gnu\s+bison\b
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_GENERATED_ANNOTATION = re.compile(
    r"^@(?:(?:javax|jakarta)\.annotation\.(?:processing\.)?)?Generated\s*\(", re.MULTILINE
)


def is_vendored(folders: Iterable[str]) -> bool:
    """True if one of the folder names, each below the scanned root, is that of vendored or built code."""
    return not VENDORED_FOLDERS.isdisjoint(folders)


def marks_folder_as_vendored(file_name: str) -> bool:
    """True for a file whose presence says that its folder is a virtual environment or a cache."""
    return file_name in _MARKER_FILES


def is_declarations(path: str) -> bool:
    """True for files that declare types and hold no bodies: `.d.ts` and its kin, `.pyi`."""
    return _DECLARATIONS.search(PurePosixPath(path).name) is not None


def is_generated_name(path: str) -> bool:
    """True if the file name alone says that a tool wrote the file."""
    return _GENERATED_NAME.search(PurePosixPath(path).name) is not None


def is_generated(head: bytes) -> bool:
    """True if the header comment in `head`, the beginning of the file, says that a tool wrote the file.

    Only comments count, and only those at the top: a program that looks for such marks in other files
    holds them as strings, and prose further down may well speak of something generated.
    """
    text = head.decode("utf-8", "replace")
    header = _header_comments(text)
    return _GENERATED_MARK.search(header) is not None or _GENERATED_ANNOTATION.search(text) is not None


def is_minified(path: str, language: str, sample: bytes) -> bool:
    """True for `.min.js`, and for scripts whose lines in `sample` are longer than anybody writes them."""
    if _MINIFIED_NAME.search(PurePosixPath(path).name):
        return True
    if language not in _MINIFIED_LANGUAGES or len(sample) < _MINIFIED_LEAST_BYTES:
        return False
    return len(sample) / (sample.count(b"\n") + 1) > _MINIFIED_MEAN_LINE_BYTES


def is_binary(head: bytes) -> bool:
    """True if there is a NUL byte, which also holds for UTF-16 text."""
    return b"\0" in head


def _header_comments(text: str) -> str:
    """The comment lines before the code begins, marks included. A guess that needs no grammar."""
    kept: list[str] = []
    closing = ""
    code_lines = 0
    for line in text.splitlines():
        if closing:
            kept.append(line)
            if closing in line:
                closing = ""
        elif opened := _BLOCK_OPENS.match(line):
            kept.append(line)
            mark = _BLOCK_CLOSES[opened.group(1)]
            if mark not in line[opened.end() :]:
                closing = mark
        elif _COMMENT_LINE.match(line):
            kept.append(line)
        elif line.strip():
            code_lines += 1
            if code_lines > _HEADER_CODE_LINES:
                break
    return "\n".join(kept)
