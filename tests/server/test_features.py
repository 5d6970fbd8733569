"""Every feature, with a client of the present day, in one process: what is asked and what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from polyclone_server import owner
from support.bundles import llm_bundle
from support.editor import CAPABILITIES, Editor, Json, ServerError, in_process, without
from support.polyglot import TOTAL_ABOVE, framed

pytestmark = pytest.mark.asyncio

PEEK, COMPARE, IGNORE, GO_TO = (
    f"polyclone.{name}" for name in ("peekClones", "compareWithClone", "ignorePair", "goToClone")
)
PUSHING = without(CAPABILITIES, "textDocument.diagnostic", "workspace.diagnostics")


@asynccontextmanager
async def editing(  # type: ignore[no-untyped-def]
    *folders: Path,
    settings: Json,
    capabilities: Json = CAPABILITIES,
    commands: tuple[str, ...] = (),
    ready: bool = True,
):
    async with in_process() as editor:
        editor.settings = settings
        await editor.initialize(folders, capabilities=capabilities, options={"commands": list(commands)})
        if ready:
            assert (await editor.ready())["state"] == "ready"
        yield editor
        await editor.quit()


def name_position(text: str, name: str) -> Json:
    """The position of the first `name` in a text of ASCII letters."""
    before = text[: text.index(name)]
    return {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}


async def at_name(editor: Editor, method: str, uri: str, path: Path, name: str, **more: Any) -> Any:
    position = name_position(path.read_text(encoding="utf-8"), name)
    return await editor.request(method, {"textDocument": {"uri": uri}, "position": position, **more})


async def actions(editor: Editor, uri: str, item: Json, **context: Any) -> list[Json]:
    params = {
        "textDocument": {"uri": uri},
        "range": item["range"],
        "context": {"diagnostics": [item], **context},
    }
    found: list[Json] = await editor.request("textDocument/codeAction", params)
    return found


async def eventually(
    editor: Editor, uri: str, done: Callable[[list[Json]], bool], previous: str | None = None
) -> Json:
    """The first report whose items pass; pulls again whenever the server says that there is something new."""
    while True:
        start = len(editor.log)
        report = await editor.diagnostics(uri, previous)
        if report["kind"] == "full" and done(report["items"]):
            return report
        await editor.until(lambda m: m.get("method") == "workspace/diagnostic/refresh", start)


# --- diagnostics ---


async def test_a_diagnostic_says_what_where_how_sure_and_why(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "total.py", "python")
        report = await editor.diagnostics(uri)
        (item,) = report["items"]
        assert item["range"] == {"start": {"line": 0, "character": 4}, "end": {"line": 0, "character": 9}}
        assert (item["severity"], item["source"], item["code"]) == (3, "polyclone", "cross-language-clone")
        assert item["codeDescription"]["href"].endswith("docs/lsp-extensions.md#cross-language-clone")
        assert "tags" not in item
        related = item["relatedInformation"]
        assert len(related) == 6
        assert related[0]["message"].split(" · ")[1:] == ["total", related[0]["message"].split(" · ")[2]]
        assert related[5]["message"].startswith("+")
        assert int(related[5]["message"].split()[0]) == len(item["data"]["fingerprints"]) - 5
        assert set(item["data"]) == {"group", "fingerprints", "probability", "modelDigest"}
        assert all(entry["location"]["uri"] != uri for entry in related)


async def test_unchanged_findings_are_not_sent_twice(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "total.py", "python")
        report = await editor.diagnostics(uri)
        again = await editor.diagnostics(uri, report["resultId"])
        assert (again["kind"], again["resultId"]) == ("unchanged", report["resultId"])
        assert "items" not in again


async def test_open_twins_come_along(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        twin = editor.open(workspace / "total.go", "go")
        uri = editor.open(workspace / "total.py", "python")
        await editor.diagnostics(twin)
        related = (await editor.diagnostics(uri))["relatedDocuments"]
        assert set(related) == {twin}
        assert [item["range"]["start"]["line"] for item in related[twin]["items"]] == [2]


async def test_unsaved_text_counts_and_other_open_documents_follow(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        go = editor.open(workspace / "harbour.go", "go")
        python = editor.open(workspace / "harbour.py", "python")
        assert len((await editor.diagnostics(go))["items"]) == 4
        before = await editor.diagnostics(python)
        assert len(before["items"]) == 4
        start = len(editor.log)
        # Three of the four functions are gone; nothing is saved.
        text = (workspace / "harbour.go").read_text(encoding="utf-8")
        editor.change(go, 2, {"text": text[: text.index("func Largest")]})
        assert len((await editor.diagnostics(go))["items"]) == 1
        await editor.until(lambda m: m.get("method") == "workspace/diagnostic/refresh", start)

        def one_in_go(items: list[Json]) -> bool:
            return len([item for item in items if "Go" in item["message"]]) == 1

        await eventually(editor, python, one_in_go, before["resultId"])


async def test_closing_falls_back_to_the_disk(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        python = editor.open(workspace / "harbour.py", "python")
        go = editor.open(workspace / "harbour.go", "go", "package harbour\n")
        assert (await editor.diagnostics(go))["items"] == []
        assert not any("Go" in item["message"] for item in (await editor.diagnostics(python))["items"])
        editor.close(go)
        await eventually(editor, python, lambda items: sum("Go" in item["message"] for item in items) == 4)


async def test_a_pull_that_is_overtaken_by_an_edit_is_dropped(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings={**settings, "debounceMs": 300}) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        await editor.diagnostics(uri)
        editor.change(uri, 2, {"text": "x = 1\n"})
        _, answer = editor.ask("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        await editor.status()
        editor.change(uri, 3, {"text": "x = 2\n"})
        with pytest.raises(ServerError) as refused:
            await answer
        assert (refused.value.code, refused.value.data) == (-32802, {"retriggerRequest": True})
        assert (await editor.diagnostics(uri))["items"] == []


async def test_ranges_are_those_of_the_text_that_the_client_has(workspace: Path, settings: Json) -> None:
    """Between an edit and the index' knowledge of it, what was not touched moves along, what was touched is gone."""
    async with editing(workspace, settings={**settings, "debounceMs": 5_000}) as editor:
        path = workspace / "harbour.py"
        uri = editor.open(path, "python")
        await editor.diagnostics(uri)
        start = {"line": 0, "character": 0}
        editor.change(uri, 2, {"range": {"start": start, "end": start}, "text": "# 🙂\n\n"})
        lenses = await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}})
        assert [lens["range"]["start"]["line"] for lens in lenses] == [2, 10, 20, 33]
        inside = {"line": 12, "character": 4}
        editor.change(uri, 3, {"range": {"start": inside, "end": inside}, "text": "pass\n"})
        lenses = await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}})
        assert [lens["range"]["start"]["line"] for lens in lenses] == [21, 34]  # Between two edits, all may be new.


