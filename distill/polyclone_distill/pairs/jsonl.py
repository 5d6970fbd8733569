"""JSON lines: pairs in and out, submissions in. One object a line; a bad line is an error with its number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from polyclone.errors import UsageError
from polyclone.languages import resolve

from .values import Collection, Pair, Submission

T = TypeVar("T")


def read_lines(path: Path, parse: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """Each line of `path` through `parse`. `UsageError` with path and line for what is not as it should be."""
    for number, line in _lines(path):
        try:
            raw = json.loads(line)
            if not isinstance(raw, dict):
                raise UsageError("expected one JSON object a line.")
            yield parse(raw)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {number}: {error}; expected one JSON object a line.") from error
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file; give a JSONL file.")
    try:
        with path.open(encoding="utf-8") as lines:
            yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8 ({error}); give a JSONL file.") from error


def read_pairs(path: Path, limit: int | None = None) -> list[Pair]:
    """Pairs as `write_pairs` wrote them, or by hand: `{"left": {"code", "language"}, "right": …, "label": 0|1}`.

    Pairs without ids are numbered by line; two pairs of one id are an error, since answers are kept by id. `limit`
    takes only the first so many.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}.")

    def parse(raw: dict[str, Any]) -> Pair:
        for side in ("left", "right"):
            if isinstance(raw.get(side), dict) and "language" in raw[side]:
                raw[side]["language"] = resolve(str(raw[side]["language"])).name
        number[0] += 1
        raw.setdefault("id", f"{path.stem}:{number[0]}")
        pair = Pair.from_json(raw)
        if pair.id in seen:
            raise UsageError(f"the id {pair.id!r} is used twice; ids must be unique.")
        seen.add(pair.id)
        return pair

    number = [0]
    seen: set[str] = set()
    pairs = list(islice(read_lines(path, parse), limit))
    if not pairs:
        raise UsageError(f"{path} holds no pair; one JSON object a line is expected.")
    return pairs


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Effect: writes `path` whole or not at all."""
    write_atomically(path, "".join(json.dumps(pair.to_json(), ensure_ascii=False) + "\n" for pair in pairs))


def write_atomically(path: Path, text: str) -> None:
    """Effect: `path` holds `text`, or what it held before; never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8", errors="surrogatepass")
    part.replace(path)


def read_submissions(path: Path) -> Collection:
    """`{"id", "problem", "language", "code", "accepted": true, "difficulty": 800, "split": "", …}` a line."""
    difficulty: dict[str, float] = {}

    def parse(raw: dict[str, Any]) -> Submission:
        try:
            if raw.get("difficulty") is not None:
                difficulty[str(raw["problem"])] = float(raw["difficulty"])
            return Submission(
                id=str(raw["id"]),
                problem=str(raw["problem"]),
                language=resolve(str(raw["language"])).name,
                code=str(raw["code"]),
                accepted=bool(raw.get("accepted", True)),
                path=str(raw.get("path", "")),
                split=str(raw.get("split", "")),
                source=str(raw.get("source", "")),
                license=str(raw.get("license", "")),
            )
        except KeyError as error:
            raise UsageError(f"{error} is missing.") from error
        except ValueError as error:
            raise UsageError(f"{error}.") from error

    rows = tuple(read_lines(path, parse))
    domains = {row.problem: row.source for row in rows if row.source}
    return Collection(submissions=rows, difficulty=difficulty, domains=domains, counts={"programs": len(rows)})
