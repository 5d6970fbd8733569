"""How fast a scan is, cold and warm, what memory it takes, and how both grow with the number of functions.

    python benchmarks/scan.py --workspace DIR [--growth 1000,10000,100000]

Every scan runs in a process of its own, with a cache of its own; the figures of a table are of one run.
For growth, copies of the workspace's files with other names are scanned with a hashing encoder in place of the
model, so that the table shows reading, search, judging and grouping; encoding is linear, and its rate stands
in the first table. The published rate of the nearest rival, on four cores, is 2.6 functions a second.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PUBLISHED_RIVAL = 2.6


def measure_encoder(workspace: Path, count: int, threads: int) -> dict[str, float]:
    """Functions a second of the encoder alone, on real functions of judgeable size."""
    from polyclone import Workspace, load_model

    model = load_model(threads=threads)
    space = Workspace(model)
    space.open([workspace])
    units = [f.normalised for f in space.functions if space.judgeable(f)]
    units = units[:: max(1, len(units) // count)][:count]
    model.encode_normalised(units[:2])
    started = time.perf_counter()
    model.encode_normalised(units)
    elapsed = time.perf_counter() - started
    return {"functions": len(units), "elapsed_s": elapsed, "functions_per_s": len(units) / elapsed}


def measure_scan(workspace: Path, cache: str, jobs: int) -> dict[str, float]:
    """One whole scan, as the command line does it."""
    from polyclone import load_model, scan
    from polyclone.store import open_store

    started = time.perf_counter()
    store = open_store(Path(cache), warn=lambda message: print(message, file=sys.stderr))
    result = scan([workspace], model=load_model(threads=jobs), store=store, jobs=jobs)
    return {
        "files": result.files,
        "functions": result.functions,
        "judged": result.functions - result.too_small,
        "matches": len(result.matches),
        "elapsed_s": time.perf_counter() - started,
    }


def measure_growth(workspace: Path, count: int, jobs: int) -> dict[str, float]:
    """A scan of `count` judgeable functions with a hashing encoder: everything but the model."""
    from polyclone import load_model
    from polyclone.encode.hashing import HashingEncoder
    from polyclone.workspace import Options, Workspace

    model = load_model()
    model.encoder = HashingEncoder(model.info.dimension)
    with tempfile.TemporaryDirectory() as folder:
        _multiply(workspace, Path(folder), count, model)
        space = Workspace(model, options=Options(jobs=jobs))
        stamps: dict[str, float] = {}
        started = time.perf_counter()
        space.open([folder])
        stamps["read_s"] = time.perf_counter() - started

        def report(progress: object) -> None:
            stage, done, total = progress  # type: ignore[misc]
            if done == total:
                stamps[stage] = time.perf_counter() - started

        result = space.result(report)
    elapsed = time.perf_counter() - started
    return {
        "judged": result.functions - result.too_small,
        "read_s": stamps["read_s"],
        "search_s": stamps["search"] - stamps["encode"],
        "judge_and_group_s": elapsed - stamps["search"],
        "matches": len(result.matches),
    }


def _multiply(workspace: Path, folder: Path, count: int, model: object) -> None:
    """Copies of the workspace's files, with a suffix on every long identifier, until there are enough functions."""
    from polyclone.workspace import Workspace

    space = Workspace(model)  # type: ignore[arg-type]
    space.open([workspace])
    judgeable = {path: sum(map(space.judgeable, space.functions_in(path))) for path in space.paths}
    held = copy = 0
    while held < count:
        for path in space.paths:
            if held >= count:
                return
            source = (Path(space.root) / path).read_bytes()
            renamed = re.sub(rb"\b([A-Za-z_]{7,})\b", rb"\g<1>%s" % _letters(copy), source) if copy else source
            target = folder / str(copy) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(renamed)
            held += judgeable[path]
        copy += 1
        if not any(judgeable.values()):
            raise SystemExit(f"{workspace} holds no function of judgeable size")


def _letters(number: int) -> bytes:
    return b"Copy" + bytes(97 + int(digit) for digit in str(number))


def run(task: list[str]) -> dict[str, float]:
    """Runs one measurement in a process of its own; adds its peak memory."""
    done = subprocess.run([sys.executable, __file__, "--task", *task], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(__file__).parent.parent / "examples")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, default=1000, help="functions for the encoder alone")
    parser.add_argument("--growth", default="1000,10000", help="numbers of functions, by commas; empty for none")
    parser.add_argument("--task", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        _task(options.task)
        return
    jobs, workspace = str(options.jobs), str(options.workspace)
    encoder = run(["encoder", workspace, str(options.sample), jobs])
    with tempfile.TemporaryDirectory() as cache:
        cold = run(["scan", workspace, cache, jobs])
        warm = run(["scan", workspace, cache, jobs])
    print(f"{workspace}: {cold['files']:,} files, {cold['functions']:,} functions, {cold['judged']:,} large enough\n")
    print("| what | seconds | functions/s | against the published 2.6/s | peak memory, MB |\n|---|---|---|---|---|")
    rate = encoder["functions_per_s"]
    print(f"| encoder alone ({encoder['functions']:.0f} functions) | {encoder['elapsed_s']:.1f} | {rate:.0f} |"
          f" {rate / PUBLISHED_RIVAL:.0f}× | {encoder['peak_mb']:.0f} |")  # fmt: skip
    for name, row in (("scan, cold", cold), ("scan, warm", warm)):
        rate = row["functions"] / row["elapsed_s"]
        print(
            f"| {name} | {row['elapsed_s']:.1f} | {rate:.0f} | {rate / PUBLISHED_RIVAL:.0f}× | {row['peak_mb']:.0f} |"
        )
    sizes = [size for size in options.growth.split(",") if size]
    if sizes:
        print("\n| functions judged | read, s | search, s | judge and group, s | peak memory, MB |")
        print("|---|---|---|---|---|")
    for size in sizes:
        row = run(["growth", workspace, size, jobs])
        print(f"| {row['judged']:,} | {row['read_s']:.1f} | {row['search_s']:.1f} | {row['judge_and_group_s']:.1f} |"
              f" {row['peak_mb']:.0f} |", flush=True)  # fmt: skip


def _task(task: list[str]) -> None:
    name, workspace, argument, jobs = task
    if name == "encoder":
        row = measure_encoder(Path(workspace), int(argument), int(jobs))
    elif name == "scan":
        row = measure_scan(Path(workspace), argument, int(jobs))
    else:
        row = measure_growth(Path(workspace), int(argument), int(jobs))
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({**row, "peak_mb": max(own, children) / 1024}))


if __name__ == "__main__":
    main()
