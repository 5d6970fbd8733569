"""The server as a process over ANTLR 4, whose runtime was written anew in seven languages: ports that it must find.

Runs where `POLYCLONE_ANTLR4` names a checkout, which is read and not written. The first start encodes some thousand
functions; `POLYCLONE_ANTLR4_CACHE` may name a folder that keeps them for the next run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from lsprotocol import types
from lsprotocol.converters import get_converter
from pytest_lsp import ClientServerConfig, LanguageClient
from support.editor import CAPABILITIES
from support.lsp_client import identity, opened

CHECKOUT = os.environ.get("POLYCLONE_ANTLR4")
KEPT = os.environ.get("POLYCLONE_ANTLR4_CACHE")
pytestmark = [
    pytest.mark.skipif(not CHECKOUT, reason="POLYCLONE_ANTLR4 names no checkout of ANTLR 4"),
    pytest.mark.asyncio(loop_scope="module"),
]
SERVER = [sys.executable, "-m", "polyclone_server", "--stdio"]
PYTHON = "runtime/Python3/src/antlr4/BufferedTokenStream.py"
JAVA = "runtime/Java/src/org/antlr/v4/runtime/BufferedTokenStream.java"
EXECUTOR = "runtime/Python3/src/antlr4/atn/LexerActionExecutor.py"
#: Methods of the token stream that every runtime has.
PORTED = ("sync", "fetch", "getHiddenTokensToRight", "filterForChannel")
LANGUAGES = {"cpp", "csharp", "go", "java", "javascript", "python", "swift"}
"""Of the runtimes, those that are read."""


def environment() -> Mapping[str, str]:
    return {**os.environ, "POLYCLONE_CACHE_DIR": KEPT} if KEPT else os.environ


@pytest_lsp.fixture(config=ClientServerConfig(server_command=SERVER, server_env=dict(environment())), scope="module")
async def client(lsp_client: LanguageClient):  # type: ignore[no-untyped-def]
    assert CHECKOUT is not None
    root = Path(CHECKOUT).resolve()
    lsp_client.root = root  # type: ignore[attr-defined]
    lsp_client.set_configuration({"debounceMs": 50}, section="polyclone")
    capabilities = get_converter().structure(CAPABILITIES, types.ClientCapabilities)
    for method in (types.CLIENT_REGISTER_CAPABILITY, types.WORKSPACE_CODE_LENS_REFRESH):
        lsp_client.feature(method)(lambda params: None)
    folder = types.WorkspaceFolder(uri=root.as_uri(), name="antlr4")
    await lsp_client.initialize_session(
        types.InitializeParams(capabilities=capabilities, root_uri=root.as_uri(), workspace_folders=[folder])
    )
    while (status := await status_of(lsp_client)).state != "ready":
        assert status.state != "error", status.message
        await lsp_client.wait_for_notification(types.PROGRESS)
    yield
    await lsp_client.shutdown_session()


async def status_of(client: LanguageClient) -> Any:
    return await client.protocol.send_request_async("polyclone/status")


async def items_of(client: LanguageClient, uri: str) -> list[types.Diagnostic]:
    report = await client.text_document_diagnostic_async(types.DocumentDiagnosticParams(text_document=identity(uri)))
    assert isinstance(report, types.RelatedFullDocumentDiagnosticReport)
    return list(report.items)


def close(client: LanguageClient, *uris: str) -> None:
    for uri in uris:
        client.text_document_did_close(types.DidCloseTextDocumentParams(text_document=identity(uri)))


def named(client: LanguageClient, name: str, items: list[types.Diagnostic], function: str) -> types.Diagnostic:
    """The diagnostic on the name of a function, in the text that a file has on disk."""
    lines = (client.root / name).read_text(encoding="utf-8").splitlines()  # type: ignore[attr-defined]
    return next(item for item in items if f" {function}(" in lines[item.range.start.line])


async def test_the_ports_are_groups_across_all_runtimes(client: LanguageClient) -> None:
    status = await status_of(client)
    assert status.functions > 5_000
    report = await client.protocol.send_request_async("polyclone/scan", {})
    assert not report.cancelled and not report.failures
    groups = [{(member.language, member.name.lower()) for member in group.members} for group in report.groups]
    whole = [group for group in groups if {language for language, _ in group} >= LANGUAGES]
    assert len(whole) >= 20
    for function in PORTED:
        assert any(("python", function.lower()) in group for group in whole), function


async def test_a_method_is_marked_hovered_and_acted_upon(client: LanguageClient) -> None:
    uri = opened(client, PYTHON, "python")
    items = await items_of(client, uri)
    item = named(client, PYTHON, items, "getHiddenTokensToRight")
    assert all(title in item.message for title in ("Java", "Go", "C#", "Swift")), item.message
    hover = await client.text_document_hover_async(
        types.HoverParams(text_document=identity(uri), position=item.range.start)
    )
    assert hover is not None and isinstance(hover.contents, types.MarkupContent)
    assert "getHiddenTokensToRight" in hover.contents.value
    actions = await client.text_document_code_action_async(
        types.CodeActionParams(
            text_document=identity(uri), range=item.range, context=types.CodeActionContext(diagnostics=[item])
        )
    )
    assert actions and actions[0].title.startswith("Go to ")
    close(client, uri)


async def test_unsaved_text_counts_in_its_own_document_and_in_others(client: LanguageClient) -> None:
    python, java = opened(client, PYTHON, "python"), opened(client, JAVA, "java")
    before = named(client, JAVA, await items_of(client, java), "getHiddenTokensToRight")
    assert "Python" in before.message
    executor = client.root / EXECUTOR  # type: ignore[attr-defined]
    change = types.TextDocumentContentChangeWholeDocument(text=executor.read_text(encoding="utf-8"))
    client.text_document_did_change(
        types.DidChangeTextDocumentParams(
            text_document=types.VersionedTextDocumentIdentifier(uri=python, version=2), content_changes=[change]
        )
    )
    item = named(client, EXECUTOR, await items_of(client, python), "fixOffsetBeforeMatch")
    assert "Java" in item.message
    after = named(client, JAVA, await items_of(client, java), "getHiddenTokensToRight")
    assert "Python" not in after.message and "Go" in after.message
    close(client, python, java)
