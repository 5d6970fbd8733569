"""What a teacher makes of units as they stand: each read once, kept in a file, looked up by the student's runs."""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .batches import Batch
from .model import Encoder
from .reading import Outputs
from .shards import Shard
from .validation import encode_units
from .views import PLAIN, Vocabulary

log = logging.getLogger(__name__)

#: Units between two writes of the file: what a kill costs at most.
CHUNK = 8192


@dataclass(frozen=True)
class Table:
    """Vectors of m units out of a shard of n, half precision, on the CPU."""

    dense: Tensor
    """(m, width)"""
    lexical: Tensor
    """(m, lexical_width)"""
    place: Tensor
    """int64 (n,): the row of each unit of the shard, −1 where it was not read."""

    def look_up(self, teacher: Encoder, batch: Batch) -> Outputs:
        """What `teacher` made of the units of a batch; rows that show no unit it has read are unknown."""
        units = batch.units.to(self.place.device)
        rows = torch.where(units >= 0, self.place[units.clamp(min=0)], -1)
        at = rows.clamp(min=0)
        dense, lexical = (part[at].to(batch.labels.device).float() for part in (self.dense, self.lexical))
        return Outputs(dense, teacher.combine(dense, lexical), lexical, (), (rows >= 0).to(batch.labels.device))


def teacher_table(
    teacher: Encoder,
    shard: Shard,
    vocabulary: Vocabulary,
    budget: int,
    folder: Path,
    units: NDArray[np.int64] | None = None,
) -> Table:
    """What `teacher` makes of `units` of the shard, or of all.

    Effect: keeps the vectors in `folder` under a name made of teacher, shard and budget; only units that are not
    there yet are read, and a reading that was cut short goes on.
    """
    path = folder / f"table-{_digest(teacher, shard, budget)}.npz"
    wanted = np.arange(len(shard)) if units is None else np.unique(units)
    read, dense, lexical = _load(path, teacher)
    missing = np.setdiff1d(wanted, read)
    if len(missing):
        log.info("the teacher reads %d units, %d it has read before", len(missing), len(read))
        folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        made = encode_units(teacher, shard, chunk, vocabulary, PLAIN, budget)
        read = np.concatenate([read, chunk])
        dense, lexical = (
            np.concatenate([old, new.astype(np.float16)]) for old, new in zip((dense, lexical), made, strict=True)
        )
        partial = path.with_suffix(f".partial{os.getpid()}.npz")
        np.savez(partial, units=read, dense=dense, lexical=lexical)
        partial.replace(path)
    place = np.full(len(shard), -1, dtype=np.int64)
    place[read] = np.arange(len(read))
    return Table(torch.from_numpy(dense), torch.from_numpy(lexical), torch.from_numpy(place))


def _load(path: Path, teacher: Encoder) -> tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.float16]]:
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return kept["units"], kept["dense"], kept["lexical"]
    widths = (teacher.config.width, teacher.config.lexical_width)
    dense, lexical = (np.zeros((0, width), dtype=np.float16) for width in widths)
    return np.zeros(0, dtype=np.int64), dense, lexical


def _digest(teacher: Encoder, shard: Shard, budget: int) -> str:
    """Of what decides the vectors. The weights by checksum, which is a hundred times faster."""
    weights = [
        zlib.crc32(value.detach().cpu().contiguous().numpy().tobytes()) for value in teacher.state_dict().values()
    ]
    told = hashlib.sha256(repr((weights, teacher.config, budget)).encode())
    for array in (shard.tokens, shard.token_offsets, shard.words, shard.word_offsets):
        told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()[:16]
