"""`evaluate xccd` over real runs of tiny students: rows, files, a second call that only counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from polyclone_distill.cli import main
from polyclone_distill.llm.train import train_student
from polyclone_distill.pairs.jsonl import write_pairs
from support.llm_students import made_pairs, made_traces, options_for, small_student

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, validation pairs and two test sets."""
    folder = tmp_path_factory.mktemp("xccd")
    student = small_student(folder / "student")
    pairs = made_pairs(12)
    for head in ("generate", "contrastive"):
        train_student(pairs, made_pairs(8, seed=9), made_traces(pairs), options_for(student, head), folder / head)
    write_pairs(folder / "valid.jsonl", made_pairs(8, seed=9))
    write_pairs(folder / "python-java.jsonl", made_pairs(8, seed=5))
    write_pairs(folder / "rust-ruby.jsonl", made_pairs(6, seed=6, languages=("rust", "ruby")))
    return folder


def command(folder: Path, out: Path, *more: str) -> list[str]:
    sets = ["--pairs", str(folder / "python-java.jsonl"), str(folder / "rust-ruby.jsonl")]
    return ["evaluate", "xccd", *sets, "--new-tokens", "3", "--resamples", "50", "--out", str(out), *more]


def test_every_system_has_a_row_on_every_set(
    workplace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--runs", f"a={workplace / 'generate'}", str(workplace / "contrastive")]
    compare = ["--compare", "a: forced conclusion", "contrastive: contrastive head"]
    given = command(workplace, tmp_path, *runs, "--valid", str(workplace / "valid.jsonl"), *compare)
    assert main(given) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "table.md").read_text() == text
    data = json.loads((tmp_path / "xccd.json").read_text())
    systems = ["a: generate", "a: forced conclusion", "contrastive: contrastive head", "TF-IDF"]
    assert [(row["set"], row["system"]) for row in data["rows"]] == [
        (name, system) for name in ("python-java", "rust-ruby") for system in systems
    ]
    assert len(data["comparisons"]) == 2
    rates = {row["system"]: row["response_rate"]["value"] for row in data["rows"]}
    assert rates["a: forced conclusion"] == rates["contrastive: contrastive head"] == 1.0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert r"\toprule" in (tmp_path / "table.tex").read_text()
    # Predictions are kept: a second call gives the same rows of runs, times and all.
    assert main(given) == 0
    assert of_runs(capsys.readouterr().out) == of_runs(text)


def of_runs(text: str) -> list[str]:
    """Lines of a table without those of the baseline, which is timed anew."""
    return [line for line in text.splitlines() if "| TF-IDF |" not in line]


def test_the_baseline_stands_alone(workplace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(workplace, tmp_path, "--valid", str(workplace / "valid.jsonl"))) == 0
    assert "TF-IDF" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "nothing to evaluate"),
        (["--runs", "nowhere"], "no run"),
        (["--valid", "nowhere.jsonl"], "not a file"),
        (["--valid", "@valid.jsonl", "--compare", "TF-IDF", "BM25"], "no row 'BM25'"),
        (["--valid", "@valid.jsonl", "--resamples", "0"], "--resamples"),
        (["--runs", "@contrastive", "@contrastive"], "one name"),
        (["--valid", "@valid.jsonl", "--limit", "1"], "of one label"),
    ],
)
def test_what_cannot_be_evaluated_says_why(
    workplace: Path, tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [str(workplace / flag[1:]) if flag.startswith("@") else flag for flag in flags]
    assert main(command(workplace, tmp_path, *flags)) == 2
    assert said in capsys.readouterr().err
