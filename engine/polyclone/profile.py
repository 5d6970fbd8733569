"""What a unit is made of, as sets: words, identifiers, calls, constants, strings, control flow, operators.

The facts behind the pair features and behind the reasons people read. Computed from atoms alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from polyclone.tokenizer import lexical_words, subwords
from polyclone.values import ATOM_SEPARATOR

CONTROL = frozenset(
    [
        "if",
        "else",
        "for",
        "while",
        "switch",
        "case",
        "break",
        "continue",
        "return",
        "yield",
        "await",
        "try",
        "catch",
        "finally",
        "throw",
        "goto",
    ]
)
#: Constants that every other function has.
COMMON_CONSTANTS = frozenset({"0", "1", "2", "-1", "10", "100", "0.0", "1.0"})


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Facts of one unit. `word_weight` is the summed idf of `words`; likewise for calls."""

    atoms: int
    words: frozenset[str]
    word_weight: float
    identifiers: frozenset[str]
    """Whole identifiers, folded: lower case, without underscores."""
    calls: frozenset[str]
    """Called identifiers, folded."""
    call_weight: float
    constants: frozenset[str]
    strings: frozenset[str]
    control: Mapping[str, float]
    """Control keyword → ln(1 + count)."""
    control_pairs: frozenset[tuple[str, str]]
    operators: Mapping[str, float]


Idf = Callable[[str], float]


def profile(normalised: str, idf: Idf) -> Profile:
    """The profile of a normalised unit. `idf` weighs lexical words."""
    atoms = normalised.split(ATOM_SEPARATOR) if normalised else []
    distinct = set(atoms)
    words = frozenset(word for atom in distinct for word in lexical_words(atom))
    by_kind: dict[str, set[str]] = {"i": set(), "c": set(), "n": set(), "s": set(), "k": set(), "o": set()}
    for atom in distinct:
        by_kind[atom[0]].add(atom[1:])
    calls = frozenset(filter(None, map(fold, by_kind["c"])))
    control = [atom[1:] for atom in atoms if atom[0] == "k" and atom[1:] in CONTROL]
    return Profile(
        atoms=len(atoms),
        words=words,
        word_weight=math.fsum(map(idf, words)),
        identifiers=calls | frozenset(filter(None, map(fold, by_kind["i"]))),
        calls=calls,
        call_weight=math.fsum(map(idf, calls)),
        constants=frozenset(by_kind["n"] - COMMON_CONSTANTS),
        strings=frozenset(text for text in by_kind["s"] if len(text) > 2),
        control=_log_counts(Counter(control)),
        control_pairs=frozenset(zip(["", *control], [*control, ""], strict=True)),
        operators=_log_counts(Counter(atom[1:] for atom in atoms if atom[0] == "o")),
    )


def fold(identifier: str) -> str:
    """`get_rule_name`, `getRuleName`, `GetRuleName` → `getrulename`."""
    return "".join(subwords(identifier))


def _log_counts(counts: Mapping[str, int]) -> dict[str, float]:
    return {key: math.log1p(count) for key, count in sorted(counts.items())}


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a ∩ b| / |a ∪ b|; 0 if both are empty."""
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def weighted_jaccard(common: float, left: float, right: float) -> float:
    """Jaccard from the weight of what is common and the weights of both sides."""
    union = left + right - common
    return common / union if union > 0 else 0.0


def cosine(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Cosine of two sparse non-negative vectors; 1 if both are empty, 0 if one is."""
    if not a or not b:
        return 1.0 if not a and not b else 0.0
    dot = math.fsum(value * b[key] for key, value in a.items() if key in b)
    return dot / math.sqrt(math.fsum(v * v for v in a.values()) * math.fsum(v * v for v in b.values()))
