"""Discovery on real trees: ignore files, links, odd names, marks of generated code, trouble on the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polyclone import unwanted
from polyclone.discover import DiscoverOptions, Discovery, discover
from polyclone.errors import UsageError

CODE = "def f(a):\n    return a\n"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", *identity, "-C", folder, *arguments], check=True, capture_output=True, env=environment)


def paths(discovery: Discovery) -> list[str]:
    return [file.path for file in discovery.files]


@pytest.fixture(params=["git", "no git", "git refuses"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty folder: a repository, an ordinary one, and one whose `.git` is broken."""
    root = tmp_path / "root"
    root.mkdir()
    if request.param == "git":
        if shutil.which("git") is None:
            pytest.skip("needs git")
        git(root, "init", "-q")
    elif request.param == "git refuses":
        write(root, {".git": "gitdir: nowhere"})
    return root


# Ignore files


def test_nested_and_negated_ignore_files(tree: Path) -> None:
    write(
        tree,
        {
            ".gitignore": "*.gen.py\n/build/\nlogs/**\n!keep.gen.py\n",
            "a.py": CODE,
            "a.gen.py": CODE,
            "keep.gen.py": CODE,
            "build/b.py": CODE,
            "sub/build/c.py": CODE,
            "sub/.gitignore": "!d.gen.py\nsecret.py\n",
            "sub/d.gen.py": CODE,
            "sub/secret.py": CODE,
            "secret.py": CODE,
            "logs/e.py": CODE,
            ".hidden/f.py": CODE,
        },
    )
    found = discover([tree])
    assert paths(found) == [
        ".hidden/f.py", "a.py", "keep.gen.py", "secret.py", "sub/build/c.py", "sub/d.gen.py",
    ]  # fmt: skip
    assert found.failures == ()
    assert found.root == str(tree)
    assert all(Path(file.location).read_text() == CODE for file in found.files)
    assert {(file.language, file.size_bytes) for file in found.files} == {("python", len(CODE))}


def test_an_ignored_folder_that_is_named_is_scanned(tree: Path) -> None:
    write(tree, {".gitignore": "build/\n*.tmp.py\n", "build/sub/a.py": CODE, "b.py": CODE})
    assert paths(discover([tree])) == ["b.py"]
    assert paths(discover([tree / "build"])) == ["sub/a.py"]
    assert paths(discover([tree / "build/sub"])) == ["a.py"]
    assert paths(discover([tree, tree / "build"])) == ["b.py", "build/sub/a.py"]


def test_only_a_repository_says_how_far_up_ignore_files_count(tree: Path) -> None:
    """Outside one, a stray `~/.gitignore` must not empty a scan."""
    write(tree, {".gitignore": "*.gen.py\n/src/x/\n", "src/a.gen.py": CODE, "src/b.py": CODE, "src/x/c.py": CODE})
    expected = ["b.py"] if (tree / ".git").exists() else ["a.gen.py", "b.py", "x/c.py"]
    assert paths(discover([tree / "src"])) == expected


@needs_git
def test_tracked_files_count_even_if_ignored_and_deleted_ones_do_not(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, {"tracked.py": CODE, "gone.py": CODE})
    git(tmp_path, "add", "-A")
    write(tmp_path, {".gitignore": "*.py\n!new.py", "untracked.py": CODE, "new.py": CODE})
    (tmp_path / "gone.py").unlink()
    found = discover([tmp_path])
    assert paths(found) == ["new.py", "tracked.py"]
    assert found.failures == ()


@needs_git
def test_repositories_within_repositories(tmp_path: Path) -> None:
    library, root = tmp_path / "library", tmp_path / "root"
    write(library, {"lib.py": CODE, "deep/lib2.py": CODE})
    git(tmp_path, "init", "-q", str(library))
    git(library, "add", "-A")
    git(library, "commit", "-q", "-m", "x")
    write(root, {"a.py": CODE, "untracked/b.py": CODE, "untracked/.gitignore": "c.py", "untracked/c.py": CODE})
    git(tmp_path, "init", "-q", str(root))
    git(tmp_path, "init", "-q", str(root / "untracked"))
    git(root, "submodule", "add", "-q", str(library), "module")
    expected = ["a.py", "module/deep/lib2.py", "module/lib.py", "untracked/b.py"]
    assert paths(discover([root])) == expected
    git(root, "submodule", "deinit", "-f", "module")
    assert paths(discover([root])) == ["a.py", "untracked/b.py"]
    assert paths(discover([root / "module", root])) == ["a.py", "untracked/b.py"]


