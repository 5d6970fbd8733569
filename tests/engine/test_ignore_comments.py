"""`polyclone: ignore[reason]` in every language: where it counts, what it covers, and what is told as a mistake."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from polyclone.caching import pack_extraction, unpack_extraction
from polyclone.extract import extract
from polyclone.languages import LANGUAGES
from polyclone.values import Extraction, Ignored, SourceFile
from support.polyglot import FRAMES, TOTAL_ABOVE, framed

LINE_MARKS = [(name, mark) for name, row in LANGUAGES.items() for mark in row.line_comments if mark != "#!"]
BLOCK_MARKS = [(name, *marks) for name, row in LANGUAGES.items() for marks in row.block_comments]


def messages(extraction: Extraction) -> list[str]:
    return [failure.message for failure in extraction.failures]


def ignored(extraction: Extraction, name: str = "total") -> Ignored | None:
    assert extraction.failures == ()
    (function,) = [function for function in extraction.functions if function.name == name]
    return function.ignored


def read(source: str, language: str) -> Extraction:
    return extract(source.encode(), language, "sample")


def head_lines(language: str) -> int:
    return FRAMES.get(language, ("", ""))[0].count("\n")


# --- the matrix: every comment syntax of every language, in every place -----------------------------------------


@pytest.mark.parametrize(("language", "mark"), LINE_MARKS)
def test_line_comments(language: str, mark: str) -> None:
    first, rest = TOTAL_ABOVE[language].split("\n", 1)
    comment = f"{mark} polyclone: ignore[a table]"
    plain = ignored(read(framed(language, f"{first}\n{rest}"), language))
    above = ignored(read(framed(language, f"{comment}\n{first}\n{rest}"), language))
    above_others = ignored(read(framed(language, f"{comment}\n{mark} Adds up.\n{first}\n{rest}"), language))
    beside = ignored(read(framed(language, f"{first} {comment}\n{rest}"), language))
    inside = ignored(read(framed(language, f"{first}\n    {comment}\n{rest}"), language))
    line0 = head_lines(language)
    assert plain is None
    assert above == above_others == beside == Ignored(reason="a table", line0=line0)
    assert inside == Ignored(reason="a table", line0=line0 + 1)


@pytest.mark.parametrize(("language", "opening", "closing"), BLOCK_MARKS)
def test_block_comments(language: str, opening: str, closing: str) -> None:
    code = TOTAL_ABOVE[language]
    first, rest = code.split("\n", 1)
    tall = f"{opening}\n polyclone: ignore[a table]\n{closing}\n"
    line0 = head_lines(language)
    assert ignored(read(framed(language, tall + code), language)) == Ignored(reason="a table", line0=line0 + 1)
    inside = ignored(read(framed(language, f"{first}\n{tall}{rest}"), language))
    assert inside == Ignored(reason="a table", line0=line0 + 2)
    if opening == "=begin":  # Ruby's stand at the margin, with lines of their own.
        return
    flat = f"{opening} polyclone: ignore[a table] {closing}"
    star = f"{opening}\n * Adds up.\n * polyclone: ignore[a table]\n {closing}\n"
    assert ignored(read(framed(language, f"{flat}\n{code}"), language)) == Ignored(reason="a table", line0=line0)
    assert ignored(read(framed(language, star + code), language)) == Ignored(reason="a table", line0=line0 + 2)
    assert ignored(read(framed(language, f"{first} {flat}\n{rest}"), language)) == Ignored(
        reason="a table", line0=line0
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("change", ["crlf", "bom", "tabs"])
def test_however_the_file_is_written(language: str, change: str) -> None:
    mark = LANGUAGES[language].line_comments[-1 if language != "php" else 0].replace("#!", "//")
    source = framed(language, f"{mark} polyclone: ignore[ naïve  copy ]\n{TOTAL_ABOVE[language]}")
    data = source.encode()
    if change == "crlf":
        data = data.replace(b"\n", b"\r\n")
    elif change == "bom":
        data = b"\xef\xbb\xbf" + data
    else:
        data = data.replace(b"    ", b"\t")
    found = ignored(extract(data, language, "sample"))
    assert found == Ignored(reason="naïve copy", line0=head_lines(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_comment_is_no_part_of_the_identity(language: str) -> None:
    mark = LANGUAGES[language].line_comments[-1 if language != "php" else 0].replace("#!", "//")
    plain = read(framed(language, TOTAL_ABOVE[language]), language)
    commented = read(framed(language, f"{mark} polyclone: ignore[x]\n{TOTAL_ABOVE[language]}"), language)
    digests = [{f.name: f.digest for f in extraction.functions} for extraction in (plain, commented)]
    assert digests[0]["total"] == digests[1]["total"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_string_is_no_comment(language: str) -> None:
    first, rest = TOTAL_ABOVE[language].split("\n", 1)
    marks = {"python": "#", "ruby": "#", "php": "#"}
    text = f'"{marks.get(language, "//")} polyclone: ignore[x]"'
    statement = {
        "python": f"    log({text})",
        "ruby": f"  log({text})",
        "go": f"\tlog({text})",
        "kotlin": f"    log({text})",
        "scala": f"  log({text})",
        "swift": f"    log({text})",
    }.get(language, f"    log({text});")
    assert ignored(read(framed(language, f"{first}\n{statement}\n{rest}"), language)) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_comment_at_the_top_covers_the_file(language: str) -> None:
    mark = LANGUAGES[language].line_comments[-1 if language != "php" else 0].replace("#!", "//")
    comment = f"{mark} Copyright.\n{mark} polyclone: ignore-file[ported tables]\n\n"
    code = framed(language, TOTAL_ABOVE[language])
    if language == "php":
        source = code.replace("<?php\n", f"<?php\n{comment}")
    elif language == "go":
        source = code.replace("package Sample\n", f'package Sample\n\nimport "fmt"\n\n{comment}')
    else:
        source = comment + code
    found = ignored(read(source, language))
    assert found is not None and found.whole_file and found.reason == "ported tables"


@pytest.mark.parametrize("language", LANGUAGES)
def test_wherever_it_stands_it_counts_or_is_told(language: str) -> None:
    """On a line of its own and behind every line: one function is covered, or one mistake is reported."""
    mark = LANGUAGES[language].line_comments[-1 if language != "php" else 0].replace("#!", "//")
    lines = framed(language, f"{TOTAL_ABOVE[language]}\n{TOTAL_ABOVE[language]}").splitlines()
    plain = [function.digest for function in read("\n".join(lines), language).functions]
    covered = 0
    for at in range(1 if language == "php" else 0, len(lines)):
        comment = f"{mark} polyclone: ignore[why]"
        alone = [*lines[:at], comment, *lines[at:]]
        behind = [*lines[:at], f"{lines[at]} {comment}", *lines[at + 1 :]]
        for changed in (alone, behind):
            extraction = read("\n".join(changed), language)
            assert [function.digest for function in extraction.functions] == plain
            found = [function for function in extraction.functions if function.ignored]
            assert len(found) + len(extraction.failures) == 1, changed[at]
            covered += len(found)
    # Above, behind and below the line of each name; and on the blank line between the two.
    assert covered == 7 + (language == "go")  # Go has one below its package clause, too.


# --- single cases ---------------------------------------------------------------------------------------------


PYTHON = "def total(values):\n    result = 0\n    for v in values:\n        result += v\n    return result\n"


@pytest.mark.parametrize(
    ("language", "source", "covered"),
    [
        ("java", "class A {\n  // §\n  @Override\n  @Foo(\"a\")\n  public int f() { return 1; }\n}", "A.f"),
        ("java", "class A {\n  @Override // §\n  public int f() { return 1; }\n}", "A.f"),
        ("java", "class A {\n  int f() { return 1; } // §\n  int g() { return 2; }\n}", "A.f"),
        ("python", "# §\n@cache\n@app.route('/')\ndef f(a):\n    return a\n", "f"),
        ("python", "@cache  # §\ndef f(a):\n    return a\n", "f"),
        ("python", "def f(a): return a  # §\ndef g(a): return a\n", "f"),
        ("python", "def f(\n    a,  # §\n    b,\n):\n    return a\n", "f"),
        ("python", 'def f(a):\n    """Doc."""\n    # §\n    return a\n', "f"),
        ("python", "def f(a):\n    # §\n    def g(b):\n        return b\n    return g\n", "f.g"),
        ("python", "def f(a):  # §\n    def g(b):\n        return b\n    return g\n", "f"),
        ("python", "def f(a):  # noqa: E501  # §\n    return a\n", "f"),
        ("python", "class A:\n    # §\n    async def f(self):\n        return 1\n", "A.f"),
        ("javascript", "// §\nexport default async function f() { return 1; }\n", "f"),
        ("javascript", "// §\nexport const f = async (a) => {\n  return a;\n};\n", "f"),
        ("javascript", "export const f = async (a) => { // §\n  return a;\n};\n", "f"),
        ("javascript", "const f = (a) => a + 1; // §\n", "f"),
        ("javascript", "const f = function (a) {\n  /* § */\n  return a;\n};\n", "f"),
        ("javascript", "class A {\n  // §\n  static #f = (a) => {\n    return a;\n  };\n}\n", "A.#f"),
        ("typescript", "class A {\n  // §\n  private async f(): Promise<number> {\n    return 1;\n  }\n}\n", "A.f"),
        ("rust", "// §\n#[inline]\n#[cfg(test)]\npub fn f(a: i32) -> i32 {\n    a\n}\n", "f"),
        ("rust", "/// Adds.\n/// §\n#[must_use]\npub fn f(a: i32) -> i32 {\n    a\n}\n", "f"),
        ("cpp", "// §\ntemplate <typename T>\nT f(T a) {\n  return a;\n}\n", "f"),
        ("c", "// §\nstatic int\nf(int a)\n{\n  return a;\n}\n", "f"),
        ("c", "int f(int a)\n{ // §\n  return a;\n}\n", "f"),
        ("csharp", "class A {\n  // §\n  [Pure]\n  public int F(int a) => a + 1;\n}\n", "A.F"),
        ("csharp", "class A {\n  // §\n  int P {\n get { return 1; }\n set { v = 1; }\n}}\n", "A.P.get A.P.set"),
        ("csharp", "class A {\n  int P { // §\n get { return 1; }\n set { v = 1; }\n}}\n", "A.P.get A.P.set"),
        ("csharp", "class A {\n  int P {\n    // §\n get { return 1; }\n set { v = 1; }\n}}\n", "A.P.get"),
        ("kotlin", "// §\n@Composable\nprivate fun f(a: Int) = a + 1\n", "f"),
        ("kotlin", "val f = { a: Int ->\n    // §\n    a + 1\n}\n", "f"),
        ("swift", "/// Adds.\n/// §\n@inlinable\npublic func f(_ a: Int) -> Int {\n    return a\n}\n", "f"),
        ("scala", "// §\n@tailrec\ndef f(a: Int): Int =\n  a + 1\n", "f"),
        ("scala", "def f(a: Int): Int =\n  // §\n  a + 1\n", "f"),
        ("ruby", "class A\n  # §\n  def self.f(a)\n    a + 1\n  end\nend\n", "A.f"),
        ("ruby", "f = lambda do |a|\n  # §\n  a + 1\nend\n", "f"),
        ("php", "<?php\nclass A {\n  # §\n  #[Pure]\n  public static function f($a) { return $a; }\n}\n", "A.f"),
        ("go", "package a\n\n// F adds.\n// §\nfunc (r *T) F(a int) int {\n\treturn a\n}\n", "T.F"),
        ("go", "package a\n\nvar f = func(a int) int { // §\n\treturn a\n}\n", "f"),
    ],
)  # fmt: skip
def test_what_a_comment_covers(language: str, source: str, covered: str) -> None:
    extraction = read(source.replace("§", "polyclone: ignore[x]"), language)
    found = [function.qualified_name for function in extraction.functions if function.ignored]
    assert found == covered.split(), messages(extraction)
    assert extraction.failures == ()


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("# polyclone: ignore[why]", "why"),
        ("#polyclone:ignore [why]", "why"),
        ("# polyclone: ignore[see a[0] and b[1]] and more", "see a[0] and b[1]"),
        ("### polyclone: ignore[why not # this]", "why not # this"),
        ("# type: ignore  # polyclone: ignore[why]", "why"),
    ],
)
def test_how_a_reason_is_written(comment: str, reason: str) -> None:
    assert ignored(read(f"{comment}\n{PYTHON}", "python")) == Ignored(reason=reason, line0=0)


@pytest.mark.parametrize(
    ("source", "line", "told"),
    [
        (f"# polyclone: ignore\n{PYTHON}", 1, "says no reason, so nothing is ignored; write"),
        (f"# polyclone: ignore[]\n{PYTHON}", 1, "says no reason"),
        (f"# polyclone: ignore[ ]\n{PYTHON}", 1, "says no reason"),
        (f"# polyclone: ignore because\n{PYTHON}", 1, "says no reason"),
        (f"# polyclone: ignore(why)\n{PYTHON}", 1, "says no reason"),
        (f"# polyclone: ignore-file\n{PYTHON}", 1, "write `polyclone: ignore-file[why]`"),
        (f"# polyclone: ignore[why\n{PYTHON}", 1, "has no `]` on its line"),
        (f"# polyclone: ignore-all[why]\n{PYTHON}", 1, "is not understood: `polyclone: ignore-all`"),
        (f"# polyclone: ignore[why]\n\n{PYTHON}", 1, "covers no function; it belongs directly above one"),
        (f"{PYTHON}# polyclone: ignore[why]\n", 6, "covers no function"),
        (PYTHON.replace("result = 0", "result = 0  # polyclone: ignore[why]"), 2, "covers no function"),
        (f"x = 1  # polyclone: ignore[why]\n{PYTHON}", 1, "covers no function"),
        (f"{PYTHON}# polyclone: ignore-file[why]\n", 6, "stands below the first function or type"),
        ("# polyclone: ignore-file[why]\nx = 1\n", 1, "none was found in the file"),
        (f"# polyclone: ignore[a]\n# polyclone: ignore[b]\n{PYTHON}", 2, "the comment in line 1 covers already"),
        (f"# polyclone: ignore-file[a]\n# polyclone: ignore-file[b]\n{PYTHON}", 2, "line 1 covers already"),
    ],
)
def test_a_comment_without_effect_is_told_with_its_place(source: str, line: int, told: str) -> None:
    (failure,) = read(source, "python").failures
    assert (failure.path, failure.stage) == ("sample", "suppress")
    assert failure.message.startswith(f"line {line}: the comment ")
    assert told in failure.message


@pytest.mark.parametrize(
    "source",
    [
        PYTHON.replace("result = 0", '"""polyclone: ignore[why]"""\n    result = 0'),
        f'"""\npolyclone: ignore-file[why]\n"""\n{PYTHON}',
        f"# The comment `polyclone: ignore[why]` is described elsewhere, and polyclone: ignore too.\n{PYTHON}",
        f"# polyclone: a tool\n{PYTHON}",
        f"# mypolyclone: ignore[why]\n{PYTHON}",
    ],
)
def test_docstrings_and_prose_say_nothing(source: str) -> None:
    assert ignored(read(source, "python")) is None


def test_ruby_data_is_no_comment() -> None:
    assert ignored(read("def total(a)\n  a + 1\nend\n__END__\n# polyclone: ignore[why]\n", "ruby")) is None


def test_a_comment_of_its_own_wins_over_the_file_s() -> None:
    source = f"# polyclone: ignore-file[all]\n\n# polyclone: ignore[one]\n{PYTHON}\n"
    source += PYTHON.replace("total", "sum")
    extraction = read(source, "python")
    assert ignored(extraction, "total") == Ignored(reason="one", line0=2)
    assert ignored(extraction, "sum") == Ignored(reason="all", line0=0, whole_file=True)


def test_a_file_s_comment_covers_its_script() -> None:
    source = "# polyclone: ignore-file[demo]\n" + "".join(f"print({number})\n" for number in range(8))
    (script,) = read(source, "python").functions
    assert script.kind == "script"
    assert script.ignored == Ignored(reason="demo", line0=0, whole_file=True)


def test_the_cache_keeps_what_is_ignored() -> None:
    extraction = read(f"# polyclone: ignore[why]\n{PYTHON}# polyclone: ignore\n", "python")
    file = SourceFile(path="sample", location="/sample", language="python", size_bytes=1)
    assert unpack_extraction(pack_extraction(extraction), file) == extraction
    assert extraction.functions[0].ignored and extraction.failures


@pytest.mark.parametrize("end", ["\n", " "])
def test_many_comments_cost_little(end: str) -> None:
    comments = end.join(["# polyclone: ignore[why]"] * 5_000)
    crowd = f"{comments}\n{PYTHON}".encode()
    begin = time.process_time()
    extraction = extract(crowd, "python")
    assert time.process_time() - begin < 10
    assert len(extraction.failures) == 5_000 - 1
    assert extraction.functions[0].ignored


def test_other_files_are_not_searched(tmp_path: Path) -> None:
    """The fixtures of all languages hold no such comment, and nothing is found in them."""
    for path in sorted((Path(__file__).parents[1] / "fixtures" / "languages").iterdir()):
        language = path.name.removeprefix("script_").split("_")[0].split(".")[0]
        if path.suffix != ".expected":
            assert not any(f.ignored for f in extract(path.read_bytes(), language, path.name).functions)
