"""The command as people start it: a process of its own, real pipes, signals, and the model that ships."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from polyclone import __version__

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "polyclone")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    inherited = {key: value for key, value in os.environ.items() if key not in unset}
    return {**inherited, "POLYCLONE_CACHE_DIR": str(tmp_path / "cache"), "TERM": "xterm-256color"}


def run(environment: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=300
    )


# --- without a model ---


def test_version(environment: dict[str, str]) -> None:
    done = run(environment, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"polyclone {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [("scan", "no/such/place"), ("scan",), ("scan", "examples", "--model", "no/such/model")]
)
def test_a_wrong_call_exits_with_2_and_prints_no_result(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    done = run(environment, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("polyclone: error: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_is_no_error(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [*COMMAND, "languages"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors of POSIX")
@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        (">&-", "stdout is closed; open it, or write the results to a file with --output FILE"),
        (">/dev/full", "stdout cannot be written: No space left on device"),
    ],
)
def test_a_stdout_that_takes_nothing_is_told(redirection: str, told: str, environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m polyclone languages {redirection}"
    done = subprocess.run(["sh", "-c", command], env=environment, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"polyclone: error: {told}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors of POSIX")
def test_without_stderr_messages_do_not_turn_to_stdout(environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m polyclone scan no/such/place 2>&-"
    done = subprocess.run(["sh", "-c", command], env=environment, stdout=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_ends_with_one_line(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*COMMAND, "query", "-", "--language", "go", "--root", "examples", "-v"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test runner's worker may ignore the signal, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    while "max-groups" not in process.stderr.readline():  # It has told its settings and waits for stdin.
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "polyclone: interrupted"
    assert "Traceback" not in err


# --- with the model that ships ---


def test_the_model_is_sound(environment: dict[str, str]) -> None:
    done = run(environment, "model", "verify")
    assert done.returncode == 0, done.stderr
    assert "is sound" in done.stdout
    info = run(environment, "model", "info")
    assert info.returncode == 0, info.stderr
    assert "precision 0." in info.stdout
    assert "provider" in info.stdout


def test_a_pipe_gets_plain_text_and_nothing_on_stderr(environment: dict[str, str]) -> None:
    done = run(environment, "scan", "examples", "--show")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert ["examples/payments/card.go:7", "IsValidCardNumber"] in [line.split() for line in done.stdout.splitlines()]


def test_json_is_the_same_for_every_run_worker_count_and_cache(environment: dict[str, str]) -> None:
    runs = [
        run(environment, "scan", "examples", "--format", "json", *options)
        for options in ((), (), ("--jobs", "1"), ("--jobs", "3", "--no-cache"))
    ]
    assert {done.returncode for done in runs} == {0}
    assert len({done.stdout for done in runs}) == 1
    found = json.loads(runs[0].stdout)
    assert found["pairs"]
    assert str(ROOT) not in runs[0].stdout


def test_the_gate(environment: dict[str, str]) -> None:
    assert run(environment, "scan", "examples", "--fail-on-clones").returncode == 1
    assert run(environment, "scan", "examples/payments", "--fail-on-clones").returncode == 0


def test_query_by_place_and_by_snippet(environment: dict[str, str]) -> None:
    by_place = run(environment, "query", "examples/payments/card.go:8", "--root", "examples", "--format", "json")
    assert by_place.returncode == 0, by_place.stderr
    source = (ROOT / "examples" / "payments" / "card.go").read_text(encoding="utf-8")
    snippet = source[source.index("func") :]
    by_snippet = run(
        environment, "query", "-", "--language", "go", "--root", "examples", "--format", "json", stdin=snippet
    )
    assert by_snippet.returncode == 0, by_snippet.stderr
    best = [json.loads(done.stdout)["matches"][0] for done in (by_place, by_snippet)]
    assert best[0] == best[1]
    assert best[0]["above_threshold"]
    assert best[0]["function"]["qualified_name"] in {"isValidCardNumber", "Billing.Card.valid_card_number?"}


def test_suppressions_from_the_first_scan_to_a_green_gate(environment: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / "shop"
    shutil.copytree(ROOT / "examples", root)

    def polyclone(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=300
        )

    found = json.loads(polyclone("scan", ".", "--format", "json").stdout)
    assert found["suppressed"] == {
        "pairs": {"comment": 0, "ignored": 0, "baseline": 0}, "reasons": [], "unused": [], "problems": []
    }  # fmt: skip
    done = polyclone("ignore", "analytics/geo.py:8", "courier/Geo.kt:14", "--reason", "two services")
    assert done.returncode == 0, done.stderr
    java = root / "warehouse" / "BinLabels.java"
    lines = java.read_text("utf-8").splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if "levenshteinDistance(" in line)
    java.write_text(
        "".join([*lines[:at], "    // polyclone: ignore[runs without a network]\n", *lines[at:]]), "utf-8"
    )
    left = json.loads(polyclone("scan", ".", "--format", "json").stdout)
    assert left["suppressed"]["pairs"] == {"comment": 2, "ignored": 1, "baseline": 0}
    assert len(left["pairs"]) == len(found["pairs"]) - 3
    assert not any("BinLabels" in member["path"] for group in left["groups"] for member in group["members"])
    assert ["levenshtein", "levenshtein_distance"] in [
        sorted(member["name"] for member in group["members"]) for group in left["groups"]
    ]
    assert polyclone("scan", ".", "--fail-on-clones").returncode == 1
    assert polyclone("scan", ".", "--write-baseline").returncode == 0
    (root / "payments" / "card.go").rename(root / "moved.go")
    java.write_bytes(java.read_bytes().replace(b"\n", b"\r\n").replace(b"    ", b"\t"))
    gate = polyclone("scan", ".", "--fail-on-clones", "--format", "json")
    assert gate.returncode == 0, gate.stderr
    assert json.loads(gate.stdout)["suppressed"]["unused"] == []
    assert polyclone("scan", ".", "--fail-on-clones", "--no-suppressions").returncode == 1
