"""A teacher that is a file: one vector a unit of the training data, made by whatever encoder. It has no layers."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .architecture import EncoderConfig
from .batches import Batch
from .errors import TrainerError
from .reading import Outputs
from .shards import Shard

SUFFIX = ".npz"


class VectorTeacher:
    """Unit vectors (n, d) of the n units of a shard. A row of a batch that shows no unit as it stands is unknown."""

    def __init__(self, vectors: Tensor, name: str) -> None:
        self.vectors, self.name = vectors, name
        self.config = EncoderConfig(vocabulary=0, lexicon=0, layers=0, width=int(vectors.shape[1]), lexical_width=0)
        """The width; what else an encoder has, this one has not."""

    def look_up(self, batch: Batch) -> Outputs:
        """The vectors (b, d) of the units of a batch, on its device. There is one channel: all three are the same."""
        known = batch.units >= 0
        rows = batch.units.clamp(min=0).to(self.vectors.device)
        vectors = self.vectors[rows].to(batch.labels.device).float()
        return Outputs(vectors, vectors, vectors, (), known)


def shard_digest(shard: Shard) -> str:
    """Of what decides which unit stands at which position."""
    told = hashlib.sha256()
    for array in (shard.token_offsets, shard.words, shard.label, shard.program, shard.kind):
        told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()


def save_vectors(path: Path, vectors: NDArray[np.float16], shard: Shard, name: str) -> None:
    """Effect: writes `vectors` (n, d), the i-th of the i-th unit of `shard`, in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".partial{SUFFIX}")
    np.savez(partial, vectors=vectors, data=np.array(shard_digest(shard)), name=np.array(name))
    partial.replace(path)


def load_vectors(path: Path, shard: Shard) -> VectorTeacher:
    """What `save_vectors` wrote for this very shard; `TrainerError` for another file or other data."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            vectors, data, name = kept["vectors"], str(kept["data"]), str(kept["name"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise TrainerError(
            f"{path} holds no vectors of a teacher ({error}); `train encoder --teacher hf:NAME` makes them."
        ) from error
    if data != shard_digest(shard) or len(vectors) != len(shard):
        raise TrainerError(
            f"{path} holds vectors of other training data; run `train encoder --teacher hf:NAME` on these."
        )
    return VectorTeacher(torch.from_numpy(vectors), name)
