"""The reader of Project CodeNet's layout, on a folder laid out like it, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from polyclone.errors import UsageError
from polyclone_distill.pairs.codenet import read_codenet
from support.llm_corpus import metadata, write_codenet, write_metadata

LANGUAGES = ("python", "java")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_codenet(tmp_path / "codenet", 3)


def test_only_accepted_programs_are_solutions(root: Path) -> None:
    found = read_codenet(root, languages=LANGUAGES, rejected_per_problem_language=5)
    accepted = [row for row in found.submissions if row.accepted]
    rejected = [row for row in found.submissions if not row.accepted]
    assert len(accepted) == 3 * 2 * 2 and len(rejected) == 3 * 2
    assert {row.language for row in found.submissions} == set(LANGUAGES)
    assert all(row.code == (root / row.path).read_text() for row in found.submissions)
    assert found.counts["in another language"] == 3 * 2 * 3
    assert not any(row.accepted is False for row in read_codenet(root, languages=LANGUAGES).submissions)


def test_a_cap_draws_the_same_programs_for_one_seed(root: Path) -> None:
    def ids(seed: int) -> list[str]:
        found = read_codenet(root, languages=LANGUAGES, per_problem_language=1, seed=seed)
        return [row.id for row in found.submissions]

    assert ids(1) == ids(1) and len(ids(1)) == 6
    assert any(ids(1) != ids(seed) for seed in range(2, 6))


def test_what_codenet_knows_to_be_the_same_is_used(root: Path) -> None:
    ids = sorted(path.stem for path in (root / "data/p00000/Python").iterdir())
    clusters = root / "derived/duplicates/Python/clusters"
    clusters.mkdir(parents=True)
    prefix = "/Volume1/AI4CODE/Project_CodeNet/data"
    (clusters / "p00000-clusters").write_text(
        f"{prefix}/p00000/Python/{ids[1]}.py:\n{prefix}/p00000/Python/{ids[0]}.py:  1.00, 1.00\n"
        f"{prefix}/p00000/Python/{ids[2]}.py:  0.9, 0.9\n"
        f"{prefix}/p00002/Python/s999999999.py:  0.9, 0.9\n\n{prefix}/p00000/Python/{ids[2]}.py:\n"
    )
    (root / "derived/duplicates/identical_problem_clusters").write_text("p00000,p00002\np00001,p01234,p04321\n")
    found = read_codenet(root, languages=LANGUAGES)
    assert found.same_problem == (("p00000", "p00002"), ("p00001", "p01234", "p04321"))
    assert found.near_duplicates == ((ids[1], ids[0]),)
    kept = {row.id for row in found.submissions}
    assert ids[1] in kept and ids[0] not in kept
    assert found.counts["near-duplicates that CodeNet lists"] == 1
    # The rejected one looks like an accepted one, and stays what it is: a program that solves nothing.
    wrong = {row.id for row in read_codenet(root, languages=LANGUAGES, rejected_per_problem_language=5).submissions}
    assert wrong - kept >= {ids[2]}


def test_ratings_and_judges_are_read_where_there_are_any(root: Path) -> None:
    path = root / "metadata/problem_list.csv"
    path.write_text(path.read_text() + "p00009,nine,AIZU,1000,131072,,,\n")
    found = read_codenet(root, languages=LANGUAGES)
    assert found.difficulty == {"p00000": 0.0, "p00001": 100.0, "p00002": 200.0}
    assert found.domains["p00000"] == found.domains["p00009"] == "AIZU"
    path.unlink()
    assert not read_codenet(root, languages=LANGUAGES).difficulty


def test_what_is_damaged_or_absent_is_counted(root: Path) -> None:
    rows = [
        metadata("s000000901", "p00007", "Python", "py", "Accepted"),
        metadata("s000000902", "p00007", "Python", "py", "Accepted"),
        metadata("s000000903", "p00007", "Python", "py", "Compile Error"),
        metadata("s000000904", "p00007", "Whitespace", "ws", "Accepted"),
    ]
    write_metadata(root, "p00007", rows)
    with (root / "metadata/p00007.csv").open("a") as file:
        file.write("s000000905,p00007\n")
    large = root / "data/p00007/Python/s000000902.py"
    large.parent.mkdir(parents=True)
    large.write_text("x = 1\n" * 1000)
    counts = read_codenet(root, languages=LANGUAGES, max_bytes=5000).counts
    assert counts["listed but absent"] == 1
    assert counts["larger than 5,000 bytes"] == 1
    assert counts["rejected without having run"] == 1
    assert counts["in a language that is not known"] == 1
    assert counts["damaged metadata rows"] == 1


def test_bytes_that_are_no_text_do_not_stop_the_reader(root: Path) -> None:
    path = min((root / "data/p00000/Java").iterdir())
    path.write_bytes(b"class A { /* \xff\xfe */ }")
    assert any("class A" in row.code for row in read_codenet(root, languages=LANGUAGES).submissions)


def test_another_folder_is_an_error(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UsageError, match="laid out"):
        read_codenet(tmp_path / "nowhere", languages=LANGUAGES)
    with pytest.raises(UsageError, match="no program in kotlin"):
        read_codenet(root, languages=("kotlin",))
    (root / "metadata/p00001.csv").write_text("id,language\n1,Python\n")
    with pytest.raises(UsageError, match=r"p00001.csv has no column filename_ext, problem_id, status"):
        read_codenet(root, languages=LANGUAGES)
