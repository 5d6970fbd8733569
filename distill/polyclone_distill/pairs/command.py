"""`polyclone-distill pairs`: a collection of judged programs → a folder of labelled pairs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyclone.errors import UsageError

if TYPE_CHECKING:
    from .folder import FolderOptions
    from .lengths import Count
    from .values import Collection


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `pairs`."""
    parser = commands.add_parser("pairs", help="judged programs → labelled pairs of two languages, split by problem")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--codenet", type=Path, metavar="DIR", help="Project CodeNet as it is unpacked")
    source.add_argument("--tasks", type=Path, metavar="PARQUET", help="columns task, split, language, …, code")
    source.add_argument("--submissions", type=Path, metavar="JSONL", help="id, problem, language, code, accepted")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--train-languages", nargs="+", default=["python-java"], metavar="A-B")
    parser.add_argument("--test-languages", nargs="+", metavar="A-B",
                        default=["python-java", "rust-java", "rust-python", "rust-ruby"])  # fmt: skip
    parser.add_argument("--train-pairs", type=int, default=6000, help="of each language pair")
    parser.add_argument("--valid-pairs", type=int, default=500, help="of each language pair")
    parser.add_argument("--test-pairs", type=int, default=1000, help="of each language pair and set")
    parser.add_argument("--prevalence", type=float, default=0.02, help="share of clones in the natural sets")
    parser.add_argument("--retrieved-share", type=float, default=0.25, help="of the pairs that are no clones")
    parser.add_argument("--rejected-share", type=float, default=0.25, help="of the pairs that are no clones")
    parser.add_argument("--shifted-domains", nargs="+", default=[], metavar="NAME",
                        help="judges or sources kept for the shifted sets; without any, the problems with the "
                        "longest solutions")  # fmt: skip
    parser.add_argument("--shifted-share", type=float, default=0.25,
                        help="of the problems, without --shifted-domains")  # fmt: skip
    parser.add_argument("--per-problem-language", type=int, default=20, metavar="K",
                        help="draw from at most K accepted submissions of a problem in a language")  # fmt: skip
    parser.add_argument("--tokenizer", metavar="NAME", help="count tokens with this, too: a hub name or a folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Effect: writes `train.jsonl`, `valid.jsonl`, `test/*.jsonl` and `pairs.json` below `--out`."""
    from .folder import FolderOptions, write_folder

    if options.per_problem_language < 1:
        raise UsageError("--per-problem-language must be at least 1.")
    names = ("train_languages", "test_languages", "train_pairs", "valid_pairs", "test_pairs", "prevalence",
             "retrieved_share", "rejected_share", "shifted_domains", "shifted_share", "seed")  # fmt: skip
    given: dict[str, Any] = {name: getattr(options, name) for name in names}
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    choices = FolderOptions(**given)
    report = write_folder(_collection(options, choices), options.out, choices, _counter(options.tokenizer))
    shown = {key: report[key] for key in ("programs", "sets", "sets that would be of one label, not written")}
    print(json.dumps(shown, indent=1, ensure_ascii=False))
    print(f"Lengths and options: {options.out / 'pairs.json'}")
    return 0


def _collection(options: argparse.Namespace, choices: FolderOptions) -> Collection:
    from .folder import languages_of

    languages = languages_of(choices)
    if options.codenet:
        from .codenet import read_codenet

        limit = options.per_problem_language
        wrong = limit if options.rejected_share else 0
        return read_codenet(options.codenet, languages=languages, per_problem_language=limit,
                            rejected_per_problem_language=wrong, seed=options.seed)  # fmt: skip
    if options.tasks:
        from .tasks import read_tasks

        return read_tasks(options.tasks, languages=languages)
    from .jsonl import read_submissions

    return read_submissions(options.submissions)


def _counter(tokenizer: str | None) -> Count | None:
    if tokenizer is None:
        return None
    from ..llm.loading import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    return lambda code: len(loaded(code, add_special_tokens=False)["input_ids"])
