"""`extract` on whole files: a matrix over all languages, then the awkward files."""

from __future__ import annotations

from pathlib import Path

import pytest
from polyclone.describe import MAX_SIGNATURE
from polyclone.errors import UsageError
from polyclone.extract import MAX_NESTING, extract, extract_snippet
from polyclone.languages import LANGUAGES, detect
from polyclone.languages.comments import MAX_DOC
from polyclone.languages.macros import blank_macros
from polyclone.values import Extraction, Function

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "languages"
SOURCES = sorted(path for path in FIXTURES.iterdir() if path.suffix != ".expected")


def read(path: Path) -> tuple[bytes, str]:
    source = path.read_bytes()
    language = detect(path.name, source)
    assert language is not None
    return source, language


def functions_of(source: str | bytes, language: str, path: str = "") -> dict[str, Function]:
    code = source.encode() if isinstance(source, str) else source
    result = extract(code, language, path)
    assert result.failures == ()
    return {function.qualified_name: function for function in result.functions}


def rows(result: Extraction) -> list[str]:
    return [
        f"{function.span.start_line0 + 1} | {function.kind} | {function.name} | {function.qualified_name}"
        for function in result.functions
    ]


# --- the matrix ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_finds_exactly_the_expected_units(path: Path) -> None:
    source, language = read(path)
    result = extract(source, language, path.name)
    assert result.failures == ()
    assert rows(result) == Path(f"{path}.expected").read_text("utf-8").splitlines()
    assert all(function.path == path.name and function.language == language for function in result.functions)


def test_every_language_has_a_fixture_and_a_script_where_it_can() -> None:
    units = {language for path in SOURCES for _, language in [read(path)] if not path.name.startswith("script_")}
    assert units == set(LANGUAGES)
    scripts = {read(path)[1] for path in SOURCES if path.name.startswith("script_")}
    assert scripts == {row.name for row in LANGUAGES.values() if row.script_extensions}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_spans_name_spans_and_signatures_fit_the_source(path: Path) -> None:
    source, language = read(path)
    for function in extract(source, language, path.name).functions:
        text = source[function.span.start_byte : function.span.end_byte].decode()
        assert text == text.strip()
        assert function.span.start_byte <= function.body_span.start_byte
        assert function.body_span.end_byte <= function.span.end_byte
        assert function.normalised
        if function.kind == "script":
            continue
        assert function.name_span is not None
        named = source[function.name_span.start_byte : function.name_span.end_byte].decode()
        assert named.strip("$:\"'") in (function.name, function.qualified_name.rsplit(".", 1)[-1]) or (
            function.name.endswith(named)  # `operator +`, `~Account`
        )
        assert 0 < len(function.signature) <= MAX_SIGNATURE
        assert "\n" not in function.signature
        first_word = text.split()[0]
        assert function.signature.startswith(first_word[:3]) or "get" in text or "set" in text or "{" in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_function_cut_out_of_its_file_normalises_to_the_same_atoms(path: Path) -> None:
    source, language = read(path)
    for function in extract(source, language, path.name).functions:
        if function.kind != "script":
            text = source[function.span.start_byte : function.span.end_byte]
            assert extract_snippet(text, language).normalised == function.normalised, function.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
@pytest.mark.parametrize("change", ["crlf", "bom", "tabs"])
def test_line_ends_bom_and_indentation_change_no_identity(path: Path, change: str) -> None:
    source, language = read(path)
    original = extract(source, language, path.name)
    if change == "crlf":
        changed = source.replace(b"\n", b"\r\n")
    elif change == "bom":
        changed = b"\xef\xbb\xbf" + source
    else:
        changed = source.replace(b"    ", b"\t")
    result = extract(changed, language, path.name)
    # Text blocks, heredocs and raw strings contain their line ends, so only the names must agree there.
    assert rows(result) == rows(original)
    if change == "bom":
        assert [f.digest for f in result.functions] == [f.digest for f in original.functions]
    for before, after in zip(original.functions, result.functions, strict=True):
        assert before.doc == after.doc.replace("\r", "") or change == "tabs"
        assert before.signature == after.signature


