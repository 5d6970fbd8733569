"""Ten thousand valid messages in any order: the server lives, and has the client's text to the letter."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from support.editor import CAPABILITIES, Editor, Json, in_process
from support.polyglot import ALGORITHMS, SUFFIXES, source

LEAST_MESSAGES = 10_000
CANCELLED, OVERTAKEN = -32800, -32802
#: Every width, every line end, and what other programs take for line ends.
SNIPPETS = st.sampled_from(
    [
        "",
        "x",
        "é",
        "漢",
        "🙂",
        "\n",
        "\r\n",
        "\r",
        "\u2028",
        "\x0c",
        "\t",
        "def f(a):\n    return a + 1\n",
        "}",
        "{",
        '"',
    ]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAMES = [f"doc{number}" for number in range(4)]
SCHEMES = {"file": "", "untitled": "untitled:", "git": "git:/"}


class Client:
    """What an editor would do with its own text. Positions count UTF-16 units."""

    def __init__(self, text: str, version: int) -> None:
        self.text, self.version = text, version

    def position(self, index: int) -> Json:
        lines = re.split(r"\r\n|\n|\r", self.text[:index])
        return {"line": len(lines) - 1, "character": len(lines[-1].encode("utf-16-le")) // 2}

    def index(self, share: float) -> int:
        index = round(share * len(self.text))
        return index - 1 if self.text[index - 1 : index + 1] == "\r\n" else index

    def edit(self, first: float, last: float, new: str) -> Json:
        start, end = sorted((self.index(first), self.index(last)))
        change = {"range": {"start": self.position(start), "end": self.position(end)}, "text": new}
        self.text = self.text[:start] + new + self.text[end:]
        return change


SHARE = st.floats(0, 1)
EDIT = st.tuples(SHARE, SHARE, SNIPPETS)


class Messages(RuleBasedStateMachine):
    """One server for all runs; each run begins and ends with no document open."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    editor: ClassVar[Editor]
    root: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, Client] = {}
        self.asked: list[tuple[int, asyncio.Future[Any]]] = []

    def spin(self) -> None:
        """Let the server take its turn."""
        self.loop.run_until_complete(asyncio.sleep(0))

    def ask(self, method: str, params: Any) -> None:
        async def send() -> tuple[int, asyncio.Future[Any]]:
            return self.editor.ask(method, params)

        self.asked.append(self.loop.run_until_complete(send()))
        self.spin()

    def uri(self, name: str) -> str:
        number = NAMES.index(name)
        if number == 3:
            return f"untitled:{name} +🙂"
        suffix = list(SUFFIXES.values())[number]
        return (self.root / f"{name} +🙂{suffix}").as_uri()

    @initialize()
    def begin(self) -> None:
        assert not list(self.editor.server.session.documents)  # type: ignore[attr-defined]

    @rule(name=st.sampled_from(NAMES), text=st.lists(SNIPPETS, max_size=8).map("".join), whole=st.booleans())
    def opens(self, name: str, text: str, whole: bool) -> None:
        language = list(ALGORITHMS)[NAMES.index(name)]
        text = source(language, "harbour", 101) if whole else text
        self.editor.open(self.uri(name), language, text, version=1)
        self.open[name] = Client(text, 1)
        self.spin()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), edits=st.lists(st.lists(EDIT, min_size=1, max_size=3), min_size=1, max_size=8))
    def types(self, data: st.DataObject, edits: list[list[tuple[float, float, str]]]) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        client = self.open[name]
        for changes in edits:
            client.version += 1
            self.editor.change(self.uri(name), client.version, *(client.edit(*change) for change in changes))
        self.spin()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), text=SNIPPETS)
    def replaces(self, data: st.DataObject, text: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        client = self.open[name]
        client.text, client.version = text, client.version + 1
        self.editor.change(self.uri(name), client.version, {"text": text})

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def closes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        del self.open[name]
        self.editor.close(self.uri(name))
        self.spin()

    @rule(
        name=st.sampled_from(NAMES),
        method=st.sampled_from(
            ["textDocument/hover", "textDocument/codeLens", "textDocument/diagnostic", "polyclone/findClones"]
        ),
        line=st.integers(0, 40),
        character=st.integers(0, 40),
    )
    def asks(self, name: str, method: str, line: int, character: int) -> None:
        position = {"line": line, "character": character}
        self.ask(method, {"textDocument": {"uri": self.uri(name)}, "position": position})

    @rule(name=st.sampled_from(NAMES), start=st.integers(0, 30), size=st.integers(0, 30))
    def asks_for_actions(self, name: str, start: int, size: int) -> None:
        span = {"start": {"line": start, "character": 0}, "end": {"line": start + size, "character": 3}}
        params = {"textDocument": {"uri": self.uri(name)}, "range": span, "context": {"diagnostics": []}}
        self.ask("textDocument/codeAction", params)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        identity, _ = data.draw(st.sampled_from(self.asked))
        self.editor.notify("$/cancelRequest", {"id": identity})

    @rule(kind=st.integers(1, 3), name=st.sampled_from([*NAMES, ".", ".gitignore", "polyclone.toml", "gone/deep.py"]))
    def tells_of_files(self, kind: int, name: str) -> None:
        uri = self.uri(name) if name in NAMES else (self.root / name).as_uri()
        self.editor.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": uri, "type": kind}]})

    @rule(value=st.sampled_from([0.5, 0.9, 7, "x", None]))
    def changes_settings(self, value: Any) -> None:
        self.editor.settings = {**self.editor.settings, "minProbability": value}
        self.editor.notify("workspace/didChangeConfiguration", {"settings": None})
        self.spin()

    def teardown(self) -> None:
        self.loop.run_until_complete(self.settle())

    async def settle(self) -> None:
        """All is answered, and the two texts are equal."""
        await self.editor.status()
        done = await asyncio.gather(*(future for _, future in self.asked), return_exceptions=True)
        refused = [answer for answer in done if isinstance(answer, BaseException)]
        assert {getattr(answer, "code", answer) for answer in refused} <= {CANCELLED, OVERTAKEN}
        documents = self.editor.server.session.documents  # type: ignore[attr-defined]
        for name, client in self.open.items():
            document = documents.get(self.uri(name))
            assert document is not None
            assert document.text.string == client.text
            assert document.version == client.version
            self.editor.close(self.uri(name))
        assert (await self.editor.status())["state"] in ("ready", "indexing")
        self.editor.log.clear()


@pytest.fixture
def server(workspace: Path, settings: Json) -> object:
    """The class, with a server that is ready."""
    loop = asyncio.new_event_loop()
    context = in_process()
    Messages.loop, Messages.root = loop, workspace
    Messages.editor = loop.run_until_complete(context.__aenter__())
    Messages.editor.settings = settings
    loop.run_until_complete(Messages.editor.initialize([workspace], capabilities=CAPABILITIES))
    loop.run_until_complete(Messages.editor.ready())
    yield Messages
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


def test_ten_thousand_messages(server: type[Messages]) -> None:
    sent = 0
    send = Messages.editor._send

    def counted(message: Json) -> None:
        nonlocal sent
        sent += 1
        send(message)

    Messages.editor._send = counted  # type: ignore[method-assign]
    run_state_machine_as_test(
        server,
        settings=hypothesis_settings(
            max_examples=90,
            stateful_step_count=100,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert sent >= LEAST_MESSAGES
