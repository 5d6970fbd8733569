"""The capabilities of real editors: each gets what it can show, in the way it can show it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from lsprotocol.converters import get_converter
from polyclone_server.client import Client, client_of
from support.editor import in_process

CLIENTS = Path(__file__).parents[1] / "fixtures" / "clients"
NAMES = sorted(path.stem for path in CLIENTS.glob("*.json"))

#: What each can do that decides how it is spoken to.
PULLS = {"neovim_0.11.0", "vscode_languageclient_9.0.1"}
WATCHES = {"emacs_29.1", "helix_25", "vscode_languageclient_9.0.1"}
ASKED_FOR_SETTINGS = {"emacs_29.1", "helix_25", "neovim_0.11.0", "vscode_languageclient_9.0.1"}
RESOLVES_COMMANDS = {"helix_25", "neovim_0.11.0"}
SHOWS_DOCUMENTS = {"neovim_0.11.0", "vscode_languageclient_9.0.1"}
ENCODINGS = {"emacs_29.1": "utf-32", "helix_25": "utf-8", "neovim_0.11.0": "utf-8"}


def recorded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CLIENTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def abilities(name: str) -> Client:
    raw = {"processId": None, "rootUri": None, **recorded(name)}
    return client_of(get_converter().structure(raw, types.InitializeParams))


@pytest.mark.parametrize("name", NAMES)
def test_abilities_are_read_from_what_the_client_says(name: str) -> None:
    client = abilities(name)
    assert client.pull_diagnostics == (name in PULLS)
    assert client.watches_files == (name in WATCHES)
    assert client.configuration == (name in ASKED_FOR_SETTINGS)
    assert client.resolves_action_commands == (name in RESOLVES_COMMANDS)
    assert client.show_document == (name in SHOWS_DOCUMENTS)
    assert client.action_literals and client.progress
    assert client.commands == frozenset() and client.status_notification is False


@pytest.mark.asyncio
@pytest.mark.parametrize("name", NAMES)
async def test_a_session_of_each_client(name: str, workspace: Path, settings: dict[str, Any]) -> None:
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize(
            [workspace], capabilities=recorded(name)["capabilities"], options={"settings": settings}
        )
        assert editor.capabilities["positionEncoding"] == ENCODINGS.get(name, "utf-16")
        uri = editor.open(workspace / "harbour.py", "python")
        if name in PULLS:
            await editor.ready()
            diagnostics = (await editor.diagnostics(uri))["items"]
            assert not editor.received("textDocument/publishDiagnostics")
        else:
            assert "diagnosticProvider" not in editor.capabilities
            pushed = await editor.until(
                lambda m: (
                    m.get("method") == "textDocument/publishDiagnostics" and len(m["params"]["diagnostics"]) == 4
                )
            )
            diagnostics = pushed["params"]["diagnostics"]
            assert not editor.received("workspace/diagnostic/refresh")
        assert len(diagnostics) == 4
        position = diagnostics[0]["range"]["start"]
        hover = await editor.request("textDocument/hover", {"textDocument": {"uri": uri}, "position": position})
        assert "3 clones" in hover["contents"]["value"]
        params = {
            "textDocument": {"uri": uri},
            "range": diagnostics[0]["range"],
            "context": {"diagnostics": diagnostics},
        }
        action = (await editor.request("textDocument/codeAction", params))[0]
        assert ("command" in action) != (name in RESOLVES_COMMANDS)
        action = await editor.request("codeAction/resolve", action)
        assert action["command"]["command"] == "polyclone.server.open"
        registered = {
            r["method"] for params in editor.received("client/registerCapability") for r in params["registrations"]
        }
        assert ("workspace/didChangeWatchedFiles" in registered) == (name in WATCHES)
        assert bool(editor.received("workspace/configuration")) == (name in ASKED_FOR_SETTINGS)
        await editor.quit()


@pytest.mark.parametrize(
    "options",
    [None, [], "x", {"commands": "all"}, {"commands": [1, "rm -rf"]}, {"statusNotification": "yes"}, {"settings": 3}],
)
def test_options_that_are_wrong_count_as_absent(options: Any) -> None:
    raw = {"processId": None, "rootUri": None, "capabilities": {}, "initializationOptions": options}
    client = client_of(get_converter().structure(raw, types.InitializeParams))
    assert client.commands == frozenset() and client.status_notification is False
