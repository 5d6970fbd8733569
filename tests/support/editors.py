"""What the tests in real editors share: a workspace, a home of its own, the server on the `PATH`, the setup page.

An editor is started as its user starts it, with the setup that `docs/editors.md` shows. A session is a script in the
editor's own language; it writes what it saw as JSON, and the test judges that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "editors.md"
PATIENCE_S = 900
SERVER = f'"{sys.executable}" -m polyclone_server "$@"'
"""What `polyclone-server` on the `PATH` runs."""
NO_SERVER = "/bin/false"

_SNIPPET = re.compile(
    r"^<!-- snippet: (?P<name>\S+) -->\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)

# The wrapper outlives an editor that loses patience, so that the server's own end is what is written down.
_WRAPPER = """#!/bin/sh
trap '' HUP TERM INT
{command}
code=$?
echo $code > "$POLYCLONE_EXIT_CODE"
exit $code
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One fenced block of the setup page."""

    kind: str
    """The language that the fence names."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How an editor's session ended, and what it saw."""

    code: int
    """Of the editor."""
    output: str
    seen: dict[str, Any] = field(default_factory=dict)
    """Empty, if it did not come to its end."""
    server_code: int | None = None
    """Of the server; None if it did not end."""


def snippets() -> dict[str, Snippet]:
    """The blocks of the setup page that carry a name, by it."""
    found = _SNIPPET.finditer(PAGE.read_text(encoding="utf-8"))
    return {match["name"]: Snippet(kind=match["kind"], text=match["text"]) for match in found}


def need(program: str, package: str) -> None:
    """An editor that is missing is an error where everything is tested, and a reason to skip elsewhere."""
    if shutil.which(program) is not None:
        return
    reason = f"{program} is not installed; `apt-get install {package}` brings it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A copy of the examples, and a home with nothing in it."""

    root: Path
    cache: Path

    @property
    def workspace(self) -> Path:
        return self.root / "examples"

    @property
    def home(self) -> Path:
        return self.root / "home"

    def environment(self) -> dict[str, str]:
        """Nothing of the user's own is read or written."""
        folders = {f"XDG_{name}_HOME": str(self.home / name.lower()) for name in ("CONFIG", "DATA", "STATE")}
        return {
            **os.environ,
            **folders,
            "HOME": str(self.home),
            "PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "POLYCLONE_CACHE_DIR": str(self.cache),
            "POLYCLONE_EXIT_CODE": str(self.root / "exit-code"),
            "POLYCLONE_SEEN": str(self.root / "seen.json"),
            "TERM": "dumb",
        }

    def run(self, command: Sequence[str | Path]) -> Session:
        """Effect: an editor starts in the workspace, and has ended when this returns."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.workspace,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
        )
        seen, code = self.root / "seen.json", self.root / "exit-code"
        return Session(
            code=done.returncode,
            output=done.stdout.decode(errors="replace"),
            seen=json.loads(seen.read_text(encoding="utf-8")) if seen.exists() else {},
            server_code=int(code.read_text(encoding="ascii")) if code.exists() else None,
        )


def stage(root: Path, cache: Path, server: str = SERVER) -> Stage:
    """Effect: a workspace under version control, and `server` on its `PATH` as `polyclone-server`."""
    made = Stage(root=root, cache=cache)
    shutil.copytree(ROOT / "examples", made.workspace)
    subprocess.run(["git", "init", "--quiet"], cwd=made.workspace, check=True)
    made.home.mkdir()
    program = root / "bin" / "polyclone-server"
    program.parent.mkdir()
    program.write_text(_WRAPPER.format(command=server), encoding="utf-8")
    program.chmod(0o755)
    return made