@needs_git
def test_a_hook_s_environment_does_not_mislead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "one")
    git(tmp_path, "init", "-q", "two")
    write(tmp_path, {"one/a.py": CODE, "two/b.py": CODE, "two/.gitignore": "c.py", "two/c.py": CODE})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "one/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "one/.git/index"))
    assert paths(discover([tmp_path / "two"])) == ["b.py"]


@needs_git
def test_a_repository_cannot_make_git_run_a_program(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, {"a.py": CODE, "trap.sh": f"#!/bin/sh\ntouch {tmp_path}/sprung\n"})
    (tmp_path / "trap.sh").chmod(0o755)
    git(tmp_path, "add", "-A")
    git(tmp_path, "config", "core.fsmonitor", str(tmp_path / "trap.sh"))
    assert paths(discover([tmp_path])) == ["a.py"]
    assert not (tmp_path / "sprung").exists()


@needs_git
def test_a_git_that_lies_in_the_scanned_folder_is_not_run(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tree, {"a.py": CODE, "bin/git": f"#!/bin/sh\ntouch {tree}/sprung\nexit 1\n", ".gitignore": "bin/\n"})
    (tree / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tree / "bin"))
    assert paths(discover([tree])) == ["a.py"]
    assert not (tree / "sprung").exists()
    monkeypatch.setenv("PATH", str(tree / "nowhere"))
    assert paths(discover([tree])) == ["a.py"]


# What is skipped, and that it is counted


SKIPPED: list[tuple[str, str | bytes, str]] = [
    ("node_modules/x/a.js", CODE, "vendored"),
    ("deep/vendor/a.go", CODE, "vendored"),
    ("third_party/a.c", CODE, "vendored"),
    ("py/.venv/lib/site-packages/a.py", CODE, "vendored"),
    ("dist/a.js", CODE, "vendored"),
    ("a_pb2.py", CODE, "generated"),
    ("a.pb.go", CODE, "generated"),
    ("A.g.cs", CODE, "generated"),
    ("Form.Designer.cs", CODE, "generated"),
    ("a.d.ts", CODE, "declarations"),
    ("a.pyi", CODE, "declarations"),
    ("jquery.min.js", CODE, "minified"),
    ("bundle.js", "var a=1;" * 400, "minified"),
    ("nul.py", b"a = 1\0", "binary"),
    ("utf16.cs", "class A {}".encode("utf-16"), "binary"),
    ("big.py", "x = 1\n" * 200_000, "too_large"),
    ("empty.py", "", "empty"),
    ("README.md", "text", "unsupported_language"),
    ("LICENSE", "text", "unsupported_language"),
    ("image.png", b"\x89PNG\0", "unsupported_language"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "reason"), SKIPPED, ids=[row[0] for row in SKIPPED])
def test_skipped_and_counted_unless_named(tmp_path: Path, name: str, content: str | bytes, reason: str) -> None:
    write(tmp_path, {name: content, "taken.py": CODE})
    found = discover([tmp_path])
    assert (paths(found), dict(found.skipped), found.failures) == (["taken.py"], {reason: 1}, ())
    named = tmp_path / name
    if reason == "unsupported_language":
        with pytest.raises(UsageError, match="known language"):
            discover([named])
        return
    direct = discover([named, tmp_path])
    assert dict(direct.skipped) == {}
    if reason == "binary":
        assert [(f.path, f.stage) for f in direct.failures] == [(name, "read")]
        assert "NUL" in direct.failures[0].message
    else:
        assert sorted(paths(direct)) == sorted([name, "taken.py"])