BROKEN = {
    "python": "def broken(x:\n    return (x\n\n",
    "java": "class Broken { void broken( { int x = ; }\n",
    "javascript": "function broken( { return [1, ; }\n",
    "typescript": "function broken(x: : number { return ; }\n",
    "go": "func broken( { x := ; }\n",
    "rust": "fn broken(x: { let = ; }\n",
    "ruby": "def broken(x\n  x +\nend\n",
    "c": "int broken( { return ; ) }\nBAD_MACRO(\n",
    "cpp": "int broken( { return ; ) }\nBAD_MACRO(x\n",
    "csharp": "class Broken { void Broken( { int x = ; } }\n",
    "kotlin": "fun broken(x: { val = ; }\n",
    "swift": "func broken(x: { let = ; }\n",
    "scala": "object Broken { def broken(x: Int = { val = }\n",
    "php": "function broken($x { return ; }\n",
}


@pytest.mark.parametrize("path", [p for p in SOURCES if "script_" not in p.name], ids=lambda path: path.name)
def test_a_broken_end_loses_none_of_the_good_functions(path: Path) -> None:
    source, language = read(path)
    good = {(f.name, f.normalised) for f in extract(source, language, path.name).functions}
    tail = BROKEN[language] if language != "php" else f"<?php\n{BROKEN[language]}"
    broken = extract(source + b"\n" + tail.encode(), language, path.name)
    found = {(f.name, f.normalised) for f in broken.functions}
    # The parser may give up on the last function before the damage, but on no more.
    assert len(good - found) <= 1


@pytest.mark.parametrize("language", ["java", "javascript", "go", "rust", "c", "cpp", "csharp", "php"])
def test_a_broken_function_in_the_middle_leaves_its_neighbours(language: str) -> None:
    function = {
        "java": "class {0} {{ int {0}(int a) {{ return a + 1; }} }}\n",
        "javascript": "function {0}(a) {{ return a + 1; }}\n",
        "go": "func {0}(a int) int {{ return a + 1 }}\n",
        "rust": "fn {0}(a: i32) -> i32 {{ a + 1 }}\n",
        "c": "int {0}(int a) {{ return a + 1; }}\n",
        "cpp": "int {0}(int a) {{ return a + 1; }}\n",
        "csharp": "class {0} {{ int {0}(int a) {{ return a + 1; }} }}\n",
        "php": "function {0}($a) {{ return $a + 1; }}\n",
    }[language]
    head = "<?php\n" if language == "php" else ""
    middle = function.format("damaged").replace("+ 1", "+ ) (")
    source = head + function.format("before") + middle + function.format("after")
    names = {f.name for f in extract(source.encode(), language).functions}
    assert {"before", "after"} <= names


# --- names, kinds, documentation ----------------------------------------------------------------------------


def test_docs_are_stripped_of_their_marks() -> None:
    def doc(path: str, name: str) -> str:
        source, language = read(FIXTURES / path)
        return functions_of(source, language, path)[name].doc

    assert doc("python.py", "interest") == "Interest on a balance.\n\nRounded down."
    assert doc("python.py", "Account.label") == "The account's label."
    assert doc("java.java", "Account.Account") == "Opens an account.\n\n@param owner who pays"
    assert doc("java.java", "Account.deposit") == "Adds to the balance.\nReturns the new one."
    assert doc("javascript.jsx", "double") == "Doubles."
    assert doc("typescript.ts", "pick") == "Picks."
    assert doc("go.go", "Account.Name") == "Name returns the owner.\nIt never fails."
    assert doc("rust.rs", "Account.new") == "Opens an account.\n\nNever fails."
    assert doc("ruby.rb", "Bank.Account.initialize") == "Opens an account.\nOwner pays."
    assert doc("c.c", "find") == "Finds a character.\nReturns NULL if there is none."
    assert doc("cpp.cpp", "bank.core.List.declared") == "Declared above."
    assert doc("csharp.cs", "Bank.Core.Account.Deposit") == "<summary>Deposits.</summary>"
    assert doc("kotlin.kt", "Account.deposit") == "Deposits."
    assert doc("swift.swift", "Account.deposit") == "Deposits.\n- Parameter amount: how much"
    assert doc("scala.scala", "Account.deposit") == "Deposits."
    assert doc("php.php", "Example.Bank.Account.deposit") == "Deposits."


