"""Laws of `extract`: what is written is found again, and nothing a file contains raises or leaves the file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import tree_sitter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polyclone.extract import extract, extract_snippet
from polyclone.languages import LANGUAGES, detect, grammar
from polyclone.values import Extraction, Span

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "languages"
SOURCES = sorted(path for path in FIXTURES.iterdir() if path.suffix != ".expected")
MUTATIONS = 750  # a language: 10,500 in all
SOURCE_BYTES = 420

# {0} is the name; the text must be what the unit's span covers.
FUNCTIONS = {
    "python": ("def {0}(a, b):\n    return a + b", "async def {0}(a):\n    if a:\n        return a\n    return 'b'"),
    "java": ("int {0}(int a) {{ return a + 1; }}", "public void {0}() {{\n  run();\n}}"),
    "javascript": ("function {0}(a) {{ return a + 1; }}", "async function {0}() {{ return `x${{1}}`; }}"),
    "typescript": ("function {0}(a: number): number {{ return a; }}", "function {0}<T>(a: T) {{ return a; }}"),
    "go": ("func {0}(a int) int {{ return a + 1 }}", "func (x *T) {0}() {{\n\trun()\n}}"),
    "rust": ("fn {0}(a: i32) -> i32 {{ a + 1 }}", "pub fn {0}<T>(a: T) -> T where T: Copy {{\n    a\n}}"),
    "ruby": ("def {0}(a)\n  a + 1\nend", "def {0}\n  run do |x|\n    x\n  end\nend"),
    "c": ("int {0}(int a) {{ return a + 1; }}", 'static const char *{0}(void)\n{{\n    return "x";\n}}'),
    "cpp": ("int {0}(int a) {{ return a + 1; }}", "auto {0}(const T& a) -> int {{ return [&] {{ return a; }}(); }}"),
    "csharp": ("int {0}(int a) {{ return a + 1; }}", "public int {0}() => 1;"),
    "kotlin": ("fun {0}(a: Int): Int {{\n    return a + 1\n}}", "fun {0}(a: Int) = a + 1"),
    "swift": ("func {0}(a: Int) -> Int {{\n    return a + 1\n}}", "public func {0}<T>(_ a: T) {{\n    run()\n}}"),
    "scala": ("def {0}(a: Int): Int = {{\n  a + 1\n}}", "def {0}(a: Int) = a + 1"),
    "php": ("function {0}($a) {{ return $a + 1; }}", "function &{0}(array $a = []) {{\n  return 'x';\n}}"),
}
FRAMES = {
    "java": ("class Frame {\n", "\n}\n"),
    "csharp": ("class Frame {\n", "\n}\n"),
    "go": ("package p\n", "\n"),
    "php": ("<?php\n", "\n"),
}


def comments(language: str) -> list[str]:
    row = LANGUAGES[language]
    lines = [f"{prefix} note: f() {{ }}\n" for prefix in row.line_comments if prefix in ("//", "#")]
    blocks = [f"{opening} note\n f() {closing}\n" for opening, closing in row.block_comments]
    return lines + blocks


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_is_found_again(language: str, data: st.DataObject) -> None:
    templates = data.draw(st.lists(st.sampled_from(FUNCTIONS[language]), min_size=1, max_size=6))
    separators = st.sampled_from(["\n", "\n\n", "\r\n\r\n", *(f"\n\n{comment}" for comment in comments(language))])
    head, tail = FRAMES.get(language, ("", "\n"))
    source = head
    expected = []
    for index, template in enumerate(templates):
        source += data.draw(separators)
        text = template.format(f"unit{index}")
        expected.append((f"unit{index}", len(source.encode()), text))
        source += text
    source += data.draw(separators) + tail
    code = source.encode()
    result = extract(code, language)
    assert result.failures == ()
    found = [
        (f.name, f.span.start_byte, code[f.span.start_byte : f.span.end_byte].decode()) for f in result.functions
    ]
    assert found == expected
    check_spans(code, result)


# A method, an accessor or an operator cannot stand alone: one of these surroundings makes it complete.
SURROUNDINGS = (
    b"%s",
    b"x = { %s }",
    b"export default %s",
    b"class Account {\n%s\n};",
    b"record Money(int x) { %s }",
    b"class X { int y { %s } }",
    b"class X { int this[int i] { %s } }",
    b"class X { event Action y { %s } }",
    b"class X {\n var y: Int = 0\n %s\n}",
    b"class X {\n var y: Int { %s }\n}",
    b"class X {\n var y: Int = 0 { %s }\n}",
    b"<?php %s",
    b"<?php class X { %s }",
    b"<?php class X { int $y { %s } }",
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_text_of_a_span_parses(path: Path) -> None:
    source = path.read_bytes()
    language = detect(path.name, source)
    assert language is not None
    parser = tree_sitter.Parser(grammar(language, path.name))
    for function in extract(source, language, path.name).functions:
        text = source[function.span.start_byte : function.span.end_byte]
        if function.kind in ("script", "lambda") or b"API_CALL" in text:
            continue
        trees = (parser.parse(around.replace(b"%s", text)) for around in SURROUNDINGS)
        assert any(not tree.root_node.has_error for tree in trees), text


def check_spans(source: bytes, result: Extraction) -> None:
    """Every span lies in the file, and its lines are those of its bytes."""

    def check(span: Span) -> None:
        assert 0 <= span.start_byte <= span.end_byte <= len(source)
        assert span.start_line0 == source.count(b"\n", 0, span.start_byte)
        assert span.end_line0 == source.count(b"\n", 0, max(span.start_byte, span.end_byte - 1))

    previous = (0, -len(source) - 1)
    for function in result.functions:
        check(function.span)
        check(function.body_span)
        assert function.span.start_byte < function.span.end_byte
        assert function.span.start_byte <= function.body_span.start_byte
        assert function.body_span.end_byte <= function.span.end_byte
        if function.name_span is not None:
            check(function.name_span)
        here = (function.span.start_byte, -function.span.end_byte)
        assert here >= previous
        previous = here


def pieces(language: str) -> list[bytes]:
    """Small sources of a language: its fixtures, cut into windows that begin with a line."""
    windows = []
    for path in SOURCES:
        if detect(path.name, b"") != language:
            continue
        source = path.read_bytes()
        starts = [0, *(index + 1 for index, byte in enumerate(source) if byte == 10)]
        head = b"<?php\n" if language == "php" else b""
        windows += [head + source[start : start + SOURCE_BYTES] for start in starts[::7]]
    return [window for window in windows if len(window) > 80]


def mutate(source: bytes, chance: random.Random) -> bytes:
    """Delete, duplicate or swap ranges, insert random bytes, or cut the end off; one to three times."""
    for _ in range(chance.randint(1, 3)):
        if not source:
            break
        a, b, c, d = sorted(chance.randrange(len(source) + 1) for _ in range(4))
        action = chance.randrange(5)
        if action == 0:
            source = source[:a] + source[b:]
        elif action == 1:
            source = source[:b] + source[a:b] + source[b:]
        elif action == 2:
            source = source[:a] + source[c:d] + source[b:c] + source[a:b] + source[d:]
        elif action == 3:
            byte = chance.choice(b"(){}[]<>\"'`/*#\\:;=\0")
            noise = chance.choice([chance.randbytes(chance.randint(1, 8)), bytes([byte])])
            source = source[:a] + noise + source[a:]
        else:
            source = source[:c]
    return source


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_mutation_raises_or_leaves_the_file(language: str) -> None:
    chance = random.Random(f"mutations of {language}")
    sources = pieces(language)
    path = f"a{LANGUAGES[language].extensions[-1]}"
    found = 0
    for index in range(MUTATIONS):
        source = mutate(sources[index % len(sources)], chance)
        result = extract(source, language, path)
        check_spans(source, result)
        found += len(result.functions)
        if index % 10 == 0:
            snippet = extract_snippet(source, language)
            assert snippet.span.end_byte == len(source)
    assert found > MUTATIONS / 10  # The mutants were not all nonsense.
