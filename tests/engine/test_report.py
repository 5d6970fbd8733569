"""Every format from results made by hand: the whole text once, then what varies. And the JSON Schema holds."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import jsonschema
import pytest
from polyclone.report import json_v1, source, text, wording
from polyclone.report.text import TextOptions
from polyclone.suppress import Account, Problem, Unused
from polyclone.values import CloneGroup, Failure, Function, ScanResult
from support.results import CHECK, LUHN, MODEL, PAN, SLUG, SLUGIFY, function, match, scan_result

FULL = """\
0.91  Go, Python, TypeScript
      go/card.go:14  CheckCardNumber
      py/card.py:3   Card.luhn
      ts/pan.ts:120  isPlausiblePan
      same constants: 9, 19 (Go, TypeScript)
      same control_flow: for, if (Go, TypeScript)

0.85  Ruby, TypeScript
      rb/slug.rb:7  permalink
      ts/slug.ts:5  slugify
      same strings: -

2 groups, 4 pairs among 12 functions in 5 files
     1  Go, Python
     1  Go, TypeScript
     1  Python, TypeScript
     1  Ruby, TypeScript
Too small to judge: 3 functions
Longer than the model reads: 1 function, judged without their middle
Skipped: 42 files (generated 2, vendored 40)
Trouble: 1 failure
  go/bad.go  parse: took longer than 10 s
Reported from p = 0.8. Model hand-made 1.0 (abcdef012345)
"""


def test_text_says_it_all() -> None:
    assert text.render(scan_result()) == FULL


def test_text_of_nothing_found() -> None:
    nothing = scan_result(matches=(), groups=(), too_small=0, truncated=0, skipped={}, failures=())
    assert text.render(nothing) == (
        "No clones found among 12 functions in 5 files\nReported from p = 0.8. Model hand-made 1.0 (abcdef012345)\n"
    )


ACCOUNT = Account(
    pairs={"comment": 1, "ignored": 0, "baseline": 1200},
    reasons=(("comment", "a \x1b[31mport", 1), ("baseline", "", 1200)),
    unused=(
        Unused(source="comment", path="go/card.go", line0=6, text="gone"),
        Unused(source="baseline", path=".polyclone/baseline", line0=0, text="go A and rust b", fingerprint="0" * 32),
    ),
    problems=(Problem(path=".polyclone/ignored", line0=8, message="is no entry"),),
)


def test_text_of_what_is_left_out() -> None:
    told = text.render(scan_result(), TextOptions(place=lambda path: f"here/{path}"), ACCOUNT)
    left_out = """\
