"""The pair head's verdicts, verified by a language model: the most probable pairs first, within an allowance of time.

A pair that was not reached keeps the pair head's probability. It is counted, told in a warning, and marked in the
reasons of the pair, so that nobody takes one verdict for the other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.artifact import Bundle
from polyclone.encode.judge import Pair, PairJudge
from polyclone.encode.prompts import canonical
from polyclone.tokenizer import Lexicon
from polyclone.values import Reason
from polyclone.verify import Judged, Verifier

log = logging.getLogger(__name__)

#: Seconds of judging that a scan or a query may begin with, and what share of the time it gets after that.
BUDGET_S = 30.0
SHARE = 0.25
#: Verdicts that are kept; one takes about 200 bytes.
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What became of the pairs that were probable enough to be verified, since the model was loaded."""

    asked: int = 0
    verified: int = 0
    unverified: int = 0
    """Time was up; they kept the pair head's probability."""
    truncated: int = 0
    """Verified pairs of which the judge did not read all."""
    elapsed_s: float = 0.0


class Allowance:
    """Seconds that may be spent: `capacity_s` at first, then a `share` of the time that passes, up to the capacity.

    A workspace asks for verdicts several times in one scan; an allowance bounds them all together.
    """

    def __init__(self, capacity_s: float, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._share, self._clock = capacity_s, share, clock
        self._left, self._at = capacity_s, clock()

    def left(self) -> float:
        now = self._clock()
        self._left = min(self._capacity, self._left + self._share * (now - self._at))
        self._at = now
        return self._left

    def spend(self, elapsed_s: float) -> None:
        self._left -= elapsed_s


class PairFeatures(np.ndarray[Any, np.dtype[np.float32]]):
    """Features float32 (n, f) that remember which units they compare: `pairs`, n of them.

    A part or a copy forgets them, and is then judged by the pair head alone.
    """

    pairs: tuple[Pair, ...] = ()

    def __array_finalize__(self, source: Any) -> None:
        self.pairs = ()


class Reranker(Verifier):
    """A verifier whose upper verdicts come from the bundle's judge. Thread-safe."""

    def __init__(
        self,
        bundle: Bundle,
        lexicon: Lexicon,
        judge: PairJudge,
        *,
        budget_s: float = BUDGET_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(bundle, lexicon)
        self._judge, self._clock = judge, clock
        self._allowance = Allowance(budget_s, SHARE, clock)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._missed: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        self.verification = Verification()

    def features(
        self,
        judged: Judged,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        margin: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """As the pair head's, with the units remembered."""
        found = super().features(judged, left, right, margin).view(PairFeatures)
        texts = judged.normalised
        found.pairs = tuple((texts[a], texts[b]) for a, b in zip(left.tolist(), right.tolist(), strict=True))
        return found

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities float32 (n,), rounded to four places: the judge's where it came to judge.

        Effect: counts in `verification`; warns of pairs that time did not suffice for.
        """
        found = super().probabilities(np.asarray(features))
        pairs = getattr(features, "pairs", ())
        if len(pairs) != len(found):
            return found
        worth = np.flatnonzero(found >= np.float32(self._judge.spec.least_probability))
        order = worth[np.argsort(-found[worth], kind="stable")].tolist()
        with self._lock:
            verdicts = self._verify([pairs[row] for row in order])
        for row, verdict in zip(order, verdicts, strict=True):
            if verdict is not None:
                found[row] = verdict
        return found

    def reasons(
        self, left: str, right: str, similarity: float, *, names: tuple[str, str] = ("", "")
    ) -> tuple[Reason, ...]:
        """The facts of the pair, and whether the judge came to judge it."""
        facts = super().reasons(left, right, similarity, names=names)
        key = _key((left, right))
        if key in self._known:
            said = Reason(kind="judge", text="judged by the language model", score=self._known[key])
        elif key in self._missed:
            said = Reason(kind="judge", text="not verified by the language model: its time was up")
        else:
            return facts
        return (*facts, said)

    def is_unverified(self, left: str, right: str) -> bool:
        """Whether the judge was to verify this pair and did not come to it. Of a pair long ago it is not known."""
        return _key((left, right)) in self._missed

    def _verify(self, pairs: list[Pair]) -> list[float | None]:
        """A probability for each pair, or None where time was up. What was judged before costs nothing."""
        keys = [_key(pair) for pair in pairs]
        fresh = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self._known}
        began = self._clock()
        truncated = 0
        left = self._allowance.left() if fresh else 0.0
        if left > 0:
            logits = self._judge.logits(list(fresh.values()), budget_s=left, clock=self._clock)
            done = np.isfinite(logits.values)
            truncated = int(np.count_nonzero(logits.cut[done]))
            probabilities = np.round(self._judge.spec.apply(np.where(done, logits.values, 0.0)), 4)
            for key, reached, probability in zip(fresh, done.tolist(), probabilities.tolist(), strict=True):
                if reached:
                    _remember(self._known, key, probability)
        elapsed = self._clock() - began
        self._allowance.spend(elapsed)
        verdicts = [self._known.get(key) for key in keys]
        for key, verdict in zip(keys, verdicts, strict=True):
            self._missed.pop(key, None)
            if verdict is None:
                # Those of one call are all kept, however many: whoever called asks for them next.
                _remember(self._missed, key, None, most=max(_REMEMBERED, len(keys)))
        self._count(verdicts, truncated, elapsed)
        return verdicts

    def _count(self, verdicts: list[float | None], truncated: int, elapsed_s: float) -> None:
        missed = sum(verdict is None for verdict in verdicts)
        before = self.verification
        self.verification = Verification(
            asked=before.asked + len(verdicts),
            verified=before.verified + len(verdicts) - missed,
            unverified=before.unverified + missed,
            truncated=before.truncated + truncated,
            elapsed_s=before.elapsed_s + elapsed_s,
        )
        if missed:
            log.warning(
                "%d of %d probable pairs were not verified by the language model: its time was up. They keep the"
                " pair head's probability; ask again to go on, or allow it more time.",
                missed,
                len(verdicts),
            )


def _key(pair: Pair) -> bytes:
    first, second = (text.encode("utf-8", "surrogatepass") for text in canonical(*pair))
    return blake2b(len(first).to_bytes(8, "little") + first + second, digest_size=16).digest()


def _remember(memory: OrderedDict[bytes, Any], key: bytes, value: Any, most: int = _REMEMBERED) -> None:
    memory[key] = value
    if len(memory) > most:
        memory.popitem(last=False)
