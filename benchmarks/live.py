"""What it costs to follow a workspace: an edit against a scan, the second start against the first, and memory.

    python benchmarks/live.py --workspace DIR [--workspace DIR …] [--cache DIR] [--edits 40]

The workspaces are indexed together, in one process; each edit changes one function of a file, as typing does. The
cache may be given, so that a run after the first one need not encode everything again. Ratios are what to compare:
seconds are those of one machine on one day.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles


def resident_mb() -> float:
    """Resident memory of this process in MB; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS")) / 1024


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and seconds of this process's own work."""
    started, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - worked


def measure(workspaces: list[str], cache: str, edits: int) -> dict[str, float]:
    """One process's life: opening, edits, saving. `first_s` is the time to the first snapshot with a finding."""
    began = time.perf_counter()
    from polyclone import load_model
    from polyclone.live import LiveWorkspace, Snapshot
    from polyclone.persist import index_file
    from polyclone.store import open_store
    from polyclone.workspace import Options

    model = load_model()
    store = open_store(Path(cache), warn=lambda message: print(message, file=sys.stderr))
    index = index_file(Path(cache), workspaces, model)
    row: dict[str, float] = {"loaded_s": time.perf_counter() - began}

    def note(snapshot: Snapshot, _: frozenset[str]) -> None:
        if snapshot.pairs:
            row.setdefault("first_s", time.perf_counter() - began)

    with LiveWorkspace(model, options=Options(), store=store, index_file=index) as live:
        row["warm"] = float(index.exists())
        live.open(workspaces, publish=note)
        row["opened_s"] = time.perf_counter() - began
        row["functions"], row["pairs"] = live.snapshot.functions, live.snapshot.pairs
        if edits:
            row |= measure_edits(live, edits)
            row["edited_mb"] = resident_mb()
            row["result_s"], _ = timed(lambda: live.snapshot.result)
        row["save_s"], _ = timed(live.save)
        row["resident_mb"] = resident_mb()
    return row


def measure_edits(live: object, edits: int) -> dict[str, float]:
    """Milliseconds of `apply` for an edit within one function, of its encoding alone, and of making a snapshot."""
    from polyclone.caching import encode_cached
    from polyclone.live import Content, LiveWorkspace
    from polyclone.store import NullStore

    assert isinstance(live, LiveWorkspace)
    chance = random.Random(1)
    paths = [p for p in live.snapshot.paths if any(map(live.judgeable, live.snapshot.functions_in(p)))]
    total, encoding, photographs, questions = [], [], [], []
    live.apply({paths[0]: Content(source=Path(paths[0]).read_bytes())})  # The parser is running from here on.
    for number in range(edits):
        path = chance.choice(paths)
        function = chance.choice([f for f in live.snapshot.functions_in(path) if live.judgeable(f)])
        lines = Path(path).read_bytes().split(b"\n")
        line0 = min(function.body_span.start_line0 + 1, function.body_span.end_line0)
        live.apply({path: Content(source=b"\n".join(lines))})
        lines.insert(line0, b"  counted%d = measured(%d);" % (number, number))
        before = set(live.snapshot.files[path].digests)
        changes = {path: Content(source=b"\n".join(lines))}
        total.append(timed(lambda: live.apply(changes)))  # noqa: B023
        held = live.snapshot.files[path]
        new = [f for f, d in zip(held.functions, held.digests, strict=True) if d not in before and live.judgeable(f)]
        encoder, store = live.model.encoder, NullStore()
        encoding.append(timed(lambda: encode_cached(new, encoder, "", store)))  # noqa: B023
        photographs.append(timed(live.photograph))
        questions.append(timed(lambda: live.snapshot.matches_in(path)))  # noqa: B023
    rest = [(a[0] - b[0], a[1] - b[1]) for a, b in zip(total, encoding, strict=True)]
    row: dict[str, float] = {}
    named = (
        ("edit", total),
        ("encoding", encoding),
        ("rest", rest),
        ("snapshot", photographs),
        ("matches_in", questions),
    )
    for name, pairs in named:
        clock, work = ([1000 * value for value in column] for column in zip(*pairs, strict=True))
        row |= {f"{name}_ms": median(clock), f"{name}_p95_ms": quantiles(clock, n=20)[-1]}
        row |= {f"{name}_cpu_ms": median(work), f"{name}_cpu_p95_ms": quantiles(work, n=20)[-1]}
    return row


def measure_rescan(workspaces: list[str], cache: str) -> dict[str, float]:
    """A scan of the same content with a warm cache, as the command line does it."""
    from polyclone import load_model, scan
    from polyclone.store import open_store

    store = open_store(Path(cache), warn=lambda message: print(message, file=sys.stderr))
    clock, work = timed(lambda: scan(workspaces, model=load_model(), store=store, jobs=1))
    return {"rescan_s": clock, "rescan_cpu_s": work}


def run(task: dict[str, object]) -> dict[str, float]:
    """One measurement in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--task", json.dumps(task)], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", action="append", help="a folder; may be given several times")
    parser.add_argument("--cache", help="a folder that is kept; without it, everything is encoded anew")
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        task = json.loads(options.task)
        print(json.dumps(measure_rescan(**task) if "edits" not in task else measure(**task)))
        return
    workspaces = options.workspace or [str(Path(__file__).parent.parent / "examples")]
    with tempfile.TemporaryDirectory() as folder:
        task = {"workspaces": workspaces, "cache": options.cache or folder}
        first = run({**task, "edits": 0})
        second = run({**task, "edits": options.edits})
        third = run({**task, "edits": 0})
        scan = run(task)
    print(f"{second['functions']:,.0f} functions, {second['pairs']:,.0f} pairs; the first start was"
          f" {'warm' if first['warm'] else 'cold'}\n")  # fmt: skip
    print("| start | model, s | first finding, s | complete, s | save, s | resident, MB |\n|---|---|---|---|---|---|")
    for name, row in (("first", first), ("second", third)):
        print(f"| {name} | {row['loaded_s']:.2f} | {row.get('first_s', float('nan')):.2f} | {row['opened_s']:.2f} |"
              f" {row['save_s']:.2f} | {row['resident_mb']:.0f} |")  # fmt: skip
    print(
        "\n| an edit of one function | median, ms | 95 %, ms | CPU median, ms | CPU 95 %, ms |\n|---|---|---|---|---|"
    )
    names = {"edit": "all of it", "encoding": "its encoding", "rest": "the rest", "snapshot": "of that, the snapshot"}
    for key, name in {**names, "matches_in": "asking for the file's findings"}.items():
        values = " | ".join(f"{second[f'{key}_{part}']:.1f}" for part in ("ms", "p95_ms", "cpu_ms", "cpu_p95_ms"))
        print(f"| {name} | {values} |")
    print(f"\nA scan with a warm cache takes {scan['rescan_s']:.1f} s ({scan['rescan_cpu_s']:.1f} s of CPU),"
          f" {1000 * scan['rescan_s'] / second['edit_ms']:,.0f} times an edit; the groups of a snapshot take"
          f" {second['result_s']:.2f} s, when asked for. Resident after the edits: {second['edited_mb']:.0f} MB,"
          f" after the groups {second['resident_mb']:.0f} MB.")  # fmt: skip


if __name__ == "__main__":
    main()
