"""Findings → diagnostics and reports of them, each with an identity by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from lsprotocol import converters, types
from polyclone.report.wording import language as language_title
from polyclone.report.wording import languages, printable, probability
from polyclone.values import Match

from polyclone_server import protocol
from polyclone_server.client import Client
from polyclone_server.convert.positions import name_range
from polyclone_server.scene import Placed, Scene

RULE_PAGE: Final = "https://github.com/polyclone/polyclone/blob/main/docs/lsp-extensions.md#cross-language-clone"
MOST_RELATED: Final = 5
_SEVERITIES = {
    "hint": types.DiagnosticSeverity.Hint,
    "information": types.DiagnosticSeverity.Information,
    "warning": types.DiagnosticSeverity.Warning,
}
_CONVERTER = converters.get_converter()


def diagnostics_of(scene: Scene, key: str, client: Client, severity: str) -> list[types.Diagnostic]:
    """What is to be shown of one file, by position."""
    return [_diagnostic(scene, placed, client, severity) for placed in scene.findings(key)]


def _diagnostic(scene: Scene, placed: Placed, client: Client, severity: str) -> types.Diagnostic:
    finding = placed.finding
    data: protocol.DiagnosticData = {
        "group": finding.group,
        "fingerprints": [match.fingerprint for match in finding.matches],
        "probability": finding.probability,
        "modelDigest": scene.view.model_digest,
    }
    return types.Diagnostic(
        range=name_range(placed.place, scene.encoding),
        severity=_SEVERITIES[severity],
        source=protocol.DIAGNOSTIC_SOURCE,
        code=protocol.RULE_CLONE,
        code_description=types.CodeDescription(href=RULE_PAGE) if client.code_description else None,
        message=_message(scene, finding.matches, with_places=not client.related_information),
        related_information=_related(scene, finding.matches) if client.related_information else None,
        data=data if client.diagnostic_data else None,
    )


def title_of(match: Match) -> str:
    """`Go · ValidateToken · p = 0.94`"""
    name = printable(match.right.qualified_name or match.right.name) or "(no name)"
    return f"{language_title(match.right.language)} · {name} · p = {probability(match.probability)}"


def summary_of(matches: Sequence[Match]) -> str:
    """`3 clones: Go, TypeScript ×2`"""
    count = "1 clone" if len(matches) == 1 else f"{len(matches):,} clones"
    return f"{count}: {languages(match.right for match in matches)}"


def _message(scene: Scene, matches: Sequence[Match], *, with_places: bool) -> str:
    best = matches[0]
    head = title_of(best) if len(matches) == 1 else f"{summary_of(matches)} (p = {probability(best.probability)})"
    reasons = "; ".join(printable(reason.text) for reason in best.reasons)
    lines = [f"Does the same as {head}" + (f": {reasons}" if reasons else "")]
    if with_places:
        lines += (f"{title_of(m)}, {printable(scene.shown(m.right.path))}" for m in matches[:MOST_RELATED])
        if len(matches) > MOST_RELATED:
            lines.append(f"+{len(matches) - MOST_RELATED} more")
    return "\n".join(lines)


def _related(scene: Scene, matches: Sequence[Match]) -> list[types.DiagnosticRelatedInformation]:
    """One entry a match, five at most, then one that counts the others and leads to the first of them."""
    related = [
        types.DiagnosticRelatedInformation(location=location_of(scene, match), message=title_of(match))
        for match in matches[:MOST_RELATED]
    ]
    if len(matches) > MOST_RELATED:
        rest = types.DiagnosticRelatedInformation(
            location=location_of(scene, matches[MOST_RELATED]), message=f"+{len(matches) - MOST_RELATED} more"
        )
        related.append(rest)
    return related


def location_of(scene: Scene, match: Match) -> types.Location:
    """Where the other side of a match has its name."""
    place = scene.place(match.right)
    uri = scene.uri(match.right.path)
    if place is None:
        start = types.Position(line=match.right.span.start_line0, character=0)
        return types.Location(uri=uri, range=types.Range(start=start, end=start))
    return types.Location(uri=uri, range=name_range(place, scene.encoding))


def result_id(diagnostics: Sequence[types.Diagnostic]) -> str:
    """Identity of a report: equal for equal diagnostics, ranges included."""
    content = json.dumps(_CONVERTER.unstructure(list(diagnostics)), sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def document_report(
    diagnostics: list[types.Diagnostic], previous: str | None
) -> types.FullDocumentDiagnosticReport | types.UnchangedDocumentDiagnosticReport:
    """A full report, or an unchanged one if the client has just these."""
    identity = result_id(diagnostics)
    if identity == previous:
        return types.UnchangedDocumentDiagnosticReport(result_id=identity)
    return types.FullDocumentDiagnosticReport(items=diagnostics, result_id=identity)


def workspace_report(
    uri: str, version: int | None, diagnostics: list[types.Diagnostic], previous: str | None
) -> types.WorkspaceFullDocumentDiagnosticReport | types.WorkspaceUnchangedDocumentDiagnosticReport:
    """The same as part of a report on the workspace."""
    identity = result_id(diagnostics)
    if identity == previous:
        return types.WorkspaceUnchangedDocumentDiagnosticReport(uri=uri, version=version, result_id=identity)
    return types.WorkspaceFullDocumentDiagnosticReport(
        uri=uri, version=version, items=diagnostics, result_id=identity
    )


def twins_of(scene: Scene, key: str) -> list[str]:
    """Keys of the other open documents that hold a clone of a function in this one, sorted."""
    keys = {match.right.path for placed in scene.findings(key) for match in placed.finding.matches}
    return sorted(other for other in keys if other != key and other in scene.documents)
