"""Each command end to end on tiny inputs, with a deterministic encoder, and what it says about wrong input."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polyclone.encode.hashing import HashingEncoder
from polyclone.errors import UsageError
from polyclone.tokenizer import Lexicon
from polyclone.values import ModelInfo
from polyclone.words import Vocabulary
from polyclone_distill.data.programs import COLUMNS
from polyclone_distill.evaluation import command
from polyclone_distill.evaluation.pair_source import SampleOptions, read_pairs, sample_pairs
from polyclone_distill.evaluation.pairs import evaluate_pairs
from polyclone_distill.evaluation.pool import PoolOptions, load_pool
from polyclone_distill.evaluation.report import plain, table
from polyclone_distill.evaluation.retrieval import evaluate_pool

VIEWS = ("visible", "masked", "renamed")


class HashingModel:
    """The hashing encoder as a model; its probability is the cosine, cut off at 0."""

    info = ModelInfo(name="hashing", kind="compact", version="1", digest="0" * 64, dimension=256)
    vocabulary = Vocabulary(Lexicon([("total", 9), ("values", 40)], documents=100, buckets=4))

    def __init__(self) -> None:
        self._encoder = HashingEncoder(256)

    def encode_normalised(self, units: Sequence[str]) -> np.ndarray:
        encoded = self._encoder.encode(units)
        return np.asarray(getattr(encoded, "vectors", encoded))

    def pair_probability_normalised(self, left: Sequence[str], right: Sequence[str]) -> np.ndarray:
        cosines = (self.encode_normalised(left) * self.encode_normalised(right)).sum(axis=1)
        return np.clip(cosines, 0.0, 1.0).astype(np.float32)


TEMPLATES = {
    "python": "def {name}(values, {b}):\n    {c} = 7\n    for item in values:\n"
    "        {c} += item {op} {b}\n    return {c}\n",
    "java": "class S {{ int {name}(int[] values, int {b}) {{ int {c} = 7;\n"
    "for (int item : values) {{ {c} += item {op} {b}; }} return {c}; }} }}\n",
    "go": "package s\nfunc {name}(values []int, {b} int) int {{\n\t{c} := 7\n"
    "\tfor _, item := range values {{\n\t\t{c} += item {op} {b}\n\t}}\n\treturn {c}\n}}\n",
}
TASKS = [
    # Name, two variables, operator: without names only the operator tells the tasks apart.
    ("scaleSum", "factor", "total", "*"),
    ("maskedBits", "mask", "bits", "&"),
    ("moduloClock", "hours", "clock", "%"),
    ("shiftLadder", "steps", "ladder", "<<"),
    ("differenceTree", "root", "leaves", "-"),
]


def rows() -> list[dict[str, str | None]]:
    return [
        {
            "task": f"rosetta/{name}",
            "split": "test",
            "language": language,
            "source": "example/tasks",
            "license": "MIT",
            "path": f"{name}.{language}",
            "code": template.format(name=name, b=b, c=c, op=op),
        }
        for name, b, c, op in TASKS
        for language, template in TEMPLATES.items()
    ]


def write(path: Path, content: list[dict[str, str | None]]) -> Path:
    pq.write_table(pa.Table.from_pylist(content, schema=pa.schema([(c, pa.string()) for c in COLUMNS])), path)
    return path


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    return write(tmp_path / "tasks.parquet", rows())


Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def invoke(*arguments: str | Path) -> str:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        options = parser.parse_args(["evaluate", *map(str, arguments)])
        assert options.run(options) == 0
        return capsys.readouterr().out

    return invoke


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the hashing model where they would load a bundle."""
    monkeypatch.setattr(command, "load", lambda options: (HashingModel(), 0.5))


