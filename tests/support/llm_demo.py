"""The whole walk of docs/distillation.md on small models, as one program.

CodeNet-layout folder → pairs → a scripted teacher's traces → for a small Qwen2 and a small Phi-3: generate, binary
and contrastive students → one table. Every step is the command a user types, and is printed before it runs; what
is there already is not made again, so an interrupted walk goes on where it ended.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shlex
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.llm_corpus import EXTENSIONS, metadata, write_codenet, write_metadata

ARCHITECTURES = ("qwen2", "phi3")
RUNS = (
    ("qwen2", "generate"),
    ("phi3", "generate"),
    ("qwen2", "binary-joint"),
    ("qwen2", "binary"),
    ("phi3", "binary"),
    ("qwen2", "contrastive"),
    ("phi3", "contrastive"),
)
"""Rows of the tables. The paper's joint prompt is shown on one architecture: it learns little at this size."""
SETS = ("python-java-same-balanced", "rust-java-same-balanced")
SHIFTED = ("python-java-shifted-balanced",)
"""Heads alone are judged on these too."""


@dataclass(frozen=True)
class Size:
    """How much of everything. The defaults take some 1,300 s of CPU."""

    problems: int = 1500
    per_problem: int = 3
    train: int = 1600
    valid: int = 400
    test: int = 400
    judged: int = 96
    """Pairs of a set that the generate students answer."""
    traces: int = 240
    vocabulary: int = 6144
    hidden: int = 160
    layers: int = 3
    steps: int = 150


