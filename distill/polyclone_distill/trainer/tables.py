"""What a teacher makes of every unit as it stands: read once, kept in a file, looked up by the student's runs."""

from __future__ import annotations

import hashlib
import logging
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .model import Encoder
from .shards import Shard
from .validation import encode_units
from .views import PLAIN, Vocabulary

log = logging.getLogger(__name__)


def teacher_table(
    teacher: Encoder, shard: Shard, vocabulary: Vocabulary, budget: int, folder: Path
) -> tuple[Tensor, Tensor]:
    """Dense (n, width) and lexical (n, lexical_width) vectors of all n units, half precision, on the CPU.

    Effect: keeps them in `folder` under a name made of teacher, units and budget.
    """
    path = folder / f"teacher-{_digest(teacher, shard, budget)}.npz"
    if not path.exists():
        log.info("the teacher reads %d units", len(shard))
        dense, lexical = encode_units(teacher, shard, np.arange(len(shard)), vocabulary, PLAIN, budget)
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, dense=dense.astype(np.float16), lexical=lexical.astype(np.float16))
        partial.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        return torch.from_numpy(kept["dense"]), torch.from_numpy(kept["lexical"])


def _digest(teacher: Encoder, shard: Shard, budget: int) -> str:
    """Of what decides the vectors. The weights by checksum, which is a hundred times faster."""
    weights = [
        zlib.crc32(value.detach().cpu().contiguous().numpy().tobytes()) for value in teacher.state_dict().values()
    ]
    told = hashlib.sha256(repr((weights, teacher.config, budget)).encode())
    for array in (shard.tokens, shard.token_offsets, shard.words, shard.word_offsets):
        told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()[:16]
