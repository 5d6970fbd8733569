"""Negative controls: code from which what it does was taken away. What ranks well on it ranks by something else.

`whole`        the units as they are, for comparison.
`shuffled`     every unit's atoms in another order: the same bag of words, without any behaviour.
`skeleton`     of every unit only the atoms that at least a quarter of the units of its language have: mostly keywords
               and operators, in their order. No control in the strict sense: part of the behaviour is left.
`boilerplate`  of the skeleton the names and strings only: what surrounds a solution, and nothing of it.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from polyclone.errors import UsageError
from polyclone.values import ATOM_SEPARATOR

from .baselines import count_words
from .bootstrap import Bootstrap, Estimate
from .metrics import query_metrics
from .model import Model
from .pool import Pool
from .ranking import Labels, rank
from .scorers import Bm25Scorer, DenseScorer, Scorer, TfidfScorer
from .views import apply_view, check_views

#: Share of the units of a language from which on an atom counts as boilerplate.
COMMON = 0.25
CHANCE = "chance"

Control = Callable[[Sequence[str], Sequence[str], int], list[str]]


def whole(texts: Sequence[str], languages: Sequence[str], seed: int) -> list[str]:
    """`texts` as they are."""
    return list(texts)


def shuffled(texts: Sequence[str], languages: Sequence[str], seed: int) -> list[str]:
    """The atoms of each unit in a random order, which depends on the unit and the seed alone."""
    out = []
    for text in texts:
        atoms = text.split(ATOM_SEPARATOR)
        random.Random(f"{seed}/{text}").shuffle(atoms)
        out.append(ATOM_SEPARATOR.join(atoms))
    return out


def skeleton(texts: Sequence[str], languages: Sequence[str], seed: int) -> list[str]:
    """What at least `COMMON` of the units of a language share, in the order of each unit."""
    having: defaultdict[str, Counter[str]] = defaultdict(Counter)
    units = Counter(languages)
    for text, language in zip(texts, languages, strict=True):
        having[language].update(set(text.split(ATOM_SEPARATOR)))
    common = {
        language: {atom for atom, count in counts.items() if count >= COMMON * units[language]}
        for language, counts in having.items()
    }
    return [
        ATOM_SEPARATOR.join(atom for atom in text.split(ATOM_SEPARATOR) if atom in common[language])
        for text, language in zip(texts, languages, strict=True)
    ]


def boilerplate(texts: Sequence[str], languages: Sequence[str], seed: int) -> list[str]:
    """The names (kinds `i` and `c`) and strings of the skeleton."""
    return [
        ATOM_SEPARATOR.join(atom for atom in text.split(ATOM_SEPARATOR) if atom[:1] in ("i", "c", "s"))
        for text in skeleton(texts, languages, seed)
    ]


CONTROLS: Mapping[str, Control] = MappingProxyType(
    {"whole": whole, "shuffled": shuffled, "skeleton": skeleton, "boilerplate": boilerplate}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlResult:
    """One system on one control in one view."""

    control: str
    view: str
    system: str
    queries: int
    atoms_kept: float
    """Mean share of a unit's atoms that the control has left."""
    metrics: Mapping[str, Estimate]
    """mrr, r@1, r@10, map@r in the pool of all other languages; mean over queries."""


def evaluate_controls(
    pool: Pool, model: Model | None, *, views: Sequence[str], resamples: int = 1000, seed: int = 1
) -> list[ControlResult]:
    """TF-IDF, BM25, the model and chance on every control in every view. `UsageError` if nothing is relevant.

    A view is applied to what the control has left, so that names which are numbered by their first use tell nothing
    of an order that was shuffled. Chance is a ranking by random vectors.
    """
    labels = pool.labels()
    languages = [item.language for item in pool.items]
    bootstrap = Bootstrap(int(labels.clusters.max()) + 1, resamples, seed)
    given = [item.normalised for item in pool.items]
    results: list[ControlResult] = []
    for control, change in CONTROLS.items():
        changed = change(given, languages, seed)
        kept = float(np.mean([_atoms(new) / max(1, _atoms(old)) for new, old in zip(changed, given, strict=True)]))
        for view in check_views(views):
            texts = [apply_view(view, text, item.name) for text, item in zip(changed, pool.items, strict=True)]
            for system, scorer in _systems(texts, model, seed).items():
                queries, metrics = _ranked(scorer, labels, bootstrap)
                results.append(
                    ControlResult(
                        control=control, view=view, system=system, queries=queries, atoms_kept=kept, metrics=metrics
                    )
                )
    return results


def _atoms(text: str) -> int:
    return text.count(ATOM_SEPARATOR) + 1 if text else 0


def _systems(texts: Sequence[str], model: Model | None, seed: int) -> dict[str, Scorer]:
    counts = count_words(texts)
    noise = np.random.default_rng(seed).standard_normal((len(texts), 32)).astype(np.float32)
    systems: dict[str, Scorer] = {"tfidf": TfidfScorer(counts), "bm25": Bm25Scorer(counts)}
    if model is not None:
        systems["model"] = DenseScorer(model.encode_normalised(texts))
    return {**systems, CHANCE: DenseScorer(noise / np.linalg.norm(noise, axis=1, keepdims=True))}


def _ranked(scorer: Scorer, labels: Labels, bootstrap: Bootstrap) -> tuple[int, dict[str, Estimate]]:
    ranks, _ = rank(scorer, labels)
    queries, starts = np.unique(ranks.query, return_index=True)
    if not len(queries):
        raise UsageError(
            "no unit has a counterpart in another language; choose more tasks or languages, or another input."
        )
    columns = query_metrics(ranks.mixed, np.append(starts, len(ranks.query)))
    return len(queries), bootstrap.means(columns, labels.clusters[queries])
