"""`train pair-head` and `calibrate`: a head over *retrieved* pairs, with probabilities at natural prevalence.

Each draw builds a made-up workspace: a few solutions of unseen exercises hidden among library functions of all
languages. Search proposes pairs as it does in a scan; those of one class are clones, those with a library
function are not. Some more workspaces hold whole programs. Half of the classes and of the libraries train the head,
the other half calibrates it.

The head rises with every measure of likeness. Without that it learns from solutions whose names were taken away that
shared names speak against a clone, and hand-made ports, which share far more than those, lose places to others. Among
the pairs it is surest of, which are all clones, the cosine decides.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from polyclone.detect import find_candidates
from polyclone.index import Codes, quantise
from polyclone.index.codes import codes_of
from polyclone.model import Model, load_model
from polyclone.profile import fold
from polyclone.values import ATOM_SEPARATOR
from polyclone.verify import FEATURES
from torch.nn import functional as F

from .calibration import average_precision, calibrate, expected_calibration_error, recall_at_precision, surest
from .evaluation.views import apply_view
from .trainer.pair_head import PairHead, save_pair_head

log = logging.getLogger(__name__)

#: Features that say how alike two units are. What is missing or how long a unit is says nothing of the kind.
RISING = tuple(
    position
    for position, name in enumerate(FEATURES)
    if name not in ("margin", "log_length", "constant_conflict") and not name.endswith("_missing")
)


@dataclass(frozen=True)
class JudgeConfig:
    """How many made-up workspaces, of what, and the head's hyper-parameters."""

    draws: int = 24
    languages_per_class: int = 3
    distractors: int = 4000
    program_draws: int = 12
    """Further workspaces of whole programs, to train and to report on; calibration is on the others."""
    program_distractors: int = 1500
    lift: float = 0.1
    """What a deviation of the cosine adds to a logit: it orders pairs that the head is equally sure of."""
    libraries: int = 12_000
    """Library functions to draw from; encoding them is most of the cost."""
    negatives: int = 60
    """Pairs that are no clones for each that is, in training: half the hardest by background z, half at random."""
    hidden: int = 64
    epochs: int = 60
    batch: int = 2048
    learning_rate: float = 1.2e-2
    weight_decay: float = 1e-4
    default_precision: float = 0.9
    seed: int = 5


@dataclass(frozen=True, eq=False)
class Pool:
    """Units with what decides their label: clone class ("" if unknown), folded name, source, language."""

    normalised: list[str]
    classes: list[str]
    names: list[str]
    sources: list[str]
    languages: list[str]
    half: NDArray[np.int64]
    """0: trains the head, 1: calibrates it."""
    roles: list[str] = field(default_factory=list)
    """`program` or `function` of each unit, where that is known; empty otherwise."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Retrieved pairs: features (n, f), labels (n,) 0 or 1, and which draw each comes from (n,)."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    draw: NDArray[np.int64]
    left: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(n,): positions in the pool, where they are known; empty otherwise."""
    right: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def take(self, rows: NDArray[Any]) -> Pairs:
        """The pairs at `rows`, positions or a mask."""
        known = len(self.left) == len(self.labels)
        places = (self.left[rows], self.right[rows]) if known else (self.left, self.right)
        return Pairs(self.features[rows], self.labels[rows], self.draw[rows], *places)


def read_pool(prepared: Path, config: JudgeConfig, min_atoms: int) -> Pool:
    """Whole programs and main functions of unseen exercises, and a sample of library functions."""
    columns = ["task", "class", "split", "role", "language", "source", "name", "qualified_name", "normalised"]
    rows = pq.read_table(prepared / "units.parquet", columns=columns).to_pylist()
    usable = [row for row in rows if row["normalised"].count(ATOM_SEPARATOR) + 1 >= min_atoms]
    exercises = [row for row in usable if row["task"] is not None and row["split"] == "valid"]
    library = [row for row in usable if row["task"] is None]
    rng = np.random.default_rng(config.seed)
    chosen = sorted(rng.choice(len(library), min(config.libraries, len(library)), replace=False).tolist())
    kept = exercises + [library[i] for i in chosen]
    return Pool(
        normalised=[
            _disguise(row["normalised"], row["name"], np.random.default_rng((config.seed, i)))
            if row["task"] is not None
            else row["normalised"]
            for i, row in enumerate(kept)
        ],
        classes=[row["class"] or "" for row in kept],
        names=[fold(row["name"]) for row in kept],
        sources=[row["source"] for row in kept],
        languages=[row["language"] for row in kept],
        half=np.array([_half(row["class"] or row["source"]) for row in kept]),
        roles=[row["role"] for row in kept],
    )