@pytest.mark.parametrize(
    "source",
    [
        "// a licence\n\nfunction f() { return 1; }",
        "let x = 1; // about x\nfunction f() { return 1; }",
        "// about x\nlet x = 1;\nfunction f() { return 1; }",
    ],
)
def test_a_comment_about_something_else_is_not_the_doc(source: str) -> None:
    assert functions_of(source, "javascript")["f"].doc == ""


def test_long_docs_and_signatures_are_cut() -> None:
    source = f"# {'d' * 5000}\ndef f({', '.join(f'a{i}' for i in range(500))}):\n    return 1\n"
    function = functions_of(source, "python")["f"]
    assert len(function.doc) == MAX_DOC
    assert len(function.signature) == MAX_SIGNATURE
    assert function.signature.endswith("…")


def test_docstrings_and_decorators_do_not_count_towards_identity() -> None:
    plain = functions_of("def f(x):\n    return x + 1\n", "python")["f"]
    dressed = functions_of('@cache\n@other(1)\ndef f(x):\n    """Adds."""\n    return x + 1\n', "python")["f"]
    assert plain.normalised == dressed.normalised
    assert dressed.span.start_line0 == 2


def test_leading_annotations_are_outside_the_span() -> None:
    source = 'class A {\n  @Override\n  @Named("x") // why\n  public int f() { return 1; }\n}\n'
    function = functions_of(source, "java")["A.f"]
    assert function.span.start_line0 == 3
    assert function.signature == "public int f()"


def test_nested_functions_are_units_and_stay_in_the_outer_text() -> None:
    found = functions_of("def a():\n    def b():\n        return inner\n    return b\n", "python")
    assert set(found) == {"a", "a.b"}
    assert "iinner" in found["a"].atoms
    assert found["a"].span.end_line0 == 3


def test_one_function_with_two_names_is_one_unit() -> None:
    assert set(functions_of("const f = function g() { return 1; };", "javascript")) == {"f"}


def test_callbacks_are_not_units() -> None:
    assert functions_of("run(() => { go(1); }, function () {});", "javascript") == {}
    assert functions_of("sorted(xs, key=lambda x: x)\n", "python") == {}


@pytest.mark.parametrize(
    ("left", "qualified"),
    [
        ("exports.f", "f"),
        ("module.exports.f", "f"),
        ("this.f", "f"),
        ("A.prototype.f", "A.f"),
        ("a.b.f", "a.b.f"),
        ("f", "f"),
        ("x[0].f", "f"),
        ("x?.y.f", "x.y.f"),
    ],
)
def test_assignment_targets_become_names(left: str, qualified: str) -> None:
    function = next(iter(extract(f"{left} = () => 1;".encode(), "javascript").functions))
    assert (function.name, function.qualified_name) == ("f", qualified)


