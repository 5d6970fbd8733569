"""A live workspace: what it reads, encodes and parses, what it shows meanwhile, and what it survives."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from polyclone import live as module
from polyclone import parsing, parsing_pool, persist
from polyclone.discover import DiscoverOptions
from polyclone.encode import Advance, Encoded
from polyclone.errors import UsageError
from polyclone.index import NeighbourTable
from polyclone.live import ON_DISK, Content, LiveWorkspace, Snapshot
from polyclone.reading import absolute
from polyclone.store import MemoryStore
from polyclone.values import Extraction, ScanResult
from polyclone.workspace import Options, Progress, Workspace
from support.fake_model import FakeModel
from support.polyglot import FUNCTIONS_A_FILE, SUBJECTS, framed, source, sources, write_workspace

SUBJECT_COUNT = 6
FILES = sources(SUBJECT_COUNT)


class CountingEncoder:
    """An encoder that remembers what it was asked for."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.units: list[str] = []

    @property
    def dimension(self) -> int:
        return int(self._inner.dimension)

    def encode(self, units: Sequence[str], *, advance: Advance | None = None) -> Encoded:
        self.units += units
        found: Encoded = self._inner.encode(units, advance=advance)
        return found


@pytest.fixture
def counting() -> tuple[Any, CountingEncoder]:
    model: Any = FakeModel()
    model.encoder = CountingEncoder(model.encoder)
    return model, model.encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = write_workspace(tmp_path / "project", SUBJECT_COUNT)
    for number, path in enumerate(sorted(root.rglob("*.*"))):
        settle(path, number)
    return root


def settle(path: Path, number: int = 0) -> None:
    """As if it had been written long ago."""
    os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., LiveWorkspace]]:
    """Makes live workspaces, and ends them."""
    every: list[LiveWorkspace] = []

    def make(model: Any = None, **options: Any) -> LiveWorkspace:
        values: dict[str, Any] = {"isolate": False, "index_file": tmp_path / "cache/index", **options}
        every.append(LiveWorkspace(model or FakeModel(), **values))
        return every[-1]

    yield make
    for space in every:
        space.close()


def scan(folder: Path, options: Options | None = None) -> ScanResult:
    """What a scan of the disk finds."""
    model: Any = FakeModel()
    space = Workspace(model, options=dataclasses.replace(options or Options(), absolute_paths=True))
    space.open([folder])
    return space.result()


def text_of(folder: Path, path: str, old: str = "", new: str = "") -> Content:
    """An editor's content: the file's, with a replacement."""
    return Content(source=(folder / path).read_text().replace(old, new).encode(), language=FILES[path][0])


# --- growing ---


def test_findings_appear_while_it_is_opened(folder: Path, made: Any) -> None:
    space = made()
    seen: list[tuple[Snapshot, frozenset[str]]] = []
    told: list[Progress] = []
    space.open([folder], publish=lambda snapshot, paths: seen.append((snapshot, paths)), report=told.append)
    snapshots = [snapshot for snapshot, _ in seen]
    assert [s.version for s in snapshots] == sorted({s.version for s in snapshots})
    assert [s.complete for s in snapshots] == [False] * (len(seen) - 1) + [True]
    assert len({s.functions for s in snapshots}) > 3
    assert snapshots[-1] is space.snapshot
    assert any(s.pairs and not s.complete for s in snapshots)
    assert {path for _, paths in seen for path in paths} == set(space.snapshot.paths)
    assert [p.stage for p in told if p.done == p.total] == ["discover", "parse"]
    for snapshot, _ in seen[::3]:  # Each is that of a scan of what it holds.
        model: Any = FakeModel()
        whole = Workspace(model)
        for path in snapshot.paths:
            whole.update(path, Path(path).read_bytes(), snapshot.files[path].language)
        assert snapshot.result.matches == whole.result().matches
    assert space.snapshot.result == scan(folder)


def test_open_documents_come_first(folder: Path, made: Any) -> None:
    first = [str(folder / "python/ticket.py"), str(folder / "go/ticket.go")]
    seen: list[Snapshot] = []
    made().open([folder], first=first, publish=lambda snapshot, _: seen.append(snapshot))
    shown = next(snapshot for snapshot in seen if snapshot.files)
    assert set(first) <= set(shown.paths)
    assert len(shown.paths) < len(FILES) / 2
    assert shown.matches_in(first[0])