def encode_pool(model: Model, pool: Pool, kept: Path) -> Codes:
    """Codes of the pool. Effect: keeps them in `kept`, so that another head on the same vectors takes seconds."""
    digest = hashlib.sha256("\0".join(pool.normalised).encode("utf-8", "surrogatepass")).hexdigest()
    if kept.exists():
        with np.load(kept, allow_pickle=False) as saved:
            if str(saved["digest"]) == digest:
                return codes_of(saved["values"])
    codes = quantise(model.encode_normalised(pool.normalised))
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept, digest=np.array(digest), values=codes.values)
    return codes


def _disguise(normalised: str, name: str, rng: np.random.Generator) -> str:
    """The unit as somebody else might have named it, in three of five cases.

    Solutions of one exercise share the names its statement gives them; clones in the wild do not. In a quarter
    of the units the own name is gone, in a quarter most names that are not calls are replaced by words that
    occur nowhere else, in a tenth all names are.
    """
    atoms = normalised.split(ATOM_SEPARATOR)
    roll = rng.random()
    if roll < 0.4:
        return normalised
    if roll < 0.65:
        return apply_view("masked", normalised, name)
    called = {atom[1:] for atom in atoms if atom[0] == "c" and atom[1:] != name}
    names = sorted({atom[1:] for atom in atoms if atom[0] in "ic"})
    everything = roll >= 0.9
    new = {
        old: "".join(chr(97 + int(letter)) for letter in rng.integers(0, 26, 7))
        for old in names
        if everything or (old not in called and rng.random() < 0.7)
    }
    return ATOM_SEPARATOR.join(atom[0] + new.get(atom[1:], atom[1:]) if atom[0] in "ic" else atom for atom in atoms)


def _half(key: str) -> int:
    return hashlib.sha256(key.encode()).digest()[0] % 2


def draw_pairs(pool: Pool, codes: Codes, model: Model, half: int, config: JudgeConfig) -> Pairs:
    """Pairs proposed in `config.draws` made-up workspaces of one half."""
    exercises = [row for row in np.flatnonzero(pool.half == half).tolist() if pool.classes[row]]
    return _draw(pool, codes, model, exercises, range(config.draws), config.distractors, half, config)


def draw_programs(pool: Pool, codes: Codes, model: Model, half: int, config: JudgeConfig) -> Pairs:
    """Pairs proposed in workspaces of whole programs; these are numbered from `config.draws` on."""
    programs = [
        row
        for row in np.flatnonzero(pool.half == half).tolist()
        if pool.classes[row] and pool.roles[row] == "program"
    ]
    draws = range(config.draws, config.draws + config.program_draws)
    return _draw(pool, codes, model, programs, draws, config.program_distractors, half, config)