@pytest.mark.parametrize(
    ("declaration", "qualified", "kind"),
    [
        ("void A::f() {}", "A.f", "method"),
        ("template <class T> void ns::A<std::pair<T, int>>::f() {}", "ns.A.f", "method"),
        ("A::A() {}", "A.A", "constructor"),
        ("A::~A() {}", "A.~A", "method"),
        ("const char *const *f(int (*g)(int)) { return 0; }", "f", "function"),
        ("bool operator<(A a, B b) { return true; }", "operator<", "function"),
        ("A::operator bool() const { return true; }", "A.operator bool", "method"),
        ("int A::operator()(int x) { return x; }", "A.operator()", "method"),
        ("TEST_F(Suite, Case) { run(); }", "Suite.Case", "method"),
        ("struct A { A() {} };", "A.A", "constructor"),
        ("union U { int f() { return 1; } };", "U.f", "method"),
        ("int ARRAY(int x) { return x; }", "ARRAY", "function"),
        ("template <> int N::f<int, long>(int x) { return x; }", "N.f", "method"),
        ("class API_EXPORT A final : public B { int f() { return 1; } };", "A.f", "method"),
        ("class A {\n  Q_OBJECT\n public:\n  A() {}\n};", "A.A", "constructor"),
        ("class A {\n  UPROPERTY(Edit, meta=(X))\n  int f() { return 1; }\n};", "A.f", "method"),
        ("NAMESPACE_BEGIN\n\nint f() { return 1; }\nNAMESPACE_END\n", "f", "function"),
        ("TEST(Suite, Case)\n{\n  run();\n}", "Suite.Case", "method"),
        ("class API Broken : public B { int f( };\nint f() { return 1; }", "f", "function"),
    ],
)
def test_cpp_declarators(declaration: str, qualified: str, kind: str) -> None:
    function = next(iter(extract(declaration.encode(), "cpp").functions))
    assert (function.qualified_name, function.kind) == (qualified, kind)


def test_hidden_macros_stay_part_of_the_function_they_are_in() -> None:
    function = functions_of("int f() {\n  int a = 1;\n  CHECK_STATE(a)\n  return a;\n}\n", "cpp")["f"]
    assert "cCHECK_STATE" in function.atoms


def test_hiding_macros_keeps_every_offset_and_leaves_expressions_alone() -> None:
    source = (
        b"class API A {\n  Q_OBJECT\n};\nint x = FIRST |\n  SECOND\n  ;\n"
        b"enum E {\n  ONE,\n  TWO\n};\nfoo(A,\n  BBB\n);\n"
    )
    hidden = blank_macros(source)
    assert len(hidden) == len(source)
    assert hidden == source.replace(b"API", b"   ").replace(b"Q_OBJECT", b" " * 8)
    assert blank_macros(b"") == b""


@pytest.mark.parametrize("piece", [b"A_MACRO\n", b"ABC(", b"class ABC ", b"ABC(x)\n ", b"ABC  \n"])
def test_hiding_macros_takes_no_time_on_hostile_files(piece: bytes) -> None:
    assert len(blank_macros(piece * 50_000)) == len(piece) * 50_000


def test_wrapped_components_have_the_name_of_their_variable() -> None:
    source = "const Row = React.memo((props) => { return props.x; });\nconst ys = xs.map((x) => x + 1);\n"
    assert set(functions_of(source, "javascript")) == {"Row"}
    assert set(functions_of(source, "typescript", "a.tsx")) == {"Row"}


def test_rest_of_file_namespaces() -> None:
    php = functions_of("<?php\nnamespace A\\B;\nfunction f() { return 1; }\nnamespace C;\nfunction g() {}\n", "php")
    assert set(php) == {"A.B.f", "C.g"}
    assert set(functions_of("namespace A.B;\nclass C { int F() => 1; }\n", "csharp")) == {"A.B.C.F"}


# --- scripts ------------------------------------------------------------------------------------------------


def test_script_holds_only_the_statements_of_the_top_level() -> None:
    source, language = read(FIXTURES / "script_python.py")
    script = next(f for f in extract(source, language, "tools/script_python.py").functions if f.kind == "script")
    assert script.name == "script_python"
    atoms = set(script.atoms)
    assert {"itotal", "iLIMIT", "kfor", "kif"} <= atoms
    assert not atoms & {"isize", "ix", "sA tool."}
    # The script surrounds the definitions that its atoms leave out.
    assert (script.span.start_line0, script.span.end_line0) == (3, 20)


def test_script_needs_five_statements() -> None:
    def kinds(source: str) -> set[str]:
        return {function.kind for function in extract(source.encode(), "python").functions}

    assert kinds("a = 1\nb = 2\nc = 3\nprint(a)\n") == set()
    assert kinds("a = 1\nb = 2\nc = 3\nprint(a)\nprint(b)\n") == {"script"}
    assert kinds("for a in b:\n    c(a)\n    d(a)\n    if a:\n        e(a)\n") == {"script"}
    assert kinds("import a\nimport b\nimport c\nimport d\nimport e\nimport f\n") == set()


