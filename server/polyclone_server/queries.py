"""What is asked of the engine on its own thread: pure functions of what the owner holds."""

from __future__ import annotations

from collections.abc import Callable

from polyclone.values import Function, Match

from polyclone_server.owner import Owned
from polyclone_server.view import View


def nearest(function: Function, limit: int) -> Callable[[Owned], tuple[Match, ...]]:
    """The most probable clones of a function, of any probability, best first."""
    return lambda owned: owned.live.query(function, limit)


def present(owned: Owned) -> View:
    """The view that all asked for before is part of."""
    return owned.view


def nothing(owned: Owned) -> None:
    """For who only wants to know that all before is done."""
