"""The pair builder: what stands in which set, from every kind of source."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from polyclone.errors import UsageError
from polyclone_distill.cli import main
from polyclone_distill.pairs.build import SetOptions, draw_pairs, parse_languages
from polyclone_distill.pairs.jsonl import read_pairs, read_submissions, write_pairs
from polyclone_distill.pairs.programs import Programs, near_duplicates, prepare_programs
from polyclone_distill.pairs.values import CLONE, RANDOM, REJECTED, RETRIEVED, Collection, Pair, Submission
from support.corpus import exercises, write_rows
from support.llm_corpus import problems, solution, submissions, write_codenet

PAIR = ("python", "java")


def collection(count: int = 24, **more: object) -> Collection:
    rows = [
        Submission(
            id=f"{problem.name}-{language}-{solver}",
            problem=problem.name,
            language=language,
            code=solution(problem, language, solver, wrong=not accepted),
            accepted=accepted,
        )
        for problem, language, solver, accepted in submissions(count)
    ]
    return Collection(submissions=tuple(rows), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def programs() -> Programs:
    return prepare_programs(collection(), shares=(0.6, 0.2, 0.2))


def draw(
    programs: Programs, split: str = "train", *, shifted: bool = False, seed: int = 1, **more: object
) -> list[Pair]:
    options = SetOptions(**{"pairs": 60, **more})  # type: ignore[arg-type]
    return list(draw_pairs(programs, split, PAIR, options, shifted=shifted, seed=seed).pairs)


def test_labels_and_kinds_tell_the_truth(programs: Programs) -> None:
    pairs = draw(programs)
    accepted = {program.submission.id for program in programs.accepted}
    kinds = Counter(pair.kind for pair in pairs)
    assert set(kinds) == {CLONE, RANDOM, RETRIEVED, REJECTED}
    for pair in pairs:
        assert (pair.left.language, pair.right.language) == PAIR
        assert pair.label == (pair.kind == CLONE)
        same = pair.left.problem == pair.right.problem
        assert same == (pair.kind in (CLONE, REJECTED))
        assert pair.left.id in accepted
        assert (pair.right.id in accepted) == (pair.kind != REJECTED)
        assert pair.left.atoms > 16
    assert len({pair.id for pair in pairs}) == len(pairs)
    assert kinds[CLONE] * 2 == len(pairs)


def test_no_problem_stands_in_two_splits(programs: Programs) -> None:
    def problems_of(split: str, *, shifted: bool = False) -> set[str]:
        return {side.problem for p in draw(programs, split, shifted=shifted) for side in (p.left, p.right)}

    sets = [problems_of("train"), problems_of("valid"), problems_of("test"), problems_of("test", shifted=True)]
    assert all(sets)
    assert sum(map(len, sets)) == len(set().union(*sets))


def test_equal_seeds_draw_equal_pairs_whatever_the_order_of_the_input(programs: Programs) -> None:
    shuffled = Programs(
        accepted=programs.accepted[::-1],
        rejected=programs.rejected[::-1],
        difficulty=programs.difficulty,
        counts=programs.counts,
    )
    assert draw(programs) == draw(shuffled)
    assert draw(programs) != draw(programs, seed=2)


def test_the_prevalence_holds_even_where_clones_run_out(programs: Programs) -> None:
    pairs = draw(programs, "test", pairs=10_000, prevalence=0.1)
    assert 0 < len(pairs) < 10_000
    assert sum(pair.label for pair in pairs) / len(pairs) == pytest.approx(0.1, abs=0.02)


def test_retrieved_pairs_are_nearer_than_random_ones(programs: Programs) -> None:
    from polyclone_distill.evaluation.xccd_systems import tfidf_scores

    pairs = [pair for pair in draw(programs, retrieved_share=0.5, rejected_share=0, nearest_k=2) if not pair.label]
    scores = dict(zip((pair.id for pair in pairs), tfidf_scores(pairs), strict=True))
    means = {
        kind: sum(scores[pair.id] for pair in pairs if pair.kind == kind) / sum(pair.kind == kind for pair in pairs)
        for kind in (RETRIEVED, RANDOM)
    }
    assert means[RETRIEVED] > means[RANDOM]


def test_identical_problems_are_one(programs: Programs) -> None:
    joined = prepare_programs(collection(same_problem=(("p00000", "p00001", "p00002"), ("p00002", "p00003"))))
    clusters = {program.submission.problem: program.cluster for program in joined.accepted}
    assert len({clusters[f"p0000{i}"] for i in range(4)}) == 1
    assert len(set(clusters.values())) == len({p.cluster for p in programs.accepted}) - 3
    splits = {program.split for program in joined.accepted if program.cluster == clusters["p00000"]}
    assert len(splits) == 1


def test_a_shared_program_joins_two_problems() -> None:
    code = solution(problems(1)[0], "java", 0)
    more = Submission(id="x", problem="another", language="java", code=code, accepted=True)
    found = prepare_programs(Collection(submissions=(*collection(2).submissions, more)))
    assert {p.cluster for p in found.accepted if p.submission.problem in ("another", "p00000")} == {"another"}


def test_a_renamed_copy_is_a_near_duplicate() -> None:
    problem = problems(1)[0]
    code = solution(problem, "python", 0)
    rows = [
        Submission(id=name, problem="p", language="python", code=text, accepted=True)
        for name, text in zip("abcd", (code, "# by me\n" + code, code.replace("if", "if "), f"{code}\n"), strict=True)
    ]
    found = prepare_programs(Collection(submissions=tuple(rows)))
    assert [program.submission.id for program in found.accepted] == ["a"]
    assert found.counts["near-duplicates dropped"] == 3


def test_near_duplicates_agree_as_sets_and_as_bags() -> None:
    base = Counter({f"w{i}": 2 for i in range(20)})
    assert near_duplicates(base, base + Counter({"w0": 3}))
    assert not near_duplicates(base, base + Counter({"w0": 30}))
    assert not near_duplicates(base, Counter({f"w{i}": 2 for i in range(5, 25)}))


def test_the_source_own_splits_hold() -> None:
    rows = []
    for row in collection(12).submissions:
        split = ("train", "valid", "test")[int(row.problem[1:]) % 3]
        rows.append(Submission(**{**{f: getattr(row, f) for f in row.__slots__}, "split": split}))
    found = prepare_programs(Collection(submissions=tuple(rows)), shifted_share=0)
    assert all(program.split == program.submission.split for program in found.accepted)


def test_shifted_problems_are_of_the_named_domain_and_only_tested() -> None:
    domains = {f"p{i:05d}": "AIZU" if i < 6 else "AtCoder" for i in range(24)}
    found = prepare_programs(collection(domains=domains), shifted_domains=("AIZU",))
    shifted = {program.submission.problem for program in found.accepted if program.shifted}
    assert shifted == {f"p{i:05d}" for i in range(6)}
    assert {program.split for program in found.accepted if program.shifted} == {"test"}


@pytest.mark.parametrize(("text", "pair"), [("Python–Java", PAIR), ("py-java", PAIR), ("c++-c#", ("cpp", "csharp"))])
def test_language_pairs_go_by_name(text: str, pair: tuple[str, str]) -> None:
    assert parse_languages(text) == pair


@pytest.mark.parametrize("text", ["python", "python-python", "python-cobol", "a-b-c"])
def test_other_language_pairs_are_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_languages(text)


# --- the command ---


def test_a_codenet_folder_becomes_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_codenet(tmp_path / "codenet", 60)
    given = ["--train-pairs", "40", "--valid-pairs", "10", "--test-pairs", "20", "--prevalence", "0.2"]
    for out in ("one", "two"):
        assert main(["pairs", "--codenet", str(root), "--out", str(tmp_path / out), *given]) == 0
    one, two = (sorted(path for path in (tmp_path / out).rglob("*.*")) for out in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    names = {path.stem for path in one}
    assert {"train", "valid", "python-java-same-balanced", "rust-ruby-shifted-natural"} <= names
    report = json.loads((tmp_path / "one/pairs.json").read_text())
    assert report["sets"]["train"]["clones"] == 20
    assert report["lengths"]["rust-ruby"]["atoms, left"]["mean"] > 20
    train = read_pairs(tmp_path / "one/train.jsonl")
    assert all(pair.difficulty is not None for pair in train)
    assert {pair.languages for pair in train} == {"python-java"}
    assert capsys.readouterr().out


def test_a_task_parquet_becomes_sets(tmp_path: Path) -> None:
    rows = [{**row, "split": "test" if row["split"] == "valid" else row["split"]} for row in exercises()]
    path = write_rows(tmp_path / "tasks.parquet", rows)
    given = ["--train-languages", "python-go", "--test-languages", "python-go", "java-javascript"]
    shifts = ["--shifted-share", "0", "--train-pairs", "8", "--test-pairs", "4", "--valid-pairs", "4"]
    assert main(["pairs", "--tasks", str(path), "--out", str(tmp_path / "out"), *given, *shifts]) == 0
    splits = {row["task"]: row["split"] for row in rows}
    for pair in read_pairs(tmp_path / "out/train.jsonl"):
        assert splits[pair.left.problem] == "train"
    report = json.loads((tmp_path / "out/pairs.json").read_text())
    assert "test/python-go-shifted-balanced" in report["sets that would be of one label, not written"]


def test_submissions_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "submissions.jsonl"
    lines = [
        {"id": row.id, "problem": row.problem, "language": row.language, "code": row.code, "accepted": row.accepted,
         "difficulty": 5}
        for row in collection(3).submissions
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_submissions(path)
    assert found.submissions == collection(3).submissions
    assert found.difficulty["p00000"] == 5.0


def test_pairs_are_written_and_read_unchanged(programs: Programs, tmp_path: Path) -> None:
    pairs = draw(programs)
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    assert read_pairs(tmp_path / "pairs.jsonl") == pairs


SIDE = {"code": "x", "language": "python"}


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        "{}",
        json.dumps({"left": SIDE, "right": SIDE, "label": 2}),
        json.dumps({"left": SIDE, "right": {"code": "x"}, "label": 1}),
        json.dumps({"left": {**SIDE, "language": "klingon"}, "right": SIDE, "label": 1}),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"left": SIDE, "right": SIDE, "label": 1}) + "\n" + line + "\n")
    with pytest.raises(UsageError, match="line 2"):
        read_pairs(path)


def test_two_pairs_of_one_id_are_an_error(tmp_path: Path) -> None:
    line = json.dumps({"id": "a", "left": SIDE, "right": SIDE, "label": 1})
    (tmp_path / "pairs.jsonl").write_text(f"{line}\n{line}\n")
    with pytest.raises(UsageError, match="used twice"):
        read_pairs(tmp_path / "pairs.jsonl")


def test_a_limit_takes_the_first_pairs(programs: Programs, tmp_path: Path) -> None:
    pairs = draw(programs)
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    assert read_pairs(tmp_path / "pairs.jsonl", 3) == pairs[:3]
    for limit in (0, -1):
        with pytest.raises(UsageError, match=f"--limit must be at least 1, not {limit}"):
            read_pairs(tmp_path / "pairs.jsonl", limit)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "not a file"), (b"", "holds no pair"), (b"PAR1\xff\xfe\x00", "no text in UTF-8")]
)
def test_what_is_no_file_of_pairs_says_so(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "pairs.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_pairs(path)


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read as parquet"), (b"junk", "cannot be read")])
def test_what_is_no_parquet_says_so(
    tmp_path: Path, content: bytes | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path if content is None else tmp_path / "tasks.parquet"
    if content is not None:
        path.write_bytes(content)
    assert main(["pairs", "--tasks", str(path), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ["--train-languages", "kotlin-swift"],
        ["--prevalence", "2"],
        ["--per-problem-language", "0"],
        ["--train-pairs", "0"],
        ["--test-pairs", "1"],
    ],
)
def test_a_command_that_makes_no_sense_is_an_error(
    tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_codenet(tmp_path / "codenet", 6)
    assert main(["pairs", "--codenet", str(root), "--out", str(tmp_path / "out"), *flags]) == 2
    assert capsys.readouterr().err.startswith("polyclone-distill: ")
