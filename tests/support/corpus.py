"""A tiny training corpus: exercises in four languages from several sources, and a few libraries."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from polyclone_distill.data.programs import COLUMNS

from support.polyglot import ALGORITHMS, SUFFIXES, TOTAL_ABOVE, framed, source

Row = dict[str, str | None]

#: Exercise → split. Each is solved once in each of four languages.
EXERCISES = {
    "rosetta/harbour": "train",
    "rosetta/glacier": "train",
    "rosetta/violin": "train",
    "rosetta/pepper": "train",
    "rosetta/invoice": "train",
    "rosetta/voyage": "valid",
    "rosetta/ticket": "valid",
    "rosetta/meadow": "valid",
    "rosetta/saddle": "valid",
    "rosetta/copper": "valid",
    "rosetta/lantern": "valid",
    "rosetta/raven": "test",
}
LIBRARIES = ("acme/tariffs", "acme/parcels", "globex/ledger", "initech/clocks", "umbrella/herbs", "hooli/search")


def row(task: str | None, split: str, language: str, origin: str, path: str, code: str) -> Row:
    values = (task, split, language, origin, "MIT", path, code)
    return dict(zip(COLUMNS, values, strict=True))


def renamed(code: str) -> str:
    """The same program with other names for its variables, and a comment: the same shape."""
    for old, new in (("parcels", "things"), ("limit", "bound"), ("largest", "widest"), ("wanted", "needle")):
        code = re.sub(rf"\b{old}\b", new, code)
    return "# Another hand.\n" + code


def exercises() -> list[Row]:
    rows = []
    for number, (task, split) in enumerate(EXERCISES.items()):
        subject = task.partition("/")[2]
        for language in ALGORITHMS:
            path = f"{subject}/{subject}{SUFFIXES[language]}"
            rows.append(row(task, split, language, "rosetta", path, source(language, subject, 101 + 7 * number)))
    return [
        *rows,
        # The same title elsewhere.
        row("euler/the-violin", "train", "python", "euler", "the-violin.py", source("python", "violin", 999)),
        # The same program under another title, and in another split.
        row("kattis/bird-song", "train", "python", "kattis", "bird.py", renamed(source("python", "raven", 178))),
        row("kattis/bird-song", "train", "go", "kattis", "bird.go", source("go", "thicket", 5)),
        # A second copy with other names.
        row("rosetta/glacier", "train", "python", "rosetta", "copy.py", renamed(source("python", "glacier", 108))),
        # Numbered files count by their folder.
        row("euler/sol1", "train", "python", "euler", "problem_001/sol1.py", source("python", "tunnel", 41)),
        row("euler/sol1", "train", "python", "euler", "problem_002/sol1.py", source("python", "anchor", 43)),
        # Too small, and in no language that is known.
        row("rosetta/nothing", "train", "python", "rosetta", "nothing.py", "pass\n"),
        row("rosetta/harbour", "train", "cobol", "rosetta", "harbour.cob", "DISPLAY 'HARBOUR'."),
    ]


TARIFF = {
    "python": '''class TariffTable:
    def compute_tariff(self, weight, distance):
        """Price of a parcel by weight and distance, in cents."""
        price = self.base_price
        for limit, factor in self.steps:
            if weight > limit and distance > 0:
                price += factor * distance // 7
        return max(price, self.least_price)
''',
    "java": """class TariffTable {
    /** Price of a parcel by weight and distance, in cents. */
    int computeTariff(int weight, int distance) {
        int price = this.basePrice;
        for (Step step : this.steps) {
            if (weight > step.limit && distance > 0) {
                price += step.factor * distance / 7;
            }
        }
        return Math.max(price, this.leastPrice);
    }
}
""",
}


def libraries() -> list[Row]:
    rows = [
        row(None, "train", language, "acme/tariffs", f"src/tariff{SUFFIXES[language]}", code)
        for language, code in TARIFF.items()
    ]
    for number, origin in enumerate(LIBRARIES):
        word = ("basket", "candle", "drawer", "easel", "funnel", "gutter")[number]
        for position, language in enumerate(("python", "go", "java", "javascript", "rust", "c")):
            code = (
                TOTAL_ABOVE[language].replace("total", f"{word}_total").replace("10", str(17 + number * 7 + position))
            )
            rows.append(
                row(None, "train", language, origin, f"lib/{word}{SUFFIXES[language]}", framed(language, code))
            )
            if language in ALGORITHMS:
                text = source(language, f"{word}s", 300 + 11 * number + position)
                rows.append(row(None, "train", language, origin, f"lib/{word}s{SUFFIXES[language]}", text))
    return rows


def write_rows(path: Path, rows: list[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema([(c, pa.string()) for c in COLUMNS])), path)
    return path
