"""Beginning and end: what `initialize` says, what follows `initialized`, and a client that dies."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.features.configuration import configure, register_for_changes
from polyclone_server.folders import Folder, folder, uri_of

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

PARENT_CHECK_S = 2.0


def register(server: PolycloneServer) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(ls: PolycloneServer, params: types.InitializeParams) -> None:
        ls.session.folders = _folders(params)
        ls.session.sent_settings = ls.session.client.initial_settings

    @server.feature(types.INITIALIZED)
    def initialized(ls: PolycloneServer, params: types.InitializedParams) -> None:
        ls.session.start()
        ls.background("the beginning", _begin, ls)
        process_id = ls.session.client.process_id
        # A number from another machine or container says nothing.
        if process_id is not None and is_alive(process_id):
            ls.background("watching the client", _watch_parent, ls, process_id)


async def _begin(ls: PolycloneServer) -> None:
    await configure(ls)
    ls.session.tell_folders()
    await register_for_changes(ls)


async def _watch_parent(ls: PolycloneServer, process_id: int) -> None:
    while is_alive(process_id):
        await asyncio.sleep(PARENT_CHECK_S)
    ls.finish(1)


def is_alive(process_id: int) -> bool:
    """Whether a process of this number runs on this machine."""
    if sys.platform == "win32":
        import ctypes

        synchronize = 0x00100000
        handle = ctypes.windll.kernel32.OpenProcess(synchronize, False, process_id)
        if not handle:
            return False
        gone = ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == 0
        ctypes.windll.kernel32.CloseHandle(handle)
        return not gone
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _folders(params: types.InitializeParams) -> tuple[Folder, ...]:
    """The workspace folders; from `rootUri` or `rootPath` of a client that knows no folders."""
    if params.workspace_folders:
        items = [(item.uri, item.name) for item in params.workspace_folders]
    elif params.root_uri:
        items = [(params.root_uri, "")]
    elif params.root_path and os.path.isabs(params.root_path):  # noqa: PTH117
        items = [(uri_of(params.root_path), "")]
    else:
        items = []
    found = (folder(uri, name) for uri, name in items)
    return tuple({item.path: item for item in found if item is not None}.values())
