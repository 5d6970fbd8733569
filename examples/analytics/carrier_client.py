"""Talking to the carriers' tracking services, which are down more often than they admit."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TransientError(Exception):
    """The carrier may answer if asked again."""


def retry_with_backoff(operation: Callable[[], T], max_attempts: int = 5, base: float = 0.2, cap: float = 10.0) -> T:
    """Call `operation` until it succeeds, waiting twice as long after each failure, with some jitter."""
    attempt = 0
    while True:
        try:
            return operation()
        except TransientError:
            attempt += 1
            if attempt >= max_attempts:
                raise
            delay = min(base * 2 ** (attempt - 1), cap)
            jitter = random.uniform(0.5, 1.0)
            time.sleep(delay * jitter)
