"""Candidate pair → features → calibrated probability, and the reasons a person can check.

Every feature is symmetric in the two sides, so p(a, b) = p(b, a) by construction. The head is the bundle's
`pair_head.onnx`; this module only feeds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.artifact import PAIR_HEAD, Bundle
from polyclone.encode.onnx import session
from polyclone.errors import ModelError
from polyclone.index import Codes, quantise
from polyclone.profile import Profile, cosine, fold, jaccard, profile, weighted_jaccard
from polyclone.tokenizer import Lexicon
from polyclone.values import Reason

FEATURES = (
    "cosine",
    "dense_cosine",
    "beside_cosine",
    "lexical_cosine",
    "background_z_low",
    "background_z_high",
    "margin",
    "word_overlap",
    "word_containment",
    "identifier_overlap",
    "call_overlap",
    "calls_missing",
    "constant_overlap",
    "constants_missing",
    "constant_conflict",
    "string_overlap",
    "strings_missing",
    "control_cosine",
    "control_pair_overlap",
    "operator_cosine",
    "length_ratio",
    "log_length",
)

#: The head always runs on blocks of this many rows (the last one padded), so that a pair's logit does not
#: depend on how many pairs are judged with it.
_BLOCK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What the features need of n units: codes (n, d), background mean and std (n,), and texts."""

    codes: Codes
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    normalised: Sequence[str]