def test_a_cancelled_opening_loses_nothing(folder: Path, made: Any, counting: tuple[Any, CountingEncoder]) -> None:
    model, encoder = counting
    store = MemoryStore()
    space = made(model, store=store)
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(len(encoder.units))
        return len(asked) >= 3

    space.open([folder], cancelled=cancelled)
    assert not space.snapshot.complete
    begun = len(encoder.units)
    assert 0 < begun <= len(FILES) * FUNCTIONS_A_FILE / 2
    assert all(b - a <= 2 * module.ENCODED_AT_ONCE for a, b in itertools.pairwise(asked))
    space.open([folder])
    assert space.snapshot.complete
    assert len(encoder.units) == len(set(encoder.units))
    assert space.snapshot.result == scan(folder)


def test_one_large_file_can_be_cancelled_too(
    tmp_path: Path, made: Any, counting: tuple[Any, CountingEncoder]
) -> None:
    model, encoder = counting
    pieces = [source("python", subject, 7) for subject in SUBJECTS]
    (tmp_path / "large.py").write_text("\n\n".join(pieces))
    space = made(model, store=MemoryStore())
    space.open([tmp_path], cancelled=lambda: True)
    assert len(encoder.units) == module.ENCODED_AT_ONCE
    assert space.snapshot.functions == 0
    space.open([tmp_path])
    assert len(encoder.units) == len(pieces) * FUNCTIONS_A_FILE


def test_changes_are_taken_in_while_it_is_opened(folder: Path, made: Any) -> None:
    """An edit, a file that changed on disk after it was read, one that went, and a document without a file."""
    edited, rewritten, gone = (str(folder / p) for p in ("python/anchor.py", "go/harbour.go", "java/voyage.java"))
    letters = [
        {edited: text_of(folder, "python/harbour.py", "harbour", "anchor"), "untitled:1": Content(source=b"x = 1\n")},
        {rewritten: ON_DISK, gone: None},
    ]

    def inbox() -> dict[str, Content | None]:
        if len(letters) == 1:
            Path(rewritten).write_text(source("go", "canal", 77))
            Path(gone).unlink()
        return dict(letters.pop(0)) if letters else {}

    space = made()
    space.open([folder], inbox=inbox)
    assert letters == []
    assert space.snapshot.complete
    assert {f.name for f in space.snapshot.functions_in(rewritten)} > {"FindCanal"}
    assert gone not in space.snapshot.paths
    assert {f.name for f in space.snapshot.functions_in(edited)} > {"find_anchor"}
    space.apply({edited: ON_DISK})
    assert space.snapshot.result == scan(folder)


# --- updates ---


def test_only_new_contents_are_encoded(folder: Path, made: Any, counting: tuple[Any, CountingEncoder]) -> None:
    model, encoder = counting
    space = made(model)
    space.open([folder])
    encoder.units.clear()
    path = str(folder / "python/voyage.py")
    changed = space.apply({path: text_of(folder, "python/voyage.py", "middle + 1", "middle + 5")})
    assert [unit.count("find_voyage") for unit in encoder.units] == [1]
    assert path in changed
    assert str(folder / "go/voyage.go") in changed
    assert len(changed) < len(FILES)
    encoder.units.clear()
    space.apply({path: text_of(folder, "python/voyage.py", "def find", "\n\n\ndef find")})
    space.apply({path: ON_DISK})
    assert len(encoder.units) == 1  # The one that had been forgotten.
    assert space.snapshot.result == scan(folder)


def test_what_moves_takes_its_findings_along(folder: Path, made: Any) -> None:
    space = made()
    space.open([folder])
    path, twin = str(folder / "python/voyage.py"), str(folder / "go/voyage.go")
    before = space.snapshot
    changed = space.apply({path: text_of(folder, "python/voyage.py", "def total", "\n\ndef total")})
    assert {path, twin} <= changed
    lines = [
        {m.right.span.start_line0 for ms in s.matches_in(twin).values() for m in ms if m.right.path == path}
        for s in (before, space.snapshot)
    ]
    assert {line + 2 for line in lines[0]} == lines[1] != set()


