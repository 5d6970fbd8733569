"""What every file of the repository keeps to: documentation, wording, one version."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import polyclone
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "server", "distill", "export")
TEXT = {".py", ".md", ".toml", ".json", ".scm", ".yml", ".yaml", ".sh", ".cfg", ".ini", ".txt", ""}
# A path of the machine that somebody worked on, or a note to oneself, helps no reader.
PRIVATE = re.compile(r"(?<![\w./~}])/(?:work|root)/|\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


def files() -> list[Path]:
    """Everything git would commit; all there is, in a copy without git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not {".venv", ".git", "build"} & set(path.parts)]
    return sorted(path for path in paths if path.is_file())


MODULES = [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] != "examples"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert doc, f"{name(path)} opens without a docstring"


def test_no_file_speaks_of_one_machine_or_leaves_notes() -> None:
    found = []
    for path in files():
        if path.suffix not in TEXT or "fixtures" in path.parts or path.stat().st_size > 1_000_000:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if PRIVATE.search(line):
                found.append(f"{name(path)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_the_version_is_the_same_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == polyclone.__version__


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed(package: str) -> None:
    (inner,) = [path for path in (ROOT / package).iterdir() if (path / "__init__.py").is_file()]
    assert (inner / "py.typed").is_file()


def test_the_architecture_names_only_what_exists() -> None:
    """Each path in backticks is there, seen from the top or from the engine."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([\w-]+\.py|(?:[\w.-]+/)+[\w.-]*)`", text)
    assert len(paths) > 25
    missing = [
        path for path in paths if not (ROOT / path).exists() and not (ROOT / "engine/polyclone" / path).exists()
    ]
    assert not missing


def test_the_architecture_maps_every_module_of_the_engine() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    engine = ROOT / "engine" / "polyclone"
    modules = [path.name + ("/" if path.is_dir() else "") for path in engine.iterdir()]
    modules = [m for m in modules if (m.endswith(".py") or (engine / m / "__init__.py").is_file()) and m[0] != "_"]
    missing = [module for module in modules if f"`{module}`" not in text]
    assert not missing
