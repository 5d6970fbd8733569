"""The training loop: warm-up, plateau, decay; EMA; unseen-task validation; checkpoints that resume exactly."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .devices import Devices, OneDevice, random_state, set_random_state
from .errors import TrainerError
from .losses import Ratio
from .mining import load_negatives, save_negatives
from .model import Encoder, upgrade_state
from .objective import ContrastiveObjective, MaskedObjective
from .settings import TrainConfig
from .validation import cross_language_mrr

__all__ = ["Hooks", "Run", "TrainConfig", "cross_language_mrr", "rate", "segments"]

log = logging.getLogger(__name__)

#: What a score is where the evaluation does not say: the mean of these.
SCORED = ("plain_combined", "masked_combined", "renamed_combined")


def rate(step: int, config: TrainConfig) -> float:
    """Factor on the learning rate: linear warm-up, plateau, then 1 − √ decay to zero (Hägele et al. 2024)."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    decay = max(1, round(config.steps * config.decay_share))
    left = config.steps - step
    return 1.0 if left > decay else 1.0 - math.sqrt(1.0 - left / decay) if left > 0 else 0.0


class AnySampler(Protocol):
    """Gives the batch of a step, the same whenever it is asked."""

    def batch(self, step: int) -> Any: ...


@dataclass(frozen=True)
class Hooks:
    """What a run calls out to. `evaluate` judges a model on unseen data; `export` makes of weights what `best.pt`
    holds; `mine` finds negatives with a model at a step; `show` is told every row that is logged.
    """

    export: Callable[[dict[str, Tensor]], dict[str, Any]]
    evaluate: Callable[[Encoder], Mapping[str, float]] | None = None
    mine: Callable[[Encoder, int], tuple[dict[int, Any], dict[str, int]]] | None = None
    show: Callable[[Mapping[str, Any]], None] | None = None