@pytest.mark.parametrize(("path", "expected"), [("a.kt", 0), ("a.kts", 1), ("", 0)])
def test_only_script_files_of_kotlin_have_scripts(path: str, expected: int) -> None:
    source, _ = read(FIXTURES / "script_kotlin.kts")
    scripts = [f for f in extract(source, "kotlin", path).functions if f.kind == "script"]
    assert len(scripts) == expected


# --- snippets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", ["", "   \n", "return a + 1", "}}}((", "x = 1 # no\n", "\udcff", b"\xff\x00"])
def test_any_text_is_a_snippet(language: str, code: str | bytes) -> None:
    snippet = extract_snippet(code, language)
    size = len(code) if isinstance(code, bytes) else len(code.encode("utf-8", "surrogatepass"))
    assert (snippet.kind, snippet.path, snippet.language) == ("snippet", "", language)
    assert (snippet.span.start_byte, snippet.span.end_byte) == (0, size)


def test_snippets_leave_out_comments_in_every_language() -> None:
    for row in LANGUAGES.values():
        marks = [f"{prefix} hidden\n" for prefix in row.line_comments if prefix != "#!"]
        marks += [f"{opening} hidden {closing}\n" for opening, closing in row.block_comments if opening[0] == "/"]
        for mark in marks:
            atoms = extract_snippet(f"{mark}foo(1)\n{mark}", row.name).atoms
            assert atoms == ["cfoo", "n1"], (row.name, mark)


def test_php_snippets_work_with_and_without_a_tag() -> None:
    bare = extract_snippet("function f($x) { // c\n return 'a'; }", "php")
    tagged = extract_snippet("<?php function f($x) { // c\n return 'a'; }", "php")
    assert bare.normalised == tagged.normalised
    assert "sa" in bare.atoms


def test_typescript_snippets_may_be_jsx_or_casts() -> None:
    # With the grammar without JSX, the apostrophe would open a string that nothing closes.
    atoms = extract_snippet("const x = <Hello>it's me</Hello>; go(1);", "tsx").atoms
    assert "cgo" in atoms
    assert "ime" not in atoms
    assert extract_snippet("const x = <any>y;", "typescript").atoms


def test_indented_python_is_moved_to_the_margin() -> None:
    flush = extract_snippet('def f(x):\n    """Doc."""\n    return x\n', "python")
    indented = extract_snippet('\n    def f(x):\n        """Doc."""\n        return x\n', "python")
    assert flush.normalised == indented.normalised


# --- awkward files ------------------------------------------------------------------------------------------


def test_unknown_language_is_misuse() -> None:
    with pytest.raises(UsageError):
        extract(b"", "cobol")
    assert extract(b"", "c++") == Extraction()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_a_failure_that_says_so(encoding: str) -> None:
    bom = {"utf-16": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}[encoding]
    result = extract(bom + "def f(): return 1".encode(encoding), "python", "a.py")
    assert result.functions == ()
    assert [(f.path, f.stage) for f in result.failures] == [("a.py", "parse")]
    assert "UTF-16" in result.failures[0].message


def test_latin1_and_emoji_keep_byte_offsets() -> None:
    source = "# caf\xe9\ndef caf\xe9(x):\n    return 'na\xefve'\n\ndef g():\n    return 1\n".encode("latin-1")
    assert functions_of(source, "python")["g"].span.start_line0 == 4
    emoji = "s = '🙂'\ndef grüße():\n    return '🙂🙂'\n"
    function = functions_of(emoji, "python")["grüße"]
    text = emoji.encode()[function.span.start_byte : function.span.end_byte].decode()
    assert text.startswith("def grüße") and text.endswith("'🙂🙂'")


def test_nul_bytes() -> None:
    result = extract(b"int f(void) { return 1; }\n\0\0\0\nint g(void) { return 2; }\n", "c")
    assert "f" in {f.name for f in result.functions}


