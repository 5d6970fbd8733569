"""Talking to the carriers' tracking services, which are down more often than they admit."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TransientError(Exception):
    """The carrier may answer if asked again."""


def call_patiently(request: Callable[[], T], tries: int = 5, first_wait: float = 0.2, longest: float = 10.0) -> T:
    """Call `request` until it succeeds, waiting twice as long after each failure, with some jitter."""
    wait = first_wait
    for attempt in range(1, tries + 1):
        try:
            return request()
        except TransientError:
            if attempt == tries:
                raise
            time.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, longest)
    raise ValueError("tries must be at least 1")
