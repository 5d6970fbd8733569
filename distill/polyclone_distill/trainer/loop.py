"""The training loop: warm-up, plateau, decay; EMA; unseen-task validation; checkpoints that resume exactly."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batches import Batch, Sampler, collate
from .losses import multi_positive_info_nce
from .model import Encoder
from .shards import DOC, PROGRAM, Shard
from .views import NAME_MASKED, PLAIN, RENAMED, ViewPolicy, Vocabulary, make_view

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """Hyper-parameters of one run. `steps` may be raised or lowered on resume while the rate is on its plateau."""

    steps: int = 600
    warmup: int = 30
    decay_share: float = 0.3
    learning_rate: float = 1.2e-4
    lexicon_rate: float = 2e-3
    weight_decay: float = 0.01
    temperature: float = 0.05
    dense_weight: float = 1.0
    combined_weight: float = 1.0
    lexical_weight: float = 0.3
    ema: float = 0.99
    evaluate_every: int = 100
    checkpoint_every: int = 25
    bf16: bool = True
    length_groups: int = 4
    seed: int = 1


def rate(step: int, config: TrainConfig) -> float:
    """Factor on the learning rate: linear warm-up, plateau, then 1 − √ decay to zero (Hägele et al. 2024)."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    decay = max(1, round(config.steps * config.decay_share))
    left = config.steps - step
    return 1.0 if left > decay else 1.0 - math.sqrt(1.0 - left / decay) if left > 0 else 0.0


