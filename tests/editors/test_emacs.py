"""A session in the real Emacs with Eglot, without a window, with the setup of `docs/editors.md`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.editors import NO_SERVER, SERVER, Session, need, snippets, stage

SCRIPT = Path(__file__).with_name("emacs_session.el")
HINT = 4


def session(root: Path, cache: Path, server: str = SERVER) -> Session:
    need("emacs", "emacs-nox elpa-eglot")
    made = stage(root, cache, server)
    setup = made.home / ".emacs.d" / "init.el"
    setup.parent.mkdir(parents=True)
    setup.write_text(snippets()["emacs"].text, encoding="utf-8")
    # Not -Q, which leaves out the folders that Debian's packages are in; --batch alone reads no init file.
    return made.run(["emacs", "--batch", "-l", setup, "-l", SCRIPT])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Session:
    ended = session(tmp_path_factory.mktemp("emacs"), cache)
    assert ended.code == 0, ended.output
    return ended


def test_functions_of_four_languages_are_marked_by_one_server(done: Session) -> None:
    found = done.seen["diagnostics"]
    assert "Kotlin" in found["scanner/frame.c"]
    assert "Python" in found["warehouse/BinLabels.java"]
    assert "C#" in found["billing/due_dates.rb"]
    assert "Kotlin" in found["analytics/geo.py"]
    assert done.seen["servers"] == 1


def test_the_settings_of_the_page_hold(done: Session) -> None:
    assert done.seen["severity"] == HINT


def test_the_hover_names_the_clone(done: Session) -> None:
    assert "flightDistance" in done.seen["hover"]


def test_an_edit_shows_what_the_new_text_is_like(done: Session) -> None:
    assert "Java" in done.seen["edited"] and "Rust" in done.seen["edited"]


def test_an_ignored_pair_is_gone_and_the_other_one_stays(done: Session) -> None:
    assert any(title.startswith("Accept these 2 clones") for title in done.seen["actions"])
    assert "Rust" in done.seen["ignored"] and "Java" not in done.seen["ignored"]


def test_the_server_ends_with_0(done: Session) -> None:
    assert done.server_code == 0


def test_without_a_server_the_session_fails(tmp_path: Path, cache: Path) -> None:
    ended = session(tmp_path, cache, NO_SERVER)
    assert ended.code != 0 and "No diagnostic" not in ended.output
    assert ended.seen == {}
