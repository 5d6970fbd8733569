"""What a client can do, read once from its capabilities and `initializationOptions`. Knows nothing of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lsprotocol import types
from pygls.capabilities import get_capability

from polyclone_server.protocol import CLIENT_COMMANDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Abilities, all off for a client that says nothing."""

    name: str = ""
    process_id: int | None = None
    pull_diagnostics: bool = False
    related_documents: bool = False
    refresh_diagnostics: bool = False
    related_information: bool = False
    code_description: bool = False
    diagnostic_data: bool = False
    action_literals: bool = False
    action_data: bool = False
    resolves_action_commands: bool = False
    refresh_lenses: bool = False
    markdown: bool = False
    show_document: bool = False
    progress: bool = False
    watches_files: bool = False
    relative_patterns: bool = False
    configuration: bool = False
    registers_configuration: bool = False
    commands: frozenset[str] = frozenset()
    """Of `protocol.CLIENT_COMMANDS`."""
    status_notification: bool = False
    initial_settings: object = None


def client_of(params: types.InitializeParams) -> Client:
    """The abilities of the client that sent `params`. What is malformed in its own options counts as absent."""
    capabilities = params.capabilities

    def has(path: str) -> bool:
        return bool(get_capability(capabilities, path, False))

    # Both were introduced by one release of the protocol; older clients name neither and know neither.
    pull = get_capability(capabilities, "text_document.diagnostic", None) is not None
    options = params.initialization_options if isinstance(params.initialization_options, Mapping) else {}
    where = "text_document.diagnostic" if pull else "text_document.publish_diagnostics"
    formats = get_capability(capabilities, "text_document.hover.content_format", None) or ()
    resolvable = get_capability(capabilities, "text_document.code_action.resolve_support.properties", None) or ()
    return Client(
        name=params.client_info.name if params.client_info else "",
        process_id=params.process_id,
        pull_diagnostics=pull,
        related_documents=has("text_document.diagnostic.related_document_support"),
        refresh_diagnostics=has("workspace.diagnostics.refresh_support"),
        related_information=_either(has, where, "related_information"),
        code_description=_either(has, where, "code_description_support"),
        diagnostic_data=_either(has, where, "data_support"),
        action_literals=get_capability(capabilities, "text_document.code_action.code_action_literal_support", None)
        is not None,
        action_data=has("text_document.code_action.data_support"),
        resolves_action_commands="command" in resolvable,
        refresh_lenses=has("workspace.code_lens.refresh_support"),
        markdown=types.MarkupKind.Markdown in formats,
        show_document=has("window.show_document.support"),
        progress=has("window.work_done_progress"),
        watches_files=has("workspace.did_change_watched_files.dynamic_registration"),
        relative_patterns=has("workspace.did_change_watched_files.relative_pattern_support"),
        configuration=has("workspace.configuration"),
        registers_configuration=has("workspace.did_change_configuration.dynamic_registration"),
        commands=frozenset(_strings(options.get("commands"))) & frozenset(CLIENT_COMMANDS),
        status_notification=options.get("statusNotification") is True,
        initial_settings=options.get("settings"),
    )


def _either(has: Any, where: str, what: str) -> bool:
    """Pull clients of 3.17 say under `publishDiagnostics` what they do with any diagnostic."""
    return bool(has(f"{where}.{what}") or has(f"text_document.publish_diagnostics.{what}"))


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()
