"""How the server is: asked for with `polyclone/status`, told to a client that wants to be told."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from polyclone_server import protocol
from polyclone_server.convert.items import model_item
from polyclone_server.session import Condition

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

LEAST_PAUSE_S = 0.1


def register(server: PolycloneServer) -> None:
    teller = _Teller(server)
    server.session.hooks.condition.append(teller.changed)

    @server.feature(protocol.STATUS)
    def status(ls: PolycloneServer, params: Any) -> protocol.Status:
        return status_of(ls)


def status_of(server: PolycloneServer) -> protocol.Status:
    condition = server.session.condition
    info = condition.model
    return {
        "state": condition.state,
        "message": condition.message,
        "done": condition.done,
        "total": condition.total,
        "files": condition.files,
        "functions": condition.functions,
        "pairs": condition.pairs,
        "model": model_item(info, condition.provider) if info is not None else None,
        "version": server.version,
        "pid": os.getpid(),
    }


class _Teller:
    """Sends the newest status, not more often than people can read it."""

    def __init__(self, server: PolycloneServer) -> None:
        self._server = server
        self._timer: asyncio.TimerHandle | None = None

    def changed(self, condition: Condition) -> None:
        if self._server.session.client.status_notification and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LEAST_PAUSE_S, self._send)

    def _send(self) -> None:
        self._timer = None
        self._server.protocol.notify(protocol.STATUS_CHANGED, status_of(self._server))
