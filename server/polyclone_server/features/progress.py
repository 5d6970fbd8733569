"""Progress of what the server does unasked: loading the model, indexing. Its cancel button stops the index."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from polyclone_server.session import Condition

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

LEAST_PAUSE_S = 0.1
_TOKENS = (f"polyclone-{number}" for number in itertools.count(1))


def register(server: PolycloneServer) -> None:
    bar = _Bar(server)
    server.session.hooks.condition.append(bar.follow)

    @server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def cancel(ls: PolycloneServer, params: types.WorkDoneProgressCancelParams) -> None:
        if params.token == bar.token:
            ls.session.indexer.cancel()
        for hook in ls.session.hooks.cancelled:
            hook(params.token)


def counts(condition: Condition) -> str:
    """`8,412 functions, 37 pairs`"""
    functions = "1 function" if condition.functions == 1 else f"{condition.functions:,} functions"
    pairs = "1 pair" if condition.pairs == 1 else f"{condition.pairs:,} pairs"
    return f"{functions}, {pairs}"


def line(condition: Condition) -> str:
    """One line on how far it is."""
    if condition.total:
        return f"{condition.message}: {condition.done:,} of {condition.total:,}"
    return condition.message


class _Bar:
    """One progress bar from the beginning of a piece of work to its end."""

    def __init__(self, server: PolycloneServer) -> None:
        self._server = server
        self.token: str | None = None
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, condition: Condition) -> None:
        if not self._server.session.client.progress:
            return
        busy = condition.state in ("loading", "indexing")
        if busy and self.token is None:
            self.token = next(_TOKENS)
            self._server.background("a progress bar", self._begin, self.token)
        elif busy and self._begun and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LEAST_PAUSE_S, self._report)
        elif not busy and self.token is not None and self._begun:
            self._end(condition)

    async def _begin(self, token: str) -> None:
        server = self._server
        try:
            await server.work_done_progress.create_async(token)
        except JsonRpcException:  # The client does not want it.
            self.token = None
            return
        condition = server.session.condition
        begin = types.WorkDoneProgressBegin(
            title="polyclone", message=line(condition), percentage=0, cancellable=True
        )
        server.work_done_progress.begin(token, begin)
        self._begun = True
        if condition.state in ("ready", "error"):
            self._end(condition)

    def _report(self) -> None:
        self._timer = None
        condition = self._server.session.condition
        if self.token is None or not self._begun:
            return
        percentage = 100 * condition.done // condition.total if condition.total else None
        report = types.WorkDoneProgressReport(message=line(condition), percentage=percentage, cancellable=True)
        self._server.work_done_progress.report(self.token, report)

    def _end(self, condition: Condition) -> None:
        token, self.token, self._begun = self.token, None, False
        if token is None:
            return
        message = counts(condition) if condition.state == "ready" else condition.message
        self._server.work_done_progress.end(token, types.WorkDoneProgressEnd(message=message))
        self._server.work_done_progress.tokens.pop(token, None)
