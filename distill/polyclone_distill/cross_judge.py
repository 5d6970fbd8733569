"""`train cross-encoder` and `compare judges`: a reader of both texts against the pair head, on the same pairs.

The cross-encoder is trained on the pairs the head is trained on, judged on the pairs the head is judged on, and
calibrated in the same way. It can teach an encoder by its margins; a bundle holds a pair head.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from polyclone.errors import UsageError
from polyclone.model import load_model
from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece
from polyclone.values import ATOM_SEPARATOR
from polyclone.verify import FEATURES
from torch import Tensor
from torch.nn import functional as F

from .calibration import average_precision, calibrate, expected_calibration_error, recall_at_precision
from .judge import JudgeConfig, Pairs, Pool, draw_pairs, encode_pool, hard_subset, precision_at, read_pool
from .trainer.cross_encoder import CrossConfig, CrossEncoder, load_cross_encoder, save_cross_encoder
from .trainer.pair_head import load_pair_head
from .trainer.starting import load_encoder, principal

log = logging.getLogger(__name__)

Units = list[NDArray[np.int64]]


@dataclass(frozen=True)
class CrossTraining:
    """Hyper-parameters of the cross-encoder, and how many pairs it reads: reading is dear."""

    layers: int = 4
    width: int = 256
    heads: int = 8
    feed_forward: int = 512
    side: int = 160
    """Tokens of each unit."""
    negatives: int = 12
    """Pairs that are no clones for each that is, in training."""
    judged_per_draw: int = 400
    """Of each held-out draw the pairs with the highest background z; the others are left out of the comparison."""
    epochs: int = 2
    batch: int = 32
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    seed: int = 5


def tokenise(pool: Pool, prepared: Path, side: int) -> Units:
    """Token ids of each unit of the pool with their frame, at most `side` of them, its middle left out."""
    wordpiece = WordPiece.from_json((prepared / "tokenizer.json").read_text("utf-8"))
    tokenizer = Tokenizer(wordpiece, Lexicon.from_text((prepared / "lexicon.tsv").read_text("utf-8")), side)
    return [tokenizer.ids(text.split(ATOM_SEPARATOR))[0] for text in pool.normalised]


def pad(units: Units, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """The units at `rows` as ids and mask, int64 (n, t), padded to the longest."""
    length = max(len(units[row]) for row in rows.tolist())
    ids, mask = (np.zeros((len(rows), length), dtype=np.int64) for _ in range(2))
    for place, row in enumerate(rows.tolist()):
        ids[place, : len(units[row])] = units[row]
        mask[place, : len(units[row])] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def train_cross_encoder(units: Units, pairs: Pairs, start: Path, config: CrossTraining) -> CrossEncoder:
    """Binary cross-entropy over `pairs`, each in an order drawn anew. Deterministic by the seed.

    The token table starts with the principal components of the one in `start`.
    """
    torch.manual_seed(config.seed)
    pretrained = load_encoder(start)
    given = {f.name: getattr(config, f.name) for f in dataclasses.fields(CrossConfig) if hasattr(config, f.name)}
    model = CrossEncoder(CrossConfig(vocabulary=pretrained.config.vocabulary, **given))
    with torch.no_grad():
        table = model.body.tokens.table.weight
        table.copy_(principal(pretrained.state_dict()["body.words.weight"], table))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = config.epochs * -(-len(pairs.labels) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=max(2, steps))
    rng = np.random.default_rng(config.seed)
    for epoch in range(config.epochs):
        losses = []
        for rows in _batches(rng.permutation(len(pairs.labels)), config.batch):
            swapped = rng.random(len(rows)) < 0.5
            left = np.where(swapped, pairs.right[rows], pairs.left[rows])
            right = np.where(swapped, pairs.left[rows], pairs.right[rows])
            logits = model(*pad(units, left), *pad(units, right))
            loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(pairs.labels[rows]).float())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        log.info(
            "epoch %d of %d: loss %.4f over %d pairs", epoch + 1, config.epochs, np.mean(losses), len(pairs.labels)
        )
    return model.eval()


def cross_logits(model: CrossEncoder, units: Units, pairs: Pairs, batch: int = 64) -> NDArray[np.float32]:
    """Logits (n,) of the pairs, the mean of both orders, computed in order of length."""
    sizes = np.array([len(unit) for unit in units])
    order = np.argsort(sizes[pairs.left] + sizes[pairs.right], kind="stable")
    out = np.zeros(len(order), dtype=np.float32)
    with torch.no_grad():
        for rows in _batches(order, batch):
            sides = (*pad(units, pairs.left[rows]), *pad(units, pairs.right[rows]))
            out[rows] = model.symmetric(*sides).numpy()
    return out


def _batches(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def top_of_draws(pairs: Pairs, count: int) -> Pairs:
    """Of each draw the `count` pairs with the highest background z: those that search would put first."""
    z = pairs.features[:, FEATURES.index("background_z_low")]
    kept = []
    for draw in np.unique(pairs.draw):
        rows = np.flatnonzero(pairs.draw == draw)
        kept.append(rows[np.argsort(-z[rows], kind="stable")[:count]])
    return pairs.take(np.sort(np.concatenate(kept)))


@dataclass(frozen=True, eq=False)
class _Material:
    pool: Pool
    training: Pairs
    held: Pairs


def _gather(bundle: Path, prepared: Path, out: Path, judge: JudgeConfig) -> _Material:
    model = load_model(bundle, threads=2)
    pool = read_pool(prepared, judge, model.min_atoms)
    codes = encode_pool(model, pool, out.with_name(f"codes-{model.bundle.encoder_digest[:16]}.npz"))
    return _Material(pool, draw_pairs(pool, codes, model, 0, judge), draw_pairs(pool, codes, model, 1, judge))


def make_cross_encoder(
    bundle: Path, prepared: Path, out: Path, judge: JudgeConfig, config: CrossTraining
) -> dict[str, Any]:
    """Effect: trains on one half of classes and libraries, calibrates and reports on the other, writes `out`."""
    material = _gather(bundle, prepared, out, judge)
    units = tokenise(material.pool, prepared, config.side)
    pairs = hard_subset(material.training, dataclasses.replace(judge, negatives=config.negatives))
    log.info("reading %d pairs (%d clones)", len(pairs.labels), pairs.labels.sum())
    model = train_cross_encoder(units, pairs, prepared / "start.pt", config)
    held = top_of_draws(material.held, config.judged_per_draw)
    calibration, metrics = calibrate_held(cross_logits(model, units, held), held, judge)
    record = {
        "calibration": calibration,
        "metrics": {**metrics, "left_out_of_the_judgement": len(material.held.labels) - len(held.labels)},
        "config": dataclasses.asdict(config),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_cross_encoder(model, out, record)
    out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return dict(record["metrics"])


def calibrate_held(
    logits: NDArray[np.float32], held: Pairs, judge: JudgeConfig
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Calibration on the even draws, metrics on the odd ones. `logits` (n,) of the pairs of `held`."""
    fitted = held.draw % 2 == 0
    calibration = calibrate(logits[fitted], held.labels[fitted], judge.default_precision)
    rest = held.take(~fitted)
    p = np.interp(logits[~fitted].astype(np.float64), calibration["logits"], calibration["probabilities"])
    return calibration, {
        **_ranking(logits[~fitted], rest),
        "ece": round(expected_calibration_error(p, rest.labels), 4),
    }


