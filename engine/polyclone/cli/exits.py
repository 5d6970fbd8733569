"""The exit codes, described for people in `docs/cli.md`."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    GATE = 1
    """A gate that was asked for tripped. Nothing trips unasked."""
    ERROR = 2
    INTERRUPTED = 130