Left out: 1,201 pairs (by comments 1, accepted in the baseline 1,200)
     1  a \\x1b[31mport
Without effect: 2 suppressions
  here/go/card.go:7  gone
  .polyclone/baseline:1  go A and rust b
Not understood: 1 line of suppression files
  .polyclone/ignored:9  is no entry
Too small to judge: 3 functions
"""
    assert f"     1  Ruby, TypeScript\n{left_out}" in told
    nothing = Account(pairs={"comment": 0, "ignored": 0, "baseline": 0}, unused=None)
    assert text.render(scan_result(), account=nothing) == FULL
    many = replace(ACCOUNT, unused=ACCOUNT.unused * 10)
    assert "  … and 10 more; -v lists them all" in text.render(scan_result(), account=many)
    assert "more; -v" not in text.render(scan_result(), TextOptions(all_failures=True), many)


def test_json_of_what_is_left_out() -> None:
    found = json.loads(json_v1.render(scan_result(), ACCOUNT))
    jsonschema.validate(found, json_v1.schema())
    assert found["suppressed"] == {
        "pairs": {"comment": 1, "ignored": 0, "baseline": 1200},
        "reasons": [
            {"source": "comment", "reason": "a \x1b[31mport", "pairs": 1},
            {"source": "baseline", "reason": "", "pairs": 1200},
        ],
        "unused": [
            {"source": "comment", "path": "go/card.go", "line": 7, "text": "gone", "fingerprint": None},
            {
                "source": "baseline",
                "path": ".polyclone/baseline",
                "line": 1,
                "text": "go A and rust b",
                "fingerprint": "0" * 32,
            },
        ],
        "problems": [{"path": ".polyclone/ignored", "line": 9, "message": "is no entry"}],
    }
    partly = json.loads(json_v1.render(scan_result(), replace(ACCOUNT, unused=None)))
    jsonschema.validate(partly, json_v1.schema())
    assert partly["suppressed"]["unused"] is None


def test_color_changes_no_letter() -> None:
    colored = text.render(scan_result(), TextOptions(color=True))
    assert "\x1b[" in colored
    assert _without_escapes(colored) == FULL


def test_narrow_output_keeps_places_on_one_line() -> None:
    assert text.render(scan_result(), TextOptions(width=20)) == FULL


def test_places_are_given_as_the_caller_wants_them() -> None:
    shown = text.render(scan_result(), TextOptions(place=lambda path: f"/repo/{path}"))
    assert "/repo/go/card.go:14  CheckCardNumber" in shown
    assert "/repo/go/bad.go  parse" in shown


def test_what_max_groups_leaves_out_is_counted() -> None:
    shown = text.render(scan_result(), TextOptions(max_groups=1))
    assert "permalink" not in shown
    assert "… and 1 more group, left out by --max-groups 1" in shown
    assert "2 groups, 4 pairs" in shown


def test_long_lists_of_failures_are_cut_aloud() -> None:
    failures = tuple(Failure(path=f"{n:02}.go", stage="read", message="gone") for n in range(14))
    short = text.render(scan_result(failures=failures))
    assert "Trouble: 14 failures" in short
    assert "… and 4 more; -v lists them all" in short
    assert "13.go" in text.render(scan_result(failures=failures), TextOptions(all_failures=True))


def test_a_pair_across_groups_is_not_lost() -> None:
    across = match(CHECK, SLUG, 0.8, "calls: strip")
    shown = text.render(scan_result(matches=(*scan_result().matches, across)))
    assert "Pairs that fit into no group" in shown
    assert "0.80  Go, Ruby\n      go/card.go:14  CheckCardNumber\n      rb/slug.rb:7   permalink\n" in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.0, "1.00"), (0.9999, "0.99"), (0.95, "0.95"), (0.9499, "0.94"), (0.57, "0.57"), (0.0, "0.00")],
)
def test_probabilities_are_never_rounded_up(value: float, shown: str) -> None:
    assert wording.probability(value) == shown


def test_all_hundredths_are_shown_as_they_are() -> None:
    assert [wording.probability(n / 100) for n in range(101)] == [f"{n / 100:.2f}" for n in range(101)]


@pytest.mark.parametrize("evil", ["a\x1b[31mb", "a\nb", "a\x07b", "a\u202eb", "a\udce9b", "a\x9bb"])
def test_names_cannot_command_the_terminal(evil: str) -> None:
    bad = function(f"{evil}.go", "go", evil)
    pair = match(bad, SLUG, 0.9, f"strings: {evil}")
    result = scan_result(
        matches=(pair,),
        groups=(CloneGroup(members=(bad, SLUG), probability=0.9),),
        failures=(Failure(path=evil, stage="parse", message=evil),),
    )
    options = TextOptions(code=lambda _: f"x = 1 # {evil}\n" if "\n" not in evil else "x = 1")
    shown = text.render(result, options)
    assert evil not in shown
    shown.encode("utf-8")


def test_languages_are_counted() -> None:
    assert wording.languages((CHECK, PAN, SLUGIFY)) == "Go, TypeScript ×2"
    assert wording.language("csharp") == "C#"
    assert wording.language("cobol") == "cobol"


# --- side by side ---

CODE = {
    CHECK.path: "func CheckCardNumber() bool {\n\treturn true\n}",
    LUHN.path: "def luhn(self):\n    return True",
    PAN.path: "function isPlausiblePan() {\n}",
}


def read(wanted: Function) -> str | None:
    return CODE.get(wanted.path)


def test_two_functions_stand_beside_each_other() -> None:
    group = CloneGroup(members=(CHECK, LUHN), probability=0.9)
    shown = text.render(scan_result(groups=(group,), matches=()), TextOptions(width=120, code=read))
    assert "14 func CheckCardNumber() bool {" in shown
    (line,) = [line for line in shown.splitlines() if "func CheckCardNumber" in line]
    assert "3 def luhn(self):" in line


def test_a_narrow_terminal_puts_them_below_each_other() -> None:
    group = CloneGroup(members=(CHECK, LUHN), probability=0.9)
    shown = text.render(scan_result(groups=(group,), matches=()), TextOptions(width=80, code=read))
    (line,) = [line for line in shown.splitlines() if "func CheckCardNumber" in line]
    assert "luhn" not in line
    assert "def luhn(self):" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_source_that_is_gone_is_said_to_be_gone() -> None:
    group = CloneGroup(members=(SLUG, SLUGIFY), probability=0.9)
    shown = text.render(scan_result(groups=(group,), matches=()), TextOptions(code=read))
    assert shown.count("the file has changed or cannot be read") == 2


def test_copies_are_shown_once() -> None:
    copy = replace(LUHN, path="py/copy.py")
    group = CloneGroup(members=(CHECK, LUHN, copy), probability=0.9)
    shown = text.render(scan_result(groups=(group,), matches=()), TextOptions(code=read))
    assert shown.count("def luhn(self):") == 1
    assert "py/copy.py:3" in shown


def test_long_functions_are_cut_aloud() -> None:
    excerpt = source.Excerpt(title="f", language="python", first_line=1, code="x = 1\n" * 100)
    shown = text.render(
        scan_result(groups=(CloneGroup(members=(CHECK, LUHN), probability=0.9),), matches=()),
        TextOptions(code=lambda _: excerpt.code),
    )
    assert "… 20 more lines" in shown


def test_cutting_out_a_function() -> None:
    whole = "class A:\n    def f(self):\n        return 1\n"
    assert source.cut(whole, 1, 2) == "def f(self):\n    return 1"
    assert source.cut(whole, 1, 9) is None


# --- query ---


def test_query_marks_what_is_below_the_threshold() -> None:
    matches = (match(CHECK, PAN, 0.9, "constants: 9"), match(CHECK, SLUG, 0.2))
    assert text.render_query(CHECK, matches, threshold=0.8, model=MODEL) == (
        "Functions that do the same as CheckCardNumber (Go)  go/card.go:14\n"
        "\n"
        "  0.90  ts/pan.ts:120  isPlausiblePan  TypeScript\n"
        "        same constants: 9\n"
        "  0.20  rb/slug.rb:7  permalink  Ruby  below the threshold\n"
        "\n"
        "Reported from p = 0.8. Model hand-made 1.0 (abcdef012345)\n"
    )


def test_query_without_an_answer() -> None:
    assert "Nothing comparable was found." in text.render_query(CHECK, (), threshold=0.8, model=MODEL)


# --- JSON ---


def check(document: object, definition: str = "scan") -> None:
    whole = json_v1.schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    jsonschema.validate(document, {**whole, "$ref": f"#/$defs/{definition}"}, jsonschema.Draft202012Validator)


def test_json_of_a_pair() -> None:
    found = json.loads(json_v1.render(scan_result()))
    assert found["pairs"][0] == {
        "probability": 0.9971,
        "similarity": 0.8971,
        "reasons": [
            {"kind": "constants", "text": "same constants: 9, 19", "items": ["9", "19"]},
            {"kind": "control_flow", "text": "same control_flow: for, if", "items": ["for", "if"]},
        ],
        "fingerprint": match(CHECK, PAN, 0.5).fingerprint,
        "left": {
            "path": "go/card.go",
            "language": "go",
            "kind": "function",
            "name": "CheckCardNumber",
            "qualified_name": "CheckCardNumber",
            "start_line": 14,
            "end_line": 16,
        },
        "right": {
            "path": "ts/pan.ts",
            "language": "typescript",
            "kind": "function",
            "name": "isPlausiblePan",
            "qualified_name": "isPlausiblePan",
            "start_line": 120,
            "end_line": 121,
        },
    }


def test_pairs_that_were_not_verified_are_counted() -> None:
    result = scan_result(unverified=1_200)
    assert "\nNot verified by the language model: 1,200 pairs; its time was up\nSkipped:" in text.render(result)
    assert "Not verified" not in text.render(scan_result())
    found = json.loads(json_v1.render(result))
    check(found)
    assert found["unverified"] == 1200


def test_json_of_the_rest() -> None:
    found = json.loads(json_v1.render(scan_result()))
    pairs, groups = found.pop("pairs"), found.pop("groups")
    assert [pair["probability"] for pair in pairs] == [0.9971, 0.95, 0.91, 0.85]
    assert [[member["name"] for member in group["members"]] for group in groups] == [
        ["CheckCardNumber", "luhn", "isPlausiblePan"],
        ["permalink", "slugify"],
    ]
    assert found == {
        "version": 1,
        "model": {
            "name": "hand-made",
            "kind": "compact",
            "version": "1.0",
            "digest": "abcdef0123456789" * 4,
            "dimension": 8,
        },
        "threshold": 0.8,
        "files": 5,
        "functions": 12,
        "too_small": 3,
        "truncated": 1,
        "unverified": 0,
        "skipped": {"generated": 2, "vendored": 40},
        "failures": [{"path": "go/bad.go", "stage": "parse", "message": "took longer than 10 s"}],
        "suppressed": None,
    }


def test_json_keeps_to_its_schema() -> None:
    check(json.loads(json_v1.render(scan_result())))
    check(json.loads(json_v1.render(scan_result(matches=(), groups=()))))
    matches = (match(CHECK, PAN, 0.9, "constants: 9"), match(CHECK, SLUG, 0.2))
    found = json.loads(json_v1.render_query(CHECK, matches, threshold=0.8, model=MODEL))
    check(found, "query")
    assert [entry["above_threshold"] for entry in found["matches"]] == [True, False]


def test_the_schema_refuses_what_it_does_not_describe() -> None:
    found = json.loads(json_v1.render(scan_result()))
    for broken in (
        {**found, "elapsed": 1.0},
        {**found, "version": 2},
        {k: v for k, v in found.items() if k != "pairs"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check(broken)


def test_json_does_not_depend_on_the_order_of_the_result() -> None:
    result = scan_result()
    shuffled = random.Random(7).sample(result.matches, len(result.matches))
    other = scan_result(
        matches=tuple(shuffled),
        groups=tuple(replace(g, members=g.members[::-1]) for g in reversed(result.groups)),
        skipped=dict(reversed(result.skipped.items())),
    )
    assert json_v1.render(other) == json_v1.render(result)


def test_json_survives_names_that_no_encoding_can_spell() -> None:
    odd = function("ol\udce9.go", "go", "été")
    rendered = json_v1.render(_with_pair(odd))
    rendered.encode("ascii")
    assert json.loads(rendered)["pairs"][0]["left"]["qualified_name"] == "été"


def _with_pair(left: Function) -> ScanResult:
    return scan_result(matches=(match(left, PAN, 0.9),), groups=())


def _without_escapes(colored: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", colored)
