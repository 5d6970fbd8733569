"""Trouble with a teacher, by what is to be done about it."""

from __future__ import annotations

from polyclone.errors import PolycloneError


class StopRunError(PolycloneError):
    """Asking again is useless for every pair: no access, no balance, no such model. The run ends."""


class RefusedError(PolycloneError):
    """Asking again is useless for this pair: too long, or refused. The pair is recorded and passed over."""


class PassingError(PolycloneError):
    """Trouble that may pass: too many requests, an error of the server, a time-out, a broken connection."""

    def __init__(self, message: str, *, kind: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        """`429`, `5xx`, `timeout`, `connection` or `body`."""
        self.retry_after_s = retry_after_s
        """What the server asked for, if it did."""