def test_options(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": CODE, "b.go": CODE, "c.min.js": CODE, "vendor/d.py": CODE, "e_pb2.py": CODE,
            "gen/f.py": CODE, "gen/keep.py": CODE, "sub/gen/g.py": CODE, "h.d.ts": CODE, "big.py": CODE * 2,
        },
    )  # fmt: skip
    every = discover([tmp_path], DiscoverOptions(include_generated=True, include_vendored=True))
    assert len(every.files) == 10
    assert dict(every.skipped) == {}
    only = discover([tmp_path], DiscoverOptions(languages=frozenset({"go", "typescript"})))
    assert paths(only) == ["b.go"]
    assert only.skipped["language_filtered"] == 6
    less = discover([tmp_path], DiscoverOptions(exclude=("/gen/*", "!keep.py", "*.go")))
    assert paths(less) == ["a.py", "big.py", "gen/keep.py", "sub/gen/g.py"]
    assert less.skipped["excluded"] == 2
    based = DiscoverOptions(exclude=("/sub/gen",), exclude_base=str(tmp_path))
    assert paths(discover([tmp_path / "sub"], based)) == []
    assert paths(discover([tmp_path / "sub"], DiscoverOptions(exclude=("/sub/gen",)))) == ["gen/g.py"]
    small = discover([tmp_path], DiscoverOptions(max_file_bytes=len(CODE)))
    assert "big.py" not in paths(small)
    assert "a.py" in paths(small)


def test_a_vendored_folder_that_is_the_root_is_scanned(tmp_path: Path) -> None:
    write(tmp_path, {"vendor/a.py": CODE, "vendor/node_modules/b.js": CODE, "c.py": CODE})
    assert paths(discover([tmp_path / "vendor"])) == ["a.py"]
    assert paths(discover([tmp_path, tmp_path / "vendor"])) == ["c.py", "vendor/a.py"]


def test_virtual_environments_and_caches_are_known_by_their_marks(tmp_path: Path) -> None:
    write(tmp_path, {"my env/pyvenv.cfg": "", "my env/lib/a.py": CODE, "out/CACHEDIR.TAG": "", "out/b.rs": CODE})
    write(tmp_path, {"CACHEDIR.TAG": "", "c.py": CODE})
    found = discover([tmp_path])
    assert paths(found) == ["c.py"]
    assert found.skipped["vendored"] == 2


def test_a_script_is_known_by_its_first_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"tool": "#!/usr/bin/env python3\n" + CODE, "other": "#!/bin/sh\n", "x.unknown": "#!/usr/bin/python"},
    )
    found = discover([tmp_path])
    assert [(file.path, file.language) for file in found.files] == [("tool", "python")]
    assert found.skipped["unsupported_language"] == 2


@pytest.mark.parametrize(
    "head",
    [
        "// Code generated by protoc-gen-go. DO NOT EDIT.\npackage x",
        "# @generated by pip-compile",
        "/**\n * @generated SignedSource<<abc>>\n */",
        "<?php\n/**\n * This file was generated by a tool.\n */",
        "//------\n// <auto-generated>\n//     This code was generated\n// </auto-generated>",
        "// Generated from Expr.g4 by ANTLR 4.9.2\npackage x;",
        "# Generated from antlr/Expr.g4 by ANTLR 4.13",
        "# Generated by the protocol buffer compiler.  DO NOT EDIT!",
        "/* A Bison parser, made by GNU Bison 3.8.2.  */",
        '"""\nThis module is automatically generated.\n"""',
        "# DO NOT EDIT.\n#\n# Automatically generated by tools/make.py.",
        "/**\n * Autogenerated by Thrift Compiler (0.13.0)\n *\n * DO NOT EDIT UNLESS YOU ARE SURE\n */",
        "package x;\nimport y;\n@javax.annotation.Generated(value = \"by gRPC\")\npublic final class A {}",
    ],
)  # fmt: skip
def test_marks_of_generated_code(head: str) -> None:
    assert unwanted.is_generated(head.encode())
    assert unwanted.is_generated(head.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    "head",
    [
        CODE,
        'MARK = "@generated"\nOTHER = "Code generated by x. DO NOT EDIT."',
        "# Finds files whose head contains `@generated`.",
        "# Writes the files that other modules were generated from.",
        "// Tokens are generated lazily.",
        "def f():\n    x = 1\n    y = 2\n    z = 3\n    u = 1\n    v = 2\n    # generated by f; do not edit\n",
        "# mail@generated.example",
        "class A {\n    @Generated(\"x\")\n    int f() { return 1; }\n}",
    ],
)  # fmt: skip
def test_code_that_only_speaks_of_generated_code(head: str) -> None:
    assert not unwanted.is_generated(head.encode())


