"""A folder of pair sets: which sets there are, what they are called, and the report beside them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyclone.errors import UsageError

from .build import PairSet, SetOptions, draw_pairs, parse_languages
from .jsonl import write_atomically, write_pairs
from .lengths import Count, length_statistics
from .programs import Programs, prepare_programs
from .values import Collection, Pair

FORMAT_VERSION = 1
SAME, SHIFTED, BALANCED, NATURAL = "same", "shifted", "balanced", "natural"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOptions:
    """What `pairs` was asked for."""

    train_languages: tuple[str, ...] = ("python-java",)
    test_languages: tuple[str, ...] = ("python-java", "rust-java", "rust-python", "rust-ruby")
    train_pairs: int = 6000
    valid_pairs: int = 500
    test_pairs: int = 1000
    prevalence: float = 0.02
    retrieved_share: float = 0.25
    rejected_share: float = 0.25
    shifted_domains: tuple[str, ...] = ()
    shifted_share: float = 0.25
    seed: int = 1


def languages_of(options: FolderOptions) -> list[str]:
    """Every language of any pair, by the engine's name."""
    pairs = [parse_languages(text) for text in (*options.train_languages, *options.test_languages)]
    return sorted({name for pair in pairs for name in pair})


def write_folder(
    collection: Collection, out: Path, options: FolderOptions, tokens: Count | None = None
) -> dict[str, Any]:
    """Effect: writes all sets below `out`; returns the report, which is also `out/pairs.json`.

    Sets: `train.jsonl`, `valid.jsonl` (balanced, of all training languages) and
    `test/<a>-<b>-<same|shifted>-<balanced|natural>.jsonl`. A set for which there are no clones, or nothing
    else, is not written and is named in the report. `UsageError` if there is nothing to train or to test on.
    """
    for name, least in (("train_pairs", 2), ("valid_pairs", 0), ("test_pairs", 2)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} must be at least {least}.")
    programs = prepare_programs(
        collection, shifted_domains=options.shifted_domains, shifted_share=options.shifted_share, seed=options.seed
    )
    sets: dict[str, PairSet] = {
        "train": _joined(programs, "train", options.train_pairs, options),
        "valid": _joined(programs, "valid", options.valid_pairs, options),
    }
    for text in options.test_languages:
        for shift in (SAME, SHIFTED):
            for balance, prevalence in ((BALANCED, 0.5), (NATURAL, options.prevalence)):
                found = draw_pairs(
                    programs, "test", parse_languages(text), _of(options, options.test_pairs, prevalence),
                    shifted=shift == SHIFTED, seed=options.seed,
                )  # fmt: skip
                sets[f"test/{'-'.join(parse_languages(text))}-{shift}-{balance}"] = found
    empty = sorted(name for name, found in sets.items() if not found.pairs)
    if "train" in empty or all(name in empty for name in sets if name.startswith("test/")):
        raise UsageError("no problem has solutions in both languages of a pair; choose other languages or more data.")
    for name, found in sets.items():
        if found.pairs:
            write_pairs(out / f"{name}.jsonl", found.pairs)
    report = _report(programs, sets, empty, options, tokens)
    write_atomically(out / "pairs.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return report


def _of(options: FolderOptions, pairs: int, prevalence: float = 0.5) -> SetOptions:
    return SetOptions(
        pairs=pairs,
        prevalence=prevalence,
        retrieved_share=options.retrieved_share,
        rejected_share=options.rejected_share,
    )


def _joined(programs: Programs, split: str, pairs: int, options: FolderOptions) -> PairSet:
    found = [
        draw_pairs(programs, split, parse_languages(text), _of(options, pairs), shifted=False, seed=options.seed)
        for text in options.train_languages
    ]
    counts: dict[str, int] = {}
    for part in found:
        for name, count in part.counts.items():
            counts[name] = counts.get(name, 0) + count
    return PairSet(pairs=tuple(pair for part in found for pair in part.pairs), counts=counts)


def _report(
    programs: Programs, sets: dict[str, PairSet], empty: Sequence[str], options: FolderOptions, tokens: Count | None
) -> dict[str, Any]:
    everything: list[Pair] = [pair for found in sets.values() for pair in found.pairs]
    return {
        "format_version": FORMAT_VERSION,
        "options": dataclasses.asdict(options),
        "programs": {key: value for key, value in programs.counts.items() if value},
        "sets": {
            name: {
                "pairs": len(found.pairs),
                "clones": sum(pair.label for pair in found.pairs),
                "problems": len({side.problem for pair in found.pairs for side in (pair.left, pair.right)}),
                **{key: value for key, value in found.counts.items() if value},
            }
            for name, found in sets.items()
            if found.pairs
        },
        "sets that would be of one label, not written": list(empty),
        "lengths": length_statistics(everything, tokens),
    }
