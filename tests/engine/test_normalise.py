"""Atoms: what each language's code becomes, what all languages share, and what never matters."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polyclone.extract import extract, extract_snippet
from polyclone.keywords import RESERVED, SHARED
from polyclone.languages import LANGUAGES
from polyclone.normalise import MAX_STRING, NORMALISER_VERSION, Region, normalise
from polyclone.values import ATOM_SEPARATOR
from support.polyglot import SUFFIXES, TOTAL_ABOVE, framed


def atoms(code: str, language: str) -> str:
    """The atoms of a snippet, for reading."""
    return extract_snippet(code, language).normalised.replace(ATOM_SEPARATOR, " ")


# --- what one language's code becomes ---


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        # Control flow and conditions.
        ("python", "x if a else b", "ix kif ia kelse ib"),
        ("python", "if a:\n  b()\nelif c:\n  d()", "kif ia cb kelse kif ic cd"),
        ("ruby", "if a\n b()\nelsif c\n d()\nend", "kif ia cb kelse kif ic cd"),
        ("php", "if ($a) { b(); } elseif ($c) { d(); }", "kif ia cb kelse kif ic cd"),
        ("java", "if (a) b(); else if (c) d();", "kif ia cb kelse kif ic cd"),
        ("ruby", "unless x then y end", "kif ix iy"),
        ("swift", "guard let a = b else { return }", "kif ia o= ib kelse kreturn"),
        ("go", "switch x { case 1: y(); default: z() }", "kswitch ix kcase n1 cy kdefault cz"),
        ("scala", "x match { case 1 => a; case 2 => b }", "ix kswitch kcase n1 ia kcase n2 ib"),
        ("rust", "match x { 1 => a, 2 => b }", "kswitch ix n1 ia n2 ib"),
        ("kotlin", "when (x) { 1 -> a }", "kswitch ix n1 ia"),
        ("ruby", "case x\nwhen 1\n a\nend", "kswitch ix kcase n1 ia"),
        ("go", "go f(); defer g()", "kasync cf kfinally cg"),
        ("java", "try { a(); } catch (E e) { b(); } finally { c(); }", "ktry ca kcatch iE ie cb kfinally cc"),
        ("python", "try:\n a()\nexcept E as e:\n b()\nfinally:\n c()", "ktry ca kcatch iE ie cb kfinally cc"),
        ("ruby", "begin\n a()\nrescue E => e\n b()\nensure\n c()\nend", "ca kcatch iE ie cb kfinally cc"),
        ("python", "raise E('no')", "kthrow cE sno"),
        ("java", "throw new E(\"no\");", "kthrow knew cE sno"),
        ("python", "not a and b or c", "knot ia kand ib kor ic"),
        ("c", "!a && b || c", "knot ia kand ib kor ic"),
        ("cpp", "not a and b or c", "knot ia kand ib kor ic"),
        ("javascript", "for (const x of xs) {}", "kfor ix kin ixs"),
        ("go", "for _, x := range xs {}", "kfor i_ ix o= kin ixs"),
        ("csharp", "foreach (var x in xs) {}", "kfor ix kin ixs"),
        ("python", "for x in xs: pass", "kfor ix kin ixs"),
        # Operators.
        ("javascript", "a === b; a !== b", "ia o== ib ia o!= ib"),
        ("c", "i++; --j", "ii o+= n1 o-= n1 ij"),
        ("python", "a // b ** 2", "ia o/ ib o** n2"),
        ("javascript", "a ?? b; c ||= d; e ??= f", "ia o?? ib ic kor id ie o?? if"),
        ("kotlin", "a ?: b", "ia o?? ib"),
        ("java", "x >>> 2; x >>>= 1", "ix o>> n2 ix o>>= n1"),
        ("python", "(n := f())", "in o= cf"),
        ("rust", "0..=9; 0..n", "n0 o.. n9 n0 o.. in"),
        ("swift", "0..<n; 0...9", "n0 o.. in n0 o.. n9"),
        ("javascript", "a?.b; x => y", "ia ib ix iy"),
        ("java", "c ? a : b", "ic o? ia ib"),
        ("c", "p->q; *p; &p; x[3]", "ip iq o* ip o& ip ix o[ n3"),
        ("ruby", "a <=> b; a =~ b", "ia o<=> ib ia o=~ ib"),
        # Declarations and modifiers say nothing.
        ("java", "public static final int x = 1;", "kint ix o= n1"),
        ("typescript", "private readonly x: number = 1", "ix kint o= n1"),
        ("rust", "pub let mut x: u64 = 1;", "ix kint o= n1"),
        ("kotlin", "private val x: Int = 1", "ix kint o= n1"),
        # Basic types fold.
        ("cpp", "double f(char c, bool b, size_t n)", "kfloat cf kchar ic kbool ib kint in"),
        ("csharp", "decimal f(string s, bool b, long n)", "kfloat cf kstring is kbool ib kint in"),
        ("go", "var x float64; var y rune; var z uint8", "ix kfloat iy kchar iz kint"),
        # A type's arguments are no comparisons; a comparison is.
        ("java", "Map<String, List<Integer>> m;", "iMap kstring iList kint im"),
        ("java", "f(a < b, c > d)", "cf ia o< ib ic o> id"),
        ("cpp", "std::vector<std::pair<int, Foo*>> v;", "ivector ipair kint iFoo o* iv"),
        ("cpp", "if (a < b && c > d) x();", "kif ia o< ib kand ic o> id cx"),
        ("typescript", "const m: Map<string, number> = f()", "im iMap kstring kint o= cf"),
        ("csharp", "Dictionary<string, int?> d = x;", "iDictionary kstring kint id o= ix"),
        ("kotlin", "val a: List<Set<Int>> = b", "ia iList iSet kint o= ib"),
        ("swift", "let a: Array<Int> = b", "ia iArray kint o= ib"),
        ("rust", "Vec::<Option<u8>>::new()", "iVec iOption kint cnew"),
        ("go", "a < b && c > d", "ia o< ib kand ic o> id"),
        ("c", "a < b && c > d", "ia o< ib kand ic o> id"),
        # Ruby's sigils and the marks of its methods.
        ("ruby", "@count += 1; @@total = $out", "icount o+= n1 itotal o= iout"),
        ("ruby", "x.empty? && y.save!", "ix iempty? kand iy isave!"),
        ("ruby", "a != b", "ia o!= ib"),
        ("ruby", "a ? b : c", "ia o? ib ic"),
        ("ruby", "h = { key: :value }", "ih o= ikey ivalue"),
        # Rust's lifetimes and macros.
        ("rust", "fn f<'a>(x: &'a str) -> &'a str { x }", "if ix o& kstring o& kstring ix"),
        ("rust", "println!(x); vec![1, 2]", "cprintln ix ivec o[ n1 n2"),
        ("rust", "f()?.g()? + 1", "cf cg o+ n1"),
        # PHP's variables.
        ("php", "$x = f($y[0]); $o->m($x);", "ix o= cf iy o[ n0 io cm ix"),
        ("php", "foreach ($xs as $x) {}", "kfor ixs kin ix"),
        ("php", "echo $x; return self::f($x);", "cprint ix kreturn kthis cf ix"),
        ("swift", "a! + b!", "ia o+ ib"),
        # Imports, annotations and preprocessor lines leave nothing.
        ("python", "import os\nfrom a import b\n@deco\ndef f(): pass", "cf"),
        ("java", "import a.b;\nclass A { @Override int f() { return 1; } }", "iA kint cf kreturn n1"),
        ("c", "#include <stdio.h>\nint f(void) { return 1; }", "kint cf kreturn n1"),
        ("javascript", "import { a } from 'b';\nf();", "cf"),
        ("go", 'import "fmt"\nfunc f() { g() }', "cf cg"),
        ("rust", "use std::io;\n#[inline]\nfn f() { g() }", "cf cg"),
    ],
)  # fmt: skip
def test_code_becomes_atoms(language: str, code: str, expected: str) -> None:
    assert atoms(code, language) == expected


# --- what all languages share ---


def test_there_is_an_example_of_every_language() -> None:
    assert set(TOTAL_ABOVE) == set(SUFFIXES) == set(LANGUAGES) == set(RESERVED)


#: Beside these, an atom of the common algorithm is a basic type, an index or what a declaration of it needs.
COMMON = (
    "ctotal ivalues ilimit iresult ivalue o= n0 kfor kif o> kand o!= n10 o+= o* n2 kelse kreturn".split()
)  # fmt: skip
DECLARATIONS = {"kint", "o[", "o&", "o*", "i_", "o<-", "ivector", "iIEnumerable", "iList", "iSeq", "o+=", "n1", "o="}


@pytest.mark.parametrize("language", sorted(TOTAL_ABOVE))
def test_one_algorithm_has_nearly_the_same_atoms_everywhere(language: str) -> None:
    source = framed(language, TOTAL_ABOVE[language]).encode()
    (function,) = extract(source, language, "a" + SUFFIXES[language]).functions
    found = set(function.atoms)
    assert set(COMMON) <= found
    assert found - set(COMMON) <= DECLARATIONS | {"kin", "kcontinue"}
    assert ("kcontinue" in found) == (language != "scala")  # Scala has no `continue`.


@pytest.mark.parametrize("language", sorted(RESERVED))
def test_every_shared_keyword_of_a_language_has_an_atom(language: str) -> None:
    """A reserved word never comes out as an identifier."""
    for word in sorted(RESERVED[language]):
        found = normalise(f" {word} ".encode(), 0, len(word) + 2, (), language)
        assert all(atom[0] in "kc" for atom in found.split(ATOM_SEPARATOR) if atom), (word, found)
    for word in ("if", "else", "for", "while", "return"):
        if word in RESERVED[language]:
            assert normalise(word.encode(), 0, len(word), (), language) == SHARED[word][0]


@pytest.mark.parametrize(
    "words",
    [
        {"python": "None", "java": "null", "ruby": "nil", "cpp": "nullptr", "c": "NULL", "go": "nil", "php": "null"},
        {"python": "True", "java": "true", "php": "TRUE", "rust": "true"},
        {"python": "False", "java": "false", "php": "FALSE", "rust": "false"},
        {"python": "self.x", "java": "this.x", "ruby": "self.x", "swift": "self.x", "kotlin": "this.x"},
        {"python": "not a", "java": "!a", "ruby": "not a", "php": "!$a"},
        {"python": "a and b", "java": "a && b", "ruby": "a and b", "php": "$a && $b", "go": "a && b"},
        {"python": "a or b", "java": "a || b", "ruby": "a || b", "rust": "a || b", "cpp": "a or b"},
        {"ruby": "next", "java": "continue", "python": "continue", "go": "continue"},
    ],
    ids=lambda words: words["java"] if "java" in words else words["ruby"],
)
def test_spellings_of_one_thing(words: dict[str, str]) -> None:
    assert len({atoms(code, language) for language, code in words.items()}) == 1


# --- numbers ---


@pytest.mark.parametrize(
    ("value", "spellings"),
    [
        ("n255", {"java": "0xFF 0XfF 255 255L 0b1111_1111", "rust": "255u8 2_5_5 0xFF_u32 0o377", "c": "255UL 0xffu",
                  "cpp": "2'55 0b11111111", "python": "0xff 0b11111111 0o377", "javascript": "255n"}),
        ("n1000000", {"python": "1_000_000 1e6", "cpp": "1'000'000", "java": "1_000_000L", "go": "1e6"}),
        ("n1.5", {"java": "1.5f 1.5d 1.5", "csharp": "1.5m", "rust": "1.5f32 1.5_f64", "c": "1.5L", "python": "1.5"}),
        ("n0.5", {"python": ".5 0.5", "c": ".5f", "swift": "0.5"}),
        ("n1.0", {"python": "1.0", "csharp": "1.0f", "rust": "1.0_f64"}),
        ("n1000000007", {"python": "1000000007 1_000_000_007", "cpp": "1000000007LL", "rust": "1_000_000_007i64"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_one_constant_has_one_atom(value: str, spellings: dict[str, str]) -> None:
    for language, texts in spellings.items():
        for text in texts.split():
            assert atoms(f"x = {text}", language) == f"ix o= {value}", (language, text)


def test_numbers_of_any_size() -> None:
    assert atoms(str(2**255 - 1), "python") == f"n{2**255 - 1}"
    assert atoms(str(2**256), "python") == "nbig"
    assert atoms("1e400", "c").startswith("n")
    longest = atoms("9" * 100_000, "python")
    assert longest.startswith("n9")
    assert len(longest) < 100


# --- strings and comments ---


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("python", "x = 'a b'", "ix o= sa b"),
        ("python", 'x = """a\n   b"""', "ix o= sa b"),
        ("python", "x = rb'a b'", "ix o= sa b"),
        ("python", "x = 'a\\nb'", "ix o= sa b"),
        ("python", "x = ''", "ix o= s"),
        ("javascript", "x = `a b`", "ix o= sa b"),
        ("java", 'x = "a b";', "ix o= sa b"),
        ("c", "x = 'a'; y = \"b\";", "ix o= sa iy o= sb"),
        ("csharp", 'x = @"a b";', "ix o= sa b"),
        ("rust", 'x = r#"a b"#;', "ix o= sa b"),
        ("go", "x = `a b`", "ix o= sa b"),
        ("swift", 'x = "a b"', "ix o= sa b"),
        ("kotlin", 'x = """a b"""', "ix o= sa b"),
        ("php", "$x = 'a b';", "ix o= sa b"),
        ("scala", 'x = "a b"', "ix o= sa b"),
        ("ruby", "x = %w[a b]", "ix o= sa b"),
        ("python", "x = 'if # not a comment'", "ix o= sif # not a comment"),
    ],
)
def test_the_content_of_a_string(language: str, code: str, expected: str) -> None:
    assert atoms(code, language) == expected


def test_strings_are_cut_and_hold_no_separator() -> None:
    assert atoms(f"x = '{'long ' * 100}'", "python") == "ix o= s" + ("long " * 100)[:MAX_STRING]
    (function,) = extract(f"def f():\n    return 'a{ATOM_SEPARATOR}b'\n".encode(), "python").functions
    assert function.atoms == ["cf", "kreturn", "sa b"]


@pytest.mark.parametrize("language", sorted(TOTAL_ABOVE))
def test_comments_and_layout_leave_no_atom(language: str) -> None:
    row = LANGUAGES[language]
    plain = TOTAL_ABOVE[language]
    expected = atoms(plain, language)
    marks = [mark for mark in row.line_comments if mark in ("//", "#")]
    for mark in marks:
        commented = "\n".join(f"{line} {mark} if (x) return 'y'; \"z" for line in plain.splitlines()) + "\n"
        assert atoms(commented, language) == expected
    for opening, closing in row.block_comments:
        if language == "ruby" or opening not in ("/*", "/**"):
            continue
        commented = plain.replace("\n", f" {opening} if (x) 'y' {closing}\n")
        assert atoms(commented, language) == expected
    assert atoms(plain.replace("\n", "\r\n"), language) == expected
    if language not in ("python", "go", "ruby", "kotlin", "swift", "scala"):
        assert atoms(" ".join(plain.split()), language) == expected


def test_regions_decide() -> None:
    source = b"a = 'if' # b\n@c d"
    regions = (Region(4, 8, "string"), Region(9, 12, "comment"), Region(13, 15, "drop"))
    whole = normalise(source, 0, len(source), regions, "python").split(ATOM_SEPARATOR)
    assert whole == ["ia", "o=", "sif", "id"]
    # A range may cut a region; what is outside of it is not seen.
    assert normalise(source, 10, len(source), regions, "python").split(ATOM_SEPARATOR) == ["id"]
    assert normalise(source, 0, 6, regions, "python").split(ATOM_SEPARATOR) == ["ia", "o=", "si"]
    assert normalise(source, 10, 12, regions, "python") == ""
    assert normalise(source, 2, 2, regions, "python") == ""


def test_the_version_is_that_of_the_bundles() -> None:
    """Whoever changes an atom raises the version, and looks at this table."""
    assert NORMALISER_VERSION == 2
    assert atoms("def f(a): return g(a.b[0x1F], 'c d', None) != 1.0 ** -x", "python") == (
        "cf ia kreturn cg ia ib o[ n31 sc d knull o!= n1.0 o** o- ix"
    )


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("java", "x = a? 1 : 2;", "ix o= ia o? n1 n2"),
        ("c", "x = a?1:2;", "ix o= ia o? n1 n2"),
        ("csharp", "int? x = a? 1 : 2;", "kint ix o= ia n1 n2"),  # Types end in `?` far oftener than conditions.
        ("typescript", "(x?: number, y!: T) => x!.a", "ix kint iy iT ix ia"),
        ("kotlin", "val s: String? = a!!.b ?: c", "is kstring o= ia ib o?? ic"),
        ("swift", "var s: T? = a! ? b : c", "is iT o= ia o? ib ic"),
        ("rust", "let v = f(a)?.g(b?)?; vec![v]; println!(v)", "iv o= cf ia cg ib ivec o[ iv cprintln iv"),
        ("php", "$this->x = $a ?: 1;", "kthis ix o= ia o?? n1"),
        ("ruby", "valid?(x) && y.nil? ? save!(y) : z", "cvalid? ix kand iy inil? o? csave! iy iz"),
    ],
)
def test_question_and_exclamation_marks(language: str, code: str, expected: str) -> None:
    assert atoms(code, language) == expected


# --- laws ---

TEXT = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(
        st.sampled_from(
            [b"if", b"x", b"f(", b")", b"<", b">", b"'", b'"', b"0x1F", b"1e9", b".", b"?", b"!", b" ", b"\n", b"::",
             b"$", b"@", b"'a", b"\x1f", b"\xff", b"1_0", b"0b", b"/*", b"#", b"&&", b"Vec<Box<", b">>", b"[", b"\\"]
        ),
        max_size=60,
    ).map(b"".join),
)  # fmt: skip
LANGUAGE = st.sampled_from(sorted(LANGUAGES))
KINDS = st.sampled_from(["comment", "string", "drop"])


@st.composite
def sources(draw: st.DrawFn) -> tuple[bytes, int, int, tuple[Region, ...]]:
    """Bytes, a range of them, and sorted disjoint regions anywhere."""
    source = draw(TEXT)
    position = st.integers(0, len(source))
    start, end = sorted((draw(position), draw(position)))
    ends = sorted(set(draw(st.lists(position, max_size=10))))
    regions = tuple(Region(a, b, draw(KINDS)) for a, b in zip(ends[::2], ends[1::2], strict=False))
    return source, start, end, regions


@settings(max_examples=400, deadline=None, derandomize=True)
@given(sources(), LANGUAGE)
def test_any_bytes_and_regions_give_well_formed_atoms(
    example: tuple[bytes, int, int, tuple[Region, ...]], language: str
) -> None:
    source, start, end, regions = example
    found = normalise(source, start, end, regions, language)
    assert found == normalise(source, start, end, regions, language)
    for atom in found.split(ATOM_SEPARATOR) if found else ():
        assert atom[0] in "kocins"
        assert atom[0] == "s" or len(atom) > 1
        assert len(atom) <= max(MAX_STRING + 1, len(source) + 80)
        assert "\n" not in atom
    assert found.count(ATOM_SEPARATOR) < len(source) * 2 + 2


@settings(max_examples=300, deadline=None, derandomize=True)
@given(sources(), LANGUAGE, st.binary(max_size=40), st.binary(max_size=40))
def test_what_lies_outside_of_the_range_does_not_matter(
    example: tuple[bytes, int, int, tuple[Region, ...]], language: str, before: bytes, after: bytes
) -> None:
    source, start, end, regions = example
    assume(start < end)
    inside = tuple(region for region in regions if region.end > start and region.start < end)
    moved = tuple(Region(r.start - start + len(before), r.end - start + len(before), r.kind) for r in inside)
    clipped = tuple(Region(max(r.start, len(before)), min(r.end, len(before) + end - start), r.kind) for r in moved)
    around = before + source[start:end] + after
    expected = normalise(source, start, end, regions, language)
    assert normalise(around, len(before), len(before) + end - start, clipped, language) == expected


IMPORTS = {"python": "import os\n", "javascript": "import a from 'a';\n", "rust": "use std::io;\n"}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(TOTAL_ABOVE)), st.text("abcxyz01 ", max_size=30), st.integers(0, 5))
def test_moving_a_function_changes_nothing(language: str, word: str, lines: int) -> None:
    head = IMPORTS.get(language, "") + "\n" * lines
    mark = "//" if "//" in LANGUAGES[language].line_comments else "#"
    moved = framed(language, f"{head}{mark} {word}\n{TOTAL_ABOVE[language]}")
    (function,) = extract(moved.encode(), language, "b" + SUFFIXES[language]).functions
    (still,) = extract(framed(language, TOTAL_ABOVE[language]).encode(), language, "a" + SUFFIXES[language]).functions
    assert function.normalised == still.normalised
    assert function.digest == still.digest