async def test_a_client_without_pull_is_pushed_to_and_cannot_pull(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings, capabilities=PUSHING) as editor:
        assert "diagnosticProvider" not in editor.capabilities
        uri = editor.open(workspace / "harbour.py", "python", version=7)
        pushed = await editor.until(
            lambda m: m.get("method") == "textDocument/publishDiagnostics" and m["params"]["diagnostics"]
        )
        assert (pushed["params"]["uri"], pushed["params"]["version"]) == (uri, 7)
        assert len(pushed["params"]["diagnostics"]) == 4
        start = len(editor.log)
        editor.change(uri, 8, {"text": "x = 1\n"})
        pushed = await editor.until(lambda m: m.get("method") == "textDocument/publishDiagnostics", start)
        assert (pushed["params"]["version"], pushed["params"]["diagnostics"]) == (8, [])
        start = len(editor.log)
        editor.close(uri)
        assert not editor.received("workspace/diagnostic/refresh")


async def test_a_client_that_pulls_is_never_pushed_to(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        await editor.diagnostics(uri)
        editor.change(uri, 2, {"text": "x = 1\n"})
        await editor.diagnostics(uri)
        editor.close(uri)
        assert editor.received("textDocument/publishDiagnostics") == []


async def test_the_severity_is_the_users(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings={**settings, "diagnostics": {"severity": "hint"}}) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        assert {item["severity"] for item in (await editor.diagnostics(uri))["items"]} == {4}


async def test_without_related_information_the_message_names_the_places(workspace: Path, settings: Json) -> None:
    poor = without(CAPABILITIES, "textDocument.publishDiagnostics")
    async with editing(workspace, settings=settings, capabilities=poor) as editor:
        uri = editor.open(workspace / "total.py", "python")
        (item,) = (await editor.diagnostics(uri))["items"]
        assert not {"relatedInformation", "data", "codeDescription"} & set(item)
        lines = item["message"].split("\n")
        assert len(lines) == 7 and lines[-1].startswith("+") and "total." in lines[1]


# --- the whole workspace ---


async def test_workspace_diagnostics_are_streamed_and_then_kept_until_there_is_news(
    workspace: Path, settings: Json
) -> None:
    async with editing(workspace, settings={**settings, "diagnosticMode": "workspace"}) as editor:
        report = await editor.request("workspace/diagnostic", {"previousResultIds": [], "partialResultToken": "part"})
        assert report == {"items": []}
        items = [
            item
            for part in editor.received("$/progress")
            if part["token"] == "part"
            for item in part["value"]["items"]
        ]
        assert len(items) == 18 and {item["kind"] for item in items} == {"full"}
        previous = [{"uri": item["uri"], "value": item["resultId"]} for item in items]
        _, held = editor.ask("workspace/diagnostic", {"previousResultIds": previous})
        python = editor.open(workspace / "harbour.py", "python", "x = 1\n")
        news = (await held)["items"]
        kinds = {Path(item["uri"]).name: item["kind"] for item in news}
        assert (kinds["harbour.py"], kinds["harbour.go"], kinds["total.go"]) == ("full", "full", "unchanged")
        assert next(item for item in news if item["uri"] == python)["items"] == []


async def test_workspace_diagnostics_are_off_unless_wanted_and_can_be_cancelled(
    workspace: Path, settings: Json
) -> None:
    async with editing(workspace, settings=settings) as editor:
        identity, held = editor.ask("workspace/diagnostic", {"previousResultIds": []})
        await editor.status()
        assert not held.done()
        editor.notify("$/cancelRequest", {"id": identity})
        with pytest.raises(ServerError) as refused:
            await held
        assert refused.value.code == -32800
        # Switching it off clears what was shown.
        uri = (workspace / "total.go").as_uri()
        cleared = await editor.request("workspace/diagnostic", {"previousResultIds": [{"uri": uri, "value": "old"}]})
        assert [(item["uri"], item["items"]) for item in cleared["items"]] == [(uri, [])]


# --- actions, lenses, hover ---


async def test_actions_offer_what_the_client_can_do(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings, commands=(PEEK, COMPARE, IGNORE, GO_TO)) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        item = (await editor.diagnostics(uri))["items"][0]
        found = await actions(editor, uri, item)
        titles = [action["title"] for action in found]
        assert [title.split(" ")[0] for title in titles if title.startswith("Go to")] == ["Go"] * 3
        assert "Show 3 clones: Go, Java, JavaScript" in titles
        assert sum(title.startswith("Compare side by side") for title in titles) == 3
        assert sum(title.startswith("Ignore this pair") for title in titles) == 3
        assert "Accept these 3 clones into the baseline" in titles
        assert titles[-1] == "Find clones in the whole workspace"
        fixes = found[:-1]
        assert {action["kind"] for action in fixes} == {"quickfix"}
        assert all("command" not in action and action["diagnostics"] == [item] for action in fixes)
        resolved = [(await editor.request("codeAction/resolve", action))["command"] for action in fixes]
        commands = [command["command"] for command in resolved]
        assert {GO_TO, PEEK, COMPARE, IGNORE, "polyclone.server.accept"} == set(commands)
        peek = resolved[commands.index(PEEK)]["arguments"][0]
        assert (peek["uri"], len(peek["locations"])) == (uri, 3)
        compare = resolved[commands.index(COMPARE)]["arguments"][0]
        assert compare["left"]["uri"] == uri and compare["right"]["uri"] != uri


async def test_actions_without_client_commands_use_the_servers(workspace: Path, settings: Json) -> None:
    plain = without(CAPABILITIES, "textDocument.codeAction.resolveSupport")
    async with editing(workspace, settings=settings, capabilities=plain) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        item = (await editor.diagnostics(uri))["items"][0]
        found = await actions(editor, uri, item, triggerKind=2)
        commands = {action["command"]["command"] for action in found}
        assert commands == {"polyclone.server.open", "polyclone.server.ignorePair", "polyclone.server.accept"}
        await editor.request("workspace/executeCommand", _executed(found[0]["command"]))
        (shown,) = editor.received("window/showDocument")
        assert shown["uri"] == found[0]["command"]["arguments"][0]["uri"]
        assert shown["selection"] == found[0]["command"]["arguments"][0]["selectionRange"]


async def test_a_client_of_old_gets_commands_and_a_message(workspace: Path, settings: Json) -> None:
    old = without(PUSHING, "textDocument.codeAction", "window.showDocument")
    async with editing(workspace, settings=settings, capabilities=old) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        pushed = await editor.until(lambda m: m.get("method") == "textDocument/publishDiagnostics")
        found = await actions(editor, uri, pushed["params"]["diagnostics"][0])
        assert all(isinstance(action["command"], str) for action in found)
        await editor.request("workspace/executeCommand", _executed(found[0]))
        message = editor.received("window/showMessage")[-1]["message"]
        assert "harbour." in message and message.rsplit(":", 1)[1].isdigit()


@pytest.mark.parametrize(
    ("only", "kinds"),
    [
        (["quickfix"], {"quickfix"}),
        (["source"], {"source.polyclone.scan"}),
        (["source.polyclone.scan"], {"source.polyclone.scan"}),
        (["refactor"], set()),
        ([""], {"quickfix", "source.polyclone.scan"}),
    ],
)
async def test_actions_of_the_kinds_asked_for(
    workspace: Path, settings: Json, only: list[str], kinds: set[str]
) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        item = (await editor.diagnostics(uri))["items"][0]
        assert {action["kind"] for action in await actions(editor, uri, item, only=only)} == kinds


async def test_a_lens_counts_when_it_is_resolved(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings, commands=(PEEK,)) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        await editor.diagnostics(uri)
        lenses = await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}})
        assert len(lenses) == 4 and all("command" not in lens for lens in lenses)
        resolved = await editor.request("codeLens/resolve", lenses[0])
        assert resolved["command"]["title"] == "3 clones: Go, Java, JavaScript"
        assert resolved["command"]["command"] == PEEK
        start = len(editor.log)
        editor.change(uri, 2, {"text": "x = 1\n"})
        await editor.until(lambda m: m.get("method") == "workspace/codeLens/refresh", start)
        assert await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}}) == []
        gone = await editor.request("codeLens/resolve", lenses[0])
        assert gone["command"] == {"title": "no clones any more", "command": ""}


