"""The pool: order, limits, crashes, caches and shutdown. Workers here run small extractors written by the test."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from polyclone import parsing, parsing_pool
from polyclone.extract import extract
from polyclone.parsing import Parsed, Parser, parse_files
from polyclone.values import Extraction, Failure, SourceFile

ENGINE = Path(__file__).resolve().parents[2] / "engine"

# What a file says decides what its parser does: the ways in which a grammar can fail.
MISBEHAVE = """
import os, time
from polyclone.values import Extraction, Failure

def extract(source, language, path, *, deadline_s=None):
    text = source.decode()
    if "crash" in text:
        os._exit(11)
    if "hang" in text:
        time.sleep(600)
    if "raise" in text:
        raise ValueError("unexpected")
    if "print" in text:
        print("noise on standard output")
    if "once" in text:  # fails in the first process that sees it
        marker = text.split("|")[1]
        if not os.path.exists(marker):
            open(marker, "w").close()
            os._exit(9)
    return Extraction(failures=(Failure(path=path, stage="extract", message=f"saw {text[:20]}"),))
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[..., list[SourceFile]]:
    def write(*texts: str) -> list[SourceFile]:
        files = []
        for index, text in enumerate(texts):
            location = tmp_path / f"f{index}.py"
            location.write_text(text, "utf-8")
            files.append(
                SourceFile(path=f"src/f{index}.py", location=str(location), language="python", size_bytes=len(text))
            )
        return files

    return write


@pytest.fixture
def misbehave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "misbehave_extractor.py").write_text(MISBEHAVE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "misbehave_extractor:extract"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "BATCH_BYTES", 60)
    monkeypatch.setattr(parsing_pool, "GRACE_S", 0.2)


def messages(results: list[Parsed]) -> list[str]:
    return [failure.message for result in results for failure in result.extraction.failures]


def function_text(name: str) -> str:
    return f"def {name}(a):\n    return a + 1\n"


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_are_those_of_extract_in_the_order_of_the_input(
    workspace: Callable[..., list[SourceFile]], jobs: int
) -> None:
    files = workspace(*(function_text(f"f{index}") * (1 + index % 7) for index in range(40)))
    results = list(parse_files(iter(files), jobs=jobs))
    assert [result.file for result in results] == files
    for file, digest, extraction in results:
        content = Path(file.location).read_bytes()
        assert digest == hashlib.sha256(content).hexdigest()
        assert extraction == extract(content, "python", file.path)


