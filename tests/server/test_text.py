"""Texts and positions: against an oracle that counts code units one by one."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polyclone_server.text import ENCODINGS, Encoding, Point, Text, moves

#: Every width in every encoding, every line end, and what other programs take for line ends.
LETTERS = st.sampled_from("ab ÄλЖ€漢🙂𝒳\n\r\t\x0b\x0c\x1c\x85\u2028\u2029")
STRINGS = st.lists(LETTERS, max_size=40).map("".join) | st.just("a\r\nb\rc\n\r\n")
encodings = st.sampled_from(ENCODINGS)


def units(string: str, encoding: Encoding) -> int:
    if encoding == "utf-32":
        return len(string)
    width = {"utf-8": 1, "utf-16": 2}[encoding]
    return len(string.encode({"utf-8": "utf-8", "utf-16": "utf-16-le"}[encoding])) // width


def lines_of(string: str) -> list[str]:
    """Lines without their ends, by the three line ends of the protocol."""
    return re.split(r"\r\n|\n|\r", string)


def position(string: str, index: int, encoding: Encoding) -> Point:
    """Where the `index`-th character stands, which must not be the second half of a line end."""
    lines = lines_of(string[:index])
    return Point(len(lines) - 1, units(lines[-1], encoding))


def outside_line_ends(string: str, index: int) -> int:
    return index - 1 if string[index - 1 : index + 1] == "\r\n" else index


patient = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""


@patient
@given(STRINGS, st.integers(0, 40), encodings)
def test_offsets_become_positions_and_come_back(string: str, index: int, encoding: Encoding) -> None:
    index = outside_line_ends(string, min(index, len(string)))
    text, offset = Text.of(string), len(string[:index].encode())
    expected = position(string, index, encoding)
    assert text.point(offset, encoding) == expected
    assert text.offset(*expected, encoding) == offset


@patient
@given(STRINGS, st.integers(-5, 60), st.integers(-5, 60), encodings)
def test_no_position_is_outside(string: str, line: int, character: int, encoding: Encoding) -> None:
    text = Text.of(string)
    offset = text.offset(max(line, 0), character, encoding)
    assert 0 <= offset <= len(text.data)
    text.data[:offset].decode()  # Never within a character.
    if line >= len(lines_of(string)):
        assert offset == len(text.data)
    else:
        start, stop = text.line_bounds(max(line, 0))
        assert start <= offset <= stop


@patient
@given(STRINGS, STRINGS, st.integers(0, 40), st.integers(0, 40), encodings)
def test_an_edit_does_what_an_editor_does(string: str, new: str, one: int, other: int, encoding: Encoding) -> None:
    first, last = sorted(outside_line_ends(string, min(index, len(string))) for index in (one, other))
    text = Text.of(string)
    start, end = (text.offset(*position(string, index, encoding), encoding) for index in (first, last))
    assert text.replace(start, end, new).string == string[:first] + new + string[last:]
    assert text.replace(end, start, new).string == string[:first] + new + string[last:]


@patient
@given(STRINGS, STRINGS, STRINGS, STRINGS)
def test_what_was_not_touched_is_found_again(head: str, old: str, new: str, tail: str) -> None:
    before, after = Text.of(f"{head}|{old}|{tail}"), Text.of(f"{head}|{new}|{tail}")
    move = moves(before, after)
    size = len(tail.encode())
    assert move(0, len(head.encode())) == (0, len(head.encode()))
    end, moved_end = len(before.data), len(after.data)
    assert move(end - size, end) == (moved_end - size, moved_end)


@patient
@given(STRINGS, STRINGS, st.integers(0, 60), st.integers(0, 60))
def test_whatever_is_found_again_is_the_same(one: str, other: str, left: int, right: int) -> None:
    before, after = Text.of(one), Text.of(other)
    start, stop = sorted((min(left, len(before.data)), min(right, len(before.data))))
    moved = moves(before, after)(start, stop)
    if moved is not None:
        assert before.data[start:stop] == after.data[slice(*moved)]


def test_an_edited_function_is_not_found_again_and_its_neighbours_are() -> None:
    before = Text.of("def a():\n  1\ndef b():\n  2\ndef c():\n  3\n")
    after = Text.of("def a():\n  1\ndef b():\n  22\ndef c():\n  3\n")
    move = moves(before, after)
    assert move(0, 12) == (0, 12)
    assert move(13, 25) is None
    assert move(26, 38) == (27, 39)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_halves_of_a_character_that_meet_are_one(encoding: Encoding) -> None:
    text = Text.of("\ud83d").replace(3, 3, "\ude42")
    assert text.string == "🙂"
    assert Text.of("x\ud83dy").offset(0, 2, "utf-16") == 4


def test_a_byte_order_mark_of_a_file_has_no_width() -> None:
    text = Text.from_disk(b"\xef\xbb\xbfdef f(): pass")
    assert text.point(7, "utf-16") == Point(0, 4)
    assert text.offset(0, 4, "utf-16") == 7
    assert text.string == "def f(): pass"


def test_what_is_no_utf_8_can_be_read_all_the_same() -> None:
    text = Text.from_disk(b"caf\xe9 = 1\n\xff\xfe")
    assert text.line_count == 2
    assert "caf" in text.string
    assert text.point(3, "utf-16") == Point(0, 3)


def test_lines_come_without_their_ends() -> None:
    assert Text.of("a\r\nb\rc\n\u2028d").lines(0, 9) == ["a", "b", "c", "\u2028d"]
