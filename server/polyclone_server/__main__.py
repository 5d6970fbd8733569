"""`polyclone-server`: the language server on stdin and stdout, or on one loopback connection."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from polyclone_server import __version__
from polyclone_server.server import PolycloneServer
from polyclone_server.transport import LOOPBACK, AsyncFrames, QueuedWriter, claim_stdio, pump, read_on_thread

LEVELS = ("error", "warning", "info", "debug")
logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve one client and end the process: 0 after `shutdown` and `exit`, 1 without, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    if not options.tcp and options.port is not None:
        _parser().error("--port goes with --tcp")
    if options.tcp and options.host not in LOOPBACK:
        _parser().error(f"--host must be one of {', '.join(LOOPBACK)}: the server is for this machine alone")
    _log(options.log_level)
    try:
        code = asyncio.run(_serve_tcp(options.host, options.port or 0) if options.tcp else _serve_stdio())
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        print(f"polyclone-server: {options.host}:{options.port}: {error.strerror or error}", file=sys.stderr)
        code = 2
    logging.shutdown()
    sys.stderr.flush()
    # A thread that still waits for a client or computes for nobody must not keep the process.
    os._exit(code)


async def _serve_stdio() -> int:
    server = PolycloneServer()
    loop = asyncio.get_running_loop()
    server.finished = loop.create_future()
    source, target = claim_stdio()
    writer = QueuedWriter(target, lambda: loop.call_soon_threadsafe(server.finish, 1))
    bodies: asyncio.Queue[bytes | None] = asyncio.Queue()
    read_on_thread(source, bodies)
    return await _serve(server, writer, bodies)


async def _serve_tcp(host: str, port: int) -> int:
    """One client, then the end."""
    server = PolycloneServer()
    loop = asyncio.get_running_loop()
    server.finished = loop.create_future()
    arrived: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = loop.create_future()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if arrived.done():
            writer.close()
        else:
            arrived.set_result((reader, writer))

    listener = await asyncio.start_server(connected, host, port)
    address = listener.sockets[0].getsockname()
    print(f"polyclone-server: listening on {address[0]}:{address[1]}", file=sys.stderr, flush=True)
    reader, writer = await arrived
    listener.close()
    bodies: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def read() -> None:
        frames = AsyncFrames(reader)
        body: bytes | None = b""
        while body is not None:
            body = await frames.read()
            bodies.put_nowait(body)

    reading = asyncio.ensure_future(read())
    try:
        return await _serve(server, writer, bodies)
    finally:
        reading.cancel()


async def _serve(server: PolycloneServer, writer: Any, bodies: asyncio.Queue[bytes | None]) -> int:
    assert server.finished is not None
    server.protocol.set_writer(writer)
    await pump(bodies, server.protocol, server.finished)
    code = await server.finished
    server.session.stop()
    writer.close()
    return code


def _log(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if level != "debug":  # pygls logs every message; what fails is logged by `report_server_error`.
        logging.getLogger("pygls").setLevel(logging.CRITICAL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polyclone-server",
        description="Language server that finds functions which do the same thing in different languages.",
    )
    parser.add_argument("--stdio", action="store_true", help="speak on stdin and stdout (the default)")
    parser.add_argument("--tcp", action="store_true", help="wait for one client on a loopback port instead")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 or none takes a free one and says which")
    parser.add_argument("--log-level", choices=LEVELS, default="warning", help="what is logged to stderr")
    parser.add_argument("--version", action="version", version=f"polyclone-server {__version__}")
    return parser


if __name__ == "__main__":
    main()
