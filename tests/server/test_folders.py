"""URIs and paths: whatever a client writes leads to one file, and back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polyclone_server.documents import Documents
from polyclone_server.folders import Folder, changed, folder, folder_of, path_of, shown, uri_of


def made(path: str) -> Folder:
    found = folder(uri_of(path))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b.py", "/a/b.py"),
        ("file:///a%20b/c%2B%2B.py", "/a b/c++.py"),
        ("file:///a+b/x.py", "/a+b/x.py"),
        ("file:///%F0%9F%99%82/x.py", "/🙂/x.py"),
        ("file:///🙂/x.py", "/🙂/x.py"),
        ("FILE:///a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("file:///a/./b/../c", "/a/c"),
        ("file:///a%23b%3Fc", "/a#b?c"),
        ("untitled:Untitled-1", None),
        ("git:/a/b.py?%7B%22ref%22%3A%22%22%7D", None),
        ("vscode-notebook-cell:/a/n.ipynb#W0", None),
        ("http://x/a", None),
        ("file:relative", None),
        ("file:///a%00b", None),
        ("", None),
        ("nonsense", None),
        ("file://[", None),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of this kind are POSIX's")
def test_paths_of_uris(uri: str, path: str | None) -> None:
    assert path_of(uri) == path


patient = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""


@patient
@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_a_path_survives_the_way_through_a_uri(names: list[str]) -> None:
    path = os.path.normpath("/" + "/".join(names))
    if path.startswith("//"):
        return
    assert path_of(uri_of(path)) == path


def test_a_path_that_is_no_utf_8_survives(tmp_path: Path) -> None:
    path = os.fsdecode(b"/tmp/caf\xe9.py")
    assert path_of(uri_of(path)) == path


def test_the_innermost_folder_counts() -> None:
    outer, inner, other = made("/w"), made("/w/deep"), made("/w-else")
    folders = (outer, inner, other)
    assert folder_of(folders, "/w/a.py") == outer
    assert folder_of(folders, "/w/deep/a.py") == inner
    assert folder_of(folders, "/w-else/a.py") == other
    assert folder_of(folders, "/x/a.py") is None
    assert folder_of(folders, "vscode-notebook-cell:/w/deep/n.ipynb#W0") == inner
    assert folder_of(folders, "untitled:Untitled-1") is None


def test_people_read_paths_relative_to_their_folder() -> None:
    one, two = made("/w/one"), made("/w/two")
    assert shown((one,), "/w/one/a/b.py") == "a/b.py"
    assert shown((one, two), "/w/two/b.py") == "two/b.py"
    assert shown((one,), "/elsewhere/b.py") == "/elsewhere/b.py"


def test_folders_come_and_go_whatever_their_spelling() -> None:
    one, two = made("/w/one"), made("/w/t o")
    assert changed((one,), [two, one], []) == (one, two)
    assert changed((one, two), [], ["file:///w/t%20o"]) == (one,)


def test_one_file_in_two_spellings_is_one_document() -> None:
    documents = Documents()
    documents.open("file:///a%20b.py", "python", 1, "x")
    second = documents.open("file:///a b.py", "python", 1, "y")
    assert list(documents) == [second]
    assert documents.get("file:///a%20b.py") == second
    assert documents.close("file:///a%20b.py") == second
    assert list(documents) == []


@pytest.mark.parametrize(
    ("uri", "language_id", "language"),
    [
        ("file:///a.py", "python", "python"),
        ("file:///a.tsx", "typescriptreact", "typescript"),
        ("file:///a.h", "cpp", "cpp"),
        ("file:///a.h", "c", "c"),
        ("file:///a.cs", "cs", "csharp"),
        ("file:///a.java", "python", "java"),  # Eglot up to 1.9 gives one language to all files of a server.
        ("file:///a.py", "", "python"),
        ("file:///a.txt", "plaintext", None),
        ("file:///a", "go", "go"),
        ("untitled:Untitled-1", "rust", "rust"),
        ("git:/a.py?x", "python", None),
        ("output:polyclone", "python", None),
    ],
)
def test_a_telling_name_wins_over_the_clients_word(uri: str, language_id: str, language: str | None) -> None:
    assert Documents().open(uri, language_id, 1, "").language == language


def test_an_unsaved_document_keeps_its_dialect() -> None:
    assert Documents().open("untitled:A", "typescriptreact", 1, "").key.endswith(".tsx")
