"""Notebooks: each code cell is a document of its own, and a unit is a function within one cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.convert.positions import edits_of

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


def register(server: PolycloneServer) -> None:
    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def did_open(ls: PolycloneServer, params: types.DidOpenNotebookDocumentParams) -> None:
        notebook = params.notebook_document
        ls.session.documents.cells[notebook.uri] = tuple(cell.document for cell in notebook.cells)
        for item in params.cell_text_documents:
            _open(ls, item)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def did_change(ls: PolycloneServer, params: types.DidChangeNotebookDocumentParams) -> None:
        notebook = params.notebook_document.uri
        cells = params.change.cells
        if cells is None:
            return
        if cells.structure is not None:
            _restructure(ls, notebook, cells.structure)
        for content in cells.text_content or ():
            document = ls.session.documents.change(
                content.document.uri, content.document.version, edits_of(content.changes)
            )
            if document is not None:
                ls.session.changed(document)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def did_close(ls: PolycloneServer, params: types.DidCloseNotebookDocumentParams) -> None:
        known = ls.session.documents.cells.pop(params.notebook_document.uri, ())
        for uri in dict.fromkeys((*known, *(item.uri for item in params.cell_text_documents))):
            _close(ls, uri)


def _restructure(ls: PolycloneServer, notebook: str, structure: types.NotebookDocumentCellChangeStructure) -> None:
    array = structure.array
    cells = ls.session.documents.cells.get(notebook, ())
    fresh = tuple(cell.document for cell in array.cells or ())
    after = cells[array.start + array.delete_count :]
    ls.session.documents.cells[notebook] = (*cells[: array.start], *fresh, *after)
    for item in structure.did_open or ():
        _open(ls, item)
    for closed in structure.did_close or ():
        _close(ls, closed.uri)


def _open(ls: PolycloneServer, item: types.TextDocumentItem) -> None:
    documents = ls.session.documents
    ls.session.opened(documents.open(item.uri, str(item.language_id), item.version, item.text, cell=True))


def _close(ls: PolycloneServer, uri: str) -> None:
    document = ls.session.documents.close(uri)
    if document is not None:
        ls.session.closed(document)
