"""The client's `protocol.ts` says exactly what the server's `protocol.py` says: names, values, fields, types.

So do the settings that its manifest offers.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from polyclone.languages import LANGUAGES
from polyclone_server.settings import DEFAULTS, read

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "server" / "polyclone_server" / "protocol.py"
TYPESCRIPT = ROOT / "vscode-client" / "src" / "protocol.ts"
MANIFEST = ROOT / "vscode-client" / "package.json"

Constants = dict[str, str]
Fields = dict[str, tuple[str, bool]]
"""Name → type as TypeScript writes it, and whether the field may be absent."""
Interfaces = dict[str, Fields]

_SIMPLE = {"str": "string", "int": "number", "float": "number", "bool": "boolean", "None": "null"}


# --- the Python side ---


def python_protocol(source: str) -> tuple[Constants, Interfaces]:
    constants: Constants = {}
    interfaces: Interfaces = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert node.value is not None
            constants[node.target.id] = python_value(node.value)
        elif isinstance(node, ast.ClassDef):
            partial = any(keyword.arg == "total" for keyword in node.keywords)
            fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
            interfaces[node.name] = dict(python_field(item, partial) for item in fields)
    return constants, interfaces


def python_value(node: ast.expr) -> str:
    if isinstance(node, ast.Tuple):
        return "[" + ", ".join(ast.unparse(item) for item in node.elts) + "]"
    assert isinstance(node, ast.Constant) and isinstance(node.value, str)
    return f'"{node.value}"'


def python_field(node: ast.AnnAssign, partial: bool) -> tuple[str, tuple[str, bool]]:
    assert isinstance(node.target, ast.Name)
    kind = node.annotation
    optional = partial
    if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "NotRequired":
        kind, optional = kind.slice, True
    return node.target.id, (typescript_type(kind), optional)


def typescript_type(node: ast.expr) -> str:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return f"{typescript_type(left)} | {typescript_type(right)}"
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return f"{typescript_type(item)}[]"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, value])):
            return f"Record<{typescript_type(key)}, {typescript_type(value)}>"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=values)):
            return " | ".join(python_value(value) for value in values)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=value):
            return python_value(value)
        case ast.Name(id=name):
            return _SIMPLE.get(name, name)
        case ast.Constant(value=None):
            return "null"
    raise AssertionError(f"no TypeScript for {ast.unparse(node)}")


# --- the TypeScript side ---


def typescript_protocol(source: str) -> tuple[Constants, Interfaces]:
    source = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    constants = {
        name: re.sub(r"\s+", " ", re.sub(r",\s*\]", "]", re.sub(r"\[\s+", "[", value)))
        for name, value in re.findall(r"export const (\w+) =\s*(.*?)(?: as const)?;", source, flags=re.DOTALL)
    }
    interfaces = {
        name: {
            field: (kind, mark == "?")
            for field, mark, kind in re.findall(r"^\s+(\w+)(\??): (.*);$", body, re.MULTILINE)
        }
        for name, body in re.findall(r"export interface (\w+) \{(.*?)^\}", source, flags=re.DOTALL | re.MULTILINE)
    }
    return constants, interfaces


def test_the_client_mirrors_the_protocol() -> None:
    python_constants, python_types = python_protocol(PYTHON.read_text(encoding="utf-8"))
    client_constants, client_types = typescript_protocol(TYPESCRIPT.read_text(encoding="utf-8"))
    assert len(python_constants) > 15 and len(python_types) > 20
    assert client_constants == python_constants
    assert client_types == python_types


def test_every_declaration_of_the_mirror_was_read() -> None:
    """Nothing escapes the comparison by being written in another way."""
    source = TYPESCRIPT.read_text(encoding="utf-8")
    constants, interfaces = typescript_protocol(source)
    assert len(re.findall(r"^export ", source, re.MULTILINE)) == len(constants) + len(interfaces)
    lines = [line for line in source.splitlines() if re.match(r"  \w+\??: ", line)]
    assert len(lines) == sum(map(len, interfaces.values()))


def test_a_difference_is_noticed() -> None:
    source = TYPESCRIPT.read_text(encoding="utf-8")
    expected = python_protocol(PYTHON.read_text(encoding="utf-8"))
    for before, after in [
        ("  probability: number;", "  probability: string;"),
        ("  limit?: number;", "  limit: number;"),
        ("  tooSmall: boolean;\n", ""),
        ('"polyclone/scan"', '"polyclone/scans"'),
    ]:
        changed = source.replace(before, after, 1)
        assert changed != source
        assert typescript_protocol(changed) != expected


# --- the manifest ---

CLIENT_SETTINGS = {"server.path", "interpreter", "importStrategy", "trace.server", "view.followCursor"}
"""Which server to start, and what only the editor shows. The server never reads them."""


def manifest_settings() -> dict[str, Any]:
    """Name below `polyclone` → its schema."""
    sections = json.loads(MANIFEST.read_text(encoding="utf-8"))["contributes"]["configuration"]
    found = {name: schema for section in sections for name, schema in section["properties"].items()}
    return {name.removeprefix("polyclone."): schema for name, schema in found.items()}


def settings_of(interfaces: Interfaces, interface: str = "Settings", above: str = "") -> set[str]:
    names: set[str] = set()
    for name, (kind, _) in interfaces[interface].items():
        names |= settings_of(interfaces, kind, f"{above}{name}.") if kind in interfaces else {above + name}
    return names


def test_the_manifest_offers_just_the_settings_that_somebody_reads() -> None:
    _, interfaces = python_protocol(PYTHON.read_text(encoding="utf-8"))
    assert set(manifest_settings()) == settings_of(interfaces) | CLIENT_SETTINGS


def test_the_manifest_and_the_server_have_the_same_defaults() -> None:
    raw: dict[str, Any] = {}
    for name, schema in manifest_settings().items():
        *above, last = name.split(".")
        place = raw
        for part in above:
            place = place.setdefault(part, {})
        place[last] = schema["default"]
    raw["sameLanguage"] = None  # The client sends what was set, so that a folder's own file may say it.
    assert read(raw) == (DEFAULTS, ())


def test_the_manifest_knows_the_languages() -> None:
    assert manifest_settings()["languages"]["items"]["enum"] == list(LANGUAGES)
