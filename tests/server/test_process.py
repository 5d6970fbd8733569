"""The server as a process of its own: driven by pytest-lsp over the example workspace, and its beginning and end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from lsprotocol import types
from lsprotocol.converters import get_converter
from pytest_lsp import ClientServerConfig, LanguageClient
from support.editor import CAPABILITIES, frame, real_process
from support.lsp_client import identity, opened

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPECTED = json.loads((EXAMPLES / "expected.json").read_text(encoding="utf-8"))
SERVER = [sys.executable, "-m", "polyclone_server", "--stdio"]


# --- one session over nine languages, with the model that ships ---


@pytest_lsp.fixture(config=ClientServerConfig(server_command=SERVER), scope="module")
async def client(lsp_client: LanguageClient, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    root = tmp_path_factory.mktemp("process") / "examples"
    shutil.copytree(EXAMPLES, root)
    lsp_client.root = root  # type: ignore[attr-defined]
    lsp_client.set_configuration({"debounceMs": 50, "jobs": 1}, section="polyclone")
    capabilities = get_converter().structure(CAPABILITIES, types.ClientCapabilities)

    @lsp_client.feature(types.CLIENT_REGISTER_CAPABILITY)
    def register(params: types.RegistrationParams) -> None:
        lsp_client.registrations = params  # type: ignore[attr-defined]

    @lsp_client.feature(types.WORKSPACE_CODE_LENS_REFRESH)
    def refresh(params: None) -> None:
        return None

    folder = types.WorkspaceFolder(uri=root.as_uri(), name="examples")
    await lsp_client.initialize_session(
        types.InitializeParams(capabilities=capabilities, root_uri=root.as_uri(), workspace_folders=[folder])
    )
    while True:
        status = await lsp_client.protocol.send_request_async("polyclone/status")
        if status.state == "ready":
            break
        assert status.state != "error", status.message
        await lsp_client.wait_for_notification(types.PROGRESS)
    yield
    await lsp_client.shutdown_session()


async def items_of(client: LanguageClient, uri: str) -> list[types.Diagnostic]:
    report = await client.text_document_diagnostic_async(types.DocumentDiagnosticParams(text_document=identity(uri)))
    assert isinstance(report, types.RelatedFullDocumentDiagnosticReport)
    return list(report.items)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_clone_is_found_hovered_counted_and_gone_after_an_edit(client: LanguageClient) -> None:
    uri = opened(client, "payments/card.go", "go")
    (item,) = await items_of(client, uri)
    assert "Ruby, TypeScript" in item.message
    at = item.range.start
    hover = await client.text_document_hover_async(types.HoverParams(text_document=identity(uri), position=at))
    assert hover is not None and isinstance(hover.contents, types.MarkupContent)
    assert "isValidCardNumber" in hover.contents.value
    lenses = await client.text_document_code_lens_async(types.CodeLensParams(text_document=identity(uri)))
    assert lenses is not None
    lens = await client.code_lens_resolve_async(lenses[0])
    assert lens.command is not None and lens.command.title == "2 clones: Ruby, TypeScript"
    actions = await client.text_document_code_action_async(
        types.CodeActionParams(
            text_document=identity(uri), range=item.range, context=types.CodeActionContext(diagnostics=[item])
        )
    )
    assert actions
    action = await client.code_action_resolve_async(actions[0])  # type: ignore[arg-type]
    assert action.command is not None and action.command.command == "polyclone.server.open"
    await client.workspace_execute_command_async(
        types.ExecuteCommandParams(command=action.command.command, arguments=action.command.arguments)
    )
    assert client.shown_documents[-1].uri.endswith(("pan.ts", "card.rb"))
    change = types.TextDocumentContentChangeWholeDocument(text="package payments\n")
    client.text_document_did_change(
        types.DidChangeTextDocumentParams(
            text_document=types.VersionedTextDocumentIdentifier(uri=uri, version=2), content_changes=[change]
        )
    )
    assert await items_of(client, uri) == []
    client.text_document_did_close(types.DidCloseTextDocumentParams(text_document=identity(uri)))


@pytest.mark.asyncio(loop_scope="module")
async def test_every_known_clone_of_the_examples_is_shown(client: LanguageClient) -> None:
    scanned = await client.protocol.send_request_async("polyclone/scan", {})
    groups = [{member.qualifiedName for member in group.members} for group in scanned.groups]
    missing = [
        name
        for name, members in EXPECTED["clone_classes"].items()
        if not any(set(members) <= group for group in groups)
    ]
    assert missing == []
    languages = {member.language for group in scanned.groups for member in group.members}
    assert len(languages) >= 6


@pytest.mark.asyncio(loop_scope="module")
async def test_the_client_was_asked_to_watch_files(client: LanguageClient) -> None:
    methods = [registration.method for registration in client.registrations.registrations]  # type: ignore[attr-defined]
    assert set(methods) <= {types.WORKSPACE_DID_CHANGE_WATCHED_FILES, types.WORKSPACE_DID_CHANGE_CONFIGURATION}


# --- beginning and end ---


@pytest.mark.asyncio
async def test_shutdown_and_exit_end_with_0(settings: dict[str, Any], workspace: Path) -> None:
    async with real_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.quit()
        assert await editor.process.wait() == 0


@pytest.mark.asyncio
async def test_exit_without_shutdown_ends_with_1(settings: dict[str, Any]) -> None:
    async with real_process() as editor:
        editor.settings = settings
        await editor.initialize()
        editor.notify("exit")
        assert await editor.process.wait() == 1


@pytest.mark.asyncio
async def test_a_closed_stdin_ends_it(settings: dict[str, Any], workspace: Path) -> None:
    async with real_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        editor.process.stdin.close()
        assert await asyncio.wait_for(editor.process.wait(), 20) == 1


@pytest.mark.asyncio
async def test_a_dead_client_ends_it_though_the_pipe_is_open(settings: dict[str, Any]) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    async with real_process() as editor:
        editor.settings = settings
        await editor.initialize(process_id=parent.pid)
        await editor.ready()
        assert editor.process.returncode is None
        parent.kill()
        await parent.wait()
        assert await asyncio.wait_for(editor.process.wait(), 20) == 1


@pytest.mark.asyncio
async def test_shutdown_while_work_is_in_flight(settings: dict[str, Any], workspace: Path) -> None:
    async with real_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        uri = editor.open(workspace / "harbour.py", "python")
        waiting = [
            editor.ask("workspace/executeCommand", {"command": "polyclone.server.scan"})[1],
            editor.ask("workspace/diagnostic", {"previousResultIds": []})[1],
            editor.ask("polyclone/scan", {})[1],
            editor.ask("textDocument/diagnostic", {"textDocument": {"uri": uri}})[1],
        ]
        await editor.quit()
        assert await asyncio.wait_for(editor.process.wait(), 20) == 0
        for future in waiting:
            future.cancel()


@pytest.mark.asyncio
async def test_a_killed_worker_process_costs_nothing(settings: dict[str, Any], workspace: Path) -> None:
    async with real_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.ready()
        children = Path(f"/proc/{editor.process.pid}/task").glob("*/children")
        workers = [int(pid) for listed in children for pid in listed.read_text("ascii").split()]
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        uri = editor.open(workspace / "new.py", "python", (workspace / "harbour.py").read_text(encoding="utf-8"))
        assert len((await editor.diagnostics(uri))["items"]) == 4
        await editor.quit()


@pytest.mark.asyncio
async def test_a_second_start_is_warm_and_says_the_same(settings: dict[str, Any], workspace: Path) -> None:
    found: list[Any] = []
    for _ in range(2):
        async with real_process() as editor:
            editor.settings = settings
            await editor.initialize([workspace])
            await editor.ready()
            found.append(await editor.request("polyclone/scan", {}))
            await editor.quit()
            await editor.process.wait()
    assert found[0] == found[1] and found[0]["groups"]
    indexes = list(Path(os.environ["POLYCLONE_CACHE_DIR"]).glob("index-*"))
    assert indexes


@pytest.mark.asyncio
async def test_a_model_that_cannot_be_loaded_is_told_and_another_one_helps(
    settings: dict[str, Any], workspace: Path, tmp_path: Path
) -> None:
    async with real_process() as editor:
        editor.settings = {**settings, "model": str(tmp_path / "nowhere")}
        await editor.initialize([workspace])
        status = await editor.ready()
        assert status["state"] == "error" and "nowhere" in status["message"]
        assert (
            "nowhere" in (await editor.until(lambda m: m.get("method") == "window/showMessage"))["params"]["message"]
        )
        uri = editor.open(workspace / "harbour.py", "python")
        assert (await editor.diagnostics(uri))["items"] == []
        start = len(editor.log)
        editor.settings = settings
        editor.notify("workspace/didChangeConfiguration", {"settings": None})
        await editor.until(
            lambda m: m.get("method") == "polyclone/statusChanged" and m["params"]["state"] == "ready", start
        )
        assert len((await editor.diagnostics(uri))["items"]) == 4
        await editor.quit()


@pytest.mark.asyncio
async def test_tcp_serves_one_client_on_loopback(settings: dict[str, Any], workspace: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *SERVER[:-1], "--tcp", "--port", "0", stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    assert process.stderr is not None
    address = (await process.stderr.readline()).decode().split()[-1]
    host, _, port = address.rpartition(":")
    assert host == "127.0.0.1"
    reader, writer = await asyncio.open_connection(host, int(port))
    for number, method in enumerate(("initialize", "shutdown")):
        params = {"processId": None, "rootUri": None, "capabilities": {}} if number == 0 else None
        writer.write(frame({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        length = int((await reader.readline()).split(b":")[1])
        while (await reader.readline()).strip():
            pass
        assert json.loads(await reader.readexactly(length))["id"] == number
    writer.write(frame({"jsonrpc": "2.0", "method": "exit"}))
    assert await asyncio.wait_for(process.wait(), 20) == 0
    writer.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tcp", "--host", "0.0.0.0"], "this machine alone"),
        (["--port", "80"], "--tcp"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str) -> None:
    done = subprocess.run([*SERVER[:-1], *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""


def test_the_version_is_told() -> None:
    done = subprocess.run([*SERVER[:-1], "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("polyclone-server ")
