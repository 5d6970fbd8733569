"""A session in the real Neovim 0.7, which knows pushed diagnostics only, with the setup of `docs/editors.md`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.editors import NO_SERVER, SERVER, Session, need, snippets, stage

SCRIPT = Path(__file__).with_name("neovim_session.lua")
HINT = 4
#: A language in which each file's function has a clone.
CLONES = {
    "analytics/geo.py": "Kotlin",
    "billing/due_dates.rb": "C#",
    "courier/Frames.kt": "C",
    "erp/WorkCalendar.cs": "Ruby",
    "payments/card.go": "TypeScript",
    "routing/retry.rs": "Python",
    "scanner/frame.c": "Kotlin",
    "storefront/slug.ts": "Ruby",
    "warehouse/BinLabels.java": "Rust",
}


def session(root: Path, cache: Path, server: str = SERVER) -> Session:
    need("nvim", "neovim")
    made = stage(root, cache, server)
    plugin = made.home / "config" / "nvim" / "plugin" / "polyclone.lua"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(snippets()["neovim-0.7"].text, encoding="utf-8")
    return made.run(["nvim", "--headless", "-n", "-i", "NONE", "-c", f"luafile {SCRIPT}"])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Session:
    ended = session(tmp_path_factory.mktemp("neovim"), cache)
    assert ended.code == 0, ended.output
    return ended


def test_functions_of_nine_languages_are_marked_by_one_server(done: Session) -> None:
    found = {file: item["message"] for file, item in done.seen["diagnostics"].items()}
    assert found.keys() == CLONES.keys()
    assert [file for file, language in CLONES.items() if language not in found[file]] == []
    assert done.seen["clients"] == 1


def test_the_settings_of_the_page_hold(done: Session) -> None:
    assert {item["severity"] for item in done.seen["diagnostics"].values()} == {HINT}


def test_the_hover_names_the_clones(done: Session) -> None:
    assert "storefront/pan.ts" in done.seen["hover"] and "billing/card.rb" in done.seen["hover"]
    assert "function isValidCardNumber" in done.seen["hover"]


def test_a_client_that_cannot_show_documents_is_told_the_place(done: Session) -> None:
    assert any(title.startswith("Accept these 2 clones") for title in done.seen["actions"])
    assert "storefront/pan.ts:" in done.seen["place"] or "billing/card.rb:" in done.seen["place"]


def test_an_ignored_pair_is_gone_and_the_other_one_stays(done: Session) -> None:
    assert "Ruby" in done.seen["diagnostics"]["payments/card.go"]["message"]
    assert "TypeScript" in done.seen["ignored"] and "Ruby" not in done.seen["ignored"]


def test_an_edit_shows_what_the_new_text_is_like(done: Session) -> None:
    assert "Java" in done.seen["edited"] and "TypeScript" in done.seen["edited"]
    assert not done.seen["old_after_edit"]


def test_the_server_ends_with_0(done: Session) -> None:
    assert done.server_code == 0


def test_without_a_server_the_session_fails(tmp_path: Path, cache: Path) -> None:
    ended = session(tmp_path, cache, NO_SERVER)
    assert ended.code == 1 and "quit with exit code 1" in ended.output
    assert ended.seen == {}
