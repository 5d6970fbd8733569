"""What the user has to know: a wrong setting, once; an error that stops the server from working, once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.session import Condition
from polyclone_server.settings import Problem

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


def register(server: PolycloneServer) -> None:
    told: set[str] = set()

    def show_problem(problem: Problem) -> None:
        show(server, types.MessageType.Warning, problem.message)

    def show_error(condition: Condition) -> None:
        if condition.state == "error" and condition.message not in told:
            told.add(condition.message)
            show(server, types.MessageType.Error, condition.message)
        elif condition.state == "ready":
            told.clear()

    server.session.hooks.problem.append(show_problem)
    server.session.hooks.folders.append(lambda: _log_to(server))
    server.session.hooks.condition.append(show_error)


def show(server: PolycloneServer, kind: types.MessageType, message: str) -> None:
    """Effect: the user sees a message, under the product's name."""
    server.window_show_message(types.ShowMessageParams(type=kind, message=f"polyclone: {message}"))


def _log_to(server: PolycloneServer) -> None:
    """Effect: warnings and errors of this program stand in the client's log, too."""
    for name in ("polyclone", "polyclone_server"):
        logger = logging.getLogger(name)
        for handler in [known for known in logger.handlers if isinstance(known, _ClientLog)]:
            logger.removeHandler(handler)
        logger.addHandler(_ClientLog(server, asyncio.get_running_loop()))


class _ClientLog(logging.Handler):
    """Sends records with `window/logMessage`, from whichever thread they come."""

    def __init__(self, server: PolycloneServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.WARNING)
        self._server, self._loop = server, loop

    def emit(self, record: logging.LogRecord) -> None:
        kind = types.MessageType.Error if record.levelno >= logging.ERROR else types.MessageType.Warning
        params = types.LogMessageParams(type=kind, message=record.getMessage())
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._server.window_log_message, params)
