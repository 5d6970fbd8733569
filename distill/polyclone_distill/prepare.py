"""`polyclone-distill prepare`: data sets → units, classes, vocabularies, shards. Deterministic by its inputs.

Effect: writes `units.parquet`, `tokenizer.json`, `lexicon.tsv`, `stand_ins.npz`, `train.npz`, `valid.npz` and
`prepared.json` (what came in, what was dropped and why, digests, licences).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from polyclone.errors import UsageError
from polyclone.normalise import NORMALISER_VERSION
from polyclone.tokenizer import NAME, Lexicon, Tokenizer, WordPiece

from .data.classes import cluster_tasks, drop_duplicates, library_ports, task_key
from .data.programs import read_parquet
from .data.tokenise import make_shard
from .data.units import Unit, extract_units
from .data.vocabulary import build_lexicon, stand_ins, tokenizer_json, trim_vocabulary

log = logging.getLogger(__name__)

#: At most so many functions of one library, so that the largest does not speak for all.
MAX_UNITS_PER_LIBRARY = 1200


def prepare(
    tasks: Sequence[Path],
    repositories: Sequence[Path],
    out: Path,
    *,
    jobs: int = 2,
    seed: int = 1,
    limit: int | None = None,
    layers: int = 6,
    vocabulary_of: Path | None = None,
) -> dict[str, object]:
    """Builds everything the trainer reads in `out`; returns the report that is also `prepared.json`.

    `limit` takes only the first so many rows of each input, for trials and tests. `vocabulary_of` is a folder
    with the `tokenizer.json` and `lexicon.tsv` of an encoder whose training is to go on with these data.
    """
    out.mkdir(parents=True, exist_ok=True)
    task_units = _extract(tasks, library=False, jobs=jobs, limit=limit, first=0)
    first = 1 + max((unit.program for unit in task_units), default=0)
    library_units = _extract(repositories, library=True, jobs=jobs, limit=limit, first=first)
    log.info("units: %d of tasks, %d of libraries", len(task_units), len(library_units))
    classes, splits = cluster_tasks(task_units)
    placed = [dataclasses.replace(unit, split=splits[classes[task_key(unit)]]) for unit in task_units]
    moved = sum(a.split != b.split for a, b in zip(placed, task_units, strict=True))
    kept = drop_duplicates(placed, classes)
    library = _sample_libraries(drop_duplicates(library_units, {}), seed)
    train_tasks = [unit for unit in kept if unit.split == "train"]
    ports = {len(train_tasks) + p: name for p, name in library_ports(library).items()}
    train = [*train_tasks, *library]
    valid = [unit for unit in kept if unit.split == "valid"]
    vocabulary, lexicon = _vocabularies(train, vocabulary_of)
    _write_start(out, vocabulary, lexicon, layers)
    tokenizer = Tokenizer(WordPiece(vocabulary), lexicon, budget=512)
    names = sorted({classes[task_key(u)] for u in kept} | set(ports.values()))
    number = {name: i for i, name in enumerate(names)}
    labels = _labels(train_tasks, classes, number) | {i: number[name] for i, name in ports.items()}
    make_shard(train, labels, tokenizer).save(out / "train.npz")
    make_shard(valid, _labels(valid, classes, number), tokenizer).save(out / "valid.npz")
    _write_units(out / "units.parquet", [*kept, *library], classes)
    report: dict[str, object] = {
        "normaliser_version": NORMALISER_VERSION,
        "seed": seed,
        "limit": limit,
        "inputs": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (*tasks, *repositories)},
        "task_units": len(task_units),
        "library_units": len(library_units),
        "duplicates_dropped": len(placed) - len(kept),
        "units_moved_out_of_a_split_their_class_left": moved,
        "tasks": len(classes),
        "classes": len(splits),
        "class_splits": dict(sorted(Counter(splits.values()).items())),
        "train_units": len(train),
        "valid_units": len(valid),
        "library_ports": len(ports),
        "vocabulary": len(vocabulary),
        "lexicon": lexicon.size,
        "sources": _sources(train),
    }
    (out / "prepared.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return report


def _labels(units: Sequence[Unit], classes: dict[str, str], number: dict[str, int]) -> dict[int, int]:
    """Position of each unit → the number of its class."""
    return {i: number[classes[task_key(unit)]] for i, unit in enumerate(units)}


def _extract(paths: Iterable[Path], *, library: bool, jobs: int, limit: int | None, first: int) -> list[Unit]:
    units: list[Unit] = []
    for path in paths:
        programs = read_parquet(path)
        if limit is not None:
            programs = (program for _, program in zip(range(limit), programs, strict=False))
        units += extract_units(programs, library=library, jobs=jobs, first=first)
        first = 1 + max((unit.program for unit in units), default=first)
    return units


def _sample_libraries(units: Sequence[Unit], seed: int) -> list[Unit]:
    by_source: defaultdict[str, list[int]] = defaultdict(list)
    for position, unit in enumerate(units):
        by_source[unit.source].append(position)
    ported = set(library_ports(units))
    chosen: list[int] = []
    for source in sorted(by_source):
        positions = by_source[source]
        ports = [p for p in positions if p in ported]
        rest = [p for p in positions if p not in ported]
        # Documented functions first: they carry a signal that others lack.
        random.Random(f"{seed}/{source}").shuffle(rest)
        rest.sort(key=lambda p: not units[p].doc)
        chosen += ports + rest[: max(0, MAX_UNITS_PER_LIBRARY - len(ports))]
    return [units[p] for p in sorted(chosen)]


def _sources(units: Iterable[Unit]) -> list[dict[str, object]]:
    counts = Counter((unit.source, unit.license) for unit in units)
    return [{"source": s, "license": lic, "units": n} for (s, lic), n in sorted(counts.items())]


def _vocabularies(train: Sequence[Unit], folder: Path | None) -> tuple[dict[str, int], Lexicon]:
    """Of `folder`, or the best for these units."""
    from .pretrained import minilm_vocabulary

    if folder is None:
        return trim_vocabulary(minilm_vocabulary(), train), build_lexicon(train)
    try:
        wordpiece = WordPiece.from_json((folder / "tokenizer.json").read_text("utf-8"))
        lexicon = Lexicon.from_text((folder / "lexicon.tsv").read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}; give a folder that `prepare` wrote, or a bundle.") from error
    return dict(wordpiece.vocabulary), lexicon


def _write_start(out: Path, vocabulary: dict[str, int], lexicon: Lexicon, layers: int) -> None:
    import torch

    from .pretrained import start_encoder
    from .trainer.starting import pack

    wordpiece = WordPiece(vocabulary)
    start = start_encoder(vocabulary, lexicon, layers=layers)
    torch.save(pack(start.config, start.state_dict()), out / "start.pt")
    (out / "tokenizer.json").write_text(tokenizer_json(vocabulary), "utf-8")
    (out / "lexicon.tsv").write_text(lexicon.to_text(), "utf-8")
    tokens, words = stand_ins(wordpiece, lexicon)
    np.savez(out / "stand_ins.npz", tokens=tokens, words=words)
    ids = {"pad": wordpiece.pad, "cls": wordpiece.cls, "sep": wordpiece.sep, "size": len(vocabulary)}
    ids["name"] = vocabulary[NAME]
    (out / "ids.json").write_text(json.dumps(ids) + "\n", "utf-8")


def _write_units(path: Path, units: Sequence[Unit], classes: dict[str, str]) -> None:
    rows = [
        {**dataclasses.asdict(unit), "class": classes.get(task_key(unit)) if unit.task is not None else None}
        for unit in units
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
