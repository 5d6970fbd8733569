"""`polyclone/scan`: the groups of the whole workspace or of some folders, streamed where the client asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from polyclone_server import protocol
from polyclone_server.convert.items import scan_of
from polyclone_server.features.asking import asked
from polyclone_server.features.progress import counts, line
from polyclone_server.folders import path_of
from polyclone_server.queries import present
from polyclone_server.session import Condition

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

GROUPS_A_PART = 50


def register(server: PolycloneServer) -> None:
    bars: dict[types.ProgressToken, _Bar] = {}

    @server.feature(protocol.SCAN)
    async def scan(ls: PolycloneServer, params: Any) -> protocol.ScanReport:
        roots, work_token, partial_token = _checked(params)
        bar = _Bar(ls, work_token)
        if work_token is not None:
            bars[work_token] = bar
        bar.begin()
        try:
            report = await _scan(ls, roots)
        finally:
            bar.end()
            if work_token is not None:
                bars.pop(work_token, None)
        if partial_token is None:
            return report
        groups = report["groups"]
        for start in range(0, len(groups), GROUPS_A_PART):
            part: protocol.ScanPartialResult = {"groups": groups[start : start + GROUPS_A_PART]}
            ls.progress(types.ProgressParams(token=partial_token, value=part))
            await asyncio.sleep(0)  # A client that has seen enough can cancel between two parts.
        return {**report, "groups": []}

    def cancelled(token: types.ProgressToken) -> None:
        if token in bars:
            server.session.indexer.cancel()

    server.session.hooks.cancelled.append(cancelled)


async def _scan(ls: PolycloneServer, roots: tuple[str, ...]) -> protocol.ScanReport:
    """The report on what is held once all that was asked for before is done, or stopped."""
    session = ls.session
    view = await asked(ls, present)
    loop = asyncio.get_running_loop()
    # Grouping takes its time; the index goes on meanwhile.
    return await loop.run_in_executor(session.helpers, scan_of, session.scene_of(view), roots)


def _checked(params: Any) -> tuple[tuple[str, ...], types.ProgressToken | None, types.ProgressToken | None]:
    given = params if isinstance(params, Mapping) else {}
    roots = given.get("roots") or []
    if not isinstance(roots, list) or not all(isinstance(root, str) for root in roots):
        raise JsonRpcInvalidParams("`roots` must be a list of URIs.")
    paths = [path for root in roots if (path := path_of(root)) is not None]
    if len(paths) < len(roots):
        raise JsonRpcInvalidParams("`roots` must be `file:` URIs of folders.")
    return tuple(paths), _token(given, "workDoneToken"), _token(given, "partialResultToken")


def _token(given: Mapping[str, Any], name: str) -> types.ProgressToken | None:
    token: types.ProgressToken | None = given.get(name)
    if token is not None and (isinstance(token, bool) or not isinstance(token, str | int)):
        raise JsonRpcInvalidParams(f"`{name}` must be a string or a whole number.")
    return token


class _Bar:
    """The progress that a client asked for with the request itself."""

    def __init__(self, server: PolycloneServer, token: types.ProgressToken | None) -> None:
        self._server, self._token = server, token

    def begin(self) -> None:
        if self._token is None:
            return
        condition = self._server.session.condition
        self._send(
            types.WorkDoneProgressBegin(title="polyclone: scanning", message=line(condition), cancellable=True)
        )
        self._server.session.hooks.condition.append(self._report)

    def end(self) -> None:
        if self._token is None:
            return
        self._server.session.hooks.condition.remove(self._report)
        self._send(types.WorkDoneProgressEnd(message=counts(self._server.session.condition)))

    def _report(self, condition: Condition) -> None:
        self._send(types.WorkDoneProgressReport(message=line(condition), cancellable=True))

    def _send(self, value: Any) -> None:
        assert self._token is not None
        self._server.progress(types.ProgressParams(token=self._token, value=value))