async def test_hover_is_on_the_name_only(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        path = workspace / "harbour.py"
        uri = editor.open(path, "python")
        await editor.diagnostics(uri)
        hover = await at_name(editor, "textDocument/hover", uri, path, "total_harbour_weight")
        value = hover["contents"]["value"]
        assert hover["contents"]["kind"] == "markdown"
        assert value.startswith("**3 clones: Go, Java, JavaScript**")
        assert "p = 0\\.9" in value or "p = 0.9" in value
        assert "\n```" in value and value.endswith("```")
        assert await at_name(editor, "textDocument/hover", uri, path, "total = 101") is None
        assert await at_name(editor, "textDocument/hover", uri, path, "def total") is None


async def test_what_is_switched_off_stays_silent(workspace: Path, settings: Json) -> None:
    off = {**settings, "hover": {"enable": False}, "codeLens": {"enable": False}, "diagnostics": {"enable": False}}
    async with editing(workspace, settings=off) as editor:
        path = workspace / "harbour.py"
        uri = editor.open(path, "python")
        assert (await editor.diagnostics(uri))["items"] == []
        assert await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}}) == []
        assert await at_name(editor, "textDocument/hover", uri, path, "total_harbour_weight") is None


async def test_no_other_providers_are_registered(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        providers = {key for key, value in editor.capabilities.items() if key.endswith("Provider") and value}
        assert providers == {
            *("codeActionProvider", "codeLensProvider", "diagnosticProvider"),
            *("executeCommandProvider", "hoverProvider"),
        }
        assert editor.capabilities["diagnosticProvider"]["interFileDependencies"] is True


# --- suppression ---


def _executed(command: Json) -> Json:
    return {"command": command["command"], "arguments": command.get("arguments", [])}


async def test_an_ignored_pair_and_an_accepted_finding_vanish(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        items = (await editor.diagnostics(uri))["items"]
        found = await actions(editor, uri, items[0])
        ignore = next(action for action in found if action["title"].startswith("Ignore this pair: Java ·"))
        command = (await editor.request("codeAction/resolve", ignore))["command"]
        command["arguments"][0]["reason"] = "kept apart on purpose"
        await editor.request("workspace/executeCommand", _executed(command))
        report = await eventually(editor, uri, lambda found: "2 clones: Go, JavaScript" in found[0]["message"])
        items = report["items"]
        ignored = (workspace / ".polyclone" / "ignored").read_text(encoding="utf-8")
        assert "kept apart on purpose" in ignored and command["arguments"][0]["fingerprint"] in ignored
        accept = next(action for action in await actions(editor, uri, items[1]) if "baseline" in action["title"])
        command = (await editor.request("codeAction/resolve", accept))["command"]
        await editor.request("workspace/executeCommand", _executed(command))
        await eventually(editor, uri, lambda found: len(found) == 3)
        assert (workspace / ".polyclone" / "baseline").read_text(encoding="utf-8").count("\n") >= 3


async def test_a_scan_says_which_groups_are_accepted(workspace: Path, settings: Json) -> None:
    for path in workspace.iterdir():
        if path.name not in ("harbour.py", "harbour.go"):
            path.unlink()
    async with editing(workspace, settings=settings) as editor:
        groups = (await editor.request("polyclone/scan", {}))["groups"]
        assert [group["accepted"] for group in groups] == [False] * 4
        for member in groups[0]["members"]:
            assert member["path"] in ("harbour.py", "harbour.go")
        (pair,) = groups[0]["pairs"]
        uri = groups[0]["members"][0]["uri"]
        accepted = {"uri": uri, "fingerprint": pair["fingerprint"], "left": "go a", "right": "python b"}
        arguments = [{"uri": uri, "pairs": [accepted]}]
        await editor.request(
            "workspace/executeCommand", {"command": "polyclone.server.accept", "arguments": arguments}
        )
        after = {group["id"]: group["accepted"] for group in (await editor.request("polyclone/scan", {}))["groups"]}
        assert after[groups[0]["id"]] is True and sum(after.values()) == 1


async def test_a_comment_suppresses_as_it_is_typed(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        assert len((await editor.diagnostics(uri))["items"]) == 4
        start = {"line": 0, "character": 0}
        comment = {"range": {"start": start, "end": start}, "text": "# polyclone: ignore[ported on purpose]\n"}
        editor.change(uri, 2, comment)
        assert len((await editor.diagnostics(uri))["items"]) == 3


# --- requests of its own ---


async def test_find_clones_answers_for_any_position_in_a_function(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        path = workspace / "harbour.py"
        uri = editor.open(path, "python")
        found = await at_name(editor, "polyclone/findClones", uri, path, "middle = (left", limit=2)
        assert (found["function"]["name"], found["tooSmall"], found["complete"]) == ("find_harbour", False, True)
        assert len(found["matches"]) == 2
        best = found["matches"][0]
        assert best["function"]["name"].lower() == "findharbour"
        assert best["probability"] >= found["matches"][1]["probability"] and best["reasons"]
        nothing = await editor.request(
            "polyclone/findClones", {"textDocument": {"uri": uri}, "position": {"line": 7, "character": 0}}
        )
        assert nothing["function"] is None and nothing["matches"] == []


async def test_find_clones_knows_files_that_are_not_open_and_functions_too_small(
    workspace: Path, settings: Json
) -> None:
    (workspace / "small.py").write_text("def tiny(a):\n    return a\n", encoding="utf-8")
    async with editing(workspace, settings=settings) as editor:
        params = {
            "textDocument": {"uri": (workspace / "small.py").as_uri()},
            "position": {"line": 1, "character": 4},
        }
        found = await editor.request("polyclone/findClones", params)
        assert (found["function"]["name"], found["tooSmall"], found["matches"]) == ("tiny", True, [])


@pytest.mark.parametrize(
    "params",
    [None, {}, {"textDocument": {}}, {"textDocument": {"uri": 1}, "position": {"line": 0, "character": 0}},
     {"textDocument": {"uri": "file:///a"}, "position": {"line": -1, "character": 0}},
     {"textDocument": {"uri": "file:///a"}, "position": {"line": 0, "character": 0}, "limit": "x"}],
)  # fmt: skip
async def test_wrong_parameters_are_refused_with_the_remedy(workspace: Path, settings: Json, params: Any) -> None:
    async with editing(workspace, settings=settings) as editor:
        with pytest.raises(ServerError) as refused:
            await editor.request("polyclone/findClones", params)
        assert refused.value.code == -32602
        assert "position" in str(refused.value) or "whole numbers" in str(refused.value)


async def test_a_scan_reports_groups_of_some_folders(workspace: Path, settings: Json) -> None:
    other = workspace / "other"
    other.mkdir()
    for suffix in (".py", ".go"):
        (workspace / f"harbour{suffix}").rename(other / f"harbour{suffix}")
    async with editing(workspace, settings=settings) as editor:
        report = await editor.request("polyclone/scan", {})
        assert report["files"] == 18 and report["pairs"] > 0 and report["cancelled"] is False
        assert report["threshold"] == 0.9 and report["failures"] == []
        for group in report["groups"]:
            assert len(group["id"]) == 32 and len(group["members"]) >= 2
            for pair in group["pairs"]:
                assert pair["left"] < pair["right"] < len(group["members"])
            assert group["probability"] == max(pair["probability"] for pair in group["pairs"])
        below = await editor.request("polyclone/scan", {"roots": [other.as_uri()]})
        assert 0 < len(below["groups"]) < len(report["groups"])
        with pytest.raises(ServerError):
            await editor.request("polyclone/scan", {"roots": ["git:/x"]})


async def test_a_scan_keeps_to_each_folders_own_rules(workspace: Path, settings: Json) -> None:
    free, strict = workspace / "free", workspace / "strict"
    for folder, name in ((free, "harbour"), (strict, "total")):
        folder.mkdir()
        for suffix in (".py", ".go"):
            (workspace / f"{name}{suffix}").rename(folder / f"{name}{suffix}")
    own = {key: value for key, value in settings.items() if key != "minProbability"}

    async def folders_of_groups() -> set[str]:
        async with editing(free, strict, settings=own) as editor:
            report = await editor.request("polyclone/scan", {})
        assert len(report["groups"]) > 0
        return {member["path"].split("/")[0] for group in report["groups"] for member in group["members"]}

    assert await folders_of_groups() == {"free", "strict"}
    (strict / "polyclone.toml").write_text("min-probability = 1.0\n", encoding="utf-8")
    assert await folders_of_groups() == {"free"}


@pytest.mark.parametrize(("budget_s", "missed"), [(0.0, 1), (30.0, 0)])
async def test_a_scan_counts_the_pairs_that_were_not_verified(
    budget_s: float, missed: int, tmp_path: Path, settings: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "load_model", partial(owner.load_model, judge_budget_s=budget_s))
    code = tmp_path / "code"
    code.mkdir()
    (code / "a.py").write_text(TOTAL_ABOVE["python"])
    (code / "b.go").write_text(framed("go", TOTAL_ABOVE["go"]))
    async with editing(code, settings={**settings, "model": str(llm_bundle(tmp_path / "llm"))}) as editor:
        report = await editor.request("polyclone/scan", {})
        assert (report["functions"], report["unverified"]) == (2, missed)


async def test_a_scan_streams_each_group_once(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        whole = await editor.request("polyclone/scan", {})
        report = await editor.request("polyclone/scan", {"partialResultToken": "groups", "workDoneToken": "bar"})
        parts = [part["value"] for part in editor.received("$/progress") if part["token"] == "groups"]
        assert report["groups"] == []
        assert [group for part in parts for group in part["groups"]] == whole["groups"]
        kinds = [part["value"]["kind"] for part in editor.received("$/progress") if part["token"] == "bar"]
        assert (kinds[0], kinds[-1]) == ("begin", "end")


async def test_the_scan_command_makes_findings_of_all_files_diagnostics(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings, capabilities=PUSHING) as editor:
        await editor.request("workspace/executeCommand", {"command": "polyclone.server.scan"})
        pushed: set[str] = set()
        while len(pushed) < 18:
            seen = len(pushed)
            pushed = {params["uri"] for params in editor.received("textDocument/publishDiagnostics")}
            if len(pushed) == seen:
                start = len(editor.log)
                await editor.until(lambda m: m.get("method") == "textDocument/publishDiagnostics", start)
        assert "functions" in editor.received("window/showMessage")[-1]["message"]


async def test_the_status_tells_model_and_counts(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        status = await editor.status()
        assert (status["state"], status["files"], status["model"]["name"]) == ("ready", 18, "tiny")
        assert status["functions"] == 30 and status["pairs"] > 0 and status["pid"] > 0
        states = [params["state"] for params in editor.received("polyclone/statusChanged")]
        assert states[-1] == "ready"


async def test_progress_begins_and_ends_with_counts(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        end = await editor.until(lambda m: m.get("method") == "$/progress" and m["params"]["value"]["kind"] == "end")
        assert "30 functions" in end["params"]["value"]["message"]
        token = end["params"]["token"]
        values = [params["value"] for params in editor.received("$/progress") if params["token"] == token]
        assert [value["kind"] for value in values].count("begin") == 1
        assert values[0]["kind"] == "begin" and values[0]["cancellable"] is True


async def test_clearing_the_cache_indexes_again(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        await editor.request("workspace/executeCommand", {"command": "polyclone.server.clearCache"})
        assert (await editor.status())["functions"] == 30


# --- settings, folders, files, notebooks ---


async def test_a_wrong_setting_is_shown_once_and_the_last_good_one_kept(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        assert len((await editor.diagnostics(uri))["items"]) == 4
        editor.settings = {**settings, "minProbability": 7}
        for _ in range(2):
            start = len(editor.log)
            editor.notify("workspace/didChangeConfiguration", {"settings": None})
            await editor.until(lambda m: m.get("method") == "workspace/configuration", start)
            await editor.status()
        await editor.until(lambda m: m.get("method") == "window/showMessage")
        assert len((await editor.diagnostics(uri))["items"]) == 4
        (message,) = [params["message"] for params in editor.received("window/showMessage")]
        assert "polyclone.minProbability" in message and "7" in message and "above 0" in message


async def test_settings_apply_live(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        assert len((await editor.diagnostics(uri))["items"]) == 4
        for change, done in [
            ({"diagnostics": {"severity": "warning"}}, lambda items: {item["severity"] for item in items} == {2}),
            ({"enable": False}, lambda items: not items),
            ({"languages": ["python", "java"]}, lambda items: all("1 clone" not in i["message"] for i in items)),
            ({}, lambda items: len(items) == 4),
        ]:
            editor.settings = {**settings, **change}
            editor.notify("workspace/didChangeConfiguration", {"settings": None})
            await eventually(editor, uri, done)


async def test_a_client_that_cannot_be_asked_sends_its_settings(workspace: Path, settings: Json) -> None:
    poor = without(CAPABILITIES, "workspace.configuration")
    async with in_process() as editor:
        await editor.initialize([workspace], capabilities=poor, options={"settings": settings})
        assert (await editor.ready())["model"]["name"] == "tiny"
        uri = editor.open(workspace / "harbour.py", "python")
        assert len((await editor.diagnostics(uri))["items"]) == 4
        quiet = {**settings, "diagnostics": {"enable": False}}
        editor.notify("workspace/didChangeConfiguration", {"settings": {"polyclone": quiet}})
        await eventually(editor, uri, lambda items: not items)


async def test_the_file_of_a_folder_counts_and_is_followed(workspace: Path, settings: Json) -> None:
    open_settings = {key: value for key, value in settings.items() if key != "minProbability"}
    (workspace / "polyclone.toml").write_text('exclude = ["*.java"]\n', encoding="utf-8")
    async with editing(workspace, settings=open_settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        items = (await editor.diagnostics(uri))["items"]
        assert items and not any("Java," in item["message"] for item in items)
        (workspace / "polyclone.toml").write_text("", encoding="utf-8")
        changed = {"uri": (workspace / "polyclone.toml").as_uri(), "type": 2}
        editor.notify("workspace/didChangeWatchedFiles", {"changes": [changed]})
        await eventually(editor, uri, lambda items: any("Java," in item["message"] for item in items))


async def test_folders_differ_in_their_settings(tmp_path: Path, workspace: Path, settings: Json) -> None:
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    (workspace / "harbour.py").rename(quiet / "harbour.py")
    async with in_process() as editor:
        editor.settings = {**settings, quiet.as_uri(): {**settings, "diagnostics": {"severity": "hint"}}}
        await editor.initialize([workspace, quiet])
        await editor.ready()
        hint = editor.open(quiet / "harbour.py", "python")
        plain = editor.open(workspace / "harbour.go", "go")
        assert {item["severity"] for item in (await editor.diagnostics(hint))["items"]} == {4}
        assert {item["severity"] for item in (await editor.diagnostics(plain))["items"]} == {3}
        asked = editor.received("workspace/configuration")[0]["items"]
        assert [item.get("scopeUri") for item in asked] == [None, workspace.as_uri(), quiet.as_uri()]


async def test_folders_come_and_go_and_matches_across_them_can_be_hidden(
    tmp_path: Path, workspace: Path, settings: Json
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (workspace / "harbour.go").rename(other / "harbour.go")
    folder = {"uri": other.as_uri(), "name": "other"}

    def in_languages(names: str) -> Callable[[list[Json]], bool]:
        return lambda items: names in items[0]["message"]

    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        await eventually(editor, uri, in_languages("2 clones: Java, JavaScript"))
        for event, expected in [
            ({"added": [folder], "removed": []}, "3 clones: Go, Java, JavaScript"),
            ({"added": [], "removed": [folder]}, "2 clones: Java, JavaScript"),
            ({"added": [folder], "removed": []}, "3 clones: Go, Java, JavaScript"),
        ]:
            editor.notify("workspace/didChangeWorkspaceFolders", {"event": event})
            await eventually(editor, uri, in_languages(expected))
        editor.settings = {**settings, "acrossFolders": False}
        editor.notify("workspace/didChangeConfiguration", {"settings": None})
        await eventually(editor, uri, in_languages("2 clones: Java, JavaScript"))


async def test_files_on_disk_are_watched_and_a_storm_is_one_update(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        registered = await editor.until(
            lambda m: (
                m.get("method") == "client/registerCapability"
                and m["params"]["registrations"][0]["method"] == "workspace/didChangeWatchedFiles"
            )
        )
        watchers = registered["params"]["registrations"][0]["registerOptions"]["watchers"]
        assert {watcher["globPattern"]["baseUri"] for watcher in watchers} == {workspace.as_uri()}
        uri = editor.open(workspace / "harbour.py", "python")
        await editor.diagnostics(uri)
        (workspace / "harbour.py").write_text("x = 1\n", encoding="utf-8")  # Open, so the editor decides.
        gone = [workspace / f"harbour.{suffix}" for suffix in ("go", "java", "js")]
        for path in gone:
            path.unlink()
        views: list[int] = []
        editor.server.session.hooks.view.append(lambda: views.append(1))  # type: ignore[attr-defined]
        changes = [{"uri": path.as_uri(), "type": 3} for path in gone]
        for change in [*changes, {"uri": uri, "type": 2}] * 100:
            editor.notify("workspace/didChangeWatchedFiles", {"changes": [change]})
        await eventually(editor, uri, lambda items: not items)
        assert len(views) < 10
        editor.close(uri)
        assert (await editor.request("polyclone/scan", {}))["functions"] == 14


async def test_a_deleted_folder_takes_its_files_along(workspace: Path, settings: Json) -> None:
    import shutil

    below = workspace / "deep" / "er"
    below.mkdir(parents=True)
    (workspace / "harbour.go").rename(below / "harbour.go")
    async with editing(workspace, settings=settings) as editor:
        uri = editor.open(workspace / "harbour.py", "python")
        assert all("Go" in item["message"] for item in (await editor.diagnostics(uri))["items"])
        shutil.rmtree(workspace / "deep")
        change = {"uri": (workspace / "deep").as_uri(), "type": 3}
        editor.notify("workspace/didChangeWatchedFiles", {"changes": [change]})
        await eventually(editor, uri, lambda items: not any("Go" in item["message"] for item in items))


async def test_a_function_in_a_cell_of_a_notebook_is_a_unit(workspace: Path, settings: Json) -> None:
    code = (workspace / "harbour.py").read_text(encoding="utf-8")
    notebook = (workspace / "study.ipynb").as_uri()
    cells = [f"vscode-notebook-cell:{notebook.removeprefix('file://')}#W{number}" for number in range(2)]
    texts = [code[: code.index("def largest")], "print('nothing')\n"]
    (workspace / "harbour.py").unlink()

    def item(number: int) -> Json:
        return {"uri": cells[number], "languageId": "python", "version": 1, "text": texts[number]}

    def cell(number: int) -> Json:
        return {"kind": 2, "document": cells[number]}

    async with editing(workspace, settings=settings) as editor:
        assert editor.capabilities["notebookDocumentSync"]["notebookSelector"]
        document = {"uri": notebook, "notebookType": "jupyter-notebook", "version": 1, "cells": [cell(0)]}
        params = {"notebookDocument": document, "cellTextDocuments": [item(0)]}
        editor.notify("notebookDocument/didOpen", params)
        (found,) = (await editor.diagnostics(cells[0]))["items"]
        assert "3 clones" in found["message"] and found["range"]["start"]["line"] == 0
        structure = {
            "array": {"start": 1, "deleteCount": 0, "cells": [cell(1)]},
            "didOpen": [item(1)],
        }
        change = {"cells": {"structure": structure}}
        editor.notify(
            "notebookDocument/didChange", {"notebookDocument": {"uri": notebook, "version": 2}, "change": change}
        )
        assert (await editor.diagnostics(cells[1]))["items"] == []
        content = {"document": {"uri": cells[1], "version": 2}, "changes": [{"text": texts[0]}]}
        change = {"cells": {"textContent": [content]}}
        editor.notify(
            "notebookDocument/didChange", {"notebookDocument": {"uri": notebook, "version": 3}, "change": change}
        )
        assert len((await editor.diagnostics(cells[1]))["items"]) == 1
        closing = {"notebookDocument": {"uri": notebook}, "cellTextDocuments": [{"uri": uri} for uri in cells]}
        editor.notify("notebookDocument/didClose", closing)
        assert not [uri for uri in cells if (await editor.diagnostics(uri))["items"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_positions_are_in_the_encoding_that_was_chosen(workspace: Path, settings: Json, encoding: str) -> None:
    capabilities = {**CAPABILITIES, "general": {"positionEncodings": [encoding]}}
    code = (workspace / "harbour.go").read_text(encoding="utf-8")
    code = code.replace("func TotalHarbourWeight", "/* 🙂 é */ func TotalHarbourWeight")
    async with editing(workspace, settings=settings, capabilities=capabilities) as editor:
        assert editor.capabilities["positionEncoding"] == encoding
        uri = editor.open(workspace / "harbour.go", "go", code)
        first = (await editor.diagnostics(uri))["items"][0]
        width = {"utf-8": len("/* 🙂 é */ func ".encode()), "utf-16": 16, "utf-32": 15}[encoding]
        assert first["range"]["start"] == {"line": 2, "character": width}
        position = first["range"]["start"]
        hover = await editor.request("textDocument/hover", {"textDocument": {"uri": uri}, "position": position})
        assert hover["range"] == first["range"]


async def test_the_capabilities_survive_json(workspace: Path, settings: Json) -> None:
    async with editing(workspace, settings=settings) as editor:
        assert json.loads(json.dumps(editor.capabilities)) == editor.capabilities
