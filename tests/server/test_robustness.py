"""What goes wrong in real life: odd messages, odd files, bad moments. The server answers, and goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.editor import CAPABILITIES, Json, ServerError, in_process, real_process

pytestmark = pytest.mark.asyncio

FAR = {"line": 10_000, "character": 10_000}


async def test_positions_beyond_the_end(workspace: Path, settings: Json) -> None:
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.ready()
        uri = editor.open(workspace / "harbour.py", "python")
        identity = {"textDocument": {"uri": uri}}
        assert await editor.request("textDocument/hover", {**identity, "position": FAR}) is None
        found = await editor.request("polyclone/findClones", {**identity, "position": FAR})
        assert found["function"] is None
        whole = {"start": {"line": 0, "character": 0}, "end": FAR}
        params = {**identity, "range": whole, "context": {"diagnostics": []}}
        assert len(await editor.request("textDocument/codeAction", params)) > 4
        editor.change(uri, 2, {"range": {"start": FAR, "end": FAR}, "text": "\n# the end\n"})
        editor.change(uri, 3, {"range": whole, "text": ""})
        assert (await editor.diagnostics(uri))["items"] == []


async def test_versions_out_of_order_and_documents_nobody_opened(workspace: Path, settings: Json) -> None:
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.ready()
        uri = editor.open(workspace / "harbour.py", "python", version=9)
        editor.change(uri, 3, {"text": "x = 1\n"})
        assert (await editor.diagnostics(uri))["items"] == []
        nobody = (workspace / "nobody.py").as_uri()
        editor.change(nobody, 2, {"text": "x"})
        editor.close(nobody)
        editor.close(uri)
        editor.close(uri)
        assert (await editor.diagnostics(nobody))["items"] == []
        assert (await editor.status())["state"] == "ready"


async def test_a_document_closed_in_the_middle_of_a_request(workspace: Path, settings: Json) -> None:
    async with in_process() as editor:
        editor.settings = {**settings, "debounceMs": 500}
        await editor.initialize([workspace])
        await editor.ready()
        uri = editor.open(workspace / "harbour.py", "python")
        await editor.diagnostics(uri)
        editor.change(uri, 2, {"text": "x = 1\n"})
        _, answer = editor.ask("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        await editor.status()
        editor.close(uri)
        with pytest.raises(ServerError) as refused:
            await answer
        assert refused.value.code == -32802


async def test_a_folder_that_is_gone_and_one_that_never_was(workspace: Path, tmp_path: Path, settings: Json) -> None:
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace, tmp_path / "never"])
        assert (await editor.ready())["state"] == "ready"
        uri = editor.open(workspace / "harbour.py", "python")
        text = (workspace / "harbour.py").read_text(encoding="utf-8")
        shutil.rmtree(workspace)
        change = {"uri": workspace.as_uri(), "type": 3}
        editor.notify("workspace/didChangeWatchedFiles", {"changes": [change]})
        report = await editor.request("polyclone/scan", {})
        while report["functions"] != 4:  # What is open stays.
            report = await editor.request("polyclone/scan", {})
        editor.change(uri, 2, {"text": text + "\n"})
        assert (await editor.diagnostics(uri))["items"] == []


async def test_files_that_are_no_text_or_too_much_of_it(workspace: Path, settings: Json) -> None:
    (workspace / "binary.py").write_bytes(bytes(range(256)) * 10)
    (workspace / "latin.py").write_bytes(b"# caf\xe9\ndef f(a):\n    return a\n")
    (workspace / "utf16.py").write_bytes("def f(a):\n    return a\n".encode("utf-16"))
    (workspace / "empty.py").write_bytes(b"")
    (workspace / "huge.py").write_text("x = 1\n" * 400_000, encoding="utf-8")
    (workspace / "deep.py").write_text("(" * 2_000, encoding="utf-8")
    (workspace / "loop.py").symlink_to(workspace / "loop.py")
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.ready()
        report = await editor.request("polyclone/scan", {})
        assert report["pairs"] > 0 and report["skipped"]["too_large"] == 1
        for name in ("latin.py", "deep.py"):
            uri = editor.open(workspace / name, "python", "(" * 500 + "é")
            assert (await editor.diagnostics(uri))["items"] == []


async def test_documents_of_other_schemes(workspace: Path, settings: Json) -> None:
    code = (workspace / "harbour.py").read_text(encoding="utf-8")
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.ready()
        unsaved = editor.open("untitled:Untitled-1", "python", code)
        assert len((await editor.diagnostics(unsaved))["items"]) == 4
        old = editor.open(f"git:{workspace}/harbour.py?%7B%22ref%22%3A%22HEAD%22%7D", "python", code)
        assert (await editor.diagnostics(old))["items"] == []
        editor.close(unsaved)
        editor.close(old)
        odd = editor.open("no uri at all", "python", code)
        assert (await editor.diagnostics(odd))["items"] == []
        report = await editor.request("polyclone/scan", {})
        uris = {member["uri"] for group in report["groups"] for member in group["members"]}
        assert not {unsaved, old, odd} & uris


async def test_without_any_folder_open_documents_are_compared(workspace: Path, settings: Json) -> None:
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize()
        await editor.ready()
        one = editor.open("untitled:one", "python", (workspace / "harbour.py").read_text(encoding="utf-8"))
        editor.open("untitled:other", "go", (workspace / "harbour.go").read_text(encoding="utf-8"))
        while len((await editor.diagnostics(one))["items"]) != 4:
            await editor.until(lambda m: m.get("method") == "workspace/diagnostic/refresh", len(editor.log))
        pair = {"uri": one, "fingerprint": "0" * 32, "left": "a", "right": "b"}
        with pytest.raises(ServerError, match="Open a folder"):
            await editor.request(
                "workspace/executeCommand", {"command": "polyclone.server.ignorePair", "arguments": [pair]}
            )


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("polyclone.server.open", []),
        ("polyclone.server.open", [{"uri": "file:///a", "selectionRange": 3}]),
        ("polyclone.server.ignorePair", [{"uri": 1, "fingerprint": "", "left": "", "right": ""}]),
        ("polyclone.server.accept", [{"uri": "file:///a", "pairs": 3}]),
        ("polyclone.server.accept", [{"uri": "file:///a", "pairs": [{}]}]),
        ("polyclone.server.nothing", []),
    ],
)
async def test_wrong_arguments_of_commands(
    workspace: Path, settings: Json, command: str, arguments: list[Any]
) -> None:
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.ready()
        with pytest.raises(ServerError) as refused:
            await editor.request("workspace/executeCommand", {"command": command, "arguments": arguments})
        assert refused.value.code == -32602
        assert not (workspace / ".polyclone").exists()


async def test_a_client_that_refuses_everything_it_is_asked(workspace: Path, settings: Json) -> None:
    async with in_process() as editor:
        editor.refuses = {
            *("workspace/configuration", "client/registerCapability", "window/workDoneProgress/create"),
            *("workspace/diagnostic/refresh", "workspace/codeLens/refresh", "window/showDocument"),
        }
        await editor.initialize([workspace], options={"settings": settings})
        assert (await editor.ready())["state"] == "ready"
        uri = editor.open(workspace / "harbour.py", "python")
        assert len((await editor.diagnostics(uri))["items"]) == 4
        await editor.quit()


async def test_messages_in_the_wrong_order_and_of_the_wrong_form(settings: Json) -> None:
    async with in_process() as editor:
        editor.settings = settings
        with pytest.raises(ServerError) as refused:
            await editor.request("textDocument/hover", {"textDocument": {"uri": "file:///a"}, "position": FAR})
        assert refused.value.code == -32002
        editor.notify("textDocument/didOpen", {})
        await editor.initialize()
        with pytest.raises(ServerError) as refused:
            await editor.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        assert refused.value.code == -32600
        for params in ({}, {"textDocument": 3}, {"textDocument": {"uri": "file:///a"}, "position": "here"}):
            with pytest.raises(ServerError) as refused:
                await editor.request("textDocument/hover", params)
            assert refused.value.code == -32602
        with pytest.raises(ServerError) as refused:
            await editor.request("textDocument/completion", {"textDocument": {"uri": "file:///a"}, "position": FAR})
        assert refused.value.code == -32601
        editor.notify("$/cancelRequest", {"id": 4711})
        editor.notify("window/workDoneProgress/cancel", {"token": "nobody's"})
        editor.notify("made/up", {"x": 1})
        editor.server.protocol.receive(b"{")
        editor.server.protocol.receive(b"[]")
        editor.server.protocol.receive(b'{"jsonrpc": "2.0", "id": 99, "result": 1}')
        assert any(message.get("error", {}).get("code") == -32700 for message in editor.log)
        await editor.request("shutdown")
        with pytest.raises(ServerError) as refused:
            await editor.status()
        assert refused.value.code == -32600


async def test_indexing_can_be_stopped_and_gone_on_with(workspace: Path, settings: Json) -> None:
    from support.polyglot import write_workspace

    write_workspace(workspace / "more")
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace], capabilities=CAPABILITIES)
        created = await editor.until(lambda m: m.get("method") == "window/workDoneProgress/create")
        await editor.until(
            lambda m: m.get("method") == "polyclone/statusChanged" and m["params"]["message"] == "Reading files"
        )
        editor.notify("window/workDoneProgress/cancel", {"token": created["params"]["token"]})
        status = await editor.ready()
        if status["message"] != "Ready":  # Else it was done before the cancel came.
            assert "stopped" in status["message"]
            assert (await editor.request("polyclone/scan", {}))["cancelled"] is True
        await editor.request("workspace/executeCommand", {"command": "polyclone.server.scan"})
        report = await editor.request("polyclone/scan", {})
        assert report["cancelled"] is False and report["functions"] > 100


async def test_a_flood_of_edits_leaves_no_queue(workspace: Path, settings: Json) -> None:
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize([workspace])
        await editor.ready()
        uri = editor.open(workspace / "harbour.py", "python")
        text = (workspace / "harbour.py").read_text(encoding="utf-8")
        await editor.diagnostics(uri)
        views: list[int] = []
        editor.server.session.hooks.view.append(lambda: views.append(1))
        for version in range(2, 502):
            editor.change(uri, version, {"text": f"{text}# {version}\n"})
        assert len((await editor.diagnostics(uri))["items"]) == 4
        assert len(views) < 50


async def test_broken_framing_and_a_client_that_goes_away(settings: Json) -> None:
    async with real_process() as editor:
        editor.settings = settings
        await editor.initialize()
        body = json.dumps({"jsonrpc": "2.0", "id": 77, "method": "polyclone/status"}).encode()
        head = b"content-type: application/vscode-jsonrpc\r\nCONTENT-LENGTH: %d\r\n\r\n" % len(body)
        editor.process.stdin.write(head + body[:5])
        await editor.process.stdin.drain()
        editor.process.stdin.write(body[5:])
        await editor.until(lambda m: m.get("id") == 77)
        editor.process.stdin.write(b"nonsense\r\n\r\nContent-Length: 999999999999\r\n\r\n")
        assert await asyncio.wait_for(editor.process.wait(), 20) == 1
