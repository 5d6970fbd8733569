"""What is left of a result: comments, ignored pairs, baselines; groups; and fingerprints that outlive an edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone.extract import extract
from polyclone.group import group
from polyclone.languages import LANGUAGES
from polyclone.suppress import NONE, Entry, Suppressions, apply, entry_for, label, merged
from polyclone.values import Function, Ignored, Match, ScanResult, pair_fingerprint
from support.polyglot import TOTAL_ABOVE, framed
from support.results import CHECK, LUHN, PAN, SLUG, SLUGIFY, function, match, scan_result


def accepting(*matches: Match) -> Suppressions:
    return Suppressions(baseline={m.fingerprint: entry_for(m) for m in matches})


def ignoring(*matches: Match, reason: str = "why") -> Suppressions:
    return Suppressions(ignored={m.fingerprint: entry_for(m, reason) for m in matches})


def with_comment(result: ScanResult, target: Function, ignored: Ignored) -> ScanResult:
    """The result as if `target` had the comment."""

    def marked(function: Function) -> Function:
        return replace(function, ignored=ignored) if function == target else function

    return replace(
        result,
        matches=tuple(replace(m, left=marked(m.left), right=marked(m.right)) for m in result.matches),
        groups=tuple(replace(g, members=tuple(map(marked, g.members))) for g in result.groups),
    )


# --- what covers a pair ---


def test_nothing_is_suppressed_unasked() -> None:
    result = scan_result()
    left, account = apply(result, NONE)
    assert left == result
    assert account.total == 0
    assert account.reasons == ()


def test_the_first_source_that_covers_a_pair_is_named() -> None:
    pair = match(CHECK, PAN, 0.9)
    both = merged([ignoring(pair), accepting(pair)])
    covered = both.covers(pair)
    assert covered is not None and (covered.source, covered.reason) == ("ignored", "why")
    for commented in (
        replace(pair, left=replace(CHECK, ignored=Ignored(reason="table", line0=1))),
        replace(pair, right=replace(PAN, ignored=Ignored(reason="table", line0=1))),
    ):
        covered = both.covers(commented)
        assert covered is not None and (covered.source, covered.reason) == ("comment", "table")
    covered = accepting(pair).covers(replace(pair, left=PAN, right=CHECK))
    assert covered is not None and covered.source == "baseline"
    assert both.covers(match(CHECK, LUHN, 0.9)) is None


def test_the_account_says_how_many_and_why() -> None:
    result = scan_result()
    first, second, third, fourth = result.matches
    files = merged([ignoring(second, third, reason="a port"), ignoring(first, reason="by hand"), accepting(fourth)])
    left, account = apply(result, files)
    assert left.matches == left.groups == ()
    assert dict(account.pairs) == {"comment": 0, "ignored": 3, "baseline": 1}
    assert account.reasons == (("ignored", "a port", 2), ("ignored", "by hand", 1), ("baseline", "", 1))
    assert account.unused is None


def test_what_covers_nothing_is_told_when_all_was_scanned() -> None:
    result = with_comment(scan_result(), SLUG, Ignored(reason="used", line0=4))
    gone = Entry(fingerprint="0" * 32, left="go A", right="java B", path=".polyclone/ignored", line0=7)
    files = Suppressions(
        ignored={gone.fingerprint: gone}, baseline={m.fingerprint: entry_for(m) for m in result.matches}
    )
    idle = replace(CHECK, path="go/idle.go", ignored=Ignored(reason="idle", line0=2))
    whole_file = Ignored(reason="all of it", line0=0, whole_file=True)
    others = [replace(f, path="x.py", ignored=whole_file) for f in (LUHN, CHECK)]
    _, account = apply(result, files, [*(f for m in result.matches for f in (m.left, m.right)), idle, *others])
    assert account.unused is not None
    assert [(u.source, u.path, u.line0, u.text) for u in account.unused] == [
        ("comment", "go/idle.go", 2, "idle"),
        ("comment", "x.py", 0, "all of it"),
        ("ignored", ".polyclone/ignored", 7, "go A and java B"),
    ]
    # A pair that is suppressed twice over leaves neither of the two unused.
    assert apply(result, merged([files, ignoring(*result.matches)]), ())[1].unused == account.unused[2:]


# --- groups ---


def test_a_group_without_pairs_vanishes_and_the_others_stay_as_they_are() -> None:
    result = scan_result()
    left, _ = apply(result, accepting(result.matches[3]))
    assert left.groups == result.groups[:1]
    assert left.groups[0] is result.groups[0]
    assert left.matches == result.matches[:3]


def test_a_group_keeps_the_members_that_still_have_a_pair() -> None:
    result = scan_result()
    check_pan, check_luhn, luhn_pan, _ = result.matches
    left, _ = apply(result, ignoring(check_luhn))
    assert left.groups[0] is result.groups[0]
    left, _ = apply(result, ignoring(check_luhn, luhn_pan))
    assert [g.members for g in left.groups] == [(CHECK, PAN), (SLUG, SLUGIFY)]
    assert left.groups[0].probability == check_pan.probability
    left, _ = apply(with_comment(result, CHECK, Ignored(reason="x", line0=0)))
    assert [g.members for g in left.groups] == [(LUHN, PAN), (SLUG, SLUGIFY)]
    assert left.groups[0].probability == luhn_pan.probability


def test_a_group_falls_into_the_parts_that_hold_together() -> None:
    a, b, c, d = (
        function(f"{n}.x", language, n) for n, language in zip("abcd", ("c", "go", "java", "rust"), strict=True)
    )
    edges = {(a, b): 0.9, (c, d): 0.8, (b, c): 0.7, (a, c): 0.75}
    matches = tuple(match(*pair, p) for pair, p in sorted(edges.items(), key=lambda item: -item[1]))
    whole = group(matches, lambda pairs: [0.65] * len(pairs), min_probability=0.6)
    result = scan_result(matches=matches, groups=whole)
    assert [g.members for g in whole] == [(a, b, c, d)]
    left, _ = apply(result, accepting(*(m for m in matches if m.probability < 0.8)))
    assert [(g.members, g.probability) for g in left.groups] == [((a, b), 0.9), ((c, d), 0.8)]
    left, _ = apply(result, accepting(*(m for m in matches if m.right == d)))
    assert [(g.members, g.probability) for g in left.groups] == [((a, b, c), 0.7)]


def test_a_pair_that_lost_its_group_becomes_one() -> None:
    """`b` and `c` are in two groups that do not fit together; when both are gone, the pair stands alone."""
    a, b, c, d = (
        function(f"{n}.x", language, n) for n, language in zip("abcd", ("c", "go", "java", "rust"), strict=True)
    )
    matches = (match(a, b, 0.95), match(c, d, 0.9), match(b, c, 0.8))
    result = scan_result(
        matches=matches, groups=group(matches, lambda pairs: [0.1] * len(pairs), min_probability=0.6)
    )
    assert [g.members for g in result.groups] == [(a, b), (c, d)]
    left, _ = apply(result, accepting(matches[0], matches[1]))
    assert [(g.members, g.probability) for g in left.groups] == [((b, c), 0.8)]


_LANGUAGES = ("c", "go", "java", "rust", "python")
_FUNCTIONS = [function(f"{n}/f.x", _LANGUAGES[n % 5], f"f{n}", text=f"i{n % 9}") for n in range(12)]


@st.composite
def results(draw: st.DrawFn) -> ScanResult:
    pairs = [(a, b) for i, a in enumerate(_FUNCTIONS) for b in _FUNCTIONS[i + 1 :] if a.language != b.language]
    chosen = draw(st.lists(st.sampled_from(range(len(pairs))), unique=True, max_size=25))
    by_content: dict[str, float] = {}

    def probability(a: Function, b: Function) -> float:
        seed = int(pair_fingerprint(a, b)[:6], 16)
        return by_content.setdefault(pair_fingerprint(a, b), 0.5 + seed % 500 / 1000)

    matches = sorted((match(*pairs[i], probability(*pairs[i])) for i in chosen), key=lambda m: -m.probability)
    groups = group(matches, lambda asked: [probability(*pair) - 0.2 for pair in asked], min_probability=0.5)
    return scan_result(matches=tuple(matches), groups=groups)


@settings(max_examples=150, deadline=None)
@given(results(), st.sets(st.integers(0, 24)))
def test_laws_of_what_is_left(result: ScanResult, chosen: set[int]) -> None:
    covered = [m for n, m in enumerate(result.matches) if n in chosen]
    files = accepting(*covered)
    left, account = apply(result, files)
    assert left.matches == tuple(m for m in result.matches if files.covers(m) is None)
    assert account.total + len(left.matches) == len(result.matches)
    for found in left.groups:
        inside = [m for m in left.matches if {m.left, m.right} <= set(found.members)]
        assert {f for m in inside for f in (m.left, m.right)} == set(found.members)
        within = [g for g in result.groups if set(found.members) <= set(g.members)]
        assert within or len(found.members) == 2
        assert not within or found.probability >= min(g.probability for g in within)
        assert all(m.probability >= found.probability for m in inside)
    assert {f for m in left.matches for f in (m.left, m.right)} == {f for g in left.groups for f in g.members}
    assert apply(left, files)[0] == left
    assert left.groups == tuple(sorted(left.groups, key=lambda g: -g.probability))


# --- fingerprints ---


def variants(language: str) -> Iterator[tuple[str, bytes, str]]:
    """(change, source, path) of a file whose function is the same as ever."""
    suffix = LANGUAGES[language].extensions[0]
    code = framed(language, TOTAL_ABOVE[language])
    mark = LANGUAGES[language].line_comments[-1 if language != "php" else 0].replace("#!", "//")
    first, rest = TOTAL_ABOVE[language].split("\n", 1)
    yield "moved", code.encode(), f"elsewhere/deep/other{suffix}"
    yield "CRLF", code.replace("\n", "\r\n").encode(), f"sample{suffix}"
    wide = TOTAL_ABOVE[language].replace("\t", "    ").replace("    ", "      ")
    yield "reindented", framed(language, wide).encode(), f"sample{suffix}"
    lower = f"{mark} Other words above.\n\n{TOTAL_ABOVE[language]}"
    yield "moved down, a comment above", framed(language, lower).encode(), f"sample{suffix}"
    inside = f"{first} {mark} beside\n    {mark} and inside\n{rest}"
    yield "comments inside", framed(language, inside).encode(), f"sample{suffix}"
    marked = f"{first} {mark} polyclone: ignore[x]\n{rest}"
    yield "a comment to polyclone", framed(language, marked).encode(), f"sample{suffix}"
    if language not in ("python", "ruby", "scala", "go", "kotlin", "swift"):
        joined = " ".join(line.strip() for line in TOTAL_ABOVE[language].splitlines())
        yield "on one line", framed(language, joined + "\n").encode(), f"sample{suffix}"
    if language == "python":
        nested = "class A:\n" + "".join(f"    {line}\n" for line in TOTAL_ABOVE[language].splitlines())
        yield "in a class", nested.encode(), "sample.py"


def total(source: bytes, language: str, path: str) -> Function:
    (found,) = [f for f in extract(source, language, path).functions if f.name == "total"]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fingerprint_survives_what_changes_no_behaviour(language: str) -> None:
    other = function("a/b.x", "go" if language != "go" else "java", "other")
    suffix = LANGUAGES[language].extensions[0]
    before = total(framed(language, TOTAL_ABOVE[language]).encode(), language, f"sample{suffix}")
    accepted = accepting(match(before, other, 0.9))
    changes = list(variants(language))
    assert len(changes) >= 6
    for change, source, path in changes:
        after = total(source, language, path)
        assert after.path == path
        assert pair_fingerprint(other, after) == pair_fingerprint(before, other), change
        assert accepted.covers(match(other, after, 0.5)) is not None, change


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fingerprint_does_not_survive_another_constant(language: str) -> None:
    before = total(framed(language, TOTAL_ABOVE[language]).encode(), language, "a")
    after = total(framed(language, TOTAL_ABOVE[language].replace("10", "11")).encode(), language, "a")
    assert pair_fingerprint(before, CHECK) != pair_fingerprint(after, CHECK)


def test_labels_are_one_field() -> None:
    odd = replace(CHECK, qualified_name="Card.\tit  checks\n twice")
    assert label(odd) == "go Card. it checks twice"
    assert entry_for(match(PAN, CHECK, 0.9)) == entry_for(match(CHECK, PAN, 0.9))
