"""Real processes in real trouble: killed, short of space, with damaged files. The next run is always right."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import resource
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from polyclone.artifact import BACKGROUND, ENCODER, LEXICON, MANIFEST
from polyclone.normalise import NORMALISER_VERSION
from polyclone.store import FILE_NAME
from support import doomed
from support.bundles import tiny_bundle, zipped
from support.polyglot import FUNCTIONS_A_FILE, SUBJECTS, write_workspace

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills, limits and mounts of Linux")

FILES = 4 * len(SUBJECTS)
FUNCTIONS = FUNCTIONS_A_FILE * FILES
#: What is written at once: 64 files' functions, 256 functions' vectors.
FILES_A_BATCH, VECTORS_A_BATCH = 64, 256
SECONDS = 120

Scan = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough files and functions that each of the two kinds of results is written in more than one batch."""
    assert FILES_A_BATCH < FILES < 2 * FILES_A_BATCH
    assert VECTORS_A_BATCH < FUNCTIONS < 2 * VECTORS_A_BATCH
    return write_workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def arguments(workspace: Path, bundle: Path) -> list[str]:
    return ["scan", str(workspace), "--format", "json", "--model", str(bundle), "--jobs", "1"]


def environment(cache: Path) -> dict[str, str]:
    # The linear algebra library would start threads that wait by spinning.
    return {**os.environ, "POLYCLONE_CACHE_DIR": str(cache), "OPENBLAS_NUM_THREADS": "1"}


def start(command: list[str], cache: Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, env=environment(cache), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )  # type: ignore[call-overload, no-any-return]