def test_many_changes_are_one_update(folder: Path, made: Any) -> None:
    space = made()
    space.open([folder])
    version = space.snapshot.version
    for path, (language, _) in FILES.items():
        (folder / path).write_text(source(language, "canal" if "voyage" in path else "bridge", 9))
    (folder / "python/new.py").write_text(source("python", "ferry", 3))
    (folder / "java/anchor.java").unlink(missing_ok=True)
    space.apply({str(path): ON_DISK for path in [*(folder / path for path in FILES), folder / "python/new.py"]})
    assert space.snapshot.complete
    assert space.snapshot.version - version < len(FILES)
    assert space.snapshot.result == scan(folder)


def test_snapshots_stay_as_they_were(folder: Path, made: Any) -> None:
    space = made()
    space.open([folder])
    old, expected = space.snapshot, scan(folder)
    path = str(folder / "python/voyage.py")
    function = next(f for f in old.functions_in(path) if f.name == "find_voyage")
    matches = old.matches_of(function)
    for k in range(5):
        space.apply({path: text_of(folder, "python/voyage.py", "middle + 1", f"middle + {k + 2}")})
    space.apply({str(folder / "go/voyage.go"): None})
    assert old.result == expected
    assert old.matches_of(function) == matches != ()
    assert space.snapshot.matches_of(function) == ()  # Held no more, as it was.
    assert {m.left for m in matches} == {function}


def test_a_broken_file_keeps_its_good_functions(folder: Path, made: Any) -> None:
    space = made()
    space.open([folder])
    path = str(folder / "python/voyage.py")
    space.apply({path: text_of(folder, "python/voyage.py", "largest = -1", "largest = = -1 )")})
    assert {"find_voyage", "voyage_checksum"} <= {f.name for f in space.snapshot.functions_in(path)}
    assert space.snapshot.matches_in(path)


def test_a_text_of_no_known_language_is_not_held(folder: Path, made: Any) -> None:
    space = made()
    space.open([folder])
    path = str(folder / "python/voyage.py")
    space.apply({path: Content(source=b"x"), "untitled:2": Content(source=b"some words")})
    assert "untitled:2" not in space.snapshot.paths
    assert space.snapshot.functions_in(path) == ()


def test_without_roots_only_what_is_edited_is_held(made: Any) -> None:
    space = made()
    space.open([])
    text = framed("go", source("go", "voyage", 3).partition("\n\n")[2]).encode()
    space.apply({"untitled:a": Content(source=text, language="go")})
    space.apply({"untitled:b": Content(source=source("python", "voyage", 3).encode(), language="python")})
    assert space.snapshot.complete
    assert len(space.snapshot.matches_in("untitled:a")) >= 3
    space.apply({"untitled:a": ON_DISK})
    assert space.snapshot.paths == ("untitled:b",)
    assert space.snapshot.pairs == 0


# --- options and roots ---