def test_retrieval_by_command(run: Run, parquet: Path, tmp_path: Path, hashing: None) -> None:
    target = tmp_path / "out.json"
    text = run("retrieval", parquet, "--split", "test", "--json", target, "--resamples", "100")
    assert "names visible" in text
    assert "all identifiers renamed" in text
    report = json.loads(target.read_text("utf-8"))
    assert report["model"]["name"] == "hashing"
    assert report["counts"]["units"] == 15
    found = {(r["view"], r["system"]): r for r in report["results"]}
    plain = ("tfidf", "bm25", "model")
    assert set(found) == {
        (v, s) for v in VIEWS for s in (*plain, *(f"{s}+csls" for s in plain), "model+scan", "model+head")
    }
    visible = found["visible", "tfidf"]
    assert visible["queries"] == 15
    assert visible["metrics"]["mrr"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert visible["alerts"]["recall@p90"]["value"] == 1.0
    assert visible["alerts"]["p@50"]["value"] is None
    assert visible["language_pairs"][0]["to_find"] == 5
    assert {(d["query"], d["target"]) for d in visible["directions"]} == {
        (a, b) for a in TEMPLATES for b in TEMPLATES if a != b
    }
    assert found["renamed", "tfidf"]["metrics"]["mrr"]["value"] < 1.0
    assert "ece" in found["visible", "model+head"]["alerts"]
    assert found["visible", "model"]["gain"]["mrr"]["value"] == pytest.approx(0.0)


def test_equal_seeds_give_equal_reports(run: Run, parquet: Path, tmp_path: Path) -> None:
    reports = []
    for name in ("a.json", "b.json"):
        run("retrieval", parquet, "--baselines-only", "--json", tmp_path / name, "--resamples", "50")
        reports.append(json.loads((tmp_path / name).read_text("utf-8")))
    assert reports[0] == reports[1]
    assert reports[0]["model"] is None


def test_function_units_and_filters(parquet: Path) -> None:
    pool = load_pool(parquet, PoolOptions(unit="function", languages=("py", "golang"), source_prefix="rosetta/"))
    assert {item.language for item in pool.items} == {"go", "python"}
    assert {item.name for item in pool.items} == {name for name, *_ in TASKS}
    assert pool.counts["units"] == 10


def test_cap_duplicates_and_sample_are_counted(tmp_path: Path) -> None:
    content = rows()
    other = [dict(row, path=f"again/{row['path']}") for row in content]
    more = [
        dict(row, path=f"more/{row['path']}", code=str(row["code"]).replace("values", "values + values + values", 1))
        for row in content
        if row["language"] == "python"
    ]
    path = write(tmp_path / "many.parquet", [*content, *other, *more])
    pool = load_pool(path, PoolOptions(per_task_language=1, max_units=7))
    assert pool.counts["duplicates dropped"] == 15
    assert pool.counts["over the cap per task and language"] == 5
    assert pool.counts["not sampled"] == 9
    assert pool.counts["units"] == 6
    again = load_pool(path, PoolOptions(per_task_language=1, max_units=7))
    assert again == pool
    assert len({load_pool(path, PoolOptions(max_units=4, seed=seed)).items for seed in range(6)}) > 1


def test_tasks_under_two_names_are_one_class(tmp_path: Path) -> None:
    content = rows()
    for row in content:
        if row["language"] == "go":
            row["task"] = str(row["task"]).replace("rosetta/", "algorithms/")
    pool = load_pool(write(tmp_path / "two.parquet", content), PoolOptions())
    assert pool.counts["tasks"] == 10
    assert pool.counts["classes"] == 5


def test_tasks_of_a_judge_are_not_clustered(tmp_path: Path) -> None:
    content = [dict(row, task=f"atcoder/arc00{i // 3}/A") for i, row in enumerate(rows())]
    copied = [dict(row, task="atcoder/arc009/A", path=f"copy/{row['path']}") for row in content[:3]]
    pool = load_pool(write(tmp_path / "judge.parquet", [*content, *copied]), PoolOptions())
    assert pool.counts["classes"] == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (PoolOptions(unit="line"), "program, function"),
        (PoolOptions(split="train"), "drop --split"),
        (PoolOptions(source_prefix="leetcode/"), "--source-prefix"),
        (PoolOptions(languages=("java",)), "fewer than two languages"),
        (PoolOptions(languages=("klingon",)), "unknown language"),
    ],
)
def test_empty_choices_say_the_remedy(parquet: Path, options: PoolOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_pool(parquet, options)


def test_missing_column_and_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"code": ["x"], "language": ["c"]}), tmp_path / "odd.parquet")
    with pytest.raises(UsageError, match="lacks the columns task"):
        load_pool(tmp_path / "odd.parquet", PoolOptions())
    with pytest.raises(UsageError, match="does not exist"):
        load_pool(tmp_path / "none.parquet", PoolOptions())


def test_wrong_options(run: Run, parquet: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["--views", "inverted"], "choose from visible"),
        (["--resamples", "0"], "--resamples"),
        (["--json", tmp_path / "nowhere" / "x.json"], "create it first"),
        (["--model", tmp_path], "exclude each other"),
    ):
        with pytest.raises(UsageError, match=message):
            run("retrieval", parquet, "--baselines-only", *arguments)