def test_long_lines_are_minified_only_in_scripts() -> None:
    line = b"a" * 5000
    assert unwanted.is_minified("a.ts", "typescript", line)
    assert not unwanted.is_minified("a.py", "python", line)
    assert not unwanted.is_minified("a.js", "javascript", b"var a = 1;" * 40)
    assert not unwanted.is_minified("a.js", "javascript", b"var a = 1;\n" * 400)


# Roots, names and links


def test_each_file_once_however_many_roots_lead_to_it(tree: Path) -> None:
    write(tree, {"a/b/c.py": CODE, "a/d.py": CODE, "e.py": CODE})
    roots = [tree / "a/b/c.py", tree / "a", tree, str(tree / "a" / ".." / "a" / "b"), tree]
    found = discover(roots)
    assert paths(found) == ["a/b/c.py", "a/d.py", "e.py"]
    assert found == discover(roots[::-1]) == discover([tree])


def test_paths_are_relative_to_the_common_root(tmp_path: Path) -> None:
    write(tmp_path, {"x/one/a.py": CODE, "x/two/b.py": CODE})
    found = discover([tmp_path / "x/one", tmp_path / "x/two/b.py"])
    assert found.root == str(tmp_path / "x")
    assert paths(found) == ["one/a.py", "two/b.py"]
    assert [file.location for file in found.files] == [str(tmp_path / "x" / path) for path in paths(found)]


def test_relative_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"sub/a.py": CODE})
    monkeypatch.chdir(tmp_path / "sub")
    assert discover(["."]) == discover([tmp_path / "sub"]) == discover([Path("../sub/")])


ODD = ["with space.py", "emoji 😀.py", "new\nline.py", "quote'\".py", "-dash.py", "tab\t.py", "ünï/é.py", "#x.py"]


@pytest.mark.skipif(os.name != "posix", reason="these names are possible on POSIX only")
def test_odd_names(tree: Path) -> None:
    write(tree, dict.fromkeys(ODD, CODE))
    with open(os.fsencode(tree) + b"/not utf-8 \xff\xfe.py", "wb") as file:  # noqa: PTH123
        file.write(CODE.encode())
    found = discover([tree])
    assert paths(found) == sorted([*ODD, "not utf-8 \udcff\udcfe.py"])
    assert found.failures == ()
    for file in found.files:
        assert Path(file.location).read_text() == CODE
        assert len(discover([file.location]).files) == 1


def test_links_are_not_followed_round_in_circles(tree: Path) -> None:
    write(tree, {"a/b/c.py": CODE})
    (tree / "a/b/up").symlink_to("..")
    (tree / "self").symlink_to("self")
    (tree / "all").symlink_to(tree)
    found = discover([tree])
    assert paths(found) == ["a/b/c.py"]
    assert dict(found.skipped) == {"symlink": 3}
    assert found.failures == ()


def test_a_linked_file_is_the_same_file(tree: Path) -> None:
    write(tree, {"z/real.py": CODE, "hidden.py": CODE, ".gitignore": "hidden.py"})
    (tree / "a-link.py").symlink_to("z/real.py")
    (tree / "b-link.py").symlink_to(tree / "a-link.py")
    (tree / "to-hidden.py").symlink_to("hidden.py")
    found = discover([tree])
    assert paths(found) == ["to-hidden.py", "z/real.py"]
    assert dict(found.skipped) == {"unsupported_language": 1}
    assert paths(discover([tree / "a-link.py"])) == ["a-link.py"]


