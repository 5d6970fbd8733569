"""Diagnostics of open documents: pulled by a client that can, pushed to one that cannot, never both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import attrs
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from polyclone_server.convert.diagnostics import diagnostics_of, document_report, result_id, twins_of
from polyclone_server.documents import Document
from polyclone_server.scene import Scene

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

CATCH_UP_S = 5.0
"""How much longer than the pause a pull waits for the index to know the text it asks about."""
GATHER_S = 0.05
"""Views that come within so many seconds are one reason to refresh."""


def register(server: PolycloneServer) -> None:
    teller = _Teller(server)
    server.session.hooks.view.append(teller.soon)
    server.session.hooks.settings.append(teller.soon)
    server.session.hooks.closed.append(teller.forget)

    @server.feature(
        types.TEXT_DOCUMENT_DIAGNOSTIC,
        types.DiagnosticOptions(identifier="polyclone", inter_file_dependencies=True, workspace_diagnostics=True),
    )
    async def pull(ls: PolycloneServer, params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
        document = ls.session.documents.get(params.text_document.uri)
        if document is not None:
            await _caught_up(ls, document)
        report = _report(ls, ls.session.documents.key(params.text_document.uri), params.previous_result_id)
        if document is not None:
            teller.sent[document.uri] = report.result_id or ""
        return report


async def _caught_up(ls: PolycloneServer, document: Document) -> None:
    """Wait until the view knows the document's present text, but no longer than it takes to type on.

    Raises `ServerCancelled` once the client has changed the document: its next pull is about the newer text.
    """
    session = ls.session
    if session.condition.state != "ready" or not session.settings(document.key).enable:
        return
    loop = asyncio.get_running_loop()
    end = loop.time() + session.settings(document.key).debounce_ms / 1000 + CATCH_UP_S
    while not session.is_current(document) and (left := end - loop.time()) > 0:
        await session.next_change(left)
        now = session.documents.by_key(document.key)
        if now is None or now.revision != document.revision:
            data = {"retriggerRequest": True}
            raise JsonRpcException("The document has changed.", types.LSPErrorCodes.ServerCancelled.value, data)


def shown(ls: PolycloneServer, scene: Scene, key: str) -> list[types.Diagnostic]:
    """What is to be shown of one file by the settings of its folder."""
    settings = ls.session.settings(key)
    if not settings.enable or not settings.diagnostics:
        return []
    return diagnostics_of(scene, key, ls.session.client, settings.severity)


def _report(ls: PolycloneServer, key: str, previous: str | None) -> types.DocumentDiagnosticReport:
    scene = ls.session.scene()
    if scene is None:
        return _related(document_report([], previous), None)
    report = document_report(shown(ls, scene, key), previous)
    related = None
    if ls.session.client.related_documents:
        related = {scene.uri(twin): document_report(shown(ls, scene, twin), None) for twin in twins_of(scene, key)}
    return _related(report, related)


def _related(
    report: types.FullDocumentDiagnosticReport | types.UnchangedDocumentDiagnosticReport,
    documents: dict[str, types.FullDocumentDiagnosticReport | types.UnchangedDocumentDiagnosticReport] | None,
) -> types.DocumentDiagnosticReport:
    values = attrs.asdict(report, recurse=False)
    values.pop("kind", None)
    if isinstance(report, types.FullDocumentDiagnosticReport):
        return types.RelatedFullDocumentDiagnosticReport(**values, related_documents=documents or None)
    return types.RelatedUnchangedDocumentDiagnosticReport(**values, related_documents=documents or None)


class _Report(NamedTuple):
    """What is to be shown of one file, and for which text of it."""

    key: str
    uri: str
    revision: int | None
    """Of the open document; None for a file."""
    version: int | None
    diagnostics: list[types.Diagnostic]
    identity: str


class _Teller:
    """Tells the client when what it shows is no longer what is known."""

    def __init__(self, server: PolycloneServer) -> None:
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self._pushing = self._again = False
        self.sent: dict[str, str] = {}
        """URI → result id of what the client was given last."""

    def soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._now)

    def forget(self, document: Document) -> None:
        """What is shown of a closed document goes, unless the whole workspace is shown."""
        sent = self.sent.pop(document.uri, None)
        if sent is not None and not self._server.session.client.pull_diagnostics:
            self._publish(document.uri, None, [])
        self.soon()

    def _now(self) -> None:
        self._timer = None
        scene = self._server.session.scene()
        if scene is None:
            return
        if self._server.session.client.pull_diagnostics:
            self._refresh(scene)
        elif not self._pushing:
            self._pushing = True
            self._server.background("pushing diagnostics", self._push, scene)
        else:
            self._again = True

    def _refresh(self, scene: Scene) -> None:
        """One request to pull again, if any open document has other findings than the client was given."""
        server = self._server
        if not server.session.client.refresh_diagnostics:
            return
        stale = False
        for document in scene.documents.values():
            given = self.sent.get(document.uri)
            if given is None or _awaits(server, scene, document.key):
                continue
            now = result_id(shown(server, scene, document.key))
            stale |= now != given
            self.sent[document.uri] = now  # Asked for once: the client pulls when it likes.
        if stale:
            server.background("a refresh of diagnostics", _ask_to_pull, server)

    async def _push(self, scene: Scene) -> None:
        """What changed since the client was told last; of all files, where the whole workspace is shown."""
        session = self._server.session
        try:
            keys: dict[str, None] = dict.fromkeys(scene.documents)
            if session.shows_workspace:
                keys.update(dict.fromkeys(scene.view.keys))
            loop = asyncio.get_running_loop()
            for report in await loop.run_in_executor(session.helpers, self._reports, scene, tuple(keys)):
                document = session.documents.by_key(report.key)
                if (document.revision if document else None) == report.revision:  # Else the text has moved on.
                    self._tell(report)
            gone = set(self.sent) - {scene.uri(key) for key in keys}
            for uri in sorted(gone):
                del self.sent[uri]
                self._publish(uri, None, [])
        finally:
            self._pushing = False
            if self._again:
                self._again = False
                self.soon()

    def _reports(self, scene: Scene, keys: tuple[str, ...]) -> list[_Report]:
        reports: list[_Report] = []
        for key in keys:
            if not _awaits(self._server, scene, key):
                diagnostics = shown(self._server, scene, key)
                document = scene.documents.get(key)
                revision, version = (document.revision, document.version) if document else (None, None)
                reports.append(_Report(key, scene.uri(key), revision, version, diagnostics, result_id(diagnostics)))
        return reports

    def _tell(self, report: _Report) -> None:
        known = self.sent.get(report.uri)
        if known != report.identity and (report.diagnostics or known is not None):
            self._publish(report.uri, report.version, report.diagnostics)
        if report.diagnostics or report.revision is not None:
            self.sent[report.uri] = report.identity
        else:
            self.sent.pop(report.uri, None)

    def _publish(self, uri: str, version: int | None, diagnostics: list[types.Diagnostic]) -> None:
        self._server.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=diagnostics)
        )


def _awaits(server: PolycloneServer, scene: Scene, key: str) -> bool:
    """Whether a later view will know the text that the client has, and this one does not."""
    return server.session.settings(key).enable and not scene.current(key)


async def _ask_to_pull(server: PolycloneServer) -> None:
    await server.workspace_diagnostic_refresh_async(None)
