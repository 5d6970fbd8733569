"""Workspaces for the server's tests, and a cache that is nobody's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.polyglot import ALGORITHMS, SUFFIXES, TOTAL_ABOVE, framed, source


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The user's cache is neither read nor written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYCLONE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """One algorithm in fourteen languages, four more in four; names with blanks, plus signs and an emoji."""
    root = tmp_path / "work space+🙂"
    root.mkdir()
    for language, code in TOTAL_ABOVE.items():
        (root / f"total{SUFFIXES[language]}").write_text(framed(language, code), encoding="utf-8")
    for language in ALGORITHMS:
        (root / f"harbour{SUFFIXES[language]}").write_text(source(language, "harbour", 101), encoding="utf-8")
    return root


@pytest.fixture
def settings(bundle: Path) -> dict[str, Any]:
    """A client's settings: a model that loads at once, one process, no pause."""
    return {"model": str(bundle), "jobs": 1, "debounceMs": 20, "minProbability": 0.9}
