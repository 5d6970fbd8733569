"""Made-up problems solved in several languages, as pairs, as submissions, and in the layout of Project CodeNet.

Each problem is a chain of steps over a list of numbers; each language writes the chain in its own way, every
solver with names and habits of its own. Enough to learn from, and nobody's work.

Run as a program it writes such a folder: `llm_corpus.py FOLDER --problems N`.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = {"python": ("Python", "py"), "java": ("Java", "java"), "rust": ("Rust", "rs"), "ruby": ("Ruby", "rb")}

#: Step → the same in each language; `{v}` is the element, `{k}` a constant, `{a}` the accumulator.
FILTERS = {
    "even": {"python": "{v} % 2 == 0", "java": "{v} % 2 == 0", "rust": "{v} % 2 == 0", "ruby": "{v}.even?"},
    "above": {"python": "{v} > {k}", "java": "{v} > {k}", "rust": "{v} > {k}", "ruby": "{v} > {k}"},
    "below": {"python": "{v} < {k}", "java": "{v} < {k}", "rust": "{v} < {k}", "ruby": "{v} < {k}"},
    "divisible": {
        "python": "not {v} % {k}",
        "java": "{v} % {k} == 0",
        "rust": "{v} % {k} == 0",
        "ruby": "({v} % {k}).zero?",
    },
    "odd": {"python": "{v} & 1", "java": "({v} & 1) == 1", "rust": "{v} & 1 == 1", "ruby": "{v}.odd?"},
}
MAPS = {
    "square": {"python": "{v} ** 2", "java": "{v} * {v}", "rust": "{v}.pow(2)", "ruby": "{v} ** 2"},
    "scale": {"python": "{v} * {k}", "java": "{v} * {k}", "rust": "{v} * {k}", "ruby": "{v} * {k}"},
    "distance": {
        "python": "abs({v} - {k})",
        "java": "Math.abs({v} - {k})",
        "rust": "({v} - {k}).abs()",
        "ruby": "({v} - {k}).abs",
    },
    "halve": {"python": "{v} // 2", "java": "{v} / 2", "rust": "{v} / 2", "ruby": "{v} / 2"},
    "digits": {
        "python": "len(str({v}))",
        "java": "String.valueOf({v}).length()",
        "rust": "{v}.to_string().len() as i64",
        "ruby": "{v}.to_s.length",
    },
}
FOLDS = {
    "sum": {"python": "{a} + {v}", "java": "{a} + {v}", "rust": "{a} + {v}", "ruby": "{a} + {v}"},
    "largest": {
        "python": "max({a}, {v})",
        "java": "Math.max({a}, {v})",
        "rust": "{a}.max({v})",
        "ruby": "[{a}, {v}].max",
    },
    "remainder": {
        "python": "({a} * {k} + {v}) % 1009",
        "java": "({a} * {k} + {v}) % 1009",
        "rust": "({a} * {k} + {v}) % 1009",
        "ruby": "({a} * {k} + {v}) % 1009",
    },
    "exclusive": {"python": "{a} ^ {v}", "java": "{a} ^ {v}", "rust": "{a} ^ {v}", "ruby": "{a} ^ {v}"},
    "count": {"python": "{a} + 1", "java": "{a} + 1", "rust": "{a} + 1", "ruby": "{a} + 1"},
}
FRAMES = {
    "python": """\
def {f}({xs}):
    {a} = {s}
    for {v} in {xs}:
        if {test}:
            {w} = {step}
            {a} = {fold}
    return {a}


{xs} = [int(word) for word in input().split()]
print({f}({xs}))
""",
    "java": """\
import java.util.*;

public class Main {{
    static long {f}(List<Long> {xs}) {{
        long {a} = {s};
        for (long {v} : {xs}) {{
            if ({test}) {{
                long {w} = {step};
                {a} = {fold};
            }}
        }}
        return {a};
    }}

    public static void main(String[] args) {{
        Scanner in = new Scanner(System.in);
        List<Long> {xs} = new ArrayList<>();
        while (in.hasNextLong()) {{
            {xs}.add(in.nextLong());
        }}
        System.out.println({f}({xs}));
    }}
}}
""",
    "rust": """\
use std::io::Read;

fn {f}({xs}: &[i64]) -> i64 {{
    let mut {a}: i64 = {s};
    for &{v} in {xs} {{
        if {test} {{
            let {w} = {step};
            {a} = {fold};
        }}
    }}
    {a}
}}

fn main() {{
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let {xs}: Vec<i64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    println!("{{}}", {f}(&{xs}));
}}
""",
    "ruby": """\
def {f}({xs})
  {a} = {s}
  {xs}.each do |{v}|
    if {test}
      {w} = {step}
      {a} = {fold}
    end
  end
  {a}
