"""What graphs are compared on: real functions of all languages, with the task that each of them solves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from polyclone.extract import extract_snippet
from polyclone.languages import LANGUAGES
from polyclone.values import ATOM_SEPARATOR

REFERENCE_UNITS = 512
_PROBES = Path(__file__).with_name("probes.md")
_PART = re.compile(r"^## (?P<task>[^\n]+)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Units to compare on: normalised text, clone class and language of each."""

    units: tuple[str, ...]
    classes: tuple[str, ...]
    languages: tuple[str, ...]

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            units=self.units + other.units,
            classes=self.classes + other.classes,
            languages=self.languages + other.languages,
        )

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.unique(np.array(self.classes), return_inverse=True)[1]

    @property
    def language_numbers(self) -> NDArray[np.int64]:
        return np.unique(np.array(self.languages), return_inverse=True)[1]


def probes() -> Sample:
    """Three tasks in fourteen languages, and for each language one long unit: all three at once."""
    task = ""
    rows: list[tuple[str, str, str]] = []
    for part in _PART.finditer(_PROBES.read_text("utf-8")):
        if part["task"]:
            task = part["task"]
        else:
            rows.append((part["code"], task, part["language"]))
    whole = {name: "\n".join(code for code, _, language in rows if language == name) for name in sorted(LANGUAGES)}
    rows += [(code * 3, "all", language) for language, code in whole.items()]
    return Sample(
        units=tuple(extract_snippet(code, language).normalised for code, _, language in rows),
        classes=tuple(f"probe/{name}" for _, name, _ in rows),
        languages=tuple(language for _, _, language in rows),
    )


def read_sample(prepared: Path, *, per_class: int = 5, classes: int = 80) -> Sample:
    """Units of unseen tasks, as they lie in the prepared data."""
    rows = pq.read_table(prepared / "units.parquet", filters=[("split", "=", "valid"), ("role", "=", "program")])
    chosen: dict[str, dict[str, str]] = {}
    for row in rows.select(["class", "language", "normalised"]).to_pylist():
        group = chosen.setdefault(row["class"], {})
        group.setdefault(row["language"], row["normalised"])
    units = [
        (unit, name, language)
        for name in sorted(chosen)[:classes]
        for language, unit in sorted(chosen[name].items())[:per_class]
    ]
    return Sample(
        units=tuple(u for u, _, _ in units),
        classes=tuple(c for _, c, _ in units),
        languages=tuple(language for _, _, language in units),
    )


def read_reference(prepared: Path, count: int = REFERENCE_UNITS) -> list[str]:
    """Library functions of all languages in equal parts: the background against which a cosine is judged."""
    rows = pq.read_table(
        prepared / "units.parquet", columns=["task", "language", "normalised"], filters=[("role", "=", "function")]
    ).to_pylist()
    by_language: dict[str, list[str]] = {}
    for row in rows:
        if row["task"] is None and 32 <= row["normalised"].count(ATOM_SEPARATOR) <= 300:
            by_language.setdefault(row["language"], []).append(row["normalised"])
    rng = np.random.default_rng(17)
    each = max(1, count // max(1, len(by_language)))
    return [
        units[i]
        for _, units in sorted(by_language.items())
        for i in sorted(rng.choice(len(units), min(each, len(units)), replace=False).tolist())
    ]


def labelled_pairs(sample: Sample, most: int = 96) -> tuple[list[tuple[str, str]], NDArray[np.bool_]]:
    """Pairs across languages, half of one class and half of two, and whether each is of one. Always the same."""
    rng = np.random.default_rng(5)
    pairs: list[tuple[str, str]] = []
    same: list[bool] = []
    order = rng.permutation(len(sample.units)).tolist()
    for wanted in (True, False):
        found = [
            (sample.units[i], sample.units[j])
            for i, j in zip(*_partners(sample, order, same_class=wanted), strict=True)
        ][: most // 2]
        pairs += found
        same += [wanted] * len(found)
    return pairs, np.array(same, dtype=bool)


def _partners(sample: Sample, order: Sequence[int], *, same_class: bool) -> tuple[list[int], list[int]]:
    """For each unit the next one in `order` of another language and of the same class, or of another."""
    left, right = [], []
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if sample.languages[i] != sample.languages[j] and same_class == (sample.classes[i] == sample.classes[j]):
                left.append(i)
                right.append(j)
                break
    return left, right
