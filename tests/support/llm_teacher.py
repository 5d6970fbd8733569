"""A local server that speaks the chat-completions protocol: a scripted teacher, and every kind of bad manners.

Run as a program it serves the teacher of the demo: `llm_teacher.py PAIRS.jsonl… --port-file FILE`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

Reply = dict[str, Any]
Behaviour = Callable[["Teacher", BaseHTTPRequestHandler, dict[str, Any]], None]
"""Answers one request, or does not: (server, open request, its body)."""

PARTS = ("functionality", "mathematical_logic", "structural_differences", "similarity", "conclusion")


def five_parts(conclusion: str, **changed: Any) -> str:
    """A well-formed answer with that conclusion."""
    parts: dict[str, Any] = {name: f"About {name.replace('_', ' ')}." for name in PARTS}
    return json.dumps({**parts, "conclusion": conclusion, **changed})


def completion(
    content: str | None, *, reasoning: str | None = None, finish: str = "stop", usage: bool = True
) -> Reply:
    """A body as servers send it. 100 tokens in, 50 out."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    body: Reply = {"model": "served", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    return {**body, "usage": {"prompt_tokens": 100, "completion_tokens": 50}} if usage else body


def send(
    request: BaseHTTPRequestHandler, status: int, body: object, headers: Mapping[str, str] | None = None
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


# --- behaviours ---


def says(content: str | None, **more: Any) -> Behaviour:
    """A paid answer."""

    def behave(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        server.paid[server.subject(body)] += 1
        send(request, 200, completion(content, **more))

    return behave


def fails(status: int, message: str = "trouble", headers: Mapping[str, str] | None = None) -> Behaviour:
    return lambda server, request, body: send(request, status, {"error": {"message": message}}, headers)


def hangs(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Nothing, until the server is closed."""
    server.closing.wait()


def drips(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """A byte now and then, for ever: no time-out between bytes ever fires."""
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    with suppress(OSError):
        while not server.closing.wait(0.02):
            request.wfile.write(b" ")
            request.wfile.flush()


def resets(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """The connection is reset before a byte is sent."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(request.connection.detach())
    request.close_connection = True


def cuts(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Half of a body, and the connection ends."""
    data = json.dumps(completion(five_parts("Yes."))).encode()
    request.send_response(200)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[: len(data) // 2])
    request.close_connection = True


def half_json(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Half of a body that claims to be whole."""
    data = json.dumps(completion(five_parts("Yes."))).encode()
    send(request, 200, data[: len(data) // 2])


def floods(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """More than anybody can hold."""
    request.send_response(200)
    request.end_headers()
    with suppress(OSError):
        while not server.closing.is_set():
            request.wfile.write(b" " * 65536)


def waits(gate: threading.Event, then: Behaviour) -> Behaviour:
    """`then`, once the gate is open."""

    def behave(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        server.held.release()
        gate.wait()
        with suppress(OSError):
            then(server, request, body)

    return behave


class Teacher:
    """The server, on a free port of this machine while the context is open.

    `script` maps a subject to the behaviours of its requests in turn, the last for all that follow; what is not
    in it gets `default`. The subject of a request is what `subject NAME` says in it.
    """

    def __init__(
        self, script: Mapping[str, list[Behaviour]] | None = None, default: Behaviour | None = None, port: int = 0
    ) -> None:
        self.script = {name: deque(steps) for name, steps in (script or {}).items()}
        self.default = default or says(five_parts("Yes, the same."))
        self.requests: list[tuple[str, dict[str, str], dict[str, Any], float]] = []
        """Subject, headers, body and time of each request that came."""
        self.paid: Counter[str] = Counter()
        self.held = threading.Semaphore(0)
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def asked(self, subject: str) -> int:
        return sum(request[0] == subject for request in self.requests)

    @staticmethod
    def subject(body: Mapping[str, Any]) -> str:
        found = re.search(r"subject (\w+)", body["messages"][-1]["content"])
        return found[1] if found else ""

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *trouble: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        self._server.serve_forever()

    def _behaviour(self, subject: str) -> Behaviour:
        steps = self.script.get(subject)
        if not steps:
            return self.default
        return steps.popleft() if len(steps) > 1 else steps[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        teacher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/v1/chat/completions":
                    send(self, 404, {"error": {"message": f"no {self.path} here"}})
                    return
                with teacher._lock:
                    subject = teacher.subject(body)
                    teacher.requests.append((subject, dict(self.headers), body, time.monotonic()))
                    behaviour = teacher._behaviour(subject)
                with suppress(OSError):
                    behaviour(teacher, self, body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler


# --- the teacher of the demo ---


def scripted(labels: Mapping[str, bool], *, accuracy: float, silence: float, seed: int = 1) -> Behaviour:
    """A teacher that looks the label up by the code, is right that often, and that often gives no verdict.

    It writes what it can see in the code: length, loops and the words that both sides share.
    """

    def behave(server: Teacher, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        text = body["messages"][-1]["content"]
        codes = re.findall(r"```\n(.*?)\n```", text, re.DOTALL)
        label = labels.get(digest(*codes)) if len(codes) == 2 else None
        if label is None:
            send(request, 400, {"error": {"message": "a pair that this teacher was not prepared for"}})
            return
        rng = random.Random(f"{seed}/{digest(*codes)}")
        verdict = label if rng.random() < accuracy else not label
        content = "I cannot decide." if rng.random() < silence else reasoned(codes[0], codes[1], verdict)
        usage = {"prompt_tokens": len(text) // 4, "completion_tokens": len(content) // 4}
        reply = completion(content, reasoning="Let me compare what the two programs do.")
        send(request, 200, {**reply, "usage": usage})

    return behave


def digest(left: str, right: str) -> str:
    return hashlib.sha256(f"{left.strip()}\0{right.strip()}".encode()).hexdigest()


def reasoned(left: str, right: str, verdict: bool) -> str:
    words = [set(re.findall(r"[A-Za-z]{4,}", code.lower())) for code in (left, right)]
    shared = sorted(words[0] & words[1], key=lambda word: (-len(word), word))[:3]
    loops = [len(re.findall(r"\b(?:for|while|each)\b", code)) for code in (left, right)]
    named = ", ".join(shared) if shared else "nothing"
    return json.dumps(
        {
            "functionality": f"Both speak of {named}." if shared else "They speak of different things.",
            "mathematical_logic": f"{loops[0]} loops and {loops[1]} loops.",
            "structural_differences": f"{len(left.splitlines())} lines and {len(right.splitlines())} lines.",
            "similarity": f"Shared words: {named}.",
            "conclusion": "Yes, they solve the same problem." if verdict else "No, they solve different problems.",
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--accuracy", type=float, default=0.95)
    parser.add_argument("--silence", type=float, default=0.03)
    options = parser.parse_args()
    labels = {}
    for path in options.pairs:
        for line in path.read_text("utf-8").splitlines():
            pair = json.loads(line)
            labels[digest(pair["left"]["code"].strip("\n"), pair["right"]["code"].strip("\n"))] = bool(pair["label"])
    teacher = Teacher(default=scripted(labels, accuracy=options.accuracy, silence=options.silence))
    options.port_file.write_text(teacher.url, "utf-8")
    with suppress(KeyboardInterrupt):
        teacher.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