class Run:
    """One stage in a directory: `checkpoint.pt` (resume), `best.pt` (EMA weights), `steps.jsonl`, `mined.npz`."""

    def __init__(
        self,
        objective: ContrastiveObjective | MaskedObjective,
        config: TrainConfig,
        directory: Path,
        devices: Devices | None = None,
    ) -> None:
        self.devices = devices or OneDevice()
        self.objective = objective.to(self.devices.device)
        self.config, self.directory = config, directory
        self.model = objective.model
        directory.mkdir(parents=True, exist_ok=True)
        lexicon = list(self.model.lexicon.parameters())
        rest = [p for name, p in objective.named_parameters() if not name.startswith("model.lexicon.")]
        optimizer = torch.optim.AdamW(
            [
                {"params": rest, "lr": config.learning_rate, "weight_decay": config.weight_decay},
                {"params": lexicon, "lr": config.lexicon_rate, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )
        self.rates = [config.learning_rate, config.lexicon_rate]
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.step, self.best, self.stale = 0, -1.0, 0
        self._call, self.optimizer = self.devices.wrap(self.objective, optimizer)

    @property
    def done(self) -> bool:
        """Whether the last step was made, or patience ran out."""
        return self.step >= self.config.steps or self._impatient

    @property
    def _impatient(self) -> bool:
        return bool(self.config.patience) and self.stale >= self.config.patience

    def resume(self) -> bool:
        """Effect: loads `checkpoint.pt` if there is one."""
        path = self.directory / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.devices.device, weights_only=True)
        try:
            self.model.load_state_dict(upgrade_state(state["model"]))
            if "maps" in state:
                self._maps().load_state_dict(state["maps"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise TrainerError(
                f"{path} is of a run with another encoder or other methods, so this one cannot go on from it;"
                " give another --out, or remove it."
            ) from error
        self.average = upgrade_state(state["average"])
        self.step, self.best, self.stale = int(state["step"]), float(state["best"]), int(state.get("stale", 0))
        if self.devices.rank:
            torch.manual_seed(self.config.seed + 1000 * self.devices.rank + self.step)
        else:
            set_random_state(state["rng"] if isinstance(state["rng"], dict) else {"cpu": state["rng"]})
        return True

    def save(self) -> None:
        """Effect: replaces `checkpoint.pt` in one move, so that a kill leaves the old or the new one."""
        if self.devices.rank:
            return
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "maps": self._maps().state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "best": self.best,
            "stale": self.stale,
            "rng": random_state(),
        }
        _replace(self.directory / "checkpoint.pt", state)

    def train(self, sampler: AnySampler, hooks: Hooks) -> None:
        """Effect: trains to `config.steps` or until patience ends; writes metrics, checkpoints, best weights."""
        self.model.train()
        self._started = time.monotonic()
        for start, stop in segments(self.step, self.config.steps, self.config.mine_every if hooks.mine else 0):
            if self.done:
                break
            if hooks.mine:
                self._mine(sampler, hooks.mine, start)
            for batch in _prefetch(sampler, self.step, stop):
                self._step(batch, hooks)
                if self.done:
                    break

    def _step(self, batch: Any, hooks: Hooks) -> None:
        batch = batch.to(self.devices.device)
        loss, parts = self._call(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.devices.backward(loss)
        norm = float(torch.nn.utils.clip_grad_norm_(self.objective.parameters(), 1.0))
        for group, base in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = base * rate(self.step, self.config)
        self.optimizer.step()
        self._average()
        self.step += 1
        row: dict[str, Any] = {
            "step": self.step,
            "loss": float(loss.detach()),
            **flatten(parts),
            "gradient_norm": norm,
        }
        row |= {"tokens": int(batch.attention_mask.sum()), "rows": len(batch.attention_mask)}
        row["elapsed_s"] = time.monotonic() - self._started
        last = self.step >= self.config.steps
        if hooks.evaluate and (self.step % self.config.evaluate_every == 0 or last):
            row |= self._evaluate(hooks)
        self._log(row, hooks)
        if self.step % self.config.checkpoint_every == 0 or self.done:
            self.save()

    def _mine(
        self, sampler: Any, mine: Callable[[Encoder, int], tuple[dict[int, Any], dict[str, int]]], at: int
    ) -> None:
        """Effect: the sampler gets the negatives of the segment that begins at `at`, kept in `mined.npz`."""
        path = self.directory / "mined.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                if int(kept["step"]) == at:
                    sampler.negatives = load_negatives({name: kept[name] for name in kept.files})
                    return
        # The averaged weights of this very step must be at hand again after a kill.
        self.save()
        negatives, counts = self._with_average(lambda model: mine(model, at))
        log.info("negatives at step %d: %s", at, counts)
        sampler.negatives = negatives
        if not self.devices.rank:
            partial = path.with_suffix(".partial.npz")
            arrays: dict[str, Any] = {"step": np.array(at), **save_negatives(negatives)}
            np.savez(partial, **arrays)
            partial.replace(path)

    def _average(self) -> None:
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value.detach(), 1.0 - keep)

    def _evaluate(self, hooks: Hooks) -> dict[str, float]:
        """Effect: judges the averaged weights and keeps them if they are the best so far."""
        metrics: dict[str, float] = {}
        better = False
        if not self.devices.rank:
            assert hooks.evaluate is not None
            metrics = dict(self._with_average(hooks.evaluate))
            if "score" not in metrics:
                metrics["score"] = sum(metrics[name] for name in SCORED) / len(SCORED)
            better = metrics["score"] > self.best
            if better:
                self.best = metrics["score"]
                _replace(self.directory / "best.pt", hooks.export(self.average))
        self.stale = 0 if self.devices.agree(better) else self.stale + 1
        return metrics

    def _with_average(self, use: Callable[[Encoder], Any]) -> Any:
        """What `use` makes of the model with its averaged weights; the current ones come back."""
        current = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        made = use(self.model)
        self.model.load_state_dict(current)
        return made

    def _maps(self) -> torch.nn.Module:
        maps = getattr(self.objective, "maps", None)
        return maps if isinstance(maps, torch.nn.Module) else torch.nn.ModuleDict()

    def _log(self, row: dict[str, Any], hooks: Hooks) -> None:
        if self.devices.rank:
            return
        with (self.directory / "steps.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}) + "\n")
        if hooks.show:
            hooks.show(row)
        else:
            named = {k: v for k, v in row.items() if not k.endswith(("_sum", "_count"))}
            log.info("%s", " ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in named.items()))


def flatten(parts: Mapping[str, Ratio]) -> dict[str, float]:
    """Each part as its mean, with numerator and denominator beside it: `kd`, `kd_sum`, `kd_count`."""
    out: dict[str, float] = {}
    for name, part in parts.items():
        out[name] = float(part.mean().detach())
        out[f"{name}_sum"], out[f"{name}_count"] = float(part.total.detach()), float(part.terms.detach())
    return out


def segments(start: int, stop: int, every: int) -> Iterator[tuple[int, int]]:
    """Stretches of steps up to `stop` that end at multiples of `every`; each comes with the multiple it began at.

    The first may be under way: `segments(5, 12, 4)` gives (4, 8) and (8, 12).
    """
    if not every:
        if start < stop:
            yield start, stop
        return
    at = start // every * every
    while at < stop:
        yield at, min(at + every, stop)
        at += every


def _prefetch(sampler: AnySampler, start: int, stop: int) -> Iterator[Any]:
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