def test_a_threshold_only_filters(
    folder: Path, made: Any, counting: tuple[Any, CountingEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = counting
    space = made(model)
    space.open([folder])
    encoder.units.clear()
    expected = {least: scan(folder, Options(min_probability=least)) for least in (0.99, 0.2)}
    monkeypatch.setattr(NeighbourTable, "insert", None)
    monkeypatch.setattr(NeighbourTable, "_scores", None)
    for least, result in expected.items():
        changed = space.set_options(Options(min_probability=least))
        assert changed
        assert space.snapshot.result == result
    assert encoder.units == []


def test_bad_options_change_nothing(folder: Path, made: Any) -> None:
    space = made()
    space.open([folder])
    before = space.snapshot
    with pytest.raises(UsageError, match="not both"):
        space.set_options(Options(min_probability=0.5, precision=0.9))
    assert space.snapshot is before
    assert space.options == Options()


def test_roots_come_and_go_without_reading_the_others(
    folder: Path, made: Any, counting: tuple[Any, CountingEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = counting
    space = made(model)
    space.open([folder / "python", folder / "go"])
    encoder.units.clear()
    read = readings(monkeypatch)
    space.set_roots([folder / "go", folder / "java"])
    assert {Path(path).parent.name for path in read} == {"java"}
    assert len(encoder.units) == SUBJECT_COUNT * FUNCTIONS_A_FILE
    assert {Path(path).parent.name for path in space.snapshot.paths} == {"go", "java"}


def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all files that are read from now on."""
    read: list[str] = []
    original = parsing._read

    def noted(file: Any, *rest: Any) -> Any:
        read.append(file.path)
        return original(file, *rest)

    monkeypatch.setattr(parsing, "_read", noted)
    return read


def test_a_missing_root_is_told_and_may_come_back(folder: Path, made: Any, tmp_path: Path) -> None:
    space = made()
    space.open([folder, tmp_path / "absent"])
    assert [f.message for f in space.snapshot.failures] == ["no such file or folder"]
    write_workspace(tmp_path / "absent", 1)
    space.open([folder, tmp_path / "absent"])
    assert space.snapshot.failures == ()
    assert len(space.snapshot.paths) == len(FILES) + 4


def test_queries_are_those_of_a_workspace(folder: Path, made: Any) -> None:
    space = made()
    space.open([folder])
    model: Any = FakeModel()
    whole = Workspace(model, options=Options(absolute_paths=True))
    whole.open([folder])
    for function in whole.functions[::7]:
        assert space.query(function, 5) == whole.query(function, limit=5) != ()
    (small,) = (f for f in [dataclasses.replace(whole.functions[0], normalised="ix")])
    assert space.query(small) == ()


# --- the second start ---


def saved(space: LiveWorkspace, folder: Path) -> LiveWorkspace:
    space.open([folder])
    space.save()
    return space


def test_the_second_start_reads_and_computes_nothing(
    folder: Path, made: Any, counting: tuple[Any, CountingEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = saved(made(), folder)
    model, encoder = counting
    verifier = model.verifier
    model.verifier = None
    monkeypatch.setattr(parsing, "_read", None)
    second = made(model)
    seen: list[Snapshot] = []
    second.open([folder], publish=lambda snapshot, _: seen.append(snapshot))
    assert encoder.units == []
    assert (seen[0].pairs, seen[0].complete) == (first.snapshot.pairs, False)
    assert second.snapshot.complete
    object.__setattr__(second.snapshot.model, "verifier", verifier)
    assert second.snapshot.result == first.snapshot.result


def test_the_second_start_reads_what_changed(folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(made(), folder)
    changed, touched, gone, new = (folder / p for p in ("go/voyage.go", "go/ticket.go", "go/lantern.go", "go/new.go"))
    changed.write_text(changed.read_text().replace("middle + 1", "middle + 7"))
    settle(changed, 10_000)
    settle(touched, 10_000)
    gone.unlink()
    new.write_text(source("go", "ferry", 3))
    read = readings(monkeypatch)
    second = made()
    seen: list[Snapshot] = []
    second.open([folder], publish=lambda snapshot, _: seen.append(snapshot))
    assert set(read) == {str(changed), str(touched), str(new)}
    assert not {str(changed), str(touched), str(gone)} & set(seen[0].paths)
    assert second.snapshot.result == scan(folder)


def test_what_was_edited_is_read_from_disk_again(folder: Path, made: Any) -> None:
    first = made()
    first.open([folder])
    first.apply({str(folder / "go/voyage.go"): text_of(folder, "go/voyage.go", "middle + 1", "middle + 7")})
    first.apply({"untitled:a": Content(source=source("python", "ferry", 3).encode(), language="python")})
    first.save()
    second = made()
    second.open([folder])
    assert second.snapshot.result == scan(folder)


def test_documents_may_be_open_before_the_folders_are(folder: Path, made: Any) -> None:
    saved(made(), folder)
    content = text_of(folder, "go/voyage.go", "middle + 1", "middle + 7")
    second = made()
    second.apply({str(folder / "go/voyage.go"): content})
    second.open([folder])
    Path(folder / "go/voyage.go").write_bytes(content.source or b"")
    assert second.snapshot.result == scan(folder)


def test_a_file_that_changed_just_now_is_read_again(folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same size, same inode, same time stamp, other content: what git calls racily clean."""
    path = folder / "go/voyage.go"
    path.write_text(path.read_text())
    stamp = path.stat()
    first = saved(made(), folder)
    with path.open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace("middle + 1", "middle + 7"))
    os.utime(path, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_size) == (stamp.st_ino, stamp.st_size)
    read = readings(monkeypatch)
    second = made()
    second.open([folder])
    assert read == [str(path)]
    assert second.snapshot.result == scan(folder)
    assert second.snapshot.result != first.snapshot.result
    first.open([folder])
    assert first.snapshot.result == second.snapshot.result


def test_a_stamp_not_older_than_the_index_counts_for_nothing(folder: Path, made: Any) -> None:
    first = saved(made(), folder)
    index = first.index_file
    assert index is not None
    os.utime(index, ns=(1_000_000_005 * 10**9,) * 2)
    found = persist.read(index, first.model)
    assert found is not None
    unsure = sorted(path for path, file in found.files.items() if file.stamp is None)
    assert unsure == sorted(p for p in first.snapshot.paths if Path(p).stat().st_mtime >= 1_000_000_005)
    assert 0 < len(unsure) < len(FILES)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:],
        lambda content: b"SQLite format 3\0" + content,
        lambda content: b"polyclone index\n",
    ],
    ids=["empty", "short", "half", "one bit", "foreign", "heading"],
)
def test_a_damaged_index_is_made_anew(
    damage: Callable[[bytes], bytes], folder: Path, made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    index = saved(made(), folder).index_file
    assert index is not None
    index.write_bytes(damage(index.read_bytes()))
    second = made()
    second.open([folder])
    assert "made anew" in caplog.text
    assert second.snapshot.result == scan(folder)
    second.save()
    assert persist.read(index, second.model) is not None


@pytest.mark.parametrize("what", ["FORMAT", "EXTRACTOR_VERSION", "NORMALISER_VERSION"])
def test_an_index_of_another_version_is_made_anew(
    what: str, folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = saved(made(), folder)
    here = persist.index_file(folder, [folder], first.model)
    monkeypatch.setattr(persist, what, 99)
    assert persist.index_file(folder, [folder], first.model) != here
    assert first.index_file is not None
    assert persist.read(first.index_file, first.model) is None
    assert "another version" in caplog.text


def test_an_index_that_does_not_fit_together_is_made_anew(
    folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = saved(made(), folder)
    assert first.index_file is not None
    found = persist.read(first.index_file, first.model)
    assert found is not None
    lacking = dataclasses.replace(found, files=dict(list(found.files.items())[1:]))
    monkeypatch.setattr(persist, "read", lambda *_: lacking)
    second = made()
    second.open([folder])
    assert "do not belong together" in caplog.text
    assert second.snapshot.result == scan(folder)


def test_an_index_is_replaced_whole_or_not_at_all(
    folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    space = saved(made(), folder)
    assert space.index_file is not None
    before = space.index_file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    space.apply({str(folder / "go/voyage.go"): None})
    space.save()
    assert "No space left" in caplog.text
    assert space.index_file.read_bytes() == before
    assert list(space.index_file.parent.iterdir()) == [space.index_file]


def test_indices_out_of_use_are_removed(folder: Path, made: Any) -> None:
    cache = folder.parent / "indices"
    cache.mkdir()
    old, young, other = (cache / name for name in ("index-0123.bin", "index-4567.bin", "cache.sqlite3"))
    for path in (old, young, other):
        path.write_bytes(b"x")
    settle(old)
    settle(other)
    space = made()
    space.index_file = persist.index_file(cache, [folder], space.model)
    saved(space, folder)
    assert set(cache.iterdir()) == {young, other, space.index_file}


def test_verdicts_of_what_was_typed_are_forgotten_in_the_end(
    folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyclone import holdings

    monkeypatch.setattr(holdings, "_REMEMBERED", 0)
    space = made()
    space.open([folder])
    path = str(folder / "python/voyage.py")
    kept = []
    for k in range(300):
        space.apply({path: text_of(folder, "python/voyage.py", "middle + 1", f"middle + {k + 2}")})
        kept.append(len(space._holdings.judge.known))
    assert max(kept) <= 2 * len(space._holdings._pairs) + 10
    space.apply({path: ON_DISK})
    assert space.snapshot.result == scan(folder)


def test_other_options_use_the_same_index(folder: Path, made: Any, counting: tuple[Any, CountingEncoder]) -> None:
    model, encoder = counting
    saved(made(model), folder)
    encoder.units.clear()
    other = Options(
        min_probability=0.9,
        same_language=True,
        discover=DiscoverOptions(languages=frozenset({"go", "java"})),
    )
    second = made(model, options=other)
    seen: list[Snapshot] = []
    second.open([folder], publish=lambda snapshot, _: seen.append(snapshot))
    assert encoder.units == []
    assert {f.language for s in seen for p in s.paths for f in s.functions_in(p)} == {"go", "java"}
    assert second.snapshot.result == scan(folder, other)


# --- processes ---


def children() -> list[int]:
    """The running children of this process, by way of /proc; skips the test where there is none."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not listed.exists():
        pytest.skip("needs Linux's /proc")
    return [int(pid) for pid in listed.read_text("ascii").split()]


def test_parsing_happens_in_a_process_that_stays_and_may_die(folder: Path, made: Any) -> None:
    before = set(children())
    space = made(isolate=True)
    space.open([folder])
    (worker,) = set(children()) - before
    path = str(folder / "go/voyage.go")
    space.apply({path: text_of(folder, "go/voyage.go", "middle + 1", "middle + 7")})
    assert set(children()) - before == {worker}
    os.kill(worker, signal.SIGKILL)
    space.apply({path: text_of(folder, "go/voyage.go", "middle + 1", "middle + 8")})
    assert space.snapshot.failures == ()
    assert len(space.snapshot.functions_in(path)) == FUNCTIONS_A_FILE
    (other,) = set(children()) - before
    assert other != worker
    space.close()
    assert set(children()) == before


def test_a_file_that_hangs_harms_no_other(
    folder: Path, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hanging_extractor.py").write_text(
        "import time\n"
        "from polyclone.extract import extract as real\n"
        "def extract(source, language, path, *, deadline_s=None):\n"
        "    if b'hang' in source:\n"
        "        time.sleep(600)\n"
        "    return real(source, language, path, deadline_s=deadline_s)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(parsing_pool, "GRACE_S", 0.1)
    original = parsing_pool.Pool.__init__
    extractor = "hanging_extractor:extract"
    monkeypatch.setattr(
        parsing_pool.Pool, "__init__", lambda self, size, limit, _: original(self, size, limit, extractor)
    )
    space = made(isolate=True, options=Options(parse_timeout_s=1.0))
    space.open([folder])
    path = str(folder / "go/voyage.go")
    other = str(folder / "go/ticket.go")
    space.apply({path: Content(source=b"package hang\n", language="go"), other: text_of(folder, "go/ticket.go")})
    assert [(f.path, f.stage) for f in space.snapshot.failures] == [(path, "parse")]
    assert len(space.snapshot.functions_in(other)) == FUNCTIONS_A_FILE
    space.apply({path: ON_DISK})
    assert space.snapshot.result == scan(folder)


def test_failures_to_read_are_told_and_tried_again(folder: Path, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    space = made()
    path = folder / "go/voyage.go"
    original = parsing._read

    def unreadable(file: Any, *rest: Any) -> Any:
        job = original(file, *rest)
        if file.path == str(path):
            job.extraction = Extraction(failures=parsing_pool.failed(file, "read", "cannot be read: no").failures)
        return job

    with monkeypatch.context() as patch:
        patch.setattr(parsing, "_read", unreadable)
        space.open([folder])
    assert [f.path for f in space.snapshot.failures] == [str(path)]
    space.open([folder])
    assert space.snapshot.failures == ()
    assert space.snapshot.result == scan(folder)


def test_absolute_paths_are_those_of_the_files(folder: Path) -> None:
    from polyclone.discover import discover

    found = discover([folder])
    named = absolute(found)
    assert [f.path for f in named.files] == sorted(f.location for f in found.files)
    assert named.root == ""