def test_little_work_starts_no_process(
    workspace: Callable[..., list[SourceFile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert len(list(parse_files(workspace("x = 1"), jobs=8))) == 1
    assert list(parse_files([], jobs=8)) == []


def test_isolation_starts_a_process_for_a_single_file(
    workspace: Callable[..., list[SourceFile]], misbehave: str
) -> None:
    results = list(parse_files(workspace("crash"), jobs=1, isolate=True, extractor=misbehave))
    assert messages(results) == ["crashed the parser (exit status 11); exclude it"]
    assert results[0].extraction.failures[0].stage == "parse"


def test_a_crash_costs_only_its_own_file(workspace: Callable[..., list[SourceFile]], misbehave: str) -> None:
    texts = [f"fine number {index:02}" for index in range(24)]
    texts[3] = texts[4] = texts[17] = "crash"
    results = list(parse_files(workspace(*texts), jobs=2, extractor=misbehave))
    expected = [
        "crashed the parser (exit status 11); exclude it" if text == "crash" else f"saw {text}" for text in texts
    ]
    assert messages(results) == expected


def test_a_worker_that_dies_once_costs_nothing(
    workspace: Callable[..., list[SourceFile]], misbehave: str, tmp_path: Path
) -> None:
    texts = ["fine 0", f"once|{tmp_path / 'marker'}|", "fine 2", "fine 3"]
    results = list(parse_files(workspace(*texts), jobs=2, isolate=True, extractor=misbehave))
    assert messages(results) == ["saw fine 0", f"saw {texts[1][:20]}", "saw fine 2", "saw fine 3"]


def test_a_killed_worker_is_survived(workspace: Callable[..., list[SourceFile]]) -> None:
    files = workspace(*(function_text(f"f{index}") for index in range(30)))
    before, results = set(child_pids()), []
    for result in parse_files(files, jobs=2, isolate=True):
        if len(results) == 4:
            # One of them: a file that was passed on to a second one that is killed as well would rightly be blamed.
            os.kill(min(set(child_pids()) - before), 9)
        results.append(result)
    assert [result.file for result in results] == files
    assert messages(results) == []


def test_a_hanging_file_is_given_up(workspace: Callable[..., list[SourceFile]], misbehave: str) -> None:
    texts = ["fine 0", "hang", "fine 2", "fine 3"]
    begin = time.monotonic()
    results = list(parse_files(workspace(*texts), jobs=1, isolate=True, timeout_s=0.3, extractor=misbehave))
    assert messages(results) == [
        "saw fine 0",
        "took longer than 0.3 s; raise --parse-timeout or exclude it",
        "saw fine 2",
        "saw fine 3",
    ]
    assert time.monotonic() - begin < 30


def test_the_time_limit_holds_without_workers(workspace: Callable[..., list[SourceFile]]) -> None:
    slow, fast = workspace("f(" * 100_000, "def g(): return 1")
    results = list(parse_files([slow, fast], jobs=1, timeout_s=0.01))
    assert messages(results) == ["took longer than 0.01 s; raise --parse-timeout or exclude it"]
    assert [function.name for function in results[1].extraction.functions] == ["g"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_defect_of_ours_is_one_failure(
    workspace: Callable[..., list[SourceFile]], misbehave: str, jobs: int
) -> None:
    results = list(parse_files(workspace("raise" * 20, "fine"), jobs=jobs, extractor=misbehave))
    assert messages(results) == ["internal error, please report it: ValueError: unexpected", "saw fine"]


def test_printing_does_not_disturb_the_pipe(workspace: Callable[..., list[SourceFile]], misbehave: str) -> None:
    results = list(parse_files(workspace("print", "fine"), isolate=True, extractor=misbehave))
    assert messages(results) == ["saw print", "saw fine"]


def test_unreadable_and_large_files_are_failures(workspace: Callable[..., list[SourceFile]]) -> None:
    files = workspace("x = 1", "x = 2", "y" * 50, function_text("last"))
    Path(files[0].location).unlink()
    Path(files[1].location).unlink()
    Path(files[1].location).mkdir()
    results = list(parse_files(files, jobs=2, max_bytes=40))
    failures = [failure for result in results for failure in result.extraction.failures]
    assert [(failure.path, failure.stage) for failure in failures] == [(f"src/f{i}.py", "read") for i in range(3)]
    assert "No such file" in failures[0].message
    assert "larger than 40 bytes" in failures[2].message
    assert [result.digest for result in results[:3]] == ["", "", ""]
    assert results[3].extraction.functions[0].name == "last"


def test_what_is_known_is_not_parsed(workspace: Callable[..., list[SourceFile]], misbehave: str) -> None:
    files = workspace("crash one", "fine", "crash two" * 20)
    cached = Extraction(failures=(Failure(path="cached", stage="cache", message="from the cache"),))
    asked = []

    def known(digest: str, file: SourceFile) -> Extraction | None:
        asked.append((digest, file.path))
        return cached if "crash" in Path(file.location).read_text("utf-8") else None

    results = list(parse_files(files, jobs=2, known=known, extractor=misbehave))
    assert messages(results) == ["from the cache", "saw fine", "from the cache"]
    assert [path for _, path in asked] == [file.path for file in files]
    assert [digest for digest, _ in asked] == [result.digest for result in results]


def test_progress_counts_every_file_in_order(workspace: Callable[..., list[SourceFile]]) -> None:
    files = workspace(*["x = 1"] * 30)
    seen: list[tuple[int, SourceFile]] = []
    list(parse_files(files, jobs=2, on_progress=lambda done, file: seen.append((done, file))))
    assert seen == list(enumerate(files, 1))


def test_files_are_read_only_as_far_as_needed(workspace: Callable[..., list[SourceFile]]) -> None:
    """A workspace of any size is streamed: neither all sources nor all results are held at once."""
    files = workspace(*[function_text("f")] * 300)
    taken = 0

    def stream() -> Iterator[SourceFile]:
        nonlocal taken
        for file in files:
            taken += 1
            yield file

    results = parse_files(stream(), jobs=1, isolate=True)
    next(results)
    assert taken < 150
    results.close()  # type: ignore[attr-defined]


def test_closing_early_ends_the_workers(workspace: Callable[..., list[SourceFile]]) -> None:
    before = set(child_pids())  # Of other tests, such as multiprocessing's resource tracker.
    results = parse_files(workspace(*["x = 1" * 20] * 60), jobs=2, isolate=True)
    next(results)
    assert set(child_pids()) - before
    results.close()  # type: ignore[attr-defined]
    assert set(child_pids()) <= before


def test_an_interrupt_ends_the_workers(workspace: Callable[..., list[SourceFile]]) -> None:
    def interrupt(done: int, file: SourceFile) -> None:
        if done == 3:
            raise KeyboardInterrupt

    before = set(child_pids())
    with pytest.raises(KeyboardInterrupt):
        list(parse_files(workspace(*["x = 1" * 20] * 60), jobs=2, isolate=True, on_progress=interrupt))
    assert set(child_pids()) <= before


def test_without_a_working_interpreter_the_work_happens_here(
    workspace: Callable[..., list[SourceFile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing_pool, "_BOOT", "raise SystemExit(3)")
    files = workspace(*(function_text(f"f{index}") for index in range(8)))
    results = list(parse_files(files, jobs=2, isolate=True))
    assert [result.extraction.functions[0].name for result in results] == [f"f{index}" for index in range(8)]


def test_a_script_without_a_main_guard_works(workspace: Callable[..., list[SourceFile]], tmp_path: Path) -> None:
    files = workspace(*(function_text(f"f{index}") for index in range(8)))
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ENGINE)!r})\n"
        "from polyclone import parsing\nfrom polyclone.values import SourceFile\n"
        "parsing.BATCH_BYTES = 50\n"
        f"paths = {[file.location for file in files]!r}\n"
        "files = [SourceFile(path=p, location=p, language='python', size_bytes=1) for p in paths]\n"
        "print(sum(len(r.extraction.functions) for r in parsing.parse_files(files, jobs=2)))\n",
        "utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("8\n", "", 0)


# --- a parser that stays ---


def test_a_parser_keeps_its_worker(workspace: Callable[..., list[SourceFile]]) -> None:
    before = set(child_pids())
    files = workspace(function_text("f"), function_text("g"))
    with Parser(isolate=True) as parser:
        parser.start()
        (worker,) = set(child_pids()) - before
        for _ in range(3):
            assert [result.file for result in parser.parse(files)] == files
        assert set(child_pids()) - before == {worker}
        parser.close()
        assert set(child_pids()) == before
        assert [result.file for result in parser.parse(files)] == files
    assert set(child_pids()) == before


def test_sources_stand_in_for_files(workspace: Callable[..., list[SourceFile]]) -> None:
    files = [
        *workspace(function_text("f")),
        SourceFile(path="no/file.py", location="", language="python", size_bytes=0),
    ]
    sources = {"no/file.py": function_text("unsaved").encode()}
    with Parser(isolate=True) as parser:
        results = list(parser.parse(files, sources=sources))
    assert [f.name for result in results for f in result.extraction.functions] == ["f", "unsaved"]
    assert results[1].digest == hashlib.sha256(sources["no/file.py"]).hexdigest()


def test_a_worker_may_die_between_two_files(workspace: Callable[..., list[SourceFile]]) -> None:
    files = workspace(function_text("f"))
    before = set(child_pids())
    with Parser(isolate=True) as parser:
        for _ in range(3):
            assert messages(list(parser.parse(files))) == []
            for pid in set(child_pids()) - before:
                os.kill(pid, 9)


def test_what_nobody_waits_for_is_not_parsed(workspace: Callable[..., list[SourceFile]], misbehave: str) -> None:
    """An abandoned parse neither delays the next one nor mixes with it."""
    many = workspace(*(f"file number {index:04}" for index in range(60)))
    with Parser(isolate=True, extractor=misbehave) as parser:
        abandoned = parser.parse(many)
        next(abandoned)
        abandoned.close()
        assert parser._pool.is_full is False
        assert messages(list(parser.parse(many[-2:]))) == ["saw file number 0058", "saw file number 0059"]


def test_one_parse_within_another(workspace: Callable[..., list[SourceFile]], misbehave: str) -> None:
    """An edit that comes in while a folder is read."""
    files = workspace(*(f"file number {index:04}" for index in range(12)))
    with Parser(isolate=True, extractor=misbehave) as parser:
        seen: list[str] = []
        for number, result in enumerate(parser.parse(files)):
            seen += messages([result])
            if number == 2:
                assert messages(list(parser.parse(files[:1]))) == ["saw file number 0000"]
    assert seen == [f"saw file number {index:04}" for index in range(12)]


def child_pids() -> list[int]:
    """The running children of this process, by way of /proc; skips the test where there is none."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("needs Linux's /proc")
    return [int(pid) for pid in children.read_text("ascii").split()]
