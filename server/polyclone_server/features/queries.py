"""`polyclone/findClones`: what does the same as the function at a position, of any probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from polyclone_server import protocol
from polyclone_server.convert.items import clones_of
from polyclone_server.convert.positions import offset_at
from polyclone_server.features.asking import asked
from polyclone_server.queries import nearest

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

MOST = 1_000


def register(server: PolycloneServer) -> None:
    @server.feature(protocol.FIND_CLONES)
    async def find_clones(ls: PolycloneServer, params: Any) -> protocol.FindClonesResult:
        uri, position, limit = _checked(params)
        session = ls.session
        document, scene = session.documents.get(uri), session.scene()
        nothing: protocol.FindClonesResult = {"function": None, "tooSmall": False, "complete": False, "matches": []}
        if scene is None:
            return nothing
        key = document.key if document else session.documents.key(uri)
        text = scene.text(key)
        if text is None:
            return {**nothing, "complete": scene.view.snapshot.complete}
        function = scene.function_at(key, offset_at(text, position, scene.encoding))
        if function is None:
            return {**nothing, "complete": scene.view.snapshot.complete}
        if not scene.view.snapshot.complete:  # The engine is busy; what is known so far is better than waiting.
            return clones_of(scene, function, None, limit)
        found = await asked(ls, nearest(function, limit))
        return clones_of(scene, function, found, limit)


def _checked(params: Any) -> tuple[str, types.Position, int]:
    try:
        uri, position = params["textDocument"]["uri"], params["position"]
        line, character = position["line"], position["character"]
        limit = params.get("limit", 10) if isinstance(params, Mapping) else 10
    except (KeyError, TypeError):
        raise JsonRpcInvalidParams(
            f"{protocol.FIND_CLONES} needs `textDocument.uri` and `position` with `line` and `character`."
        ) from None
    numbers = (line, character, limit)
    if not isinstance(uri, str) or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers):
        raise JsonRpcInvalidParams("`uri` must be a string; `line`, `character` and `limit` whole numbers from 0 on.")
    return uri, types.Position(line=line, character=character), min(limit, MOST)