def _ranking(scores: NDArray[Any], pairs: Pairs) -> dict[str, Any]:
    return {
        "pairs": len(pairs.labels),
        "clones": int(pairs.labels.sum()),
        "average_precision": round(average_precision(scores, pairs.labels), 4),
        "precision_at_50": round(precision_at(scores, pairs, 50), 4),
        "recall_at_precision_90": round(recall_at_precision(scores, pairs.labels, 0.9), 4),
    }


def compare_judges(
    bundle: Path, prepared: Path, head: Path, cross: Path, judge: JudgeConfig, judged_per_draw: int
) -> dict[str, Any]:
    """Cosine, pair head and cross-encoder on the same held-out pairs, and which of the two judges is the better."""
    if not head.exists():
        raise UsageError(f"{head} does not exist; run `polyclone-distill train pair-head`.")
    material = _gather(bundle, prepared, cross, judge)
    reader, _ = load_cross_encoder(cross)
    perceptron, _ = load_pair_head(head)
    held = top_of_draws(material.held, judged_per_draw)
    odd = held.take(held.draw % 2 == 1)
    with torch.no_grad():
        head_logits = perceptron(torch.from_numpy(odd.features)).numpy()
    units = tokenise(material.pool, prepared, reader.config.side)
    results = {
        "cosine": _ranking(odd.features[:, FEATURES.index("cosine")], odd),
        "pair_head": _ranking(head_logits, odd),
        "cross_encoder": _ranking(cross_logits(reader, units, odd), odd),
    }
    return {
        "judges": results,
        "left_out": len(material.held.labels) - len(held.labels),
        "better": better_judge(results),
        "note": "A bundle holds a pair head; a cross-encoder teaches margins (--pair-teacher).",
    }


def better_judge(results: dict[str, dict[str, Any]]) -> str:
    """The judge of the highest average precision among those that do not lower precision@50 against the cosine."""
    least = results["cosine"]["precision_at_50"]
    sound = [name for name in ("pair_head", "cross_encoder") if results[name]["precision_at_50"] >= least]
    return max(sound, key=lambda name: float(results[name]["average_precision"]), default="cosine")
