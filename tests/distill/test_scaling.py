"""The scaling study: which cells there are, what a valley is, and one whole study of tiny runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from polyclone.errors import UsageError
from polyclone_distill.cli import main
from polyclone_distill.pairs.jsonl import write_pairs
from polyclone_distill.pairs.values import Pair
from polyclone_distill.scaling import Point, cells, valley
from support.llm_students import made_pairs, made_traces, small_student

PAIRS = made_pairs(24)
TRACES = made_traces(PAIRS, wrong=range(0, 24, 3))


def rated(pair: Pair, difficulty: float) -> Pair:
    return Pair(id=pair.id, left=pair.left, right=pair.right, label=pair.label, kind=pair.kind, difficulty=difficulty)


def test_a_smaller_subset_is_part_of_every_larger_one() -> None:
    found, strata = cells(PAIRS, TRACES, [4, 8, 12], ["all", "hard"], ["any", "correct"], 1)
    assert strata == {"all, any": 24, "all, correct": 16, "hard, any": 12, "hard, correct": strata["hard, correct"]}
    by_name = {cell.name: {pair.id for pair in cell.pairs} for cell in found}
    for stratum in ("all-any", "all-correct", "hard-any"):
        assert by_name[f"4-{stratum}"] < by_name[f"8-{stratum}"] < by_name[f"12-{stratum}"]
    assert all(len(cell.pairs) == cell.size for cell in found)
    assert by_name["4-all-any"] != {pair.id for pair in cells(PAIRS, TRACES, [4], ["all"], ["any"], 2)[0][0].pairs}


def test_strata_are_what_they_are_called() -> None:
    pairs = [rated(pair, float(i)) for i, pair in enumerate(PAIRS)]
    found, _ = cells(pairs, TRACES, [1, 8], ["easy", "hard"], ["correct", "incorrect"], 1)
    for cell in found:
        for pair in cell.pairs:
            assert (pair.difficulty or 0.0) < 12 if cell.difficulty == "easy" else (pair.difficulty or 0.0) >= 12
            assert TRACES[pair.id].correct == (cell.correctness == "correct")
    assert {cell.name for cell in found if cell.size == 8} == {"8-easy-correct", "8-hard-correct"}


def test_difficulty_is_length_where_a_rating_is_missing() -> None:
    pairs = [rated(PAIRS[0], 5.0), *PAIRS[1:]]
    found, _ = cells(pairs, {}, [12], ["easy"], ["any"], 1)
    lengths = sorted(len(pair.left.code) + len(pair.right.code) for pair in pairs)
    assert max(len(p.left.code) + len(p.right.code) for p in found[0].pairs) <= lengths[12]


@pytest.mark.parametrize(
    ("sizes", "difficulties", "strata"),
    [([], ["all"], ["any"]), ([4, 4], ["all"], ["any"]), ([0], ["all"], ["any"]), ([4], ["odd"], ["any"]),
     ([4], ["all"], ["lucky"]), ([400], ["all"], ["any"])],
)  # fmt: skip
def test_a_study_that_makes_no_sense_is_an_error(
    sizes: list[int], difficulties: list[str], strata: list[str]
) -> None:
    with pytest.raises(UsageError):
        cells(PAIRS, TRACES, sizes, difficulties, strata, 1)


def points(*values: float) -> list[Point]:
    return [
        Point(size=10**i, difficulty="all", correctness="any", figures={"f1": value})
        for i, value in enumerate(values, 1)
    ]


def test_a_valley_falls_and_rises() -> None:
    """The published curve of Qwen2.5-7B: .126 untrained, .055 at 1K, .188 at 10K, .264 at 30K."""
    found = valley(points(0.055, 0.188, 0.264), "f1", untrained=0.126)
    assert found is not None
    assert (found.start, found.bottom_size, found.bottom, found.end) == (0.126, 10, 0.055, 0.264)
    assert valley(points(0.055, 0.188, 0.264)[::-1], "f1", untrained=0.126) == found


@pytest.mark.parametrize("values", [(0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.2, 0.2, 0.2), (0.3, 0.1), (0.1, 0.3, 0.2)])
def test_other_curves_have_none(values: tuple[float, ...]) -> None:
    assert valley(points(*values), "f1") is None


@pytest.mark.usefixtures("one_thread")
def test_one_command_is_the_whole_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student = small_student(tmp_path / "student")
    write_pairs(tmp_path / "train.jsonl", PAIRS)
    write_pairs(tmp_path / "test.jsonl", made_pairs(8, seed=5))
    paths = {"pairs": "train.jsonl", "test": "test.jsonl", "valid": "test.jsonl", "out": "study"}
    flags = [word for name, path in paths.items() for word in (f"--{name}", str(tmp_path / path))]
    given = ["study", "scaling", "--student", str(student), "--head", "binary", *flags, "--sizes", "4", "8", "99",
             "--difficulties", "all", "easy", "--batch", "4", "--epochs", "1", "--tokens-per-side", "32",
             "--lora-r", "2", "--order", "easy-first"]  # fmt: skip
    assert main(given) == 0
    text = capsys.readouterr().out
    data = json.loads((tmp_path / "study/scaling.json").read_text())
    assert [(p["size"], p["difficulty"]) for p in data["points"]] == [
        (4, "all"),
        (8, "all"),
        (4, "easy"),
        (8, "easy"),
    ]
    assert all(0.0 <= point["accuracy"] <= 1.0 for point in data["points"])
    assert "left out: 2" in text and "no valley" in text
    assert (tmp_path / "study/scaling.png").read_bytes().startswith(b"\x89PNG")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "study").rglob("run.json")}
    assert main(given) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished runs are not trained again"


@pytest.mark.usefixtures("one_thread")
def test_free_answers_start_from_the_untrained_student(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student = small_student(tmp_path / "student")
    write_pairs(tmp_path / "train.jsonl", PAIRS)
    write_pairs(tmp_path / "test.jsonl", made_pairs(4, seed=5))
    given = ["study", "scaling", "--student", str(student), "--pairs", str(tmp_path / "train.jsonl"), "--test",
             str(tmp_path / "test.jsonl"), "--target", "simple", "--sizes", "8", "--batch", "8", "--epochs", "1",
             "--tokens-per-side", "16", "--lora-r", "2", "--new-tokens", "2"]  # fmt: skip
    for name, more in (("free", []), ("forced", ["--forced"])):
        assert main([*given, "--out", str(tmp_path / name), *more]) == 0
        assert "| untrained | 0 |" in capsys.readouterr().out
    free, forced = (json.loads((tmp_path / name / "scaling.json").read_text()) for name in ("free", "forced"))
    assert free["untrained"]["response rate"] == 0.0 and free["untrained"]["f1"] == 0.0
    assert forced["untrained"]["response rate"] == 1.0
    assert not (tmp_path / "free/untrained/adapter").exists() and (tmp_path / "free/8-all-any/adapter").exists()
