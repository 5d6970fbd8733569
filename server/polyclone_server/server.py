"""The server put together: one session, one connection, the features registered on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInternalError
from pygls.lsp.server import LanguageServer

from polyclone_server import __version__
from polyclone_server.documents import LANGUAGE_IDS
from polyclone_server.features import register_all
from polyclone_server.session import Session
from polyclone_server.wire import WireProtocol, converter

logger = logging.getLogger(__name__)

NAME = "polyclone"


class PolycloneServer(LanguageServer):
    """One server for one client."""

    protocol: WireProtocol

    def __init__(self) -> None:
        self.session = Session()
        self.finished: asyncio.Future[int] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        super().__init__(
            NAME,
            __version__,
            protocol_cls=WireProtocol,
            converter_factory=converter,
            notebook_document_sync=_notebooks(),
        )
        register_all(self)

    def background(self, what: str, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Effect: runs `work` on the event loop; a failure of it is logged under the name `what`."""

        async def guarded() -> None:
            try:
                await work(*arguments)
            except Exception:  # nobody awaits it: a defect is logged, not lost
                logger.exception("%s failed", what)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def finish(self, code: int) -> None:
        """Effect: the process is to end with this code. The first one counts."""
        if self.finished is not None and not self.finished.done():
            self.finished.set_result(code)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """What goes wrong in a handler is logged; a request is answered with it, a user is not bothered."""
        if isinstance(error, JsonRpcException) and not isinstance(error, JsonRpcInternalError):
            logger.info("refused: %s", error)
            return
        data = getattr(error, "data", None)
        trace = "".join(data.get("traceback", ())) if isinstance(data, dict) else ""
        logger.error("%s: %s", getattr(source, "__name__", source), f"{error}\n{trace}" if trace else error)


def _notebooks() -> types.NotebookDocumentSyncOptions:
    """Cells of every language that is read."""
    cells = [types.NotebookCellLanguage(language=name) for name in LANGUAGE_IDS]
    return types.NotebookDocumentSyncOptions(
        notebook_selector=[types.NotebookDocumentFilterWithCells(notebook="*", cells=cells)]
    )
