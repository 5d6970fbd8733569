"""How long the two sides of pairs are: what a token budget has to hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .values import Pair

Count = Callable[[str], int]


def length_statistics(pairs: Sequence[Pair], tokens: Count | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """Language pair → measure → mean, median, p90, max.

    Measures: characters and atoms of each side and of both; tokens too where `tokens` counts them.
    """
    columns: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        measures: Mapping[str, tuple[int, int]] = {
            "characters": (len(pair.left.code), len(pair.right.code)),
            "atoms": (pair.left.atoms, pair.right.atoms),
            **({"tokens": (tokens(pair.left.code), tokens(pair.right.code))} if tokens else {}),
        }
        for measure, (left, right) in measures.items():
            for name, value in (("left", left), ("right", right), ("both", left + right)):
                columns[pair.languages][f"{measure}, {name}"].append(value)
    return {
        languages: {name: _summary(values) for name, values in named.items()}
        for languages, named in sorted(columns.items())
    }


def _summary(values: Sequence[int]) -> dict[str, float]:
    array = np.array(values, dtype=np.float64)
    return {
        "mean": float(array.mean()),
        "median": float(np.median(array)),
        "p90": float(np.quantile(array, 0.9)),
        "max": float(array.max()),
    }
