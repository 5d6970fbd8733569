"""The language table: names, aliases, extensions, detection, grammars and queries. One loop over all languages."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest
from polyclone.errors import UsageError
from polyclone.languages import ALIASES, LANGUAGES, detect, grammar, grammar_version, query, resolve

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "languages"
SOURCES = sorted(path for path in FIXTURES.iterdir() if path.suffix != ".expected")


def test_there_are_fourteen_languages() -> None:
    assert list(LANGUAGES) == (
        "python java javascript typescript go rust ruby c cpp csharp kotlin swift scala php".split()
    )


def test_nothing_is_claimed_twice() -> None:
    rows = LANGUAGES.values()
    for claims in (
        [extension for row in rows for extension in row.extensions],
        [name for row in rows for name in row.file_names],
        [interpreter for row in rows for interpreter in row.interpreters],
        [alias for row in rows for alias in (row.name, *row.aliases)],
    ):
        assert [claim for claim, count in Counter(claims).items() if count > 1] == []


@pytest.mark.parametrize("name", LANGUAGES)
def test_row_is_well_formed(name: str) -> None:
    row = LANGUAGES[name]
    assert all(extension.startswith(".") and extension == extension.lower() for extension in row.extensions)
    assert all(alias == alias.lower() for alias in row.aliases)
    assert row.line_comments or row.block_comments
    # A longer mark must come before the one it begins with, or the comment is not stripped of all of it.
    openings = [opening for opening, _closing in row.block_comments]
    for marks in (list(row.line_comments), openings):
        for index, mark in enumerate(marks):
            assert not any(later.startswith(mark) for later in marks[index + 1 :]), mark


@pytest.mark.parametrize("name", LANGUAGES)
def test_grammar_is_pinned_and_installed_in_that_version(name: str) -> None:
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    package = LANGUAGES[name].grammar_package
    assert f"{package}=={grammar_version(name)}" in requirements


@pytest.mark.parametrize(
    ("name", "path"), [*((name, "") for name in LANGUAGES), ("typescript", "a.tsx"), ("javascript", "a.jsx")]
)
def test_query_compiles_and_uses_known_captures(name: str, path: str) -> None:
    compiled = query(name, grammar(name, path))
    captures = {compiled.capture_name(index) for index in range(compiled.capture_count)}
    units = {"function", "method", "constructor", "lambda"}
    parts = {"name", "target", "declarator", "receiver", "operator", "accessor", "body", "stub"}
    scopes = {f"scope.{kind}" for kind in ("type", "object", "namespace", "property", "name", "rest")}
    regions = {"comment", "doc", "string", "drop", "declaration"}
    assert {c for c in captures if not c.startswith("_")} <= units | parts | scopes | regions
    assert captures & units
    assert {"comment", "string", "drop"} <= captures


def test_grammars_and_queries_are_loaded_once() -> None:
    assert grammar("go") is grammar("go", "x.go")
    assert query("go", grammar("go")) is query("go", grammar("go"))
    assert grammar("typescript", "a.TSX") is not grammar("typescript", "a.ts")


ALIAS_ROWS = {
    "js": "javascript",
    "JSX": "javascript",
    "ts": "typescript",
    "tsx": "typescript",
    "c++": "cpp",
    "C#": "csharp",
    " golang ": "go",
    "py": "python",
    "rb": "ruby",
    "rs": "rust",
    "kt": "kotlin",
    "PHP": "php",
}


@pytest.mark.parametrize(("alias", "name"), ALIAS_ROWS.items())
def test_resolve_knows_aliases(alias: str, name: str) -> None:
    assert resolve(alias).name == name


@pytest.mark.parametrize("name", LANGUAGES)
def test_resolve_knows_names(name: str) -> None:
    assert resolve(name) is LANGUAGES[name]
    assert all(LANGUAGES[target] for target in ALIASES.values())


def test_unknown_language_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'cobol'.*python, java.*php"):
        resolve("cobol")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_detects_every_fixture_by_its_extension(path: Path) -> None:
    expected = path.stem.removeprefix("script_").removesuffix("_jsx")
    assert detect(path.name, b"") == expected
    if path.suffix != ".c":  # `.C` is C++.
        assert detect(f"deep/down/{path.stem}{path.suffix.upper()}", b"") == expected


@pytest.mark.parametrize(
    ("path", "head", "expected"),
    [
        ("Rakefile", b"", "ruby"),
        ("app/Gemfile", b"", "ruby"),
        ("SConstruct", b"", "python"),
        ("Makefile", b"all:\n", None),
        ("README.md", b"#!/bin/sh\n", None),
        ("run", b"#!/usr/bin/python3\n", "python"),
        ("run", b"#!/usr/bin/env python3.12\n", "python"),
        ("run", b"#!/usr/bin/env -S node --flag\n", "javascript"),
        ("run", b"#! /usr/bin/env FOO=1 ruby -w\r\n", "ruby"),
        ("run", b"\xef\xbb\xbf#!/usr/bin/php8.2\n", "php"),
        ("run", b"#!/usr/bin/env -S deno run\n", "typescript"),
        ("run", b"#!/bin/bash\n", None),
        ("run", b"#!\n", None),
        ("run", b"", None),
        ("", b"", None),
        ("x.C", b"", "cpp"),
        ("x.c", b"class X {};", "c"),
        ("x.tar.gz", b"", None),
        (".py", b"", None),
    ],
)
def test_detects_by_name_and_shebang(path: str, head: bytes, expected: str | None) -> None:
    assert detect(path, head) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", "c"),
        (b"int f(int x);\n", "c"),
        (b"#include <stdio.h>\nstruct a { int class_id; };\n", "c"),
        (b"// class Foo is documented here\nint f(void);\n", "c"),
        (b"/* namespace x { std::string } */\nint f(void);\n", "c"),
        (b'const char *text = "std::string";\n', "c"),
        (b'#ifdef __cplusplus\nextern "C" {\n#endif\nint f(void);\n', "c"),
        (b"#if defined(__cplusplus)\nnamespace x {\n#endif\nint f(void);\n", "c"),
        (b"int public_key;\n", "c"),
        (b"int operator_count; int operator;\n", "c"),
        (b"class Foo;\n", "cpp"),
        (b"namespace x {\n", "cpp"),
        (b"namespace {\n", "cpp"),
        (b"template <typename T>\nT f(T x);\n", "cpp"),
        (b"struct A {\n public:\n  int x;\n};\n", "cpp"),
        (b"std::string name();\n", "cpp"),
        (b"#include <vector>\n", "cpp"),
        (b"struct A { bool operator==(A other); };\n", "cpp"),
        (b"using Pair = int;\n", "cpp"),
        (b"inline constexpr int x = 1;\n", "cpp"),
        (b"int f() noexcept;\n", "cpp"),
        (b"\xff\xfe\x00class", "c"),
    ],
)
def test_header_is_c_unless_it_can_only_be_cpp(head: bytes, expected: str) -> None:
    assert detect("include/a.h", head) == expected


@pytest.mark.parametrize("piece", [b"\n", b"/*", b"#ifdef __cplusplus\n", b'"', b"a ", b"operator ", b"a: "])
def test_header_detection_takes_no_time_on_hostile_headers(piece: bytes) -> None:
    # Quadratic behaviour would take minutes here; the suite's own time limit is the assertion.
    assert detect("a.h", piece * 200_000) in ("c", "cpp")
