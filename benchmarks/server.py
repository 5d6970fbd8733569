"""What a user of the language server waits for, and the memory it takes: figures of one run, beside their goals.

    python benchmarks/server.py [--workspace DIR …] [--cache DIR] [--json FILE]

The server is a real process on its stdin and stdout, and the client here does what an editor does: it pulls
diagnostics after each change, and again when it is asked to. The workspaces are indexed together. Times are those
that the client sees, so they include both sides' work with the messages. What is said of an edit is counted from the
end of the pause in typing that the server waits for. A cache that is given is kept; without one, the first start is
cold. On a busy machine read the CPU figures: others' work does not count in them. Memory and CPU need /proc.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO

Json = dict[str, Any]

DEBOUNCE_MS = 200
PATIENCE_S = 3600.0
WANTED_LINES = 1000
FILES_OPENED = 5
STORM = 500
STORMS = 3
CAPABILITIES: Json = {
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True, "workspaceFolders": True, "diagnostics": {"refreshSupport": True}},
    "textDocument": {
        "hover": {"contentFormat": ["markdown"]},
        "codeAction": {
            "dataSupport": True,
            "resolveSupport": {"properties": ["command"]},
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "source"]}},
        },
        "diagnostic": {"relatedDocumentSupport": True},
        "publishDiagnostics": {"relatedInformation": True, "dataSupport": True},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    result: Any
    error: Json | None
    elapsed_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; without a `goal`, a figure to read the others by."""

    what: str
    value: float
    unit: str
    goal: float | None = None


@dataclass(slots=True)
class Open:
    """A document as this client has it."""

    uri: str
    lines: list[str]
    version: int = 1
    diagnostics: list[Json] = field(default_factory=list)


