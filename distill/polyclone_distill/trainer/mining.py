"""Hard negatives: units of other classes that the model takes for this class, without those that may well belong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .model import Encoder
from .shards import Shard
from .validation import combine_channels, encode_units
from .views import PLAIN, Vocabulary

#: A candidate that scores above this share of the unit's own positive is taken for an unlabelled positive (Moreira
#: et al. 2024, NV-Retriever, §3, TopK-PercPos).
POSITIVE_SHARE = 0.95
KEPT = 8


def mine(
    model: Encoder,
    shard: Shard,
    classes: list[NDArray[np.int64]],
    vocabulary: Vocabulary,
    *,
    budget: int,
    pool: int,
    seed: tuple[int, ...],
) -> tuple[dict[int, NDArray[np.int64]], dict[str, int]]:
    """Class label → units of other classes, and counts of what was found and filtered. Deterministic by `seed`.

    `pool` units are compared, two of a class and of different languages where there are.
    """
    rng = np.random.default_rng(seed)
    units = _pool(shard, classes, pool, rng)
    dense, lexical = encode_units(model, shard, units, vocabulary, PLAIN, budget)
    vectors = combine_channels(dense, lexical, float(model.share))
    return filter_negatives(vectors, shard.label[units], units)


def filter_negatives(
    vectors: NDArray[np.float32], labels: NDArray[np.int32], units: NDArray[np.int64], block: int = 1024
) -> tuple[dict[int, NDArray[np.int64]], dict[str, int]]:
    """vectors (n, d) unit norm, labels and unit numbers (n,) → class → at most `KEPT` units a row, and the counts."""
    found: dict[int, set[int]] = {}
    counts = {"mined": 0, "taken_for_positives": 0}
    for start in range(0, len(vectors), block):
        scores = vectors[start : start + block] @ vectors.T
        for offset, row in enumerate(scores):
            own = labels == labels[start + offset]
            own[start + offset] = False
            if not own.any():
                continue
            limit = POSITIVE_SHARE * float(row[own].max())
            foreign = labels != labels[start + offset]
            counts["taken_for_positives"] += int((foreign & (row > limit)).sum())
            allowed = np.flatnonzero(foreign & (row <= limit))
            best = allowed[np.argsort(-row[allowed], kind="stable")[:KEPT]]
            counts["mined"] += len(best)
            found.setdefault(int(labels[start + offset]), set()).update(units[best].tolist())
    return {label: np.array(sorted(chosen), dtype=np.int64) for label, chosen in found.items()}, counts


def _pool(shard: Shard, classes: list[NDArray[np.int64]], pool: int, rng: np.random.Generator) -> NDArray[np.int64]:
    order = rng.permutation(len(classes))[: max(2, pool // 2)]
    chosen: list[int] = []
    for number in order.tolist():
        members = classes[number]
        left = int(rng.choice(members))
        foreign = members[shard.language[members] != shard.language[left]]
        others = foreign if len(foreign) else members[members != left]
        chosen += [left, int(rng.choice(others))]
    return np.unique(np.array(chosen, dtype=np.int64))


def save_negatives(negatives: dict[int, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Flat arrays of the table, for `numpy.savez`."""
    labels = np.array(sorted(negatives), dtype=np.int64)
    rows = [negatives[int(label)] for label in labels]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
    units = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    return {"labels": labels, "offsets": offsets, "units": units}


def load_negatives(arrays: dict[str, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
    """The table from its flat arrays."""
    offsets = arrays["offsets"]
    return {
        int(label): arrays["units"][offsets[i] : offsets[i + 1]] for i, label in enumerate(arrays["labels"].tolist())
    }
