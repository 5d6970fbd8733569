"""Bytes in and out: messages framed as the protocol says, over stdin and stdout or one loopback connection.

The event loop neither waits for a reader nor for a writer: stdin and stdout have a thread each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import re
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

logger = logging.getLogger(__name__)

LARGEST_MESSAGE = 256 * 1024 * 1024
_LENGTH = re.compile(rb"content-length:\s*(\d+)\s*", re.IGNORECASE)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Connected(Protocol):
    """What a connection speaks to."""

    def receive(self, body: bytes) -> None: ...


class _Reader(Protocol):
    def readline(self) -> bytes: ...

    def read(self, size: int, /) -> bytes: ...


def read_message(stream: _Reader) -> bytes | None:
    """The body of the next message; None at the end. What cannot be framed ends the connection.

    Effect: blocks until a message is complete.
    """
    length: int | None = None
    while line := stream.readline():
        if not line.strip():
            if length is not None:
                break
            continue
        if (found := _LENGTH.fullmatch(line.strip())) is not None:
            length = int(found[1])
    else:
        return None
    if length is None or length > LARGEST_MESSAGE:
        logger.error("a message of %s bytes cannot be read; the connection ends", length)
        return None
    body = bytearray()
    while len(body) < length:
        part = stream.read(length - len(body))
        if not part:
            return None
        body += part
    return bytes(body)


class QueuedWriter:
    """Writes on a thread of its own, so that a client that reads slowly holds nobody up."""

    def __init__(self, stream: BinaryIO, broken: Callable[[], object]) -> None:
        self._stream, self._broken = stream, broken
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="polyclone-writer", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        self._queue.put(data)

    def close(self) -> None:
        """Effect: what was written goes out, for as long as the client takes it within two seconds."""
        self._queue.put(None)
        self._thread.join(2.0)

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            try:
                self._stream.write(data)
                self._stream.flush()
            except (OSError, ValueError):
                self._broken()
                return


async def pump(bodies: asyncio.Queue[bytes | None], connected: Connected, finished: asyncio.Future[int]) -> None:
    """Hand over message by message until the end of them, or of the server."""
    while not finished.done():
        getting: asyncio.Future[bytes | None] = asyncio.ensure_future(bodies.get())
        both: set[asyncio.Future[Any]] = {getting, finished}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()
            return
        body = getting.result()
        if body is None:
            if not finished.done():
                finished.set_result(1)  # The client is gone without a word.
            return
        connected.receive(body)
        await asyncio.sleep(0)  # Whatever else is due gets its turn within a flood of messages.


def read_on_thread(stream: _Reader, bodies: asyncio.Queue[bytes | None]) -> None:
    """Effect: messages of `stream` arrive in `bodies`, and None after the last."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        while True:
            try:
                body = read_message(stream)
            except (OSError, ValueError):
                body = None
            with contextlib.suppress(RuntimeError):  # The loop has ended first.
                loop.call_soon_threadsafe(bodies.put_nowait, body)
            if body is None:
                return

    threading.Thread(target=run, name="polyclone-reader", daemon=True).start()


def claim_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The streams of the protocol. Effect: whoever else reads stdin finds it empty, and prints to stderr."""
    sys.stdout.flush()
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if sys.platform == "win32":
        import msvcrt

        for stream in (source, target):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)
    return source, target


class AsyncFrames:
    """Messages of a socket, read on the event loop."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def read(self) -> bytes | None:
        """The body of the next message; None at the end."""
        length: int | None = None
        try:
            while line := await self._reader.readline():
                if not line.strip():
                    if length is not None:
                        break
                    continue
                if (found := _LENGTH.fullmatch(line.strip())) is not None:
                    length = int(found[1])
            if length is None or length > LARGEST_MESSAGE:
                return None
            return await self._reader.readexactly(length)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            return None