def run(arguments: list[str], cache: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """`python -m polyclone` to its end."""
    with start([sys.executable, "-m", "polyclone", *arguments], cache, **options) as process:
        out, err = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def sound(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def expected(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a scan that nothing happens to prints, without a cache."""
    done = run([*arguments, "--no-cache"], tmp_path_factory.mktemp("unused"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert len(found["pairs"]) > 100
    return done.stdout


@pytest.fixture(scope="module")
def filled(arguments: list[str], expected: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete cache; to be copied, not used."""
    folder = tmp_path_factory.mktemp("filled")
    sound(run(arguments, folder), expected)
    assert rows(folder) == {"extraction": FILES, "vector": FUNCTIONS}
    return folder


def rows(cache: Path) -> dict[str, int]:
    """Kind → number of entries. Reads the log as well; the file has to be sound."""
    with closing(sqlite3.connect(cache / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return {}
        return dict(connection.execute("SELECT kind, count(*) FROM blob GROUP BY kind").fetchall())


# --- killed ---


def ended(pid: int) -> bool:
    """Whether a process ends within a few seconds, or has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 20)[0])
    finally:
        os.close(handle)


def kill(moment: str, count: int, arguments: list[str], cache: Path, tmp_path: Path) -> list[int]:
    """Runs a scan that is killed; the ids of its workers at that moment."""
    pids = tmp_path / "workers"
    with start([sys.executable, doomed.__file__, moment, str(count), str(pids), *arguments], cache) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == -signal.SIGKILL, err
    assert out == ""
    return list(map(int, pids.read_text("ascii").split()))


@pytest.mark.parametrize(
    ("moment", "count", "kept"),
    [
        ("open", 1, {}),
        ("parse", FILES_A_BATCH - 1, {}),
        ("insert", 1, {}),
        ("commit", 1, {"extraction": FILES_A_BATCH}),
        ("insert", 2, {"extraction": FILES_A_BATCH}),
        ("insert", 3, {"extraction": FILES}),
        ("commit", 3, {"extraction": FILES, "vector": VECTORS_A_BATCH}),
        ("insert", 4, {"extraction": FILES, "vector": VECTORS_A_BATCH}),
        ("search", 1, {"extraction": FILES, "vector": FUNCTIONS}),
        ("emit", 1, {"extraction": FILES, "vector": FUNCTIONS}),
    ],
)
def test_a_killed_scan_loses_at_most_a_batch(
    moment: str,
    count: int,
    kept: dict[str, int],
    arguments: list[str],
    expected: str,
    cache: Path,
    tmp_path: Path,
) -> None:
    kill(moment, count, arguments, cache, tmp_path)
    shutil.copytree(cache, tmp_path / "copy")  # Looking at the log would tidy it up.
    assert rows(tmp_path / "copy") == kept
    done = run(arguments, cache)
    sound(done, expected)
    assert done.stderr == ""
    assert rows(cache) == {"extraction": FILES, "vector": FUNCTIONS}


def test_killed_again_and_again_it_gets_there(
    arguments: list[str], expected: str, cache: Path, tmp_path: Path
) -> None:
    previous = 0
    for moment in ("commit", "insert", "commit"):
        kill(moment, 1, arguments, cache, tmp_path)
        now = sum(rows(cache).values())
        assert now >= previous
        previous = now
    sound(run(arguments, cache), expected)


def test_the_workers_of_a_killed_scan_end(arguments: list[str], expected: str, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for number in range(40):  # Enough source that workers are worth their while.
        text = "".join(f"def f{n}_{number}(a, b):\n    return a * {n} + b\n\n\n" for n in range(400))
        (tmp_path / f"more/m{number}.py").write_text(text)
    both = [*arguments[:2], str(tmp_path / "more"), *arguments[2:-1], "2"]
    pids = kill("parse", 2, both, cache, tmp_path)
    assert pids
    assert all(map(ended, pids))
    sound(run(arguments, cache), expected)


# --- damaged caches ---


def garble(file: Path) -> None:
    file.write_bytes(hashlib.shake_256(b"noise").digest(file.stat().st_size))


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 - 100)


def overwrite_pages(file: Path) -> None:
    """The header stays; what follows it makes no sense."""
    content = file.read_bytes()
    file.write_bytes(content[:4096] + hashlib.shake_256(b"noise").digest(len(content) - 4096))


def change_values(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE blob SET value = zeroblob(length(value))")


def drop_the_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE blob")


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [garble, cut_off, overwrite_pages, change_values, drop_the_table, empty])
def test_a_damaged_cache_changes_no_finding(
    damage: Callable[[Path], None], arguments: list[str], expected: str, filled: Path, cache: Path
) -> None:
    shutil.copytree(filled, cache)
    damage(cache / FILE_NAME)
    sound(run(arguments, cache), expected)
    assert rows(cache) == {"extraction": FILES, "vector": FUNCTIONS}


def test_damage_is_told_and_the_file_kept(arguments: list[str], expected: str, filled: Path, cache: Path) -> None:
    shutil.copytree(filled, cache)
    garble(cache / FILE_NAME)
    noise = (cache / FILE_NAME).read_bytes()
    done = run(arguments, cache)
    sound(done, expected)
    (line,) = done.stderr.splitlines()
    assert line.startswith("polyclone: warning: the cache ")
    assert "was moved to cache.sqlite3.corrupt-1" in line
    assert (cache / f"{FILE_NAME}.corrupt-1").read_bytes() == noise
    again = run(arguments, cache)
    sound(again, expected)
    assert again.stderr == ""  # It is told once.


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')", "a database of another program"),
        ("PRAGMA application_id = 1347175217; PRAGMA user_version = 99", "written by a newer version of polyclone"),
    ],
    ids=["another program", "newer version"],
)
def test_the_database_of_another_is_not_touched(
    script: str, message: str, arguments: list[str], expected: str, cache: Path
) -> None:
    cache.mkdir()
    with closing(sqlite3.connect(cache / FILE_NAME)) as connection:
        connection.executescript(script)
    before = (cache / FILE_NAME).read_bytes()
    done = run(arguments, cache)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("polyclone: error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (cache / FILE_NAME).read_bytes() == before
    assert [path.name for path in cache.iterdir()] == [FILE_NAME]
    sound(run([*arguments, "--no-cache"], cache), expected)


def test_a_cache_folder_that_is_a_file(arguments: list[str], expected: str, cache: Path) -> None:
    cache.write_text("in the way")
    done = run(arguments, cache)
    sound(done, expected)
    assert "going on without keeping results" in done.stderr
    assert cache.read_text() == "in the way"


# --- damaged models ---


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: flip(folder / ENCODER), "encoder.onnx has digest"),
        (lambda folder: (folder / LEXICON).unlink(), "lexicon.tsv is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "manifest.json is not valid"),
        (lambda folder: (folder / MANIFEST).unlink(), "is no model bundle"),
        (lambda folder: flip(folder / BACKGROUND), "background.npy has digest"),
    ],
    ids=["digest", "missing", "manifest", "no bundle", "background"],
)
def test_a_damaged_model_is_never_a_clean_scan(
    spoil: Callable[[Path], None], message: str, arguments: list[str], cache: Path, tmp_path: Path
) -> None:
    folder = tiny_bundle(tmp_path)
    spoil(folder)
    done = run([*arguments, "--model", str(folder)], cache)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("polyclone: error: ")
    assert message in line


@pytest.mark.parametrize("version", [NORMALISER_VERSION - 1, NORMALISER_VERSION + 1])
def test_a_model_for_another_normaliser_says_what_to_do(
    version: int, arguments: list[str], cache: Path, tmp_path: Path
) -> None:
    folder = tiny_bundle(tmp_path, normaliser_version=version)
    done = run([*arguments, "--model", str(folder)], cache)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"was trained with normaliser version {version}" in done.stderr
    assert "train and export it again" in done.stderr


def test_a_zipped_model_finds_the_same(
    arguments: list[str], expected: str, filled: Path, cache: Path, tmp_path: Path
) -> None:
    """Its digest is that of the folder, so that even the cache serves."""
    shutil.copytree(filled, cache)
    sound(run([*arguments, "--model", str(zipped(tiny_bundle(tmp_path)))], cache), expected)


# --- no room ---


def limit_files(size: int) -> Callable[[], None]:
    """No file of the process may grow beyond `size` bytes. Python ignores the signal, so that writing fails."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [0, 8_192, 60_000])
def test_a_full_disk_changes_no_finding(size: int, arguments: list[str], expected: str, cache: Path) -> None:
    done = run(arguments, cache, preexec_fn=limit_files(size))
    sound(done, expected)
    assert "going on without keeping results" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if size:
        sound(run(arguments, cache), expected)  # Now with room.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_small_disk_changes_no_finding(arguments: list[str], expected: str, small_disk: Path) -> None:
    for _ in range(2):
        done = run(arguments, small_disk)
        sound(done, expected)
        assert "disk" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_results_that_cannot_be_written_are_an_error(arguments: list[str], cache: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "polyclone", *arguments],
            env=environment(cache),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    done = run([*arguments, "--output", "/dev/full"], cache)
    assert done.returncode == 2
    assert "--output /dev/full: cannot be written" in done.stderr


# --- unreadable ---

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def like_anybody() -> None:
    """Permissions hold for root as well: before a program is started, drop what lets root pass."""
    library = ctypes.CDLL(None)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        library.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.fixture
def unreadable(tmp_path: Path) -> None:
    """Skips where nothing can be made unreadable."""
    locked = tmp_path / "locked.txt"
    locked.write_text("secret")
    locked.chmod(0)
    if subprocess.run(["cat", str(locked)], capture_output=True, preexec_fn=like_anybody).returncode == 0:
        pytest.skip("permissions do not hold here")


@pytest.mark.usefixtures("unreadable")
def test_an_unreadable_folder_and_file_are_reported(
    arguments: list[str], expected: str, cache: Path, tmp_path: Path
) -> None:
    root = write_workspace(tmp_path / "project")
    (root / "locked").mkdir()
    (root / "locked/secret.py").write_text("def secret(): pass\n")
    (root / "python/secret.py").write_text("def secret(): pass\n")
    (root / "locked").chmod(0)
    (root / "python/secret.py").chmod(0)
    try:
        done = run(["scan", str(root), *arguments[2:]], cache, preexec_fn=like_anybody)
    finally:
        (root / "locked").chmod(0o755)
        (root / "python/secret.py").chmod(0o644)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {(failure["path"], failure["stage"]) for failure in found["failures"]} == {
        ("locked", "read"),
        ("python/secret.py", "read"),
    }
    assert found["pairs"] == json.loads(expected)["pairs"]


@pytest.mark.usefixtures("unreadable")
def test_an_unreadable_cache_folder_changes_no_finding(arguments: list[str], expected: str, cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0)
    try:
        done = run(arguments, cache, preexec_fn=like_anybody)
    finally:
        cache.chmod(0o755)
    sound(done, expected)
    assert "going on without keeping results" in done.stderr


# --- two at once ---


def test_two_scans_may_share_a_cold_cache(arguments: list[str], expected: str, cache: Path) -> None:
    command = [sys.executable, "-m", "polyclone", *arguments]
    processes = [start(command, cache) for _ in range(2)]
    try:
        outputs = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    assert [out for out, _ in outputs] == [expected, expected]
    assert [err for _, err in outputs] == ["", ""]
    assert rows(cache) == {"extraction": FILES, "vector": FUNCTIONS}


def test_a_scan_beside_one_that_dies(arguments: list[str], expected: str, cache: Path, tmp_path: Path) -> None:
    with start([sys.executable, "-m", "polyclone", *arguments], cache) as other:
        kill("insert", 1, arguments, cache, tmp_path)
        out, err = other.communicate(timeout=SECONDS)
    assert (other.returncode, err) == (0, "")
    assert out == expected
    sound(run(arguments, cache), expected)


@pytest.mark.parametrize("options", [("--jobs", "2"), ("--no-cache", "--jobs", "2")])
def test_workers_and_caches_change_no_finding(
    options: tuple[str, ...], arguments: list[str], expected: str, filled: Path, cache: Path
) -> None:
    shutil.copytree(filled, cache)
    sound(run([*arguments, *options], cache), expected)