def test_a_line_of_a_megabyte() -> None:
    source = "".join(f"function f{i}(a){{return a+{i}}}" for i in range(5_000))
    result = extract(source.encode(), "javascript", "min.js")
    assert len(result.functions) == 5_000
    assert {function.span.start_line0 for function in result.functions} == {0}
    text = f"x = '{'a' * 1_000_000}'\ndef f():\n    return 1\n"
    assert "f" in functions_of(text, "python")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("piece", ["(", "[", "{", "f(", "-"])
def test_deep_nesting_is_no_recursion(language: str, piece: str) -> None:
    head = "<?php " if language == "php" else ""
    extract((head + piece * 3000).encode(), language, deadline_s=5)
    assert isinstance(extract_snippet(piece * 3000, language), Function)


def test_a_hundred_thousand_parentheses() -> None:
    source = b"def f():\n    return 1\n\nx = " + b"(" * 100_000 + b"1" + b")" * 100_000 + b"\n"
    assert [f.name for f in extract(source, "python").functions] == ["f"]


def test_functions_nested_too_deep_are_counted() -> None:
    depth = MAX_NESTING + 8
    source = "".join(f"function f{i}() {{" for i in range(depth)) + "}" * depth
    result = extract(source.encode(), "javascript", "a.js")
    assert len(result.functions) == MAX_NESTING
    assert "8 functions nested deeper" in result.failures[0].message
    assert result.failures[0].stage == "extract"


def test_a_chain_of_twenty_thousand_calls_says_that_it_is_too_much() -> None:
    result = extract(b"def f\n  1\nend\na" + b".b()" * 20_000 + b"\n", "ruby", "a.rb")
    assert "f" in {function.name for function in result.functions}
    assert "may have been missed" in result.failures[0].message


def test_time_limit_is_a_failure() -> None:
    source = b"int f(int x) { return (x + 1) * 2; }\n" * 20_000
    result = extract(source, "c", "big.c", deadline_s=0.01)
    assert result.functions == ()
    assert [f.stage for f in result.failures] == ["parse"]
    assert "took longer than 0.01 s" in result.failures[0].message


# The Kotlin grammar never comes to an end on this.
ENDLESS = (
    b"{ld\net() { }\n\\\n ion object {\n        fmount)\n    }\n\n    fun short(x: Int) = x + 1\n\n"
    b"    abstract fun audit()\n\n    var balance: Int = 0\n        get() {\n            return field\n        }\n"
    b"        set(value) {\n            field = value\n        }\n\n    companion object {\n"
    b"        fun open(owner: String): Account {\n            ret"
)


def test_a_grammar_that_loops_for_ever_is_stopped() -> None:
    result = extract(ENDLESS, "kotlin", "a.kt")
    assert "makes the grammar loop" in result.failures[0].message
    snippet = extract_snippet(ENDLESS + b' // hidden\n"text" /* too */', "kotlin")
    assert "iowner" in snippet.atoms
    assert "stext" in snippet.atoms
    assert not {"ihidden", "itoo"} & set(snippet.atoms)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_time_limit_that_is_kept_changes_nothing(path: Path) -> None:
    source, language = read(path)
    assert extract(source, language, path.name, deadline_s=60) == extract(source, language, path.name)


def test_nonsense_is_a_failure() -> None:
    result = extract(b"%%% \xff ((( this is no code at all ]]] ;;; <<<" * 20, "go", "a.go")
    assert result.functions == ()
    assert "could not be read as Go" in result.failures[0].message


def test_hostile_names_take_no_time() -> None:
    # Each of these made a backtracking expression exponential or quadratic.
    chain = "a" + "?.b" * 200 + "[0]"
    extract(f"{chain}.c = () => 1;".encode(), "javascript")
    extract(f"x['{'w' * 500_000}'].f = () => 1;".encode(), "javascript")
    templates = "template<a> " * 60
    extract(f"// doc\n{templates}? int f() {{ return 1; }}".encode(), "cpp")
    extract(f"/*{'*' * 300_000}*/\nint f() {{ return 1; }}".encode(), "c")
