"""Open documents: their text as the client has it, in its order of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.convert.positions import edits_of

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


def register(server: PolycloneServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(ls: PolycloneServer, params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        session = ls.session
        session.opened(session.documents.open(item.uri, str(item.language_id), item.version, item.text))

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(ls: PolycloneServer, params: types.DidChangeTextDocumentParams) -> None:
        identity = params.text_document
        session = ls.session
        document = session.documents.change(identity.uri, identity.version, edits_of(params.content_changes))
        if document is not None:
            session.changed(document)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(ls: PolycloneServer, params: types.DidCloseTextDocumentParams) -> None:
        document = ls.session.documents.close(params.text_document.uri)
        if document is not None:
            ls.session.closed(document)