def test_pool_without_counterparts(tmp_path: Path) -> None:
    languages = ("python", "java", "go")
    chosen = [row for i, row in enumerate(rows()) if row["language"] == languages[i // 3 % 3]]
    pool = load_pool(write(tmp_path / "alone.parquet", chosen), PoolOptions())
    with pytest.raises(UsageError, match="no unit has a counterpart"):
        evaluate_pool(pool, None, views=["visible"])


def pair_lines() -> list[dict[str, object]]:
    codes = {(str(row["task"]), str(row["language"])): str(row["code"]) for row in rows()}
    tasks = [f"rosetta/{name}" for name, *_ in TASKS]
    lines: list[dict[str, object]] = []
    for i, task in enumerate(tasks):
        left = {"code": codes[task, "python"], "language": "python"}
        lines.append({"left": left, "right": {"code": codes[task, "java"], "language": "java"}, "label": 1})
        wrong = codes[tasks[(i + 1) % len(tasks)], "java"]
        lines.append({"left": left, "right": {"code": wrong, "language": "java"}, "label": 0, "kind": "other task"})
    return lines


def write_lines(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_pairs_by_command(run: Run, tmp_path: Path, hashing: None) -> None:
    source = write_lines(tmp_path / "pairs.jsonl", pair_lines())
    text = run("pairs", source, "--json", tmp_path / "out.json", "--resamples", "50")
    assert "other task" in text
    report = json.loads((tmp_path / "out.json").read_text("utf-8"))
    found = {(r["view"], r["system"]): r for r in report["results"]}
    assert set(found) == {(v, s) for v in VIEWS for s in ("tfidf", "bm25", "probability", "cosine")}
    probability = found["visible", "probability"]
    assert probability["metrics"]["auc"]["value"] == 1.0
    assert probability["asymmetry"] == 0.0
    assert probability["kinds"]["other task"]["pairs"] == 5
    assert probability["kinds"]["clone"]["called_clones"] == 1.0
    assert sum(row["pairs"] for row in probability["reliability"]) == 10
    assert probability["language_pairs"][0]["languages"] == ["java", "python"]
    # Operators are no words: once names are gone, TF-IDF cannot tell these apart.
    assert found["renamed", "tfidf"]["metrics"]["auc"]["value"] < 1.0


def test_sampled_pairs(parquet: Path) -> None:
    pool = load_pool(parquet, PoolOptions())
    options = SampleOptions(pairs=24, prevalence=0.25, hard_share=0.5, hard_k=2)
    pairs = sample_pairs(pool, options)
    again = sample_pairs(pool, options)
    assert (pairs.left == again.left).all()
    assert (pairs.right == again.right).all()
    assert pairs.labels.sum() == 6
    assert {kind: pairs.kinds.count(kind) for kind in set(pairs.kinds)} == {"clone": 6, "retrieved": 9, "random": 9}
    seen = set()
    for a, b, label in zip(pairs.left.tolist(), pairs.right.tolist(), pairs.labels.tolist(), strict=True):
        left, right = pool.items[a], pool.items[b]
        assert left.language != right.language
        assert (left.group == right.group) == label
        seen.add(frozenset((a, b)))
    assert len(seen) == len(pairs.labels)


def test_an_exhausted_pool_is_counted(parquet: Path) -> None:
    pairs = sample_pairs(load_pool(parquet, PoolOptions()), SampleOptions(pairs=200))
    assert pairs.counts["clone pairs"] == 15
    assert pairs.counts["pairs asked for that the pool does not have"] == 200 - len(pairs.labels)


def test_pairs_from_a_parquet_by_command(run: Run, parquet: Path) -> None:
    text = run("pairs", "--parquet", parquet, "--prevalence", "0.2", "--pairs", "20", "--baselines-only")
    assert "retrieved pairs 8" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, "line 2: label 2 is neither 0 nor 1"),
        ({"left": {"code": "x"}}, "'language' is missing"),
        ({"left": {"code": 3, "language": "c"}}, "left.code is not a string"),
        ({"right": {"code": "x", "language": "klingon"}}, "line 2: unknown language"),
        ({"right": None}, "line 2"),
    ],
)
def test_wrong_pairs_name_the_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    lines = pair_lines()
    with pytest.raises(UsageError, match=message):
        read_pairs(write_lines(tmp_path / "p.jsonl", [lines[0], {**lines[1], **change}]))


def test_other_wrong_pairs(tmp_path: Path, run: Run, parquet: Path) -> None:
    (tmp_path / "text.jsonl").write_text("left right\n", "utf-8")
    (tmp_path / "empty.jsonl").write_text("\n", "utf-8")
    with pytest.raises(UsageError, match="line 1"):
        read_pairs(tmp_path / "text.jsonl")
    with pytest.raises(UsageError, match="no pair"):
        read_pairs(tmp_path / "empty.jsonl")
    with pytest.raises(UsageError, match="does not exist"):
        read_pairs(tmp_path / "none.jsonl")
    clones = write_lines(tmp_path / "clones.jsonl", pair_lines()[::2])
    with pytest.raises(UsageError, match="all of one label"):
        evaluate_pairs(read_pairs(clones), None, views=["visible"])
    with pytest.raises(UsageError, match="either"):
        run("pairs", "--baselines-only")
    with pytest.raises(UsageError, match="--prevalence"):
        run("pairs", "--parquet", parquet, "--prevalence", "2", "--baselines-only")
    with pytest.raises(UsageError, match="--threshold"):
        run("pairs", "--parquet", parquet, "--threshold", "2", "--baselines-only")


def test_a_side_without_code_is_counted(tmp_path: Path) -> None:
    lines = pair_lines()
    empty = {**lines[1], "right": {"code": "// nothing\n", "language": "java"}}
    pairs = read_pairs(write_lines(tmp_path / "p.jsonl", [*lines, empty]))
    assert pairs.counts["without code, left out"] == 1
    assert len(pairs.labels) == len(lines)


def test_json_has_no_nan() -> None:
    assert plain({"a": [float("nan"), 0.5], "b": (1, "x")}) == {"a": [None, 0.5], "b": [1, "x"]}


def test_table_aligns() -> None:
    assert table(["", "b"], [["x", "1"], ["long", "22"]]).split("\n") == ["       b", "x      1", "long  22"]
