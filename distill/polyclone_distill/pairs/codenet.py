"""Reader of Project CodeNet's own folder layout (Puri et al. 2021).

`data/pNNNNN/<Language>/sNNNNNNNNN.ext` are the programs; `metadata/pNNNNN.csv` says which were accepted;
`metadata/problem_list.csv` has ratings; `derived/duplicates/identical_problem_clusters` and
`derived/duplicates/<Language>/clusters/pNNNNN-clusters` say what is the same. `derived/` may be absent.
"""

from __future__ import annotations

import csv
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from polyclone.errors import UsageError
from polyclone.languages import resolve

from .values import Collection, Submission

_PROBLEM = re.compile(r"p\d{5}")
_IN_CLUSTER = re.compile(r"(p\d{5})/([^/]+)/(s\d{9})\.\w+:?")
ACCEPTED = "Accepted"
_COLUMNS = frozenset({"submission_id", "problem_id", "language", "status", "filename_ext"})
#: Rejections that leave a program which ran and answered wrongly; a program that does not compile teaches nothing.
WRONG = frozenset({"Wrong Answer", "WA: Presentation Error", "Runtime Error", "Time Limit Exceeded"})


def read_codenet(
    root: Path,
    *,
    languages: Sequence[str],
    per_problem_language: int | None = None,
    rejected_per_problem_language: int = 0,
    max_bytes: int = 60_000,
    seed: int = 1,
) -> Collection:
    """Submissions in `languages` (the engine's names), at most `per_problem_language` accepted and
    `rejected_per_problem_language` wrong ones of a problem in a language, drawn by `seed`.

    Near-duplicates that CodeNet lists are dropped before drawing. Programs of more than `max_bytes` are left
    out and counted. `UsageError` if `root` has not the layout.
    """
    if not (root / "data").is_dir() or not (root / "metadata").is_dir():
        raise UsageError(f"{root} is not laid out as Project CodeNet: it needs the folders data/ and metadata/.")
    counts: Counter[str] = Counter()
    submissions: list[Submission] = []
    groups: list[tuple[str, ...]] = []
    for table in sorted((root / "metadata").glob("p?????.csv")):
        problem = table.stem
        if not _PROBLEM.fullmatch(problem):
            continue
        counts["problems"] += 1
        by_language = _rows(table, frozenset(languages), counts)
        for language, rows in sorted(by_language.items()):
            clusters = _near_duplicates(root, rows[0]["language"], problem)
            for accepted, limit in ((True, per_problem_language), (False, rejected_per_problem_language)):
                chosen = {row["submission_id"]: row for row in rows if (row["status"] == ACCEPTED) == accepted}
                # A rejected program that looks like an accepted one is the hardest of all negatives: it stays.
                alike = [tuple(member for member in cluster if member in chosen) for cluster in clusters]
                groups += [group for group in alike if len(group) > 1]
                listed = {member for group in alike for member in group[1:]}
                counts["near-duplicates that CodeNet lists"] += len(listed)
                rest = [row for name, row in chosen.items() if name not in listed]
                drawn = _draw(rest, limit, f"{seed}/{problem}/{language}/{accepted}")
                submissions += _load(root, drawn, language, max_bytes, counts)
    if not submissions:
        raise UsageError(f"{root} has no program in {', '.join(languages)}; choose other languages.")
    counts["programs"] = len(submissions)
    ratings, judges = _problem_list(root)
    return Collection(
        submissions=tuple(submissions),
        same_problem=_identical_problems(root),
        near_duplicates=tuple(groups),
        difficulty=ratings,
        domains=judges,
        counts=counts,
    )


def _rows(table: Path, wanted: frozenset[str], counts: Counter[str]) -> dict[str, list[dict[str, str]]]:
    """Accepted and wrong submissions of one problem by language, in order of id."""
    found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with table.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        absent = sorted(_COLUMNS - set(reader.fieldnames or ()))
        if absent:
            raise UsageError(f"{table} has no column {', '.join(absent)}; it is no metadata of Project CodeNet.")
        for row in reader:
            if None in row or None in row.values() or not row.get("submission_id"):
                counts["damaged metadata rows"] += 1
                continue
            counts["submissions"] += 1
            try:
                language = resolve(row["language"]).name
            except UsageError:
                counts["in a language that is not known"] += 1
                continue
            if language not in wanted:
                counts["in another language"] += 1
            elif row["status"] == ACCEPTED or row["status"] in WRONG:
                found[language].append(row)
            else:
                counts["rejected without having run"] += 1
    return {language: sorted(rows, key=lambda row: row["submission_id"]) for language, rows in found.items()}


def _draw(rows: list[dict[str, str]], limit: int | None, seed: str) -> list[dict[str, str]]:
    if limit is None or len(rows) <= limit:
        return rows
    return sorted(random.Random(seed).sample(rows, limit), key=lambda row: row["submission_id"])


def _load(
    root: Path, rows: Sequence[Mapping[str, str]], language: str, max_bytes: int, counts: Counter[str]
) -> Iterator[Submission]:
    for row in rows:
        name = f"{row['submission_id']}.{row['filename_ext']}"
        path = root / "data" / row["problem_id"] / row["language"] / name
        if not path.is_file():
            counts["listed but absent"] += 1
        elif path.stat().st_size > max_bytes:
            counts[f"larger than {max_bytes:,} bytes"] += 1
        else:
            yield Submission(
                id=row["submission_id"],
                problem=row["problem_id"],
                language=language,
                code=path.read_text("utf-8", errors="replace"),
                accepted=row["status"] == ACCEPTED,
                path=path.relative_to(root).as_posix(),
                source="Project CodeNet",
                license="CDLA-Permissive-2.0",
            )


def _near_duplicates(root: Path, language: str, problem: str) -> list[tuple[str, ...]]:
    """Clusters of one problem; blank lines part them, the first of each is its representative."""
    path = root / "derived" / "duplicates" / language / "clusters" / f"{problem}-clusters"
    if not path.is_file():
        return []
    clusters = []
    for block in re.split(r"\n\s*\n", path.read_text("utf-8", errors="replace")):
        members = tuple(match[3] for match in _IN_CLUSTER.finditer(block) if match[1] == problem)
        if len(members) > 1:
            clusters.append(members)
    return clusters


def _identical_problems(root: Path) -> tuple[tuple[str, ...], ...]:
    path = root / "derived" / "duplicates" / "identical_problem_clusters"
    if not path.is_file():
        return ()
    lines = path.read_text("utf-8").splitlines()
    return tuple(tuple(_PROBLEM.findall(line)) for line in lines if _PROBLEM.search(line))


def _problem_list(root: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Rating and judge of each problem of `problem_list.csv` that has them; most have no rating."""
    path = root / "metadata" / "problem_list.csv"
    ratings: dict[str, float] = {}
    judges: dict[str, str] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if row.get("dataset"):
                    judges[row["id"]] = row["dataset"]
                with suppress(KeyError, TypeError, ValueError):
                    ratings[row["id"]] = float(row["rating"])
    return ratings, judges
