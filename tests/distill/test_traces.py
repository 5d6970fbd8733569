"""The teacher's side against a real server on this machine, with good manners and with every kind of bad ones."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from polyclone.errors import StoreError, UsageError
from polyclone_distill.cli import main
from polyclone_distill.pairs.jsonl import write_pairs
from polyclone_distill.pairs.values import Pair, Side
from polyclone_distill.traces.answer import Answer, Invalid, parse_answer, split_reasoning
from polyclone_distill.traces.budget import Budget
from polyclone_distill.traces.client import Client, Endpoint, retry_after
from polyclone_distill.traces.plan import questions
from polyclone_distill.traces.prompts import PROMPTS, prompt_of
from polyclone_distill.traces.report import read_traces
from polyclone_distill.traces.store import TraceStore, read_events
from support import llm_teacher as wild
from support.llm_teacher import Teacher, five_parts, says

SECRET = "sk-0123456789abcdef"


def pair(subject: str, *, label: bool = True) -> Pair:
    left = Side(id=f"l-{subject}", problem=subject, language="python", code=f"print(1)  # subject {subject}\n")
    right = Side(id=f"r-{subject}", problem=subject, language="java", code="class A {}\n")
    return Pair(id=subject, left=left, right=right, label=label, kind="clone" if label else "random")


def write(folder: Path, subjects: list[str]) -> Path:
    path = folder / "pairs.jsonl"
    write_pairs(path, [pair(subject, label=index % 2 == 0) for index, subject in enumerate(subjects)])
    return path


def arguments(server: Teacher, pairs: Path, out: Path, **more: object) -> list[str]:
    given = {"per_minute": 60_000, "timeout": 5, "tries": 3, **more}
    flags = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return ["traces", "--pairs", str(pairs), "--out", str(out), "--base-url", server.url, "--model", "m", *flags]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are drawn from at most a hundredth of a second."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    from polyclone_distill.traces import collect

    original = collect.Pace

    def pace(**given: Any) -> collect.Pace:
        return original(**{"first_wait_s": 0.01, "longest_wait_s": 0.02, **given})

    monkeypatch.setattr(collect, "Pace", pace)


def events(out: Path) -> list[dict[str, Any]]:
    return [event for group in read_events(out / "traces.jsonl").values() for event in group]


def answers(out: Path) -> dict[str, dict[str, Any]]:
    return {event["pair"]: event for event in events(out) if event["event"] == "answer"}


# --- answers ---


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (five_parts("Yes, both sort."), True),
        (five_parts("No."), False),
        (five_parts("**YES** they do"), True),
        (f"Here it is:\n```json\n{five_parts('no: different')}\n```\nDone.", False),
        (five_parts("Yes.", functionality="braces { in } text"), True),
        # The last whole object counts: models draft first.
        (five_parts("No.") + "\nOn reflection:\n" + five_parts("Yes."), True),
        (five_parts("Yes.").replace("mathematical_logic", "Mathematical Logic"), True),
        (five_parts("Yes.").replace("About functionality.", "two\nlines"), True),
    ],
)
def test_an_answer_is_understood(text: str, verdict: bool) -> None:
    answer = parse_answer(text)
    assert isinstance(answer, Answer)
    assert answer.verdict is verdict
    again = parse_answer(answer.to_json())
    assert again == answer


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("Yes, they are clones.", "no json"),
        (five_parts("Yes.")[:-20], "no json"),
        ('{"conclusion": "Yes"}', "parts"),
        (five_parts("Yes.", similarity=""), "parts"),
        (five_parts("Yes.", similarity=["a", "b"]), "parts"),
        (five_parts("Maybe."), "verdict"),
        # A verdict elsewhere, or as part of another word, is none.
        (five_parts("They are clones. Yes."), "verdict"),
        (five_parts("Nothing in common."), "verdict"),
        (five_parts("Yesterday I would have said no."), "verdict"),
        (five_parts("Unclear", functionality="Yes"), "verdict"),
    ],
)
def test_what_is_no_answer_says_why(text: str, problem: str) -> None:
    answer = parse_answer(text)
    assert isinstance(answer, Invalid)
    assert answer.problem == problem
    assert answer.detail


@pytest.mark.parametrize(
    ("content", "reasoning", "expected"),
    [
        ("answer", "thought", ("thought", "answer")),
        ("<think>thought</think>\nanswer", None, ("thought", "answer")),
        ("thought</think>answer", None, ("thought", "answer")),
        ("<think>thought without end", None, ("thought without end", "")),
        ("answer", None, ("", "answer")),
        ("answer", "  ", ("", "answer")),
    ],
)
def test_reasoning_is_parted_from_the_answer(content: str, reasoning: str | None, expected: tuple[str, str]) -> None:
    assert split_reasoning(content, reasoning) == expected


def test_code_with_braces_is_put_into_the_prompt_as_it_is() -> None:
    side = Side(id="a", problem="p", language="python", code="print('{right_code} {x}')")
    other = Side(id="b", problem="p", language="java", code="class B { int left_code; }")
    (system, user) = PROMPTS["v1"].messages(Pair(id="x", left=side, right=other, label=True, kind="clone"))
    assert "print('{right_code} {x}')" in user["content"]
    assert user["content"].count("class B") == 1
    assert system["role"] == "system"


def test_a_published_prompt_never_changes() -> None:
    assert {version: prompt.digest for version, prompt in PROMPTS.items()} == {"v1": PROMPT_V1}


PROMPT_V1 = "73f1256d6764"


def test_the_key_of_a_question_covers_what_is_asked() -> None:
    def key(**more: Any) -> str:
        endpoint = Endpoint(**{"base_url": "http://localhost/v1", "model": "m", **more})
        return questions([pair("a")], prompt_of("v1"), endpoint)[0].key

    assert key() == key(base_url="http://localhost:8000/v1", timeout_s=1)
    assert len({key(), key(model="n"), key(temperature=0.7)}) == 3


# --- hostile servers ---


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (wild.fails(429), "429"),
        (wild.fails(500), "5xx"),
        (wild.fails(503, headers={"Retry-After": "nonsense"}), "5xx"),
        (wild.resets, "connection"),
        (wild.cuts, "connection"),
        (wild.half_json, "body"),
    ],
    ids=["429", "500", "503", "reset", "cut", "half"],
)
def test_passing_trouble_is_tried_again(tmp_path: Path, behaviour: wild.Behaviour, kind: str) -> None:
    with Teacher({"a": [behaviour, behaviour, says(five_parts("Yes."))]}) as server:
        assert main(arguments(server, write(tmp_path, ["a"]), tmp_path)) == 0
    assert server.asked("a") == 3 and server.paid["a"] == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["this run"]["passing trouble"] == {kind: 2}
    assert report["usable"] == 1


@pytest.mark.parametrize("behaviour", [wild.hangs, wild.drips], ids=["hang", "drip"])
def test_a_server_that_never_ends_is_left(tmp_path: Path, behaviour: wild.Behaviour) -> None:
    with Teacher({"a": [behaviour, says(five_parts("Yes."))]}) as server:
        assert main(arguments(server, write(tmp_path, ["a"]), tmp_path, timeout=0.3)) == 0
    assert json.loads((tmp_path / "report.json").read_text())["this run"]["passing trouble"] == {"timeout": 1}


def test_an_endless_answer_is_refused(tmp_path: Path) -> None:
    with Teacher({"a": [wild.floods]}) as server:
        assert main(arguments(server, write(tmp_path, ["a", "b"]), tmp_path)) == 0
    assert server.asked("a") == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["refused"] == 1 and report["usable"] == 1


def test_retry_after_holds_for_every_worker(tmp_path: Path) -> None:
    with Teacher({"a": [wild.fails(429, headers={"Retry-After": "0.4"}), says(five_parts("Yes."))]}) as server:
        assert main(arguments(server, write(tmp_path, ["a", "b", "c"]), tmp_path, concurrency=1)) == 0
    times = [when for _, _, _, when in server.requests]
    assert times[1] - times[0] >= 0.35


def test_what_is_hopeless_is_given_up_and_asked_again_by_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = write(tmp_path, ["a", "b"])
    with Teacher({"a": [wild.fails(500)]}) as server:
        assert main(arguments(server, pairs, tmp_path)) == 1
        assert server.asked("a") == 3 and server.paid["b"] == 1
        assert "left without an answer: 1 (status 500" in capsys.readouterr().err
        server.script["a"].clear()
        assert main(arguments(server, pairs, tmp_path)) == 0
    assert server.paid == {"a": 1, "b": 1}
    assert json.loads((tmp_path / "report.json").read_text())["questions left"] == 0


def test_a_server_that_is_down_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = write(tmp_path, [f"s{number}" for number in range(40)])
    with Teacher() as server:
        pass
    assert main(arguments(server, pairs, tmp_path, concurrency=1, tries=2)) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["this run"]["given up for now"] == 16
    assert report["this run"]["passing trouble"] == {"connection": 32}
    assert report["questions left"] == 40 and report["requests without a known outcome"] == 0
    assert "16 pairs in a row got no answer" in capsys.readouterr().err


def test_an_answer_in_between_keeps_the_run_going(tmp_path: Path) -> None:
    subjects = [f"s{number}" for number in range(24)]
    script = {name: [wild.fails(500)] for number, name in enumerate(subjects) if number % 12}
    with Teacher(script) as server:
        assert main(arguments(server, write(tmp_path, subjects), tmp_path, concurrency=1, tries=1)) == 1
    report = json.loads((tmp_path / "report.json").read_text())["this run"]
    assert report["given up for now"] == 22 and report["usable answers"] == 2 and report["stopped"] is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "empty"),
        (None, "empty"),
        ("<think>on and on", "empty"),
        (five_parts("Perhaps."), "verdict"),
        (five_parts("Yes.")[:30], "no json"),
    ],
)
def test_an_unusable_answer_is_paid_for_once_and_kept(tmp_path: Path, content: str | None, problem: str) -> None:
    pairs = write(tmp_path, ["a"])
    with Teacher({"a": [says(content)]}) as server:
        assert main(arguments(server, pairs, tmp_path)) == 0
        assert main(arguments(server, pairs, tmp_path)) == 0
        assert server.asked("a") == 1
        # Only who asks for it pays for another try.
        assert main(arguments(server, pairs, tmp_path, asks=3)) == 0
        assert server.asked("a") == 3
    assert answers(tmp_path)["a"]["problem"] == problem
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["all"]["response rate"] == 0.0 and report["paid answers"] == 3


def test_both_ways_of_sending_reasoning_are_understood(tmp_path: Path) -> None:
    script = {
        "a": [says(five_parts("Yes."), reasoning="apart")],
        "b": [says("<think>inside</think>" + five_parts("No."), usage=False)],
    }
    with Teacher(script) as server:
        main(arguments(server, write(tmp_path, ["a", "b"]), tmp_path))
    traces = read_traces(tmp_path / "traces.jsonl")
    assert {name: trace.reasoning for name, trace in traces.items()} == {"a": "apart", "b": "inside"}
    assert traces["a"].correct is True and traces["b"].correct is True
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["answers with estimated tokens"] == 1
    assert report["all"]["agreement with the label"] == 1.0


def test_a_closed_door_ends_the_run_without_the_key_in_any_word(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with Teacher(default=wild.fails(401, f"Incorrect API key provided: {SECRET}")) as server:
        assert main(arguments(server, write(tmp_path, list("abcdef")), tmp_path, concurrency=1)) == 1
    assert len(server.requests) == 1
    assert server.requests[0][1]["Authorization"] == f"Bearer {SECRET}"
    out, err = capfd.readouterr()
    assert "401" in err and "[key]" in err
    stored = "".join(path.read_text() for path in tmp_path.iterdir() if path.is_file())
    assert SECRET not in out + err + caplog.text + stored


def test_a_question_that_is_refused_is_passed_over(tmp_path: Path) -> None:
    pairs = write(tmp_path, ["a", "b"])
    with Teacher({"a": [wild.fails(400, "too long")]}) as server:
        assert main(arguments(server, pairs, tmp_path)) == 0
        assert main(arguments(server, pairs, tmp_path)) == 0
    assert server.asked("a") == 1
    assert any(
        event["event"] == "failed" and event["final"] and "too long" in event["why"] for event in events(tmp_path)
    )


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    with Teacher(default=wild.fails(302, headers={"Location": "http://127.0.0.1:1/"})) as server:
        assert main(arguments(server, write(tmp_path, ["a"]), tmp_path)) == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("ftp://example.org", "", "https"),
        ("nonsense", "", "https"),
        ("https://user:word@example.org/v1", "", "password"),
        ("http://example.org/v1", "k", "unencrypted"),
        ("https://example.org/v1", "a\nb", "line break"),
    ],
)
def test_addresses_that_would_leak_are_refused(url: str, key: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Client(Endpoint(base_url=url, model="m"), key)


def test_the_key_may_travel_unencrypted_to_this_machine_only() -> None:
    for url in ("http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1"):
        Client(Endpoint(base_url=url, model="m"), "k")


# --- killed and resumed ---


def start(server: Teacher, pairs: Path, out: Path, **more: object) -> subprocess.Popen[bytes]:
    code = "import sys; from polyclone_distill.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments(server, pairs, out, **more)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_kill_9_loses_nothing_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    subjects = [f"s{number}" for number in range(12)]
    pairs, store = write(tmp_path, subjects), tmp_path / "traces.jsonl"
    gate = threading.Event()
    held = {name: [wild.waits(gate, says(five_parts("Yes.")))] for name in subjects[5:]}
    with Teacher(held) as server:
        process = start(server, pairs, tmp_path, concurrency=3, timeout=60)
        for _ in range(3):
            assert server.held.acquire(timeout=60)
        # Three requests are under way and five answers are paid for.
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        before = store.read_bytes()
        kept = {name for name, event in answers(tmp_path).items() if event["valid"]}
        assert kept == set(subjects[:5])
        gate.set()
        for name in subjects[5:]:
            server.script[name].clear()
        asked = {name: server.asked(name) for name in kept}
        assert main(arguments(server, pairs, tmp_path)) == 0
    assert store.read_bytes().startswith(before)
    assert {name: server.asked(name) for name in kept} == asked == dict.fromkeys(kept, 1)
    found = [event["pair"] for event in events(tmp_path) if event["event"] == "answer"]
    assert sorted(found) == sorted(subjects)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["requests without a known outcome"] == 3
    assert report["questions left"] == 0


def test_a_line_that_was_cut_is_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, store = write(tmp_path, ["a", "b"]), tmp_path / "traces.jsonl"
    with Teacher() as server:
        main(arguments(server, pairs, tmp_path, limit=1))
        whole = store.read_bytes()
        store.write_bytes(whole + b'{"format_version": 1, "event": "ans')
        assert main(arguments(server, pairs, tmp_path)) == 0
    assert store.read_bytes().startswith(whole)
    assert server.paid == {"a": 1, "b": 1}
    assert (tmp_path / "traces.jsonl.torn").read_bytes() == b'{"format_version": 1, "event": "ans\n'
    assert "set aside" in capsys.readouterr().err


def test_two_runs_cannot_share_a_store(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces.jsonl"), pytest.raises(StoreError, match="in use"):
        TraceStore(tmp_path / "traces.jsonl")
    with TraceStore(tmp_path / "traces.jsonl"):
        pass


@pytest.mark.parametrize("line", ['{"format_version": 99, "key": "k"}', "[]", "nonsense"])
def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path, line: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(StoreError):
        TraceStore(path)
    assert path.read_text() == line + "\n"


# --- budget and pace ---


def test_the_budget_is_never_overrun(tmp_path: Path) -> None:
    """An answer costs 50 tokens at a dollar each and may cost 60; with $170 three of five pairs have room."""
    pairs = write(tmp_path, list("abcde"))
    prices = {"price_completion": 1e6, "max_tokens": 60, "budget": 170}
    with Teacher() as server:
        assert main(arguments(server, pairs, tmp_path, **prices, concurrency=5)) == 1
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["cost in dollars"] == 150.0 and sum(server.paid.values()) == 3
        assert "raise --budget" in report["this run"]["stopped"]
        # The budget is over all runs.
        assert main(arguments(server, pairs, tmp_path, **prices)) == 1
        assert sum(server.paid.values()) == 3
        assert main(arguments(server, pairs, tmp_path, **{**prices, "budget": 1000})) == 0
    assert sum(server.paid.values()) == 5


def test_a_reservation_waits_for_what_is_under_way() -> None:
    async def play() -> list[object]:
        budget = Budget(10.0)
        first = await budget.reserve(8.0)
        waiting = asyncio.create_task(budget.reserve(8.0))
        await asyncio.sleep(0)
        blocked = not waiting.done()
        await budget.settle(8.0, 1.0)
        return [first, blocked, await waiting, budget.spent, await Budget(1.0).reserve(2.0)]

    assert asyncio.run(play()) == [True, True, True, 1.0, False]


def test_requests_leave_at_the_pace_that_was_asked_for(tmp_path: Path) -> None:
    with Teacher() as server:
        started = time.monotonic()
        main(arguments(server, write(tmp_path, list("abcd")), tmp_path, per_minute=600, concurrency=4))
    assert time.monotonic() - started >= 0.28
    times = sorted(when for _, _, _, when in server.requests)
    assert times[-1] - times[0] >= 0.28


def test_a_dry_run_shows_and_sends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = write(tmp_path, ["a", "b"])
    with Teacher() as server:
        given = arguments(server, pairs, tmp_path, price_completion=2, price_prompt=1, expected_tokens=1000)
        assert main([*given, "--dry-run"]) == 0
        assert not server.requests
    text = capsys.readouterr().out
    assert "subject a" in text and "subject b" not in text
    assert "2 requests" in text and "2,000 received" in text
    assert not (tmp_path / "traces.jsonl").exists()


@pytest.mark.parametrize(
    "flags",
    [
        ["--budget", "5"],
        ["--concurrency", "0"],
        ["--prompt", "v99"],
        ["--key-variable", "NO_SUCH_VARIABLE"],
        ["--base-url", "https://api.deepseek.com/v1"],
        ["--price-prompt", "-1"],
    ],
)
def test_options_that_make_no_sense_are_errors(
    tmp_path: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    with Teacher() as server:
        assert main([*arguments(server, write(tmp_path, ["a"]), tmp_path), *flags]) == 2
        assert not server.requests
    assert capsys.readouterr().err.startswith("polyclone-distill: ")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-2", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), (None, None)],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds
