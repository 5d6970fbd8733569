"""Which functions count as counterparts, and the ports command on a workspace written here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from polyclone.errors import UsageError
from polyclone.extract import extract
from polyclone_distill.evaluation import command
from polyclone_distill.evaluation.ports import choose_keys, fold, keys_of, load_workspace

CASES = [
    ("python", "a/stack.py", "class Stack:\n    def __init__(self): self.n = 0\n", [("stack", "constructor")]),
    ("python", "a/stack.py", "class Stack:\n    def push_all(self, x): self.n = x\n", [("stack", "pushall")]),
    ("python", "a/bit_ops.py", "def count_bits(x):\n    return x\n", [("bitops", "countbits")]),
    ("java", "A.java", "class Stack { Stack(int n) { this.n = n; } }", [("stack", "constructor")]),
    ("java", "A.java", "class Outer { class Stack { void pushAll(int x) { n = x; } } }", [("stack", "pushall")]),
    ("cpp", "a.cc", "namespace s { void Stack::PushAll(int x) { n = x; } }", [("stack", "pushall")]),
    ("cpp", "a.cc", "namespace s { Stack::Stack(int n) : n(n) {} }", [("stack", "constructor")]),
    ("cpp", "a/bit_ops.cc", "namespace s { int CountBits(int x) { return x; } }", [("bitops", "countbits")]),
    ("go", "stack.go", "package s\nfunc (s *Stack) PushAll(x int) { s.n = x }\n", [("stack", "pushall")]),
    ("go", "x.go", "package s\nfunc NewStack(n int) *Stack { return nil }\n", [("stack", "constructor")]),
    ("go", "bit_ops.go", "package s\nfunc CountBits(x int) int { return x }\n", [("bitops", "countbits")]),
    ("javascript", "Stack.js", "class Stack { constructor(n) { this.n = n; } }", [("stack", "constructor")]),
    ("swift", "S.swift", "class Stack { init(_ n: Int) { self.n = n } }", [("stack", "constructor")]),
    ("rust", "s.rs", "impl Stack { pub fn new(n: i32) -> Self { Stack { n } } }", [("stack", "constructor")]),
    ("csharp", "S.cs", "namespace A.B { class Stack { void PushAll(int x) { n = x; } } }", [("stack", "pushall")]),
    ("csharp", "S.cs", "class Stack { int Size { get { return n; } } }", [("stack", "size")]),
]


@pytest.mark.parametrize(("language", "path", "code", "expected"), CASES)
def test_keys(language: str, path: str, code: str, expected: list[tuple[str, str]]) -> None:
    functions = [f for f in extract(code.encode(), language, path).functions if f.kind != "script"]
    assert [keys_of(f)[0] for f in functions] == expected


def test_what_has_no_key() -> None:
    functions = extract(b"const xs = ys.map((y) => { return y + 1; });\n", "javascript", "a.js").functions
    assert all(keys_of(f) == () for f in functions)


def test_fold() -> None:
    assert fold("adaptive_predict") == fold("AdaptivePredict") == fold("adaptivePredict") == "adaptivepredict"


def test_go_types_may_carry_their_package() -> None:
    (function,) = extract(b"package s2\nfunc (c Cap) AddPoint(p Point) Cap { return c }\n", "go", "cap.go").functions
    keys = keys_of(function, "s2")
    assert keys == (("cap", "addpoint"), ("s2cap", "addpoint"))
    elsewhere = [("java", (("s2cap", "addpoint"),)), ("cpp", (("s2cap", "addpoint"),))]
    plain = [("java", (("cap", "addpoint"),))]
    assert choose_keys([("go", keys), *elsewhere])[0] == ("s2cap", "addpoint")
    assert choose_keys([("go", keys), *plain])[0] == ("cap", "addpoint")
    assert choose_keys([("go", keys), *plain, *elsewhere])[0] == ("s2cap", "addpoint")
    assert choose_keys([("go", ())])[0] is None


METHODS = {
    "pushAll": ("values", "count", "limit"),
    "findDeep": ("needle", "depth", "branch"),
    "mergeHeaps": ("other", "weight", "child"),
}


def python_class() -> str:
    lines = ["class ForestIndex:"]
    for name, (a, b, c) in METHODS.items():
        folded = "".join("_" + x.lower() if x.isupper() else x for x in name)
        lines += [f"    def {folded}(self, {a}, {b}):", f"        {c} = 0", f"        for item in {a}:"]
        lines += [f"            if item > {b}:", f"                {c} += item * {b}", f"        return {c}", ""]
    return "\n".join(lines)


def java_class() -> str:
    methods = "".join(
        f"  int {name}(int[] {a}, int {b}) {{ int {c} = 0;\n"
        f"    for (int item : {a}) {{ if (item > {b}) {{ {c} += item * {b}; }} }}\n    return {c}; }}\n"
        for name, (a, b, c) in METHODS.items()
    )
    return f"class ForestIndex {{\n{methods}  int size() {{ return n; }}\n}}\n"


def go_file() -> str:
    methods = "".join(
        f"func (f *ForestIndex) {name[0].upper()}{name[1:]}({a} []int, {b} int) int {{\n\t{c} := 0\n"
        f"\tfor _, item := range {a} {{\n\t\tif item > {b} {{\n\t\t\t{c} += item * {b}\n\t\t}}\n\t}}\n"
        f"\treturn {c}\n}}\n"
        for name, (a, b, c) in METHODS.items()
    )
    return "package forest\n" + methods


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "forest"
    root.mkdir()
    (root / "forest_index.py").write_text(python_class(), "utf-8")
    (root / "ForestIndex.java").write_text(java_class(), "utf-8")
    (root / "forest_index.go").write_text(go_file(), "utf-8")
    return root


def test_workspace(workspace: Path) -> None:
    pool = load_workspace([workspace])
    assert pool.counts["units"] == 9
    assert pool.counts["too small"] == 1
    assert pool.counts["keys in several languages"] == 3
    assert {item.group for item in pool.items} == {
        "forestindex.pushall",
        "forestindex.finddeep",
        "forestindex.mergeheaps",
    }
    assert {item.cluster for item in pool.items} == {"forestindex"}


def test_overloads_are_all_relevant_and_counted(workspace: Path) -> None:
    source = java_class()
    body = source[source.index("  int pushAll") : source.index("  int findDeep")]
    (workspace / "ForestIndex.java").write_text(source.replace("  int size", body + "  int size"), "utf-8")
    pool = load_workspace([workspace])
    assert pool.counts["of them ambiguous"] == 1
    assert sum(item.group == "forestindex.pushall" for item in pool.items) == 4


def test_ports_by_command(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    target = tmp_path / "ports.json"
    options = parser.parse_args(
        ["evaluate", "ports", str(workspace), "--baselines-only", "--json", str(target), "--resamples", "20"]
    )
    assert options.run(options) == 0
    assert "one other language as the pool (18 queries × languages)" in capsys.readouterr().out
    report = json.loads(target.read_text("utf-8"))
    found = {(r["view"], r["system"]): r for r in report["results"]}
    assert found["visible", "tfidf"]["directed"]["r@1"]["value"] == 1.0
    assert found["masked", "tfidf"]["directed"]["r@1"]["value"] == 1.0
    assert found["renamed", "tfidf"]["directed"]["r@1"]["value"] < 1.0
    assert {(d["query"], d["target"], d["pool"]) for d in found["visible", "bm25"]["directions"]} == {
        (a, b, 3) for a in ("go", "java", "python") for b in ("go", "java", "python") if a != b
    }


def test_a_workspace_of_one_language(workspace: Path) -> None:
    with pytest.raises(UsageError, match="lower --min-atoms"):
        load_workspace([workspace], only=["java"])
    with pytest.raises(UsageError, match="no such file"):
        load_workspace([workspace / "missing"])