TINY = Size(
    problems=240, train=96, valid=24, test=24, judged=8, traces=40, vocabulary=600, hidden=32, layers=1, steps=4
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tasks", type=Path, metavar="PARQUET", help="programs to use instead of made-up ones")
    parser.add_argument("--tiny", action="store_true", help="everything so small that it only shows that it runs")
    options = parser.parse_args()
    size = TINY if options.tiny else Size()
    started = time.monotonic()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    corpus(out / "codenet", options.tasks, size)
    pairs(out, size)
    traces(out, size)
    # One thread each: on a machine with two cores both architectures train at a time.
    with ThreadPoolExecutor(min(len(ARCHITECTURES), os.cpu_count() or 1)) as pool:
        for made in [pool.submit(students, out, architecture, size) for architecture in ARCHITECTURES]:
            made.result()
    tables(out, size)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nDone in {time.monotonic() - started:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU.")
    print(f"Tables: {out / 'table' / 'table.md'}, {out / 'heads' / 'table.md'}")
    return 0


class StepError(Exception):
    """A step failed; its own output says why."""


def distil(*arguments: object) -> None:
    """Effect: runs `polyclone-distill …` and prints the command, what it said and how long it took."""
    words = [str(argument) for argument in arguments]
    started = time.monotonic()
    code = "import sys; from polyclone_distill.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    taken = time.monotonic() - started
    print(f"\n$ polyclone-distill {shlex.join(words)}\n{done.stdout.rstrip()}\n[{taken:.0f} s]", flush=True)
    if done.returncode:
        raise StepError(f"the step failed ({done.returncode}); the same command goes on from here.")


def corpus(root: Path, tasks: Path | None, size: Size) -> None:
    """Effect: a folder in CodeNet's layout, of the programs of a parquet file or of made-up ones."""
    if (root / "metadata" / "problem_list.csv").exists():
        return
    if tasks is None:
        write_codenet(root, size.problems // 3, solvers=size.per_problem)
    else:
        codenet_of_tasks(root, tasks, size.problems, size.per_problem)
    print(f"{root}: {sum(1 for _ in (root / 'data').rglob('s*.*')):,} programs")


def codenet_of_tasks(root: Path, tasks: Path, problems: int, per_problem: int) -> None:
    """Tasks with solutions in Python and Java, as problems; those with Rust or Ruby too come first.

    Tasks that titles or programs show to be the same become one problem.
    """
    from polyclone_distill.pairs.programs import prepare_programs
    from polyclone_distill.pairs.tasks import read_tasks

    everything = read_tasks(tasks, languages=sorted(EXTENSIONS))
    solved: defaultdict[str, Counter[str]] = defaultdict(Counter)
    some = []
    for row in everything.submissions:
        solved[row.problem][row.language] += 1
        if solved[row.problem][row.language] <= per_problem:
            some.append(row)
    both = [name for name, languages in solved.items() if {"python", "java"} <= languages.keys()]
    chosen = set(sorted(both, key=lambda name: (-len(solved[name]), name))[:problems])
    few = tuple(row for row in some if row.problem in chosen)
    found = prepare_programs(replace(everything, submissions=few), shifted_share=0)
    groups: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for program in found.accepted:
        groups[program.cluster][program.submission.language].append(program.submission.code)
    clusters = sorted(groups)
    number = 0
    for position, cluster in enumerate(clusters):
        problem = f"p{position:05d}"
        rows = []
        for language, codes in sorted(groups[cluster].items()):
            folder, extension = EXTENSIONS[language]
            for code in codes:
                number += 1
                name = f"s{number:09d}"
                path = root / "data" / problem / folder / f"{name}.{extension}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(code, "utf-8", errors="replace")
                rows.append(metadata(name, problem, folder, extension, "Accepted"))
        write_metadata(root, problem, rows)
    with (root / "metadata" / "problem_list.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("id", "name", "dataset", "time_limit", "memory_limit", "rating", "tags", "complexity"))
        for position, cluster in enumerate(clusters):
            judge = cluster.partition("/")[0]
            table.writerow((f"p{position:05d}", cluster, judge, "", "", "", "", ""))


def pairs(out: Path, size: Size) -> None:
    if not (out / "pairs" / "pairs.json").exists():
        distil("pairs", "--codenet", out / "codenet", "--out", out / "pairs", "--train-pairs", size.train,
               "--valid-pairs", size.valid, "--test-pairs", size.test, "--per-problem-language", size.per_problem,
               "--prevalence", 0.05)  # fmt: skip


def traces(out: Path, size: Size) -> None:
    """Effect: a teacher runs beside the step and is stopped after it."""
    if (out / "traces" / "report.json").exists():
        return
    out.joinpath("traces").mkdir(exist_ok=True)
    address = out / "traces" / "address"
    address.unlink(missing_ok=True)
    script = Path(__file__).with_name("llm_teacher.py")
    train = out / "pairs" / "train.jsonl"
    teacher = subprocess.Popen([sys.executable, str(script), str(train), "--port-file", str(address)])
    try:
        while not address.exists() or not address.read_text("utf-8"):
            if teacher.poll() is not None:
                raise StepError("the teacher did not start.")
            time.sleep(0.05)
        distil("traces", "--pairs", train, "--out", out / "traces", "--base-url", address.read_text("utf-8"),
               "--model", "scripted-teacher", "--limit", size.traces, "--per-minute", 60_000, "--asks", 2,
               "--price-prompt", 0.55, "--price-completion", 2.19, "--budget", 20)  # fmt: skip
    finally:
        teacher.terminate()
        teacher.wait()


def students(out: Path, architecture: str, size: Size) -> None:
    """Effect: one small model and its runs."""
    base, data = out / f"{architecture}-small", out / "pairs"
    train, valid, written = data / "train.jsonl", data / "valid.jsonl", out / "traces" / "traces.jsonl"
    if not (base / "config.json").exists():
        distil("small-llm", "--architecture", architecture, "--pairs", train, "--traces", written, "--out", base,
               "--vocabulary", size.vocabulary, "--hidden", size.hidden, "--layers", size.layers,
               "--steps", size.steps, "--threads", 1)  # fmt: skip
    common = ("--student", base, "--pairs", train, "--valid", valid, "--tokens-per-side", 96, "--batch", 16,
              "--learning-rate", 2e-3, "--threads", 1, "--save-every", 25)  # fmt: skip
    runs = {
        "generate": ("generate", "--traces", written, "--limit", size.traces, "--epochs", 6, "--answer-tokens", 192),
        "binary-joint": ("binary", "--layout", "joint", "--epochs", 1),
        "binary": ("binary", "--layout", "sides", "--epochs", 1),
        "contrastive": ("contrastive", "--epochs", 1),
    }
    for name, (head, *more) in runs.items():
        if (architecture, name) not in RUNS:
            continue
        run = out / f"{architecture}-{name}"
        if not (run / "run.json").exists():
            distil("train", "llm", "--head", head, "--out", run, *common, *more)


def tables(out: Path, size: Size) -> None:
    """Effect: the table of the paper's shape on few pairs, and the heads on all pairs of the sets."""
    few, all_sets = (
        [path for path in (out / "pairs" / "test" / f"{name}.jsonl" for name in names) if path.exists()]
        for names in (SETS, SETS + SHIFTED)
    )
    named = [f"{architecture} {head}={out / f'{architecture}-{head}'}" for architecture, head in RUNS]
    heads = [run for run, (_, head) in zip(named, RUNS, strict=True) if head != "generate"]
    compare = [
        "--compare", "qwen2 generate: forced conclusion", "qwen2 contrastive: contrastive head",
        "--compare", "qwen2 contrastive: contrastive head", "TF-IDF",
    ]  # fmt: skip
    common = ("--valid", out / "pairs" / "valid.jsonl", "--threads", 1)
    distil("evaluate", "xccd", "--runs", *named, "--pairs", *few, *common, "--limit", size.judged,
           "--new-tokens", 192, "--out", out / "table", *compare)  # fmt: skip
    distil("evaluate", "xccd", "--runs", *heads, "--pairs", *all_sets, *common, "--out", out / "heads", *compare[3:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StepError as error:
        sys.exit(str(error))