class Client:
    """One server process, spoken to from one thread; another reads."""

    def __init__(self, folders: Sequence[Path], cache: Path) -> None:
        self.began = time.perf_counter()
        environment = {**os.environ, "POLYCLONE_CACHE_DIR": str(cache)}
        command = [sys.executable, "-m", "polyclone_server", "--stdio"]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.state = "loading"
        self.refreshes = 0
        self._identities = itertools.count(1)
        self._pending: dict[int, tuple[float, Future[Answer]]] = {}
        self._writing = threading.Lock()
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.initialized = self._initialize(folders)

    def _initialize(self, folders: Sequence[Path]) -> Answer:
        params = {
            "processId": os.getpid(),
            "capabilities": CAPABILITIES,
            "rootUri": folders[0].as_uri(),
            "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name} for folder in folders],
            "initializationOptions": {"statusNotification": True},
        }
        answer = self.request("initialize", params)
        self.notify("initialized", {})
        return answer

    def notify(self, method: str, params: Any) -> None:
        self._write({"method": method, "params": params})

    def ask(self, method: str, params: Any) -> Future[Answer]:
        """A request on its way."""
        identity = next(self._identities)
        future: Future[Answer] = Future()
        self._pending[identity] = (time.perf_counter(), future)
        self._write({"id": identity, "method": method, "params": params})
        return future

    def request(self, method: str, params: Any) -> Answer:
        return self.ask(method, params).result(PATIENCE_S)

    def wait(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
        """Whether `condition` came to hold, looked at whenever the server has told something."""
        with self._news:
            return self._news.wait_for(lambda: condition() or self.process.poll() is not None, timeout_s)

    @property
    def unanswered(self) -> int:
        return len(self._pending)

    @property
    def settled(self) -> bool:
        return self.state in ("ready", "error")

    def ready(self) -> None:
        """Wait until the index is complete."""
        self.wait(lambda: self.settled)
        if self.state != "ready":
            raise SystemExit(f"the server is not ready: {self.request('polyclone/status', None).result}")

    def open(self, path: Path, language: str) -> Open:
        text = path.read_bytes().decode("utf-8")
        document = Open(uri=path.as_uri(), lines=text.split("\n"))
        item = {"uri": document.uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return document

    def pull(self, document: Open) -> Future[Answer]:
        return self.ask("textDocument/diagnostic", {"textDocument": {"uri": document.uri}})

    def replace(self, document: Open, first: int, last: int, lines: list[str]) -> None:
        """Effect: the lines from `first` up to `last`, which stays, are other ones now."""
        document.version += 1
        document.lines[first:last] = lines
        at = {"start": {"line": first, "character": 0}, "end": {"line": last, "character": 0}}
        change = {"range": at, "text": "".join(line + "\n" for line in lines)}
        identity = {"uri": document.uri, "version": document.version}
        self.notify("textDocument/didChange", {"textDocument": identity, "contentChanges": [change]})

    def end(self) -> float:
        """Effect: the server has ended. Seconds from `exit` on."""
        self.request("shutdown", None)
        began = time.perf_counter()
        self.notify("exit", None)
        self.process.wait(60)
        return time.perf_counter() - began

    def _write(self, message: Json) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        with self._writing:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for message, arrived in _messages(self.process.stdout):
            if "method" not in message:
                sent, future = self._pending.pop(message["id"])
                elapsed_ms = 1000 * (arrived - sent)
                future.set_result(
                    Answer(result=message.get("result"), error=message.get("error"), elapsed_ms=elapsed_ms)
                )
            elif "id" in message:
                self._write({"id": message["id"], "result": self._reply(message)})
            with self._news:
                if message.get("method") == "polyclone/statusChanged":
                    self.state = message["params"]["state"]
                self.refreshes += message.get("method") == "workspace/diagnostic/refresh"
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _reply(self, message: Json) -> Any:
        if message["method"] == "workspace/configuration":
            return [{"debounceMs": DEBOUNCE_MS} for _ in message["params"]["items"]]
        return None


def _messages(stream: BinaryIO) -> Iterator[tuple[Json, float]]:
    """Each message, and when its last byte was there."""
    while header := stream.readline():
        length = int(header.split(b":")[1])
        while stream.readline().strip():
            pass
        body = stream.read(length)
        arrived = time.perf_counter()
        yield json.loads(body), arrived


# --- what is measured ---


def processes(process_id: int) -> Iterator[Path]:
    """The folders below /proc of a process and its descendants."""
    waiting = [process_id]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        yield folder
        try:
            for children in (folder / "task").glob("*/children"):
                waiting += [int(child) for child in children.read_text(encoding="ascii").split()]
        except OSError:
            continue  # It has ended meanwhile.


def memory_mb(process_id: int) -> tuple[float, float]:
    """Resident memory of a process and its descendants: each counted in full, and shared pages divided."""
    totals = {"Rss": 0, "Pss": 0}
    for folder in processes(process_id):
        try:
            lines = (folder / "smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for name, _, rest in (line.partition(":") for line in lines):
            if name in totals:
                totals[name] += int(rest.split()[0])
    return totals["Rss"] / 1024, totals["Pss"] / 1024


def cpu_s(process_id: int) -> float:
    """CPU time of a process and its descendants, of those that have ended too."""
    ticks = 0
    for folder in processes(process_id):
        try:
            # The name of the program, in parentheses, may hold blanks.
            fields = (folder / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` of them do not exceed."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def sources(folders: Sequence[Path]) -> list[tuple[Path, str]]:
    """Source files with their languages."""
    from polyclone.languages import LANGUAGES

    languages = {suffix: row.name for row in LANGUAGES.values() for suffix in row.extensions}
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    return [(path, languages[path.suffix]) for path in files if path.suffix in languages]


def nearest(files: Sequence[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Those of about `WANTED_LINES` lines first."""

    def distance(file: tuple[Path, str]) -> int:
        return abs(file[0].read_bytes().count(b"\n") - WANTED_LINES)

    return sorted(files, key=distance)


def at(position: Json) -> Json:
    return {"start": position, "end": position}


def hover_and_act(client: Client, document: Open, where: Json, diagnostics: list[Json]) -> tuple[Answer, Answer]:
    identity = {"uri": document.uri}
    hover = client.request("textDocument/hover", {"textDocument": identity, "position": where})
    context = {"diagnostics": diagnostics, "triggerKind": 2}
    action = client.request(
        "textDocument/codeAction", {"textDocument": identity, "range": at(where), "context": context}
    )
    return hover, action


def measure_first_start(client: Client, opened: Sequence[Open]) -> Iterator[Row]:
    """From the start of the process to the complete index, with somebody hovering all the while."""
    hovers, actions, peaks = [], [], [(0.0, 0.0)]
    first_s = math.nan
    pulled: Future[Answer] | None = None
    for number in itertools.count():
        document = opened[number % len(opened)]
        if pulled is None or pulled.done():
            asked, pulled = document, client.pull(document)
        found = document.diagnostics[0] if document.diagnostics else None
        where = found["range"]["start"] if found else {"line": number % len(document.lines), "character": 4}
        hover, action = hover_and_act(client, document, where, [found] if found else [])
        hovers.append(hover.elapsed_ms)
        actions.append(action.elapsed_ms)
        peaks.append(memory_mb(client.process.pid))
        if pulled.done() and pulled.result().result:
            asked.diagnostics = pulled.result().result["items"]
            if asked.diagnostics and math.isnan(first_s):
                first_s = time.perf_counter() - client.began
        if client.wait(lambda: client.settled, 0.05):
            break
    client.ready()
    yield Row(what="first start: answer to `initialize`", value=client.initialized.elapsed_ms / 1000, unit="s")
    if not math.isnan(first_s):
        yield Row(what="first start: first finding", value=first_s, unit="s")
    yield Row(what="first start: index complete", value=time.perf_counter() - client.began, unit="s")
    yield Row(what="first start: CPU until then", value=cpu_s(client.process.pid), unit="s")
    yield Row(what="hovers and code actions while indexing", value=2 * len(hovers), unit="")
    yield Row(what="hover while indexing, p95", value=percentile(hovers, 0.95), unit="ms", goal=50)
    yield Row(what="code action while indexing, p95", value=percentile(actions, 0.95), unit="ms", goal=50)
    yield Row(what="resident while indexing, highest", value=max(peaks)[0], unit="MB", goal=600)


def measure_opening(client: Client, files: Sequence[tuple[Path, str]]) -> tuple[list[Row], list[Open]]:
    """From `didOpen` to the answer with diagnostics, of files that have findings."""
    times, opened = [], []
    for path, language in files:
        began = time.perf_counter()
        document = client.open(path, language)
        answer = client.pull(document).result(PATIENCE_S)
        elapsed_ms = 1000 * (time.perf_counter() - began)
        document.diagnostics = answer.result["items"] if answer.result else []
        if document.diagnostics:
            times.append(elapsed_ms)
            opened.append(document)
        if len(opened) == FILES_OPENED:
            break
    if not opened:
        raise SystemExit("there is nothing to measure: no file of the workspaces has a finding")
    lines = median(len(document.lines) for document in opened)
    return [
        Row(what=f"files opened, lines of the median one: {lines:.0f}", value=len(opened), unit=""),
        Row(what="opened file: first diagnostics, median", value=median(times), unit="ms", goal=300),
        Row(what="opened file: first diagnostics, slowest", value=max(times), unit="ms", goal=300),
    ], opened


def measure_questions(client: Client, opened: Sequence[Open], count: int) -> list[Row]:
    places = [(document, item) for document in opened for item in document.diagnostics]
    hovers, actions, empty = [], [], 0
    worked_s = cpu_s(client.process.pid)
    for number in range(count):
        document, item = places[number % len(places)]
        hover, action = hover_and_act(client, document, item["range"]["start"], [item])
        empty += not hover.result or not action.result
        hovers.append(hover.elapsed_ms)
        actions.append(action.elapsed_ms)
    return [
        Row(what=f"empty answers of {2 * count}", value=empty, unit="", goal=0),
        Row(what="hover, p50", value=median(hovers), unit="ms"),
        Row(what="hover, p95", value=percentile(hovers, 0.95), unit="ms", goal=20),
        Row(what="code action, p50", value=median(actions), unit="ms"),
        Row(what="code action, p95", value=percentile(actions, 0.95), unit="ms", goal=20),
        Row(what="CPU a question", value=1000 * (cpu_s(client.process.pid) - worked_s) / (2 * count), unit="ms"),
    ]


def edits_in(opened: Sequence[Open]) -> Iterator[tuple[Open, int]]:
    """Lines within functions that have findings, one after the other and round again."""
    while True:
        for document in opened:
            for item in document.diagnostics:
                yield document, min(item["range"]["start"]["line"] + 3, len(document.lines) - 2)


def measure_edits(client: Client, opened: Sequence[Open], count: int) -> list[Row]:
    """From the end of the pause after an edit to the answer that knows it. Every edit is taken back at the end."""
    times, late = [], 0
    places = edits_in(opened)
    worked_s = cpu_s(client.process.pid)
    for number in range(count):
        document, line = next(places)
        indent = document.lines[line][: len(document.lines[line]) - len(document.lines[line].lstrip())]
        began = time.perf_counter()
        client.replace(document, line, line, [f"{indent}counted{number} = measured({number});"])
        answer = client.pull(document).result(PATIENCE_S)
        elapsed_ms = 1000 * (time.perf_counter() - began) - DEBOUNCE_MS
        late += elapsed_ms >= 1000 or answer.error is not None
        times.append(elapsed_ms)
        client.replace(document, line, line + 1, [])
        client.pull(document).result(PATIENCE_S)
    return [
        Row(what=f"answers of {count} that were given before the index knew the edit", value=late, unit="", goal=0),
        Row(what="after an edit, p50", value=median(times), unit="ms"),
        Row(what="after an edit, p95", value=percentile(times, 0.95), unit="ms", goal=100),
        Row(what="CPU an edit", value=1000 * (cpu_s(client.process.pid) - worked_s) / (2 * count), unit="ms"),
    ]


def measure_storm(client: Client, document: Open) -> list[Row]:
    """Edits as fast as the pipe takes them, each followed by a pull, as by a client that forgets to wait."""
    line = next(edits_in([document]))[1]
    before = memory_mb(client.process.pid)[0]
    after, settled_ms, status_ms = [], 0.0, 0.0
    for storm in range(STORMS):
        pulls = []
        for number in range(STORM):
            client.replace(document, line, line, [f"  stormy{storm}x{number} = measured({number});"])
            pulls.append(client.pull(document))
        began = time.perf_counter()
        last = pulls[-1].result(PATIENCE_S)
        settled_ms = max(settled_ms, 1000 * (time.perf_counter() - began) - DEBOUNCE_MS)
        if last.error is not None:
            raise SystemExit(f"the last pull was not answered: {last.error}")
        status_ms = max(status_ms, client.request("polyclone/status", None).elapsed_ms)
        client.replace(document, line, line + STORM, [])
        client.pull(document).result(PATIENCE_S)
        after.append(memory_mb(client.process.pid)[0])
    return [
        Row(what=f"{STORM} edits at once: the last one known, after the pause", value=settled_ms, unit="ms"),
        Row(what="requests without an answer then", value=client.unanswered, unit="", goal=0),
        Row(what="`polyclone/status` then", value=status_ms, unit="ms", goal=20),
        Row(what="resident before the storms", value=before, unit="MB"),
        Row(what="growth over the first storm", value=after[0] - before, unit="MB"),
        Row(what=f"growth from the first to storm {STORMS}", value=after[-1] - after[0], unit="MB", goal=5),
    ]


def measure_second_start(client: Client, path: Path, language: str) -> list[Row]:
    """From the start of the process to the first finding on the screen."""
    document = client.open(path, language)
    while True:
        seen = client.refreshes
        answer = client.pull(document).result(PATIENCE_S)
        if answer.result and answer.result["items"]:
            first_s, worked_s = time.perf_counter() - client.began, cpu_s(client.process.pid)
            break
        client.wait(lambda: client.refreshes > seen)  # noqa: B023
        if client.process.poll() is not None:
            raise SystemExit("the server has ended")
    client.ready()
    ready_s = time.perf_counter() - client.began
    return [
        Row(what="second start: first finding", value=first_s, unit="s", goal=3),
        Row(what="second start: CPU until then", value=worked_s, unit="s"),
        Row(what="second start: index complete", value=ready_s, unit="s"),
    ]


def measure(folders: Sequence[Path], cache: Path, edits: int) -> list[Row]:
    """All of it, in one life of a server and the beginning of another."""
    warm = any(cache.iterdir())
    rows = [Row(what="first start is warm (1) or cold (0)", value=float(warm), unit="")]
    tell("the first start")
    client = Client(folders, cache)
    files = nearest(sources(folders))
    early = [client.open(*file) for file in files[:FILES_OPENED]]
    rows += measure_first_start(client, early)
    status = client.request("polyclone/status", None).result
    rows += [Row(what=name, value=status[name], unit="") for name in ("files", "functions", "pairs")]
    resident, divided = memory_mb(client.process.pid)
    rows.append(Row(what="resident, index complete", value=resident, unit="MB", goal=600))
    rows.append(Row(what="the same, shared pages divided", value=divided, unit="MB"))
    for document in early:
        client.notify("textDocument/didClose", {"textDocument": {"uri": document.uri}})
    tell("opening files")
    opening, opened = measure_opening(client, files)
    rows += opening
    tell("hovers and code actions")
    rows += measure_questions(client, opened, 2 * edits)
    tell("edits")
    rows += measure_edits(client, opened, edits)
    tell("storms of edits")
    rows += measure_storm(client, opened[0])
    rows.append(Row(what="resident at the end", value=memory_mb(client.process.pid)[0], unit="MB", goal=600))
    rows.append(Row(what="from `exit` to the end of the process", value=client.end(), unit="s"))
    shown = next(file for file in files if file[0].as_uri() == opened[0].uri)
    tell("the second start")
    again = Client(folders, cache)
    rows += measure_second_start(again, *shown)
    again.end()
    return rows


def tell(stage: str) -> None:
    print(f"measuring {stage}", file=sys.stderr, flush=True)


def table(rows: Sequence[Row]) -> str:
    lines = ["| what | figure | goal | of the goal |", "|---|---|---|---|"]
    for row in rows:
        figure = f"{row.value:,.0f}" if row.unit == "" else f"{row.value:,.1f} {row.unit}"
        goal = "" if row.goal is None else f"≤ {row.goal:g} {row.unit}".rstrip()
        share = f"{row.value / row.goal:.2f}" if row.goal else ""
        lines.append(f"| {row.what} | {figure} | {goal} | {share} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    examples = Path(__file__).parent.parent / "examples"
    parser.add_argument("--workspace", type=Path, nargs="+", default=[examples], help="folders, indexed together")
    parser.add_argument("--cache", type=Path, help="a folder that is kept; without it, the first start is cold")
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    folders = [folder.resolve() for folder in options.workspace]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        rows = measure(folders, cache, options.edits)
    loads = f"load average {load:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end, {os.cpu_count()} cores"
    print(f"{', '.join(folder.name for folder in folders)}; {loads}\n\n{table(rows)}")
    if options.json:
        report = {"workspaces": [folder.name for folder in folders], "load": load, "rows": [asdict(r) for r in rows]}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
