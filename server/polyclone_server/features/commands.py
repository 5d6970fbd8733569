"""The commands behind code actions and lenses, for `workspace/executeCommand`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from polyclone_server import protocol
from polyclone_server.features.asking import asked
from polyclone_server.features.messages import show
from polyclone_server.features.progress import counts
from polyclone_server.folders import Folder, folder_of, path_of
from polyclone_server.queries import nothing
from polyclone_server.suppressing import Trouble, accept, ignore

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer


def register(server: PolycloneServer) -> None:
    @server.command(protocol.COMMAND_SCAN)
    async def scan(ls: PolycloneServer, *arguments: Any) -> None:
        """Reads everything again; from then on findings of all files are diagnostics."""
        ls.session.whole_workspace = True
        ls.session.indexer.reread()
        await asked(ls, nothing)
        await asyncio.sleep(0)  # Let what the index has told arrive.
        show(ls, types.MessageType.Info, f"{counts(ls.session.condition)}.")

    @server.command(protocol.COMMAND_OPEN)
    async def open_function(ls: PolycloneServer, *arguments: Any) -> None:
        item = _object(arguments, "FunctionItem", "uri", "selectionRange")
        selection = _range(item["selectionRange"])
        if ls.session.client.show_document:
            shown = types.ShowDocumentParams(uri=item["uri"], take_focus=True, selection=selection)
            answer = await ls.window_show_document_async(shown)
            if answer is not None and answer.success:
                return
        place = f"{item.get('path') or item['uri']}:{selection.start.line + 1}"
        show(ls, types.MessageType.Info, f"{item.get('qualifiedName') or 'It'} is at {place}")

    @server.command(protocol.COMMAND_IGNORE_PAIR)
    async def ignore_pair(ls: PolycloneServer, *arguments: Any) -> None:
        pair = _object(arguments, "IgnorePairArguments", "uri", "fingerprint", "left", "right")
        await _write(ls, pair["uri"], ignore, [pair])

    @server.command(protocol.COMMAND_ACCEPT)
    async def accept_pairs(ls: PolycloneServer, *arguments: Any) -> None:
        given = _object(arguments, "AcceptArguments", "uri", "pairs")
        if not isinstance(given["pairs"], list):
            raise JsonRpcInvalidParams("`pairs` must be a list.")
        pairs = [_object((pair,), "IgnorePairArguments", "fingerprint", "left", "right") for pair in given["pairs"]]
        await _write(ls, given["uri"], accept, pairs)

    @server.command(protocol.COMMAND_CLEAR_CACHE)
    async def clear_cache(ls: PolycloneServer, *arguments: Any) -> None:
        ls.session.indexer.reread(forget=True)
        await asked(ls, nothing)
        show(ls, types.MessageType.Info, "The cache was emptied, and everything indexed again.")


async def _write(ls: PolycloneServer, uri: str, write: Any, pairs: list[Mapping[str, Any]]) -> None:
    """Effect: the pairs stand in the folder's file, and what they suppress is shown no more."""
    session = ls.session
    loop = asyncio.get_running_loop()
    try:
        home = _home(ls, uri)
        await loop.run_in_executor(session.helpers, write, home.path, session.baseline(home.path), pairs)
    except Trouble as error:
        raise JsonRpcException(str(error)) from None
    session.indexer.reread_suppressions()


def _home(ls: PolycloneServer, uri: str) -> Folder:
    """The folder whose files say what is suppressed; the first one for a document that lies in none."""
    path = path_of(uri)
    home = folder_of(ls.session.folders, path) if path else None
    if home is None and ls.session.folders:
        home = ls.session.folders[0]
    if home is None:
        raise JsonRpcException("Open a folder first: what is ignored or accepted is kept in its .polyclone folder.")
    return home


def _object(arguments: tuple[Any, ...], name: str, *keys: str) -> Mapping[str, Any]:
    """The one argument of a command, with at least these keys."""
    if len(arguments) != 1 or not isinstance(arguments[0], Mapping) or any(key not in arguments[0] for key in keys):
        raise JsonRpcInvalidParams(f"The command needs one argument, `{name}`, with {', '.join(keys)}.")
    given: Mapping[str, Any] = arguments[0]
    for key in ("uri", "fingerprint", "left", "right", "reason"):
        if key in given and not isinstance(given[key], str):
            raise JsonRpcInvalidParams(f"`{key}` must be a string.")
    return given


def _range(value: Any) -> types.Range:
    try:
        start, end = (types.Position(value[end]["line"], value[end]["character"]) for end in ("start", "end"))
    except (KeyError, TypeError, ValueError):
        raise JsonRpcInvalidParams("`selectionRange` must be a range.") from None
    return types.Range(start=start, end=end)
