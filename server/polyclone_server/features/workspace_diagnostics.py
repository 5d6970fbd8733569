"""Diagnostics of all files, for a client that wants them: streamed, and the request kept until there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lsprotocol import types

from polyclone_server.convert.diagnostics import workspace_report
from polyclone_server.features.diagnostics import shown
from polyclone_server.scene import Scene

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

REPORTS_A_PART = 100
GATHER_S = 0.5
"""News that come within so many seconds are one answer."""

Report = types.WorkspaceFullDocumentDiagnosticReport | types.WorkspaceUnchangedDocumentDiagnosticReport


def register(server: PolycloneServer) -> None:
    @server.feature(types.WORKSPACE_DIAGNOSTIC)
    async def pull(ls: PolycloneServer, params: types.WorkspaceDiagnosticParams) -> types.WorkspaceDiagnosticReport:
        previous = {item.uri: item.value for item in params.previous_result_ids}
        while True:
            reports = await _reports(ls, previous)
            if any(isinstance(report, types.WorkspaceFullDocumentDiagnosticReport) for report in reports):
                break
            await ls.session.next_change()
            await asyncio.sleep(GATHER_S)
        if params.partial_result_token is None:
            return types.WorkspaceDiagnosticReport(items=reports)
        for start in range(0, len(reports), REPORTS_A_PART):
            part = types.WorkspaceDiagnosticReportPartialResult(items=reports[start : start + REPORTS_A_PART])
            ls.progress(types.ProgressParams(token=params.partial_result_token, value=part))
        return types.WorkspaceDiagnosticReport(items=[])


async def _reports(ls: PolycloneServer, previous: dict[str, str]) -> list[Report]:
    """One report a file that has findings, or had some when the client asked last."""
    scene = ls.session.scene()
    if scene is None:
        return []
    keys = scene.view.keys if ls.session.shows_workspace else ()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(ls.session.helpers, _made, ls, scene, keys, previous)


def _made(ls: PolycloneServer, scene: Scene, keys: Iterable[str], previous: dict[str, str]) -> list[Report]:
    reports: list[Report] = []
    seen: set[str] = set()
    for key in keys:
        diagnostics = shown(ls, scene, key)
        uri = scene.uri(key)
        if not diagnostics:
            continue
        seen.add(uri)
        document = scene.documents.get(key)
        reports.append(workspace_report(uri, document.version if document else None, diagnostics, previous.get(uri)))
    cleared = (workspace_report(uri, None, [], value) for uri, value in previous.items() if uri not in seen)
    return [*reports, *cleared]
