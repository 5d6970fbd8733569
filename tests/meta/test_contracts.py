"""The arrows between packages hold, and what must be light to import is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINER = ROOT / "distill" / "polyclone_distill" / "trainer"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_import_contracts_hold() -> None:
    done = python("from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("polyclone.cli", {"torch", "onnxruntime", "numpy", "rich"}),
        ("polyclone", {"torch", "onnxruntime", "numpy", "rich", "tree_sitter"}),
        ("polyclone.api", {"torch", "transformers", "rich"}),
        ("polyclone_distill", {"torch", "transformers", "peft"}),
        ("polyclone_export", {"torch", "onnx", "onnxscript"}),
        ("polyclone_server", {"torch", "transformers"}),
    ],
)
def test_an_import_is_light(module: str, banned: set[str]) -> None:
    done = python(f"import sys, {module}; print(*sorted({banned!r} & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", sorted(TRAINER.rglob("*.py")), ids=lambda path: path.name)
def test_the_trainer_travels_alone(path: Path) -> None:
    """It is carried to a machine that has torch and numpy and nothing of this repository."""
    allowed = {*sys.stdlib_module_names, "torch", "numpy"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").partition(".")[0] in allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"line {node.lineno} leaves the package"


NETWORK = {
    "socket",
    "ssl",
    "http",
    "ftplib",
    "smtplib",
    "urllib.request",
    "requests",
    "httpx",
    "aiohttp",
    "websockets",
}


#: The one module that talks to somebody: a teacher.
TEACHER_CLIENT = ROOT / "distill/polyclone_distill/traces/client.py"


@pytest.mark.parametrize("package", ["engine", "server", "distill", "export"])
def test_nothing_here_opens_a_connection(package: str) -> None:
    for path in sorted(set((ROOT / package).rglob("*.py")) - {TEACHER_CLIENT}):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            reached = [n for n in names if n in NETWORK or n.partition(".")[0] in NETWORK]
            assert not reached, f"{path.relative_to(ROOT)}:{node.lineno}: {reached}"