def test_links_out_of_the_roots(tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret.py": CODE, "root/a.py": CODE, "outside/notes.txt": "x"})
    root = tmp_path / "root"
    (root / "secret.py").symlink_to(tmp_path / "outside/secret.py")
    (root / "notes.txt").symlink_to(tmp_path / "outside/notes.txt")
    (root / "dangling.py").symlink_to("nowhere.py")
    found = discover([root])
    assert paths(found) == ["a.py"]
    assert dict(found.skipped) == {"symlink": 2}
    assert paths(discover([root / "secret.py"])) == ["secret.py"]
    assert paths(discover([root, tmp_path / "outside"])) == ["outside/secret.py", "root/a.py"]


def test_a_root_may_be_a_link(tree: Path, tmp_path: Path) -> None:
    write(tree, {"sub/a.py": CODE, "sub/.gitignore": "b.py", "sub/b.py": CODE})
    (tmp_path / "link").symlink_to(tree / "sub")
    assert paths(discover([tmp_path / "link"])) == ["a.py"]
    assert len(discover([tmp_path / "link", tree]).files) == 1


# Misuse and trouble


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    for bad in (tmp_path / "nowhere", tmp_path / "a.py" / "b", "nul\0"):
        write(tmp_path, {"a.py": CODE})
        with pytest.raises(UsageError) as caught:
            discover([tmp_path, bad])
        assert str(bad) in str(caught.value)
    with pytest.raises(UsageError, match="no path"):
        discover([])
    assert discover([tmp_path / "a.py"]).root == str(tmp_path)


def test_a_language_can_be_forced_for_named_files(tmp_path: Path) -> None:
    write(tmp_path, {"script.txt": CODE, "other.txt": CODE, "a.go": CODE})
    forced = DiscoverOptions(force_language="python")
    found = discover([tmp_path / "script.txt", tmp_path], forced)
    assert [(file.path, file.language) for file in found.files] == [("a.go", "go"), ("script.txt", "python")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": CODE})
    os.mkfifo(tmp_path / "pipe.py")
    found = discover([tmp_path])
    assert (paths(found), dict(found.skipped)) == (["a.py"], {"not_a_file": 1})
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        discover([tmp_path / "pipe.py"])


@contextmanager
def unprivileged(root: Path) -> Iterator[None]:
    """Run as a user whom permissions bind, who owns what lies below `root`. Root reads everything."""
    if os.geteuid() != 0:
        yield
        return
    for folder, _, names in os.walk(root):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:  # noqa: PTH118
            os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users and permissions")
@pytest.mark.parametrize("repository", [False, True])
def test_what_cannot_be_read_is_told_and_the_walk_goes_on(repository: bool) -> None:
    if repository and shutil.which("git") is None:
        pytest.skip("needs git")
    # Not `tmp_path`: another user cannot enter its parent folder.
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        write(root, {"a.py": CODE, "locked/b.py": CODE, "sub/no.py": CODE, "z.py": CODE})
        if repository:
            git(root, "init", "-q")
        with unprivileged(root):
            (root / "locked").chmod(0)
            (root / "sub/no.py").chmod(0)
            try:
                found = discover([root])
                direct = discover([root / "sub/no.py", root / "a.py", root / "locked/b.py"])
            finally:
                (root / "locked").chmod(0o755)
    assert paths(found) == ["a.py", "z.py"]
    assert [(f.path, f.stage) for f in found.failures] == [("locked", "read"), ("sub/no.py", "read")]
    assert all("Permission denied" in f.message for f in found.failures)
    assert paths(direct) == ["a.py"]
    assert len(direct.failures) == 2


names = st.sampled_from(["a.py", "b.go", "c.min.js", "d.txt", "e_pb2.py", "vendor", "src", "sub dir", "f"])
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=4).map("/".join), st.sampled_from(["", CODE, "x\0"]), max_size=8
)


@given(trees, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_file_is_taken_or_counted(files: dict[str, str], rng: object) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        written = 0
        for path, content in files.items():
            try:
                write(root, {path: content})
                written += 1
            except OSError:  # A folder of that name is there, or a file where a folder should be.
                continue
        found = discover([root])
        assert len(found.files) + sum(found.skipped.values()) == written
        assert found.failures == ()
        folders = [path for path in sorted(root.rglob("*")) if path.is_dir()]
        again = discover([root, *folders[:1], root])
        assert set(paths(found)) <= set(paths(again))
        assert paths(found) == sorted(paths(found))
