"""What the modules of the server may know of each other's worlds."""

from __future__ import annotations

import ast
from pathlib import Path

import polyclone_server

ROOT = Path(polyclone_server.__file__).parent


def imports(path: Path) -> set[str]:
    """The packages a module imports, at whatever depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_only_convert_knows_the_engines_values_and_the_protocols_types() -> None:
    both = {
        path.relative_to(ROOT).parts[0]
        for path in ROOT.rglob("*.py")
        if {"polyclone"} <= imports(path) and imports(path) & {"lsprotocol", "pygls"}
    }
    assert both == {"convert"}


def test_the_protocol_knows_neither() -> None:
    assert not imports(ROOT / "protocol.py") & {"polyclone", "lsprotocol", "pygls", "polyclone_server"}


def test_nothing_prints_but_the_command_line() -> None:
    printing = {
        path.name
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing == {"__main__.py"}