class Verifier:
    """Features, probabilities and reasons for one bundle. Loads the head at the first judgement."""

    def __init__(self, bundle: Bundle, lexicon: Lexicon) -> None:
        self._bundle = bundle
        if bundle.manifest.pair_features != FEATURES:
            raise ModelError(
                f"{bundle.location}: the pair head was trained on other features than this polyclone computes."
                " Train and export it again, or use the polyclone it was made for."
            )
        manifest = bundle.manifest
        self._own, self._dense = manifest.own_width or manifest.dense_width, manifest.dense_width
        self._background = quantise(bundle.background())
        self._session: Any = None
        self._idf = lexicon.idf
        self._profile = lru_cache(maxsize=20_000)(lambda text: profile(text, lexicon.idf))

    def prepare(self, vectors: Codes, normalised: Sequence[str]) -> Judged:
        """Adds each unit's mean and deviation of cosine to the bundle's reference functions."""
        mean = np.zeros(len(vectors), dtype=np.float32)
        std = np.ones(len(vectors), dtype=np.float32)
        reference = self._background.values.astype(np.float32).T
        for start in range(0, len(vectors), 2048):
            block = vectors.take(slice(start, start + 2048))
            # Integer products are exact in float32 up to 1,040 dimensions; the rest is rounded once.
            dots = block.values.astype(np.float32) @ reference
            scores = dots.astype(np.float64) * block.scales[:, None] * self._background.scales[None, :]
            mean[start : start + 2048] = scores.mean(1)
            std[start : start + 2048] = scores.std(1)
        return Judged(vectors, mean, np.maximum(std, np.float32(1e-3)), normalised)

    def features(
        self,
        judged: Judged,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        margin: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Features float32 (n, len(FEATURES)) of the pairs (left[i], right[i]), positions in `judged`.

        `margin` (n,) says how far the pair's cosine lies below the best one of either side in the other's
        language; 0, the default, means that each is the other's best.
        """
        out = np.zeros((len(left), len(FEATURES)), dtype=np.float32)
        if not len(left):
            return out
        whole, own, beside, lexical = self._cosines(judged.codes, left, right)
        z_left = (whole - judged.mean[left]) / judged.std[left]
        z_right = (whole - judged.mean[right]) / judged.std[right]
        out[:, 0], out[:, 1], out[:, 2], out[:, 3] = whole, own, beside, lexical
        out[:, 4], out[:, 5] = np.minimum(z_left, z_right), np.maximum(z_left, z_right)
        if margin is not None:
            out[:, 6] = margin
        for row, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
            out[row, 7:] = self._compare(self._profile(judged.normalised[a]), self._profile(judged.normalised[b]))
        return out

    def _cosines(
        self, codes: Codes, left: NDArray[np.int64], right: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], ...]:
        """Cosines (n,) from integer codes, hence the same in any batch: whole; of the encoder's own dense channel and
        of those beside it, which without any are the same; lexical.
        """
        own, dense = self._own, self._dense
        cuts = (slice(0, own), slice(own, dense), slice(dense, None))
        parts = []
        for start in range(0, len(left), 8192):
            a = codes.values[left[start : start + 8192]].astype(np.int32)
            b = codes.values[right[start : start + 8192]].astype(np.int32)
            sums = [
                [np.einsum("ij,ij->i", x[:, cut], y[:, cut]).astype(np.float64) for cut in cuts]
                for x, y in ((a, b), (a, a), (b, b))
            ]
            of_parts = [_ratio(dot, one * other) for dot, one, other in zip(*sums, strict=True)]
            whole = _ratio(sum(sums[0]), sum(sums[1]) * sum(sums[2]))
            beside = of_parts[0] if own == dense else of_parts[1]
            parts.append((whole, of_parts[0], beside, of_parts[2]))
        return tuple(np.concatenate(column).astype(np.float32) for column in zip(*parts, strict=True))

    def _compare(self, a: Profile, b: Profile) -> tuple[float, ...]:
        common = a.words & b.words
        shared = sum(map(self._idf, sorted(common)))
        calls = sum(map(self._idf, sorted(a.calls & b.calls)))
        short, long = sorted((a.atoms, b.atoms))
        no_constants = not a.constants or not b.constants
        constants = jaccard(a.constants, b.constants)
        return (
            weighted_jaccard(shared, a.word_weight, b.word_weight),
            shared / max(min(a.word_weight, b.word_weight), 1e-6),
            jaccard(a.identifiers, b.identifiers),
            weighted_jaccard(calls, a.call_weight, b.call_weight),
            float(not a.calls or not b.calls),
            constants,
            float(no_constants),
            float(not no_constants and constants == 0.0),
            jaccard(a.strings, b.strings),
            float(not a.strings or not b.strings),
            cosine(a.control, b.control),
            len(a.control_pairs & b.control_pairs) / max(1, len(a.control_pairs | b.control_pairs)),
            cosine(a.operators, b.operators),
            short / max(long, 1),
            float(np.log1p(short)),
        )

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw logits float32 (n,) of the pair head."""
        if self._session is None:
            self._session = session(self._bundle.read(PAIR_HEAD), self._bundle.location)
        out = np.zeros(len(features), dtype=np.float32)
        block = np.zeros((_BLOCK, features.shape[1]), dtype=np.float32)
        for start in range(0, len(features), _BLOCK):
            rows = features[start : start + _BLOCK]
            block[:] = 0.0
            block[: len(rows)] = rows
            (logits,) = self._session.run(["logit"], {"features": block})
            out[start : start + _BLOCK] = logits.reshape(-1)[: len(rows)]
        return out

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities float32 (n,), rounded to four places."""
        calibrated = self._bundle.manifest.calibration.apply(self.logits(features))
        return np.round(calibrated, 4).astype(np.float32)

    def is_unverified(self, left: str, right: str) -> bool:
        """Whether a language model was to verify this pair of normalised units and its time was up before."""
        return False

    def reasons(
        self, left: str, right: str, similarity: float, *, names: tuple[str, str] = ("", "")
    ) -> tuple[Reason, ...]:
        """Facts that two normalised units share, the rarest first; if there are none, that they are alike in meaning.

        `names` are the units' own: an own name is no call, and is told as a shared name where it is the same.
        """
        a, b = self._profile(left), self._profile(right)
        own = {fold(name) for name in names} - {""}
        found: list[Reason] = []
        if names[0] and len(own) == 1:
            found.append(
                Reason(kind="identifiers", text=f"same name: {names[0]}", items=tuple(sorted(own)), score=1.0)
            )
        constants = sorted(a.constants & b.constants, key=lambda c: (-self._idf("#" + c), c))
        if constants:
            found.append(_reason("constants", "same constants", constants, jaccard(a.constants, b.constants)))
        strings = sorted(a.strings & b.strings, key=lambda s: (-len(s), s))
        if strings:
            quoted = [f'"{text[:40]}"' for text in strings]
            found.append(_reason("strings", "same strings", quoted, jaccard(a.strings, b.strings)))
        calls = sorted((a.calls & b.calls) - own, key=lambda c: (-self._idf(c), c))
        if calls:
            found.append(_reason("calls", "same calls", calls, jaccard(a.calls, b.calls)))
        shared = sorted((a.identifiers & b.identifiers) - a.calls - b.calls - own, key=lambda c: (-self._idf(c), c))
        shared = [name for name in shared if len(name) > 2]
        if shared:
            found.append(_reason("identifiers", "same inner names", shared, jaccard(a.identifiers, b.identifiers)))
        flow = cosine(a.control, b.control)
        branching = [word for word in a.control if word in b.control and word != "return"]
        if flow >= 0.9 and branching:
            found.append(_reason("control_flow", "same control flow", branching, flow))
        if not found:
            found.append(
                Reason(kind="vectors", text="alike in meaning, with other names", score=round(similarity, 4))
            )
        return tuple(found)


def _ratio(dot: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(dot, np.sqrt(squares), out=np.zeros_like(dot), where=squares > 0)


def _reason(kind: str, text: str, items: Sequence[str], score: float) -> Reason:
    shown = ", ".join(items[:4]) + (f" (+{len(items) - 4})" if len(items) > 4 else "")
    return Reason(kind=kind, text=f"{text}: {shown}", items=tuple(items[:12]), score=round(score, 4))