end

{xs} = gets.split.map(&:to_i)
puts {f}({xs})
""",
}
NAMES = {
    "f": ("solve", "compute", "answer", "run", "process"),
    "xs": ("values", "numbers", "items", "data", "rows"),
    "a": ("total", "result", "best", "state", "acc"),
    "v": ("x", "value", "item", "n", "current"),
    "w": ("y", "term", "part", "step", "piece"),
}


@dataclass(frozen=True)
class Problem:
    """A filter, a map and a fold with constants, and where the fold starts."""

    name: str
    test: str
    step: str
    fold: str
    constants: tuple[int, int, int]
    start: int


def problems(count: int, seed: int = 1) -> list[Problem]:
    """Different problems, named as CodeNet names them."""
    rng = random.Random(seed)
    chosen: dict[tuple[object, ...], Problem] = {}
    while len(chosen) < count:
        constants = (rng.randrange(3, 60), rng.randrange(3, 30), rng.randrange(3, 90))
        parts = (rng.choice(list(FILTERS)), rng.choice(list(MAPS)), rng.choice(list(FOLDS)))
        key = (*parts, *constants)
        chosen.setdefault(key, Problem(f"p{len(chosen):05d}", *parts, constants, rng.choice((0, 1, 7))))
    return list(chosen.values())


def solution(problem: Problem, language: str, solver: int, *, wrong: bool = False) -> str:
    """A solver's program; a wrong one mistakes a constant and starts elsewhere."""
    rng = random.Random(f"{problem.name}/{language}/{solver}")
    names = {key: rng.choice(options) for key, options in NAMES.items()}
    off = 1 if wrong else 0
    constants = [k + off for k in problem.constants]

    def write(table: dict[str, dict[str, str]], step: str, value: str, k: int) -> str:
        return table[step][language].format(v=value, a=names["a"], k=k)

    return FRAMES[language].format(
        **names,
        s=problem.start + off,
        test=write(FILTERS, problem.test, names["v"], constants[0]),
        step=write(MAPS, problem.step, names["v"], constants[1]),
        fold=write(FOLDS, problem.fold, names["w"], constants[2]),
    )


def submissions(count: int, solvers: int = 2, seed: int = 1) -> Iterator[tuple[Problem, str, int, bool]]:
    """(problem, language, number of the solver, accepted): every third solver's program is a wrong one."""
    for problem in problems(count, seed):
        for language in EXTENSIONS:
            for solver in range(solvers):
                yield problem, language, solver, True
            yield problem, language, solvers, False


def write_codenet(root: Path, count: int, solvers: int = 2, seed: int = 1) -> Path:
    """Effect: the folder `root` is laid out as Project CodeNet."""
    rows: dict[str, list[dict[str, object]]] = {}
    for number, (problem, language, solver, accepted) in enumerate(submissions(count, solvers, seed), 1):
        folder, extension = EXTENSIONS[language]
        name = f"s{number:09d}"
        path = root / "data" / problem.name / folder / f"{name}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(solution(problem, language, solver, wrong=not accepted), "utf-8")
        rows.setdefault(problem.name, []).append(
            metadata(name, problem.name, folder, extension, "Accepted" if accepted else "Wrong Answer")
        )
    for name, found in rows.items():
        write_metadata(root, name, found)
    listed = [{"id": name, "name": name, "dataset": "AtCoder" if i % 4 else "AIZU", "rating": 100 * (i % 9)}
              for i, name in enumerate(rows)]  # fmt: skip
    with (root / "metadata" / "problem_list.csv").open("w", newline="", encoding="utf-8") as file:
        columns = ("id", "name", "dataset", "time_limit", "memory_limit", "rating", "tags", "complexity")
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(listed)
    return root


def metadata(name: str, problem: str, language: str, extension: str, status: str) -> dict[str, object]:
    """A row of `metadata/pNNNNN.csv`."""
    return {
        "submission_id": name,
        "problem_id": problem,
        "user_id": "u000000001",
        "date": 1480319506,
        "language": language,
        "original_language": language,
        "filename_ext": extension,
        "status": status,
        "cpu_time": 10,
        "memory": 100,
        "code_size": 100,
        "accuracy": "",
    }


def write_metadata(root: Path, problem: str, rows: list[dict[str, object]]) -> None:
    path = root / "metadata" / f"{problem}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--solvers", type=int, default=2, help="of a problem in a language")
    options = parser.parse_args()
    root = write_codenet(options.folder, options.problems, options.solvers)
    print(f"{root}: {sum(1 for _ in (root / 'data').rglob('s*.*')):,} programs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
