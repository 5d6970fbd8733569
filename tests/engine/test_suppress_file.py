"""The text of suppression files: read leniently, written sorted, and nothing that somebody wrote is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polyclone.suppress import Entry, pair_entry
from polyclone.suppress_file import add, parse, put, remove, render

A, B, C = ("a" * 32, "b" * 32, "c" * 32)
FILE = f"""\
# Agreed on in the review of May.

{A}  go CheckCard  typescript isPlausiblePan  # the client must not trust us
# Asked the vendor, 3 June.
{C}  c frame_crc  kotlin Frames.frameCrc  # firmware
# The end.
"""


def entry(fingerprint: str, reason: str = "why") -> Entry:
    return pair_entry(fingerprint, "go F", "java A.f", reason)


def test_what_is_read() -> None:
    entries, problems = parse(FILE, ".polyclone/ignored", needs_reason=True)
    assert problems == ()
    assert [(e.fingerprint, e.left, e.right, e.reason, e.line0) for e in entries] == [
        (A, "go CheckCard", "typescript isPlausiblePan", "the client must not trust us", 2),
        (C, "c frame_crc", "kotlin Frames.frameCrc", "firmware", 4),
    ]
    assert {e.path for e in entries} == {".polyclone/ignored"}


@pytest.mark.parametrize(
    ("line", "left", "right", "reason"),
    [
        (A, "", "", ""),
        (f"  {A}  ", "", "", ""),
        (f"{A} # why", "", "", "why"),
        (f"{A}\tgo F\tjava A.f\t# why", "go F", "java A.f", "why"),
        (f"{A}  csharp V.operator +  cpp V.operator+  # a # b", "csharp V.operator +", "cpp V.operator+", "a # b"),
        (f"{A}  javascript Card.#check  go F", "javascript Card.#check", "go F", ""),
        (f"{A}  go F  java A.f  #why", "go F", "java A.f #why", ""),
    ],
)
def test_lenient_reading(line: str, left: str, right: str, reason: str) -> None:
    for text in (line, f"{line}\n", f"\ufeff{line}\r\n\r\n"):
        (found,), problems = parse(text, "f", needs_reason=False)
        assert (found.left, found.right, found.reason, problems) == (left, right, reason, ())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("<<<<<<< HEAD", "is left over from a merge"),
        ("=======", "is left over from a merge"),
        (">>>>>>> theirs", "is left over from a merge"),
        ("||||||| 1234", "is left over from a merge"),
        ("nonsense", "is no entry"),
        (A[:-1], "is no entry"),
        (A.upper(), "is no entry"),
        (f"{A}x", "is no entry"),
        (f"{B}  go F  java G", "has no reason, so the pair is still reported"),
        (f"{B}  go F  java G  #", "has no reason"),
    ],
)
def test_a_line_that_is_no_entry_is_told_and_the_rest_counts(line: str, told: str) -> None:
    entries, (problem,) = parse(f"{FILE}{line}\n{B}  # so\n", "f", needs_reason=True)
    assert [e.fingerprint for e in entries] == [A, C, B]
    assert (problem.path, problem.line0) == ("f", FILE.count("\n"))
    assert told in problem.message


def test_adding_keeps_the_order_and_every_line() -> None:
    text = add(FILE, [entry(B), entry(A, "another reason")])
    assert text == FILE.replace("# Asked the vendor", f"{B}  go F  java A.f  # why\n# Asked the vendor")
    assert add(text, [entry(B)]) == text
    assert add("", []) == ""
    assert add("", [entry(B), entry(A), entry(A)]) == f"{A}  go F  java A.f  # why\n{B}  go F  java A.f  # why\n"
    assert add("# A head only.", [entry(A)]) == f"# A head only.\n{A}  go F  java A.f  # why\n"


def test_putting_replaces_and_removing_removes() -> None:
    assert put(FILE, [entry(C, "new")]) == FILE.replace(
        f"{C}  c frame_crc  kotlin Frames.frameCrc  # firmware", f"{C}  go F  java A.f  # new"
    ).replace("# Asked the vendor, 3 June.\n", "").replace(
        "# The end.\n", "# Asked the vendor, 3 June.\n# The end.\n"
    )
    assert remove(FILE, {A}) == "".join(line for line in FILE.splitlines(keepends=True) if not line.startswith(A))
    assert remove(FILE, {B}) == FILE
    comments = "".join(line for line in FILE.splitlines(keepends=True) if line[0] in "#\n")
    assert remove(FILE, {A, C}) == comments


def test_what_a_merge_leaves_is_sorted_once_and_kept() -> None:
    line_a, line_b = render(entry(A)), render(entry(B))
    union = f"{line_b}\n{line_a}\n{line_b}\n"
    assert add(union, [entry(C)]) == f"{line_a}\n{line_b}\n{render(entry(C))}\n"
    conflict = f"<<<<<<< HEAD\n{line_b}\n=======\n{line_a}\n>>>>>>> theirs\n"
    written = add(conflict, [entry(C)])
    assert Counter(written.splitlines()) == Counter([*conflict.splitlines(), render(entry(C))])
    two_reasons = f"{line_a}\n{line_a} and more\n"
    assert add(two_reasons, [entry(B)]) == f"{two_reasons}{line_b}\n"
    (first, second), _ = parse(two_reasons, "f", needs_reason=True)
    assert (first.reason, second.reason) == ("why", "why and more")


def test_line_ends_and_odd_bytes_stay() -> None:
    crlf = FILE.replace("\n", "\r\n")
    assert add(crlf, [entry(B)]) == add(FILE, [entry(B)]).replace("\n", "\r\n")
    assert "\udcff odd" in add("\udcff odd\n", [entry(A)])


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\x00b", "a\u2028b", " a  b ", "a\tb"])
def test_nobody_can_write_a_second_line(text: str) -> None:
    line = render(pair_entry(A, f"go {text}", "java #", text))
    assert line == f"{A}  go a b  java ?  # a b"
    assert parse(line, "f", needs_reason=True)[0][0].reason == "a b"


_FINGERPRINTS = st.text("0123456789abcdef", min_size=32, max_size=32)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_ENTRIES = st.lists(st.builds(pair_entry, _FINGERPRINTS, _TEXTS, _TEXTS, _TEXTS), max_size=6)
_LINES = st.lists(_TEXTS | _FINGERPRINTS | st.just("=======") | st.just("# x"), max_size=8)


@given(_LINES, _ENTRIES)
def test_a_rewrite_loses_no_line_and_adds_each_entry_once(lines: list[str], entries: list[Entry]) -> None:
    text = "\n".join(lines)
    written = add(text, entries)
    before = {line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n") if line.strip()}
    after = [line.removesuffix("\r") for line in written.split("\n")]
    assert before <= set(after)
    found = [e.fingerprint for e in parse(written, "f", needs_reason=False)[0]]
    assert {e.fingerprint for e in entries} <= set(found)
    assert found == sorted(found)
    assert add(written, entries) == written
    assert add(written, reversed(entries)) == written


@given(_ENTRIES)
def test_what_is_written_is_read_again(entries: list[Entry]) -> None:
    unique = {e.fingerprint: e for e in reversed(entries)}
    read = {e.fingerprint: e for e in parse(add("", entries), "f", needs_reason=False)[0]}
    assert read.keys() == unique.keys()
    assert {f: render(e) for f, e in read.items()} == {f: render(e) for f, e in unique.items()}
