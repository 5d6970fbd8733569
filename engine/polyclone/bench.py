"""How fast a bundle is on this machine: functions a second by length, pairs a second, memory. Knows no files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

from polyclone.keywords import SHARED
from polyclone.model import Model
from polyclone.values import ATOM_SEPARATOR

#: Atoms of a short, a usual and a long function.
LENGTHS = (24, 96, 384)


def bench(model: Model, functions: int) -> Iterator[tuple[str, str]]:
    """Names and figures. Effect: runs the graphs on `functions` made-up units of each length, after one warm-up."""
    yield "provider", model.provider
    for atoms in LENGTHS:
        units = made_up(functions, atoms)
        model.encode_normalised(units[:1])
        started = time.perf_counter()
        model.encode_normalised(units)
        elapsed = time.perf_counter() - started
        yield f"{atoms} atoms", f"{functions / elapsed:,.1f} functions/s"
    units = made_up(functions + 1, LENGTHS[1])
    started = time.perf_counter()
    model.pair_probability_normalised(units[:-1], units[1:])
    yield "pairs", f"{functions / (time.perf_counter() - started):,.1f} pairs/s, encoding included"
    done = model.verification
    if done is not None:
        yield "judge", f"{done.verified} of {done.asked} pairs verified in {done.elapsed_s:.1f} s"
    peak = _peak_memory()
    if peak:
        yield "memory", f"{peak / 1e6:,.0f} MB at most"


def made_up(count: int, atoms: int) -> Sequence[str]:
    """Units of so many atoms, all different, always the same: names, calls, operators and keywords in turn."""
    words = sorted({atoms[0] for atoms in SHARED.values() if atoms})
    kinds = ("i", "c", "o+", "n", "k")

    def atom(number: int, place: int) -> str:
        kind = kinds[place % len(kinds)]
        value = (number * 7919 + place * 104_729) % 1009
        if kind in "ic":
            return f"{kind}name{value}"
        return words[value % len(words)] if kind == "k" else f"n{value}" if kind == "n" else kind

    return [ATOM_SEPARATOR.join(atom(i, place) for place in range(atoms)) for i in range(count)]


def _peak_memory() -> int | None:
    """The most bytes this process ever held; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
