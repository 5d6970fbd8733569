"""Which units go through a graph together, and on how many threads. Knows lengths, not texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from polyclone.encode import Advance

#: Tokens of one run on a device that wants batches, padding included: what bounds the memory of activations.
DEVICE_TOKENS = 16_384


def group(lengths: Sequence[int], max_tokens: int | None) -> list[list[int]]:
    """Positions in groups, the longest first, each of at most `max_tokens` once padded to its longest.

    A unit that is longer than that alone is a group of its own. None puts every unit alone: then a result depends
    on the unit and on nothing beside it, to the bit.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    if max_tokens is None:
        return [[i] for i in order]
    groups: list[list[int]] = []
    for i in order:
        # Lengths fall, so the first of a group is its longest.
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= max_tokens:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def run_groups(
    groups: Sequence[Sequence[int]],
    one: Callable[[Sequence[int]], None],
    *,
    threads: int,
    advance: Advance | None = None,
) -> None:
    """Calls `one` for every group, on `threads` threads. `advance` hears of each group and may raise to cancel."""
    if threads == 1:
        for members in groups:
            one(members)
            if advance:
                advance(len(members))
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            for members, _ in zip(groups, pool.map(one, groups), strict=True):
                if advance:
                    advance(len(members))
        except BaseException:  # raised again: an interrupt must not leave work queued either
            pool.shutdown(wait=True, cancel_futures=True)
            raise
