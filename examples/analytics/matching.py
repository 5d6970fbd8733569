"""Matching what customers typed against what the catalogue says."""

from collections.abc import Iterable


def edit_distance(typed: str, wanted: str) -> int:
    """How many insertions, deletions and substitutions turn `typed` into `wanted`."""
    if len(typed) < len(wanted):
        typed, wanted = wanted, typed
    if not wanted:
        return len(typed)
    previous = list(range(len(wanted) + 1))
    for row, left in enumerate(typed, start=1):
        current = [row]
        for column, right in enumerate(wanted, start=1):
            substitution = previous[column - 1] + (left != right)
            current.append(min(previous[column] + 1, current[column - 1] + 1, substitution))
        previous = current
    return previous[-1]


def did_you_mean(typed: str, products: Iterable[str]) -> str | None:
    """The closest product name, if any is close."""
    best = min(products, key=lambda name: edit_distance(typed.lower(), name.lower()), default=None)
    if best is None or edit_distance(typed.lower(), best.lower()) > 3:
        return None
    return best
