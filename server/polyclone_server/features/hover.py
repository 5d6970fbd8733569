"""Hover: on the name of a function that has clones, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.convert.hover import hover_of
from polyclone_server.convert.positions import offset_at

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


def register(server: PolycloneServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(ls: PolycloneServer, params: types.HoverParams) -> types.Hover | None:
        session = ls.session
        document, scene = session.documents.get(params.text_document.uri), session.scene()
        if document is None or scene is None or not session.settings(document.key).hover:
            return None
        offset = offset_at(document.text, params.position, scene.encoding)
        for placed in scene.findings(document.key):
            if placed.place.name_start <= offset <= placed.place.name_stop:
                return hover_of(scene, placed, markdown=session.client.markdown)
        return None
