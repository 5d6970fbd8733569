"""The setups that no test can run: they are at least well formed, and start the program that the package brings."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from polyclone_server.settings import DEFAULTS, read
from support.editors import PAGE, need, snippets

SETTING = {"diagnostics": {"severity": "hint"}}


def test_every_block_of_code_has_a_name() -> None:
    fences = re.findall(r"^```\w+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == len(snippets())


def test_the_program_is_the_one_that_is_installed() -> None:
    assert "polyclone-server" in {script.name for script in entry_points(group="console_scripts")}
    starting = [name for name, snippet in snippets().items() if "polyclone-server" in snippet.text]
    assert starting == ["neovim-0.7", "neovim-0.11", "emacs", "helix", "zed-source", "sublime"]


def settings_of(name: str) -> Any:
    text = snippets()[name].text
    match name:
        case "helix":
            return tomllib.loads(text)["language-server"]["polyclone"]["config"]["polyclone"]
        case "zed-settings":
            return json.loads(text)["lsp"]["polyclone"]["settings"]["polyclone"]
    dotted = json.loads(text)["clients"]["polyclone"]["settings"]
    (path, value), *_ = dotted.items()
    section, group, key = path.split(".")
    assert section == "polyclone"
    return {group: {key: value}}


@pytest.mark.parametrize("name", ["helix", "zed-settings", "sublime"])
def test_the_settings_are_understood(name: str) -> None:
    given = settings_of(name)
    assert given == SETTING
    settings, problems = read(given, DEFAULTS)
    assert not problems and settings.severity == "hint"


@pytest.mark.parametrize("name", ["zed-extension", "zed-cargo"])
def test_the_manifests_are_well_formed(name: str) -> None:
    assert tomllib.loads(snippets()[name].text)


def test_the_setup_for_the_newer_neovim_is_lua(tmp_path: Path) -> None:
    need("nvim", "neovim")
    script = tmp_path / "setup.lua"
    script.write_text(snippets()["neovim-0.11"].text, encoding="utf-8")
    check = f"lua assert(loadfile({str(script)!r})) vim.cmd('qall!')"
    done = subprocess.run(["nvim", "--headless", "--clean", "-c", check], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
