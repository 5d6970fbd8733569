"""The command line in this process, on a model made of hashed words: options, messages, exit codes, streams."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import polyclone
import pytest
from polyclone.cli import main
from polyclone.persist import index_file
from polyclone.report import json_v1
from support.fake_model import FakeModel

PYTHON = """\
def count_words(text):
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def largest_gap(values):
    gap = 0
    for left, right in zip(values, values[1:]):
        gap = max(gap, right - left)
    return gap


def tiny():
    return 1
"""
JAVASCRIPT = """\
function countWords(text) {
  const counts = {};
  for (const word of text.split()) {
    counts[word] = counts.get(word, 0) + 1;
  }
  return counts;
}

function openDoor(door, key) {
  if (!door.fits(key)) {
    throw new Error("wrong key");
  }
  door.lock.turn(key, 90);
  return door.swing();
}
"""
GAP = """\
function largestGap(values) {
  let gap = 0;
  for (const [left, right] of zip(values, values)) {
    gap = max(gap, right - left);
  }
  return gap;
}
"""


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("POLYCLONE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for module in ("session", "model"):
        monkeypatch.setattr(f"polyclone.cli.{module}.load_model", lambda *_, **__: FakeModel())
    yield
    logging.basicConfig(force=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "words.py").write_text(PYTHON)
    (root / "src" / "words.js").write_text(JAVASCRIPT)
    (root / "node_modules").mkdir()
    (root / "node_modules" / "other.js").write_text(JAVASCRIPT)
    monkeypatch.chdir(root)
    return root


def run(*argv: object) -> int:
    try:
        return main([str(part) for part in argv])
    except SystemExit as exit:
        assert isinstance(exit.code, int)
        return exit.code


# --- scan ---


def test_scan_prints_the_report_and_nothing_else(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", ".") == 0
    out, err = capsys.readouterr()
    assert "JavaScript, Python\n      src/words.js:1  countWords\n      src/words.py:1  count_words\n" in out
    assert "1 group, 1 pair among 5 functions in 2 files" in out
    assert "Too small to judge: 1 function" in out
    assert "Skipped: 1 file (vendored 1)" in out
    assert "Reported from p = 0.6. Model fake 0" in out
    assert err == ""


def test_scan_from_elsewhere_prints_whole_paths(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "away").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "away")
        assert run("scan", project) == 0
    assert f"{project.as_posix()}/src/words.py:1" in capsys.readouterr().out


def test_json_is_valid_and_the_same_with_a_cold_and_a_warm_cache(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for options in ((), (), ("--no-cache",), ("--jobs", 2)):
        assert run("scan", ".", "--format", "json", *options) == 0
        found.append(capsys.readouterr().out)
    assert len(set(found)) == 1
    jsonschema.validate(json.loads(found[0]), json_v1.schema())
    assert str(project) not in found[0]


def test_only_the_gate_makes_a_find_an_exit_code(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", ".", "--fail-on-clones") == 1
    out, err = capsys.readouterr()
    assert "1 pair" in out
    assert err == "polyclone: 1 pair found, and --fail-on-clones was given\n"
    assert run("scan", ".", "--fail-on-clones", "--exclude", "*.js") == 0


def test_thresholds(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", ".", "--min-probability", 0.05) == 0
    assert "Reported from p = 0.05." in capsys.readouterr().out
    assert run("scan", ".", "--precision", 0.5) == 0
    assert "Reported from p = 0.3." in capsys.readouterr().out
    assert run("scan", ".", "--precision", 0.99) == 2
    assert "it goes up to 0.9" in capsys.readouterr().err


def test_selection(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, told in (
        (("--languages", "py,go"), "other languages 1"),
        (("--exclude", "*.js"), "excluded 2"),
        (("--include-vendored",), "in 3 files"),
        (("--max-file-size", "0.1k"), "too large 2"),
    ):
        assert run("scan", ".", *options) == 0
        assert told in capsys.readouterr().out


def test_show_prints_the_source(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run("scan", ".", "--show") == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "def count_words(text):" in line]
    assert "function countWords(text) {" in line


def test_results_go_to_a_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", ".", "--format", "json", "--output", "found.json") == 0
    assert capsys.readouterr().out == ""
    assert json.loads((project / "found.json").read_text())["version"] == 1
    assert run("scan", ".", "--color", "always", "--output", "found.txt") == 0
    assert "\x1b" not in (project / "found.txt").read_text()
    assert run("scan", ".", "--output", "no/such/folder.txt") == 2
    assert "--output no/such/folder.txt: cannot be written" in capsys.readouterr().err


def test_color_is_for_those_who_want_it(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def colored(*options: str) -> bool:
        assert run("scan", ".", *options) == 0
        return "\x1b[" in capsys.readouterr().out

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not colored()
    assert colored("--color", "always")
    monkeypatch.setattr("polyclone.cli.terminal._is_terminal", lambda stream: stream is sys.stdout)
    assert colored()
    assert not colored("--color", "never")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colored()
    assert colored("--color", "always")


def test_the_configuration_file_is_heard(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "polyclone.toml").write_text('min-probability = 0.25\nexclude = ["*.js"]\nmax-groups = 3\n')
    assert run("scan", "src") == 0
    out = capsys.readouterr().out
    assert "Reported from p = 0.25." in out
    assert "excluded 1" in out
    assert run("scan", "src", "--precision", 0.5) == 0
    assert "Reported from p = 0.3." in capsys.readouterr().out


def test_a_wish_that_cannot_be_fulfilled_is_not_passed_over(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "polyclone.toml").write_text('format = "sarif"\n')
    assert run("scan", ".") == 2
    assert "not available in this version" in capsys.readouterr().err


def test_progress_is_drawn_on_a_terminal_only(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("polyclone.cli.terminal._is_terminal", lambda stream: stream is sys.stderr)
    assert run("scan", ".", "--no-cache") == 0
    out, err = capsys.readouterr()
    assert "1 group" in out
    assert "\x1b" not in out
    assert "Reading functions" in err or "Judging pairs" in err


# --- what is left out ---


def left_out(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """The pairs that a JSON scan of all leaves out, by source; and how many it reports."""
    assert run("scan", ".", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, json_v1.schema())
    return {**found["suppressed"]["pairs"], "reported": len(found["pairs"])}


def test_a_comment_leaves_a_function_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert left_out(capsys) == {"comment": 0, "ignored": 0, "baseline": 0, "reported": 1}
    source = (project / "src" / "words.js").read_text()
    (project / "src" / "words.js").write_text(f"// polyclone: ignore[a port]\n{source}")
    for options in ((), (), ("--no-cache",)):  # The cache keeps it.
        assert run("scan", ".", "--fail-on-clones", *options) == 0
        out, err = capsys.readouterr()
        assert "No clones found among 5 functions" in out
        assert "Left out: 1 pair (by comments 1)\n     1  a port\n" in out
        assert err == ""
    assert run("scan", ".", "--fail-on-clones", "--no-suppressions") == 1
    assert "Left out" not in capsys.readouterr().out
    assert left_out(capsys) == {"comment": 1, "ignored": 0, "baseline": 0, "reported": 0}


def test_ignoring_a_pair_by_its_places(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ignore", "src/words.py:3", "src/words.js:2:5", "--reason", "a port") == 0
    out = capsys.readouterr().out
    line = (project / ".polyclone" / "ignored").read_text()
    assert out == f"{project.as_posix()}/.polyclone/ignored:\n{line}"
    assert line.endswith("  javascript countWords  python count_words  # a port\n")
    assert left_out(capsys) == {"comment": 0, "ignored": 1, "baseline": 0, "reported": 0}
    assert run("ignore", "src/words.py:3", "src/words.js:2", "--reason", "two\nlines") == 0
    assert (project / ".polyclone" / "ignored").read_text() == line.replace("a port", "two lines")


def test_the_workspace_is_the_folder_with_polyclone_or_git(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".git").mkdir()
    monkeypatch.chdir(project / "src")
    assert run("ignore", "words.py:3", "words.js:2", "--reason", "a port") == 0
    assert (project / ".polyclone" / "ignored").exists()
    assert run("scan", ".", "--fail-on-clones") == 0
    assert "Left out: 1 pair (ignored pairs 1)" in capsys.readouterr().out


def test_ignoring_a_finding_by_its_fingerprint(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", ".", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    for kind in ("pairs", "groups"):
        fingerprint = found[kind][0]["fingerprint"]
        assert run("ignore", fingerprint, "--reason", "a port", "--root", ".") == 0
        assert "countWords  python count_words  # a port" in capsys.readouterr().out
        assert run("scan", ".", "--fail-on-clones") == 0
        (project / ".polyclone" / "ignored").unlink()
    assert run("ignore", "0" * 32, "--reason", "a port", "--root", ".") == 2
    assert "has the fingerprint 000" in capsys.readouterr().err
    assert not (project / ".polyclone" / "ignored").exists()


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("src/words.py:3",), "name two functions, FILE:LINE FILE:LINE, or one finding by its fingerprint"),
        (("src/words.py:3", "src/words.js:3", "src/words.js:9"), "name two functions"),
        (("src/words.py:3", "0" * 32), "name two functions"),
        (("src/words.py:3", "src/words.py:4"), "both places are in count_words"),
        (("src/words.py:3", "src/words.js:8"), "no function there; the file has countWords (1-7)"),
        (("src/words.py:3", "README:1"), "README: no such file or folder"),
        (("src/words.py:3", "notes.txt:1"), "not in a language that polyclone reads"),
        (("src/words.py:3", "src:1"), "src: not a file"),
        (("src/words.py:3", "-"), "'-' is neither FILE:LINE nor a fingerprint"),
        (("abc",), "'abc' is not FILE:LINE"),
    ],
)
def test_what_cannot_be_ignored(
    targets: tuple[str, ...], message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "notes.txt").write_text("words\n")
    assert run("ignore", *targets, "--reason", "why") == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""
    assert not list(project.rglob(".polyclone"))


def test_ignoring_needs_a_reason(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ignore", "src/words.py:3", "src/words.js:2") == 2
    assert "required: --reason" in capsys.readouterr().err
    assert run("ignore", "src/words.py:3", "src/words.js:2", "--reason", " ") == 2
    assert "a reason has to say something" in capsys.readouterr().err


def test_a_baseline_accepts_what_is_there_and_nothing_new(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", ".", "--write-baseline", "--fail-on-clones") == 0
    out, err = capsys.readouterr()
    assert "Left out: 1 pair (accepted in the baseline 1)" in out
    assert err == f"polyclone: 1 pair added to {project.as_posix()}/.polyclone/baseline\n"
    text = (project / ".polyclone" / "baseline").read_text()
    assert run("scan", ".", "--write-baseline") == 0
    assert (project / ".polyclone" / "baseline").read_text() == text
    (project / "src" / "words.js").rename(project / "moved.js")
    assert run("scan", ".", "--fail-on-clones") == 0
    (project / "src" / "gap.js").write_text(GAP)
    capsys.readouterr()
    assert run("scan", ".", "--fail-on-clones", "--min-probability", 0.3) == 1
    out = capsys.readouterr().out
    assert "largestGap" in out
    assert "countWords" not in out


def test_a_baseline_of_one_s_own(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scan", ".", "--baseline", "accepted.txt") == 2
    assert "--baseline: accepted.txt: no such file; make it with" in capsys.readouterr().err
    assert run("scan", ".", "--baseline", "accepted.txt", "--write-baseline") == 0
    assert not (project / ".polyclone").exists()
    assert run("scan", ".", "--fail-on-clones") == 1
    assert run("scan", ".", "--fail-on-clones", "--baseline", "accepted.txt") == 0
    (project / "polyclone.toml").write_text('baseline = "accepted.txt"\n')
    assert run("scan", ".", "--fail-on-clones") == 0
    (project / "polyclone.toml").write_text('baseline = "gone.txt"\n')
    capsys.readouterr()
    assert run("scan", ".") == 2
    assert "polyclone.toml: `baseline`:" in capsys.readouterr().err


def test_a_repository_cannot_have_a_file_written_elsewhere(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (project / "inside").symlink_to(tmp_path / "outside")
    (project / "polyclone.toml").write_text('baseline = "inside/accepted"\n')
    assert run("scan", ".", "--write-baseline") == 2
    assert "leads out of the file's folder through a link" in capsys.readouterr().err
    assert list((tmp_path / "outside").iterdir()) == []


def test_several_workspaces(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    (other / "words.js").write_text(JAVASCRIPT)
    (project / ".git").mkdir()
    (project / "src" / "words.js").unlink()
    assert run("scan", ".", other, "--write-baseline") == 2
    assert "the paths are in several workspaces" in capsys.readouterr().err
    assert run("scan", ".", other, "--fail-on-clones") == 1
    assert run("ignore", "src/words.py:1", other / "words.js:1", "--reason", "a port", "--root", other) == 0
    assert run("scan", ".", other, "--fail-on-clones") == 0


def test_contradicting_wishes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (("--write-baseline",), ("--baseline", "x")):
        assert run("scan", ".", "--no-suppressions", *options) == 2
        assert "--no-suppressions heeds no baseline" in capsys.readouterr().err


def test_what_has_no_effect_is_told_if_all_was_scanned(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".polyclone").mkdir()
    (project / ".polyclone" / "ignored").write_text(f"{'0' * 32}  go A  rust b  # gone\nnonsense\n")
    idle = "# polyclone: ignore[no reason left]\ndef idle(a):\n    return a\n# polyclone: ignore\n"
    (project / "src" / "idle.py").write_text(idle)
    assert run("scan", ".") == 0
    out = capsys.readouterr().out
    assert (
        "Without effect: 2 suppressions\n"
        "  src/idle.py:1  no reason left\n"
        "  .polyclone/ignored:1  go A and rust b\n"
        "Not understood: 1 line of suppression files\n"
        "  .polyclone/ignored:2  is no entry, which begins with"
    ) in out
    assert "  src/idle.py  suppress: line 4: the comment says no reason, so nothing is ignored" in out
    for options in (("src",), (".", "--languages", "py"), (".", "--min-probability", "0.9")):
        assert run("scan", *options) == 0
        out = capsys.readouterr().out
        assert "Without effect" not in out
        assert "Not understood: 1 line" in out
    assert run("scan", ".", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)["suppressed"]
    assert [(u["source"], u["path"], u["line"]) for u in found["unused"]] == [
        ("comment", "src/idle.py", 1),
        ("ignored", ".polyclone/ignored", 1),
    ]
    assert [(p["path"], p["line"]) for p in found["problems"]] == [(".polyclone/ignored", 2)]
    assert run("scan", "src", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["suppressed"]["unused"] is None


def test_pruning_a_baseline(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("baseline", "--root", ".") == 0
    assert "no pair is accepted" in capsys.readouterr().out
    assert run("scan", ".", "--write-baseline") == 0
    file = project / ".polyclone" / "baseline"
    kept = file.read_text()
    file.write_text(f"# Ours.\n{kept}{'f' * 32}  go A  rust b\n<<<<<<< HEAD\n")
    capsys.readouterr()
    assert run("baseline") == 0
    out, err = capsys.readouterr()
    assert "baseline: 2 pairs accepted, 1 of them without effect\n  " + "f" * 32 + "  go A and rust b\n" in out
    assert "warning: .polyclone/baseline:4: the line is left over from a merge" in err
    assert run("baseline", "prune") == 0
    assert "baseline: 1 pair removed, 1 left" in capsys.readouterr().out
    assert file.read_text() == f"# Ours.\n{kept}<<<<<<< HEAD\n"
    (project / "src" / "words.js").unlink()
    assert run("baseline", "prune") == 0
    assert file.read_text() == "# Ours.\n<<<<<<< HEAD\n"


# --- query ---


def test_query_ranks_what_is_sure_and_what_is_not(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "src/words.py:3") == 0
    out = capsys.readouterr().out
    assert "Functions that do the same as count_words (Python)  src/words.py:1" in out
    first, second = [line for line in out.splitlines() if line.startswith(("  0.", "  1."))]
    assert "src/words.js:1  countWords  JavaScript" in first
    assert "below" not in first
    assert "src/words.js:9  openDoor  JavaScript  below the threshold" in second


def test_query_of_a_file_outside_the_root(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PYTHON)
    assert run("query", tmp_path / "own.py:1:5", "--root", "src", "--limit", 1) == 0
    out = capsys.readouterr().out
    assert f"count_words (Python)  {tmp_path.as_posix()}/own.py:1" in out
    assert out.count("JavaScript") == 1


def test_query_of_a_snippet(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stdin(code: str) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(code.encode()), isatty=lambda: False))

    stdin(PYTHON.partition("\n\n")[0])
    assert run("query", "-", "--language", "py", "--show") == 0
    out = capsys.readouterr().out
    assert "src/words.js:1  countWords" in out
    assert "the snippet" in out
    stdin(PYTHON)
    assert run("query", "-", "--language", "py") == 0
    assert "Functions that do the same as snippet (Python)" in capsys.readouterr().out
    stdin(PYTHON.partition("\n\n")[0])
    assert run("query", "-", "--language", "py", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    whole = json_v1.schema()
    jsonschema.validate(found, {**whole, "$ref": "#/$defs/query"})
    assert found["target"]["path"] == ""
    assert found["matches"][0]["function"]["name"] == "countWords"
    stdin("  \n")
    assert run("query", "-", "--language", "py") == 2
    assert "no code on stdin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("src/words.py:15",), "tiny is too small to judge"),
        (
            ("src/words.py:7",),
            "src/words.py:7: no function there; the file has count_words (1-5), largest_gap (8-12)",
        ),
        (("src/none.py:1",), "src/none.py: no such file or folder"),
        (("src:1",), "src: not a file"),
        (("-",), "add --language NAME"),
        (("src/words.py:1", "--language", "py"), "--language goes with code on stdin"),
        (("src/words.py:1", "--root", "nowhere"), "nowhere: no such file or folder"),
    ],
)
def test_query_of_a_wrong_place(
    arguments: tuple[str, ...], message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("query", *arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


# --- the other commands ---


def test_index_fills_the_cache(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cache", "info") == 0
    assert "no cache yet" in capsys.readouterr().out
    assert run("index") == 0
    assert capsys.readouterr().out == (
        "Indexed 5 functions in 2 files; 1 too small to judge, 1 file skipped, 0 failures\n"
    )
    assert run("cache", "info") == 0
    out = capsys.readouterr().out
    assert "2  extraction" in out
    assert "4  vector" in out
    assert run("cache", "clear") == 0
    assert "6 entries removed" in capsys.readouterr().out
    assert run("cache", "info") == 0
    assert "0 entries" in capsys.readouterr().out
    assert run("index", "--no-cache") == 2


def test_clearing_the_cache_takes_indices_of_servers_along(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    kept = index_file(folder, [project], FakeModel())
    kept.write_bytes(b"x" * 2_000_000)
    assert run("cache", "info") == 0
    assert "1 index of a language server, 2.0 MB" in capsys.readouterr().out
    assert run("cache", "clear") == 0
    assert "1 index of a language server removed" in capsys.readouterr().out
    assert list(folder.iterdir()) == []


def test_a_cache_of_one_s_own(project: Path, tmp_path: Path) -> None:
    assert run("index", ".", "--cache-dir", tmp_path / "own") == 0
    assert (tmp_path / "own" / "cache.sqlite3").exists()
    assert not (tmp_path / "cache").exists()


def test_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("languages") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 15
    assert any(line.startswith("csharp") and "C#" in line and ".cs" in line for line in lines)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"polyclone {polyclone.__version__}\n"
    assert run("scan", "--help") == 0
    assert "--fail-on-clones" in capsys.readouterr().out


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("scan",), "the following arguments are required: PATH"),
        (("scan", "nowhere"), "nowhere: no such file or folder"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("scan", ".", "--min-probability", "1.5"), "--min-probability: '1.5' is not a number above 0 and at most 1"),
        (("scan", ".", "--min-probability", "nan"), "--min-probability: 'nan' is not a finite number"),
        (("scan", ".", "--min-probability", "high"), "--min-probability: 'high' is not a number"),
        (("scan", ".", "--precision", "0"), "--precision: '0' is not a number above 0 and at most 1"),
        (
            ("scan", ".", "--precision", "0.9", "--min-probability", "0.9"),
            "argument --min-probability: not allowed with argument --precision",
        ),
        (("scan", ".", "--languages", "klingon"), "unknown language 'klingon'"),
        (("scan", ".", "--jobs", "-1"), "--jobs"),
        (("scan", ".", "--jobs", "1.5"), "'1.5' is not a whole number"),
        (("scan", ".", "--max-file-size", "big"), "'big' is not a size such as 800000, 500k or 2M"),
        (("scan", ".", "--parse-timeout", "0"), "'0' is not a number of seconds above 0"),
        (("scan", ".", "--no-cache", "--cache-dir", "x"), "not allowed with argument"),
        (("scan", ".", "--format", "xml"), "invalid choice: 'xml'"),
        (("scan", ".", "--min-prob", "0.9"), "unrecognized arguments: --min-prob"),
        (("query", "words.py"), "'words.py' is not FILE:LINE or FILE:LINE:COL, counted from 1, or -"),
        (("query", "words.py:0"), "counted from 1"),
        (("baseline", "forget"), "invalid choice: 'forget'"),
        (("ignore",), "the following arguments are required: TARGET, --reason"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(
    arguments: tuple[str, ...], message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("polyclone: error: ")
    assert message in err
    assert "usage:" not in err
    assert "Traceback" not in err


def test_a_model_that_is_missing_is_never_a_clean_scan(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(project)
    for command in (("scan", "."), ("index",), ("query", "src/words.py:1"), ("model", "info"), ("model", "verify")):
        assert run(*command, "--model", project / "nowhere") == 2
        out, err = capsys.readouterr()
        assert "There is no model bundle at" in err
        assert out == ""


def test_an_internal_error_is_one_line_unless_more_is_wanted(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the flux\ncapacitor")

    monkeypatch.setattr("polyclone.cli.session.load_model", broken)
    assert run("scan", ".") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("polyclone: internal error: RuntimeError: the flux capacitor; run with -v for the traceback\n")
    assert run("scan", ".", "-v") == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("polyclone.cli.session.load_model", interrupted)
    assert run("scan", ".") == 130
    assert capsys.readouterr().err == "polyclone: interrupted\n"


def test_trouble_with_one_file_is_reported_and_survived(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = "\n".join(f"{' ' * n}def f{n}():" for n in range(40)) + f"\n{' ' * 40}return 1\n"
    (project / "src" / "deep.py").write_text(deep)
    assert run("scan", ".") == 0
    out = capsys.readouterr().out
    assert "1 group" in out
    assert "Trouble: 1 failure\n  src/deep.py  extract: " in out