def _draw(
    pool: Pool,
    codes: Codes,
    model: Model,
    exercises: Sequence[int],
    draws: Iterable[int],
    distractors: int,
    half: int,
    config: JudgeConfig,
) -> Pairs:
    by_class: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in exercises:
        by_class[pool.classes[row]][pool.languages[row]].append(row)
    library = [row for row in np.flatnonzero(pool.half == half).tolist() if not pool.classes[row]]
    parts: list[Pairs] = []
    for draw in draws:
        rng = np.random.default_rng((config.seed, half, draw))
        rows = rng.choice(library, min(distractors, len(library)), replace=False).tolist()
        for name in sorted(by_class):
            languages = sorted(by_class[name])
            size = min(len(languages), int(rng.integers(1, config.languages_per_class + 1)))
            for language in rng.choice(languages, size, replace=False).tolist():
                rows.append(int(rng.choice(by_class[name][language])))
        parts.append(_label(pool, codes, model, np.array(sorted(rows)), draw))
    return joined(parts)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """The pairs of all parts, one after the other."""
    names = [f.name for f in dataclasses.fields(Pairs)]
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _label(pool: Pool, codes: Codes, model: Model, rows: NDArray[np.int64], draw: int) -> Pairs:
    """Features and labels of the pairs a search over `rows` proposes; pairs of unknown label are left out.

    Unknown are two library functions of one name, or of one library in two languages: they may be ports.
    """
    held = codes.take(rows)
    candidates = find_candidates(
        held,
        [pool.languages[row] for row in rows],
        words=[model.vocabulary.ids(pool.normalised[row]) for row in rows],
        weights=model.vocabulary.weights,
    )
    left, right = rows[candidates.left], rows[candidates.right]
    labels = np.array(
        [_truth(pool, a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)], dtype=np.int64
    )
    known = labels >= 0
    judged = model.verifier.prepare(held, [pool.normalised[row] for row in rows])
    features = model.verifier.features(judged, candidates.left[known], candidates.right[known])
    drawn = np.full(int(known.sum()), draw)
    return Pairs(features, labels[known], drawn, left[known], right[known])


def _truth(pool: Pool, a: int, b: int) -> int:
    if pool.classes[a] or pool.classes[b]:
        return int(pool.classes[a] == pool.classes[b])
    return -1 if pool.sources[a] == pool.sources[b] or pool.names[a] == pool.names[b] else 0


def hard_subset(pairs: Pairs, config: JudgeConfig) -> Pairs:
    """All clones, and `config.negatives` times as many others: those that look most alike, and some at random."""
    clones, others = np.flatnonzero(pairs.labels == 1), np.flatnonzero(pairs.labels == 0)
    ranked = others[np.argsort(-pairs.features[others, FEATURES.index("background_z_low")], kind="stable")]
    wanted = len(clones) * config.negatives // 2
    hardest, rest = ranked[:wanted], ranked[wanted:]
    some = np.random.default_rng(config.seed).choice(rest, min(wanted, len(rest)), replace=False)
    rows = np.concatenate([clones, hardest, some])
    return pairs.take(rows)


