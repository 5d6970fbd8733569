"""How many of a bundle's verdicts change because its encoder was rounded: the measure of int8 and half precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from polyclone.artifact import LEXICON, Bundle
from polyclone.index import quantise
from polyclone.tokenizer import Lexicon
from polyclone.verify import Verifier

from .parity import BOUNDS, Record, check_verdicts
from .samples import Sample

Vectors = NDArray[np.float32]
_NEAREST = 3


def near_pairs(vectors: Vectors, sample: Sample) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs a search would propose: each unit with its nearest few of other languages; left < right, sorted."""
    scores = vectors @ vectors.T
    languages = sample.language_numbers
    scores[languages[:, None] == languages[None, :]] = -np.inf
    near = np.argsort(-scores, axis=1, kind="stable")[:, :_NEAREST]
    pairs = {(min(i, j), max(i, j)) for i, row in enumerate(near.tolist()) for j in row if np.isfinite(scores[i, j])}
    left, right = zip(*sorted(pairs), strict=True)
    return np.array(left, np.int64), np.array(right, np.int64)


def pair_features(
    bundle: Bundle, vectors: Vectors, sample: Sample, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What the pair head reads of the pairs, float32 (n, f), from any vectors of the sample's units."""
    verifier = Verifier(bundle, Lexicon.from_text(bundle.text(LEXICON)))
    return verifier.features(verifier.prepare(quantise(vectors), list(sample.units)), left, right)


def compare_verdicts(bundle: Bundle, sample: Sample, module: Vectors, graph: Vectors, precision: str) -> Record:
    """Verdicts at the bundle's threshold from the module's vectors and from the graph's. Raises `TaskError`."""
    left, right = near_pairs(module, sample)
    verifier = Verifier(bundle, Lexicon.from_text(bundle.text(LEXICON)))
    least = bundle.manifest.calibration.threshold()
    before, after = (
        verifier.probabilities(pair_features(bundle, vectors, sample, left, right)) >= least
        for vectors in (module, graph)
    )
    return check_verdicts(before, after, BOUNDS[precision])