def batch_loss(model: Encoder, batch: Batch, config: TrainConfig) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of the contrastive losses of both channels and of the vector that ships."""
    device = batch.labels.device
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
        dense = dense_by_length(model, batch, config.length_groups)
    lexical = model.lexical(batch.word_ids, batch.word_weights)
    parts = {
        "dense": multi_positive_info_nce(dense, batch.labels, config.temperature),
        "combined": multi_positive_info_nce(model.combine(dense, lexical), batch.labels, config.temperature),
        "lexical": multi_positive_info_nce(lexical, batch.labels, config.temperature),
    }
    total = (
        config.dense_weight * parts["dense"]
        + config.combined_weight * parts["combined"]
        + config.lexical_weight * parts["lexical"]
    )
    return total, {name: float(value.detach()) for name, value in parts.items()}


def dense_by_length(model: Encoder, batch: Batch, groups: int) -> Tensor:
    """Dense vectors (b, width) in the order of the batch, computed in `groups` of like length.

    Short units are not padded to the longest of the batch; on a CPU that is a third of the time.
    """
    lengths = batch.attention_mask.sum(1)
    order = lengths.argsort(stable=True)
    parts = []
    for rows in order.chunk(groups):
        longest = int(lengths[rows].max())
        parts.append(model.dense(batch.input_ids[rows, :longest], batch.attention_mask[rows, :longest]))
    return torch.cat(parts)[order.argsort()]


def encode_units(
    model: Encoder, shard: Shard, units: np.ndarray, vocabulary: Vocabulary, policy: ViewPolicy, budget: int
) -> tuple[np.ndarray, np.ndarray]:
    """Dense (n, width) and lexical (n, lexical_width) float32 vectors of views of `units`, in their order."""
    views = [make_view(shard, int(u), vocabulary, policy, budget, np.random.default_rng((7, int(u)))) for u in units]
    order = sorted(range(len(views)), key=lambda i: len(views[i].tokens))
    device = model.words.weight.device
    dense = np.zeros((len(views), model.config.width), dtype=np.float32)
    lexical = np.zeros((len(views), model.config.lexical_width), dtype=np.float32)
    training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            batch = collate([views[i] for i in rows]).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                dense[rows] = model.dense(batch.input_ids, batch.attention_mask).cpu().numpy()
            lexical[rows] = model.lexical(batch.word_ids, batch.word_weights).cpu().numpy()
    model.train(training)
    return dense, lexical


def cross_language_mrr(vectors: np.ndarray, labels: np.ndarray, languages: np.ndarray) -> float:
    """Mean reciprocal rank of the first unit of the same label among all units of *other* languages."""
    scores = vectors @ vectors.T
    foreign = languages[:, None] != languages[None, :]
    relevant = (labels[:, None] == labels[None, :]) & foreign
    asked = np.flatnonzero(relevant.any(1))
    if not len(asked):
        return float("nan")
    best = np.where(relevant, scores, -np.inf).max(1)
    rank = 1 + (foreign & (scores > best[:, None])).sum(1)
    return float((1.0 / rank[asked]).mean())


def validate(model: Encoder, shard: Shard, vocabulary: Vocabulary, budget: int, limit: int) -> dict[str, float]:
    """MRR on unseen tasks for plain, name-masked and renamed views; dense, lexical and combined."""
    units = np.flatnonzero((shard.label >= 0) & (shard.kind != DOC))
    first = units[np.unique(shard.program[units], return_index=True)[1]]
    units = np.sort(np.random.default_rng(3).permutation(first)[:limit])
    labels, languages = shard.label[units], shard.language[units]
    share = float(model.share)
    out: dict[str, float] = {}
    for name, policy in (("plain", PLAIN), ("masked", NAME_MASKED), ("renamed", RENAMED)):
        dense, lexical = encode_units(model, shard, units, vocabulary, policy, budget)
        both = np.concatenate([dense * math.sqrt(1 - share), lexical * math.sqrt(share)], axis=1)
        for channel, vectors in (("dense", dense), ("lexical", lexical), ("combined", both)):
            out[f"{name}_{channel}"] = cross_language_mrr(vectors, labels, languages)
    return out


class Run:
    """One training run in a directory: `checkpoint.pt` (resume), `best.pt` (EMA weights), `steps.jsonl`."""

    def __init__(self, model: Encoder, config: TrainConfig, directory: Path, device: torch.device) -> None:
        self.model, self.config, self.directory, self.device = model.to(device), config, directory, device
        directory.mkdir(parents=True, exist_ok=True)
        lexicon = list(model.lexicon.parameters())
        rest = [p for name, p in model.named_parameters() if not name.startswith("lexicon.")]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": rest, "lr": config.learning_rate, "weight_decay": config.weight_decay},
                {"params": lexicon, "lr": config.lexicon_rate, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )
        self.rates = [config.learning_rate, config.lexicon_rate]
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.step, self.best = 0, -1.0

    def resume(self) -> bool:
        """Effect: loads `checkpoint.pt` if there is one."""
        path = self.directory / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step, self.best = state["average"], int(state["step"]), float(state["best"])
        torch.set_rng_state(state["rng"].cpu())
        return True

    def save(self) -> None:
        """Effect: replaces `checkpoint.pt` in one move, so that a kill leaves the old or the new one."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "best": self.best,
            "rng": torch.get_rng_state(),
        }
        _replace(self.directory / "checkpoint.pt", state)

    def train(
        self,
        sampler: Sampler,
        evaluate: Callable[[Encoder], dict[str, float]] | None,
        *,
        export: Callable[[dict[str, Tensor]], dict[str, Any]],
    ) -> None:
        """Effect: trains to `config.steps`, writes metrics, checkpoints and the best averaged weights."""
        self.model.train()
        started = time.monotonic()
        for batch in _prefetch(sampler, self.step, self.config.steps):
            loss, parts = batch_loss(self.model, batch.to(self.device), self.config)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
            for group, base in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = base * rate(self.step, self.config)
            self.optimizer.step()
            self._average()
            self.step += 1
            row = {"step": self.step, "loss": float(loss.detach()), **parts, "gradient_norm": norm}
            row |= {"tokens": int(batch.attention_mask.sum()), "elapsed_s": time.monotonic() - started}
            last = self.step >= self.config.steps
            if evaluate and (self.step % self.config.evaluate_every == 0 or last):
                row |= self._evaluate(evaluate, export)
            self._log(row)
            if self.step % self.config.checkpoint_every == 0 or last:
                self.save()

    def _average(self) -> None:
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value.detach(), 1.0 - keep)

    def _evaluate(
        self,
        evaluate: Callable[[Encoder], dict[str, float]],
        export: Callable[[dict[str, Tensor]], dict[str, Any]],
    ) -> dict[str, float]:
        current = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        metrics = evaluate(self.model)
        self.model.load_state_dict(current)
        score = sum(metrics[name] for name in ("plain_combined", "masked_combined", "renamed_combined")) / 3
        if score > self.best:
            self.best = score
            _replace(self.directory / "best.pt", export(self.average))
        return {**metrics, "score": score}

    def _log(self, row: dict[str, float]) -> None:
        with (self.directory / "steps.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}) + "\n")
        shown = " ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        log.info("%s", shown)


def _prefetch(sampler: Sampler, start: int, stop: int) -> Iterator[Batch]:
    """Batches start…stop−1, each made in a thread while the one before is trained on."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(sampler.batch, start) if start < stop else None
        for step in range(start, stop):
            assert ahead is not None
            batch = ahead.result()
            ahead = pool.submit(sampler.batch, step + 1) if step + 1 < stop else None
            yield batch


def _replace(path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def describe(config: TrainConfig) -> dict[str, Any]:
    return asdict(config)


__all__ = [
    "PROGRAM",
    "Run",
    "TrainConfig",
    "batch_loss",
    "cross_language_mrr",
    "encode_units",
    "rate",
    "validate",
]
