"""An editor without a screen: speaks plain JSON with the language server, in this process or with a real one.

It keeps all that the server sends, answers what a server may ask, and knows the text of what it has open.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from polyclone_server.server import PolycloneServer

Json = dict[str, Any]
PATIENCE_S = 120.0

#: What a client of the present day can do; `without` takes parts of it away.
CAPABILITIES: Json = {
    "general": {"positionEncodings": ["utf-16"]},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {
        "configuration": True,
        "workspaceFolders": True,
        "didChangeConfiguration": {"dynamicRegistration": True},
        "didChangeWatchedFiles": {"dynamicRegistration": True, "relativePatternSupport": True},
        "diagnostics": {"refreshSupport": True},
        "codeLens": {"refreshSupport": True},
    },
    "notebookDocument": {"synchronization": {"dynamicRegistration": True}},
    "textDocument": {
        "hover": {"contentFormat": ["markdown", "plaintext"]},
        "codeAction": {
            "dataSupport": True,
            "resolveSupport": {"properties": ["edit", "command"]},
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix", "source"]}},
        },
        "diagnostic": {"dynamicRegistration": True, "relatedDocumentSupport": True},
        "publishDiagnostics": {"relatedInformation": True, "codeDescriptionSupport": True, "dataSupport": True},
    },
}


def without(capabilities: Json, *paths: str) -> Json:
    """A copy without some parts, named by dotted paths."""
    copy: Json = json.loads(json.dumps(capabilities))
    for path in paths:
        *parents, last = path.split(".")
        here = copy
        for parent in parents:
            here = here[parent]
        del here[last]
    return copy


class ServerError(Exception):
    """The server answered a request with an error."""

    def __init__(self, error: Json) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.data = error.get("data")


class Editor:
    """One connection. `send` is how bytes leave; `feed` is how messages arrive."""

    def __init__(self, send: Callable[[Json], None]) -> None:
        self._send = send
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Event()
        self.log: list[Json] = []
        """Every message of the server, in order."""
        self.settings: Json = {}
        """What `workspace/configuration` is answered with; by URI of a folder, where that is a key."""
        self.refuses: set[str] = set()
        """Requests of the server that this client answers with an error."""
        self.capabilities: Json = {}
        """The server's."""

    # --- wire ---

    def feed(self, message: Json) -> None:
        self.log.append(message)
        if "method" in message and "id" in message:
            self._answer(message)
        elif "id" in message:
            self._settle(message)
        self._news.set()

    def _settle(self, message: Json) -> None:
        future = self._pending.pop(message["id"], None)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(ServerError(message["error"]))
        else:
            future.set_result(message.get("result"))

    def _answer(self, message: Json) -> None:
        method, result = message["method"], None
        if method in self.refuses:
            error = {"code": -32601, "message": "no"}
            self._send({"jsonrpc": "2.0", "id": message["id"], "error": error})
            return
        if method == "workspace/configuration":
            result = [
                self.settings.get(item.get("scopeUri", ""), self.settings) for item in message["params"]["items"]
            ]
        elif method == "window/showDocument":
            result = {"success": True}
        self._send({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def notify(self, method: str, params: Any = None) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: Any = None) -> tuple[int, asyncio.Future[Any]]:
        """A request on its way: its id, and its answer to come."""
        identity = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[identity] = future
        self._send({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})
        return identity, future

    async def request(self, method: str, params: Any = None) -> Any:
        return await asyncio.wait_for(self.ask(method, params)[1], PATIENCE_S)

    async def until(self, done: Callable[[Json], bool], start: int = 0) -> Json:
        """The first message, from the `start`-th on, that passes; waits for it."""

        async def look() -> Json:
            position = start
            while True:
                self._news.clear()
                while position < len(self.log):
                    if done(self.log[position]):
                        return self.log[position]
                    position += 1
                await self._news.wait()

        return await asyncio.wait_for(look(), PATIENCE_S)

    def received(self, method: str) -> list[Any]:
        """The parameters of all messages of one method."""
        return [message.get("params") for message in self.log if message.get("method") == method]

    # --- what an editor does ---

    async def initialize(
        self,
        folders: Sequence[Path] = (),
        *,
        capabilities: Json = CAPABILITIES,
        options: Mapping[str, Any] | None = None,
        process_id: int | None = None,
    ) -> Json:
        params = {
            "processId": process_id,
            "capabilities": capabilities,
            "rootUri": folders[0].as_uri() if folders else None,
            "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name} for folder in folders] or None,
            "initializationOptions": {"statusNotification": True, **(options or {})},
        }
        result: Json = await self.request("initialize", params)
        self.capabilities = result["capabilities"]
        self.notify("initialized", {})
        return result

    async def ready(self, start: int = 0) -> Json:
        """The first status from the `start`-th message on that says the index is built, or cannot be."""

        def settled(message: Json) -> bool:
            return message.get("method") == "polyclone/statusChanged" and message["params"]["state"] in (
                "ready",
                "error",
            )

        status: Json = (await self.until(settled, start))["params"]
        return status

    def open(self, path: Path | str, language: str, text: str | None = None, version: int = 1) -> str:
        """Opens a file, or a document of any URI; returns the URI."""
        uri = path.as_uri() if isinstance(path, Path) else path
        if text is None:
            assert isinstance(path, Path)
            text = path.read_bytes().decode("utf-8")
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def change(self, uri: str, version: int, *changes: Json) -> None:
        identity = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": identity, "contentChanges": list(changes)})

    def close(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    async def diagnostics(self, uri: str, previous: str | None = None) -> Json:
        params = {"textDocument": {"uri": uri}, "previousResultId": previous}
        report: Json = await self.request("textDocument/diagnostic", params)
        return report

    async def findings(self, uri: str) -> dict[str, Json]:
        """The diagnostics of a document that is open, by the text of their ranges' first line number."""
        report = await self.diagnostics(uri)
        return {str(item["range"]["start"]["line"]): item for item in report["items"]}

    async def status(self) -> Json:
        status: Json = await self.request("polyclone/status")
        return status

    async def quit(self) -> None:
        await self.request("shutdown")
        self.notify("exit")


@asynccontextmanager
async def in_process():  # type: ignore[no-untyped-def]
    """An editor and a server in this process. The server ends with the block, however it was left."""
    server = PolycloneServer()
    loop = asyncio.get_running_loop()
    server.finished = loop.create_future()
    editor = Editor(lambda message: loop.call_soon(_receive, server, message))
    server.protocol.set_writer(_Wire(editor), include_headers=False)
    editor.server = server  # type: ignore[attr-defined]
    try:
        yield editor
    finally:
        server.session.stop()


def _receive(server: PolycloneServer, message: Json) -> None:
    server.protocol.receive(json.dumps(message).encode())


class _Wire:
    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def write(self, data: bytes) -> None:
        self._editor.feed(json.loads(data))

    def close(self) -> None:
        pass


@asynccontextmanager
async def real_process(*arguments: str, environment: Mapping[str, str] | None = None):  # type: ignore[no-untyped-def]
    """An editor and a server in a process of its own, on its stdin and stdout. It is killed if it does not end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "polyclone_server",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        limit=1 << 26,
    )
    assert process.stdin is not None and process.stdout is not None
    stdin = process.stdin
    editor = Editor(lambda message: stdin.write(frame(message)))
    editor.process = process  # type: ignore[attr-defined]
    reading = asyncio.ensure_future(_read(process.stdout, editor))
    try:
        yield editor
    finally:
        if process.returncode is None:
            stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()
        reading.cancel()


def frame(message: Json) -> bytes:
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


async def _read(stream: asyncio.StreamReader, editor: Editor) -> None:
    while header := await stream.readline():
        name, _, value = header.partition(b":")
        if name.lower() != b"content-length":
            raise AssertionError(f"something else than the protocol on stdout: {header!r}")
        while (await stream.readline()).strip():
            pass
        editor.feed(json.loads(await stream.readexactly(int(value))))