def train_head(pairs: Pairs, config: JudgeConfig, rising: Sequence[int] = ()) -> PairHead:
    """Binary cross-entropy over retrieved pairs, AdamW; see `PairHead` for `rising`. Deterministic by the seed."""
    torch.manual_seed(config.seed)
    head = PairHead(pairs.features.shape[1], config.hidden, rising)
    x, y = torch.from_numpy(pairs.features), torch.from_numpy(pairs.labels).float()
    head.mean.copy_(x.mean(0))
    head.scale.copy_(x.std(0).clamp(min=1e-3))
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs)
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(config.epochs):
        for rows in torch.randperm(len(x), generator=generator).split(config.batch):  # type: ignore[no-untyped-call]
            loss = F.binary_cross_entropy_with_logits(head(x[rows]), y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            head.project()
        schedule.step()
    return head.eval()


def precision_at(scores: NDArray[np.float64], pairs: Pairs, count: int) -> float:
    """Mean over the draws of the share of clones among the `count` best scores."""
    values = []
    for draw in np.unique(pairs.draw):
        rows = np.flatnonzero(pairs.draw == draw)
        best = rows[np.argsort(-scores[rows], kind="stable")[:count]]
        values.append(pairs.labels[best].mean())
    return float(np.mean(values))


def train_pair_head(bundle: Path, prepared: Path, out: Path, config: JudgeConfig) -> dict[str, Any]:
    """Trains on one half, calibrates on half of the other's draws, reports on the rest. Effect: writes `out`.

    The head must not lower precision@50 against the cosine alone; the record says by how much it differs.
    """
    model = load_model(bundle, threads=2)
    pool = read_pool(prepared, config, model.min_atoms)
    log.info("encoding %d units", len(pool.normalised))
    codes = encode_pool(model, pool, out.with_name(f"codes-{model.bundle.encoder_digest[:16]}.npz"))
    draw = (draw_pairs, draw_programs) if config.program_draws else (draw_pairs,)
    training = joined([one(pool, codes, model, 0, config) for one in draw])
    held = joined([one(pool, codes, model, 1, config) for one in draw])
    log.info("pairs: %d to train (%d clones), %d held out (%d)", len(training.labels), training.labels.sum(),
             len(held.labels), held.labels.sum())  # fmt: skip
    metrics = finish_head(training, held, out, config)
    log.info("%s", metrics)
    return metrics


def finish_head(training: Pairs, held: Pairs, out: Path, config: JudgeConfig) -> dict[str, Any]:
    """Trains on `training`, calibrates on the even draws of `held`, reports on the odd ones. Effect: writes `out`.

    Draws from `config.draws` on are of whole programs; they are reported apart and calibrate nothing.
    """
    head = train_head(hard_subset(training, config), config, RISING)
    programs = held.draw >= config.draws
    fitted = (held.draw % 2 == 0) & ~programs
    known = held.take(fitted)
    head.ceiling.fill_(surest(_logits(head, known), known.labels))
    head.lift[FEATURES.index("cosine")] = config.lift
    logits = _logits(head, held)
    calibration = calibrate(logits[fitted], held.labels[fitted], config.default_precision)
    _promise_what_was_reached(calibration)
    p = np.interp(logits.astype(np.float64), calibration["logits"], calibration["probabilities"])
    rest = (held.draw % 2 == 1) & ~programs
    metrics = _metrics(logits[rest], p[rest], held.take(rest), calibration)
    if programs.any():
        metrics["programs"] = _metrics(logits[programs], p[programs], held.take(programs), calibration)
    record = {"calibration": calibration, "metrics": metrics, "config": dataclasses.asdict(config)}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_pair_head(head, out, record)
    out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return metrics


def _promise_what_was_reached(calibration: dict[str, Any]) -> None:
    """Effect: lowers the default precision of a calibration that no threshold has, and says so.

    Where no threshold has any, the head is of use for comparisons only: a bundle needs one.
    """
    wished, reached = calibration["default_precision"], [precision for precision, _ in calibration["precisions"]]
    if max(reached, default=0.0) >= wished:
        return
    remedy = "give `prepare` more exercises, train the encoder longer, or raise --draws"
    if not reached:
        log.warning(
            "the held-out pairs are too few or too mixed for any threshold, and a bundle needs one: %s", remedy
        )
        return
    log.warning("no threshold has a precision of %g; the default is now %g: %s", wished, max(reached), remedy)
    calibration["default_precision"] = max(reached)


def _logits(head: PairHead, pairs: Pairs) -> NDArray[np.float32]:
    with torch.no_grad():
        return np.asarray(head(torch.from_numpy(pairs.features)).numpy(), dtype=np.float32)


def _metrics(
    logits: NDArray[np.float32], p: NDArray[np.float64], pairs: Pairs, calibration: Mapping[str, Any]
) -> dict[str, Any]:
    """How `logits` (n,) order `pairs`, beside the cosine, and how true the probabilities `p` (n,) are."""
    cosine = pairs.features[:, FEATURES.index("cosine")].astype(np.float64)
    scores = logits.astype(np.float64)
    low, high = calibration["unsure"]
    unsure = (p >= low) & (p < high)
    return {
        "pairs": len(pairs.labels),
        "prevalence": round(float(pairs.labels.mean()), 4),
        "average_precision": round(average_precision(scores, pairs.labels), 4),
        "average_precision_cosine": round(average_precision(cosine, pairs.labels), 4),
        "precision_at_50": round(precision_at(scores, pairs, 50), 4),
        "precision_at_50_cosine": round(precision_at(cosine, pairs, 50), 4),
        "recall_at_precision_90": round(recall_at_precision(scores, pairs.labels, 0.9), 4),
        "recall_at_precision_90_cosine": round(recall_at_precision(cosine, pairs.labels, 0.9), 4),
        "expected_calibration_error": round(expected_calibration_error(p, pairs.labels), 4),
        "distinct_among_100_best": len(np.unique(np.round(np.sort(p)[-100:], 4))),
        "unsure_share": round(float(unsure.mean()), 4),
        "unsure_clones": round(float(pairs.labels[unsure].sum() / max(1, pairs.labels.sum())), 4),
    }
