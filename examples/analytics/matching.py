"""Matching what customers typed against what the catalogue says."""

from collections.abc import Iterable


def levenshtein_distance(source: str, target: str) -> int:
    """How many insertions, deletions and substitutions turn `source` into `target`."""
    costs = list(range(len(target) + 1))
    for i, a in enumerate(source):
        diagonal, costs[0] = i, i + 1
        for j, b in enumerate(target):
            substitution = diagonal if a == b else diagonal + 1
            diagonal = costs[j + 1]
            costs[j + 1] = min(substitution, costs[j] + 1, diagonal + 1)
    return costs[len(target)]


def did_you_mean(typed: str, products: Iterable[str]) -> str | None:
    """The closest product name, if any is close."""
    best = min(products, key=lambda name: levenshtein_distance(typed.lower(), name.lower()), default=None)
    if best is None or levenshtein_distance(typed.lower(), best.lower()) > 3:
        return None
    return best
