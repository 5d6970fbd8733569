"""Questions to the index from a handler: answered in their turn, refused with the reason where there is no index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from polyclone_server.owner import UnavailableError

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


async def asked(server: PolycloneServer, function: Callable[[Any], Any]) -> Any:
    """What `function` makes of the index, once all that was asked for before is done. Raises `RequestFailed`."""
    try:
        return await asyncio.wrap_future(server.session.indexer.call(function))
    except UnavailableError as error:
        raise JsonRpcException(str(error), types.LSPErrorCodes.RequestFailed.value) from None
