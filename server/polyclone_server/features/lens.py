"""Code lenses: a place over each function that has clones, counted when the client resolves it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.convert.actions import lens_of, resolved_lens

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

GATHER_S = 0.2
"""Views that come within so many seconds are one reason to refresh."""


def register(server: PolycloneServer) -> None:
    refresher = _Refresher(server)
    server.session.hooks.view.append(refresher.soon)
    server.session.hooks.settings.append(refresher.soon)

    @server.feature(types.TEXT_DOCUMENT_CODE_LENS)
    def lenses(ls: PolycloneServer, params: types.CodeLensParams) -> list[types.CodeLens]:
        session = ls.session
        document, scene = session.documents.get(params.text_document.uri), session.scene()
        refresher.asked = True
        if document is None or scene is None or not session.settings(document.key).code_lens:
            return []
        return [lens_of(scene, placed) for placed in scene.findings(document.key)]

    @server.feature(types.CODE_LENS_RESOLVE)
    def resolve(ls: PolycloneServer, params: types.CodeLens) -> types.CodeLens:
        scene = ls.session.scene()
        return params if scene is None else resolved_lens(scene, params, ls.session.client)


class _Refresher:
    """Asks the client to ask again, once it has shown an interest in lenses."""

    def __init__(self, server: PolycloneServer) -> None:
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self._last: object = None
        self.asked = False

    def soon(self) -> None:
        if self.asked and self._server.session.client.refresh_lenses and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._now)

    def _now(self) -> None:
        self._timer = None
        session = self._server.session
        scene = session.scene()
        if scene is None:
            return
        shown = {
            key: [(p.finding.function, p.finding.matches) for p in scene.findings(key)]
            for key in scene.documents
            if session.settings(key).code_lens
        }
        if shown != self._last:
            self._last = shown
            self._server.background("a refresh of code lenses", _ask, self._server)


async def _ask(server: PolycloneServer) -> None:
    await server.workspace_code_lens_refresh_async(None)
