"""What pygls does differently from what is needed here: documents of our own, errors that answer, an orderly end."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from typing import Any

from cattrs import Converter
from lsprotocol import types
from lsprotocol.converters import get_converter
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage
from pygls.protocol.language_server import lsp_method

from polyclone_server.client import client_of
from polyclone_server.text import ENCODINGS

logger = logging.getLogger(__name__)

_NOT_INITIALIZED = types.ResponseError(
    code=types.ErrorCodes.ServerNotInitialized,
    message="The server has not been initialized; send `initialize` first.",
)
_ENDING = types.ResponseError(code=types.ErrorCodes.InvalidRequest, message="The server is shutting down.")
_TWICE = types.ResponseError(code=types.ErrorCodes.InvalidRequest, message="The server was initialized already.")


def converter() -> Converter:
    """The converter of protocol types. What is no part of the protocol stays plain JSON."""
    made: Converter = get_converter()
    for kind in (JsonRPCRequestMessage, JsonRPCNotification):
        made.register_structure_hook(kind, lambda data, kind: kind(**{"params": None, **data}))
    made.register_structure_hook(JsonRPCResponseMessage, lambda data, kind: kind(**data))
    return made


class WireProtocol(LanguageServerProtocol):
    """The protocol of one connection. Only the event loop's thread may use it."""

    _server: Any

    def receive(self, body: bytes) -> None:
        """Effect: handles one message. What cannot be understood is answered if it asks for an answer."""
        try:
            data = json.loads(body)
        except ValueError as error:
            logger.error("a message that is no JSON was left out: %s", error)
            parse_error = types.ResponseError(
                code=types.ErrorCodes.ParseError, message=f"The message is no JSON: {error}"
            )
            self._send_data(types.ResponseErrorMessage(id=None, error=parse_error))
            return
        if not isinstance(data, dict) or data.get("jsonrpc") != "2.0":
            logger.error("a message that is no JSON-RPC 2.0 was left out")
            return
        asks = "method" in data and "id" in data
        refusal = self._refusal(data) if "method" in data else None
        if refusal is not None:
            if asks:
                self._send_response(data["id"], error=refusal)
            return
        try:
            message = self.structure_message(data)
        except JsonRpcException as error:
            logger.error("%s: its parameters were not understood: %s", data.get("method", "an answer"), error)
            if asks:
                told = types.ResponseError(
                    code=types.ErrorCodes.InvalidParams, message=f"The parameters of {data['method']} are not valid."
                )
                self._send_response(data["id"], error=told)
            return
        self.handle_message(message)

    def _refusal(self, data: dict[str, Any]) -> types.ResponseError | None:
        method = data["method"]
        if method == types.EXIT:
            return None
        if self._shutdown:
            return _ENDING
        if self._workspace is None:
            return None if method == types.INITIALIZE else _NOT_INITIALIZED
        return _TWICE if method == types.INITIALIZE else None

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """The capabilities, without those that this client has no use for."""
        session = self._server.session
        session.client = client_of(params)
        result: types.InitializeResult = yield from super().lsp_initialize(params)
        capabilities = result.capabilities
        chosen = str(getattr(capabilities.position_encoding, "value", capabilities.position_encoding))
        session.documents.encoding = next(e for e in ENCODINGS if e == chosen)
        if not session.client.pull_diagnostics:
            capabilities.diagnostic_provider = None
        return result

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *arguments: Any) -> Generator[Any, Any, None]:
        """Effect: whatever is in flight is cancelled; only `exit` is accepted from then on."""
        current = self.msg_id
        for identity, future in list(self._request_futures.items()):  # Cancelling one may remove others.
            if identity != current and not future.done():
                future.cancel()
        self._shutdown = True
        yield self._server.session.stop_work, (), None

    @lsp_method(types.EXIT)
    def lsp_exit(self, *arguments: Any) -> Generator[Any, Any, None]:
        """Effect: the server ends; with 1 if `shutdown` did not come first."""
        yield self._server.finish, (0 if self._shutdown else 1,), None

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    def lsp_workspace__execute_command(self, params: types.ExecuteCommandParams) -> Generator[Any, Any, Any]:
        """The command's own result. Arguments stay plain JSON, for the command to check."""
        handler = self.fm.commands.get(params.command)
        if handler is None:
            raise JsonRpcInvalidParams(f"There is no command {params.command!r}.")
        result = yield handler, tuple(params.arguments or ()), None
        return result

    # Documents: pygls' own keep other line ends than the protocol's, so they are not used.

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        self._pass_on(types.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        self._pass_on(types.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._pass_on(types.TEXT_DOCUMENT_DID_CLOSE, params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        self._pass_on(types.NOTEBOOK_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(self, params: types.DidChangeNotebookDocumentParams) -> None:
        self._pass_on(types.NOTEBOOK_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(self, params: types.DidCloseNotebookDocumentParams) -> None:
        self._pass_on(types.NOTEBOOK_DOCUMENT_DID_CLOSE, params)

    @lsp_method(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def lsp_workspace__did_change_workspace_folders(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        self._pass_on(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS, params)

    def _pass_on(self, method: str, params: Any) -> None:
        self.fm.features[method](params)
