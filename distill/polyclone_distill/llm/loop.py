"""The training loop: accelerate, linear warm-up and decay, checkpoints, one line of log a step.

Rank r of w takes the rows r, r + w, … of a step; a step's loss does not depend on how its batch is divided.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoint import load_checkpoint, save_checkpoint
from .options import TrainOptions
from .runs import LOG
from .tasks import Task, order_of_step, steps_of

log = logging.getLogger(__name__)
Hook = Callable[[int, float], None]


def learning_rate(step: int, steps: int, options: TrainOptions) -> float:
    """Of step `step` (from 0): a straight line up over the warm-up, a straight line down to 0 after it."""
    warm = max(1, round(options.warmup * steps)) if options.warmup else 0
    if step < warm:
        return options.learning_rate * (step + 1) / warm
    return options.learning_rate * (steps - step) / max(1, steps - warm)


def train(module: nn.Module, task: Task, options: TrainOptions, out: Path, hook: Hook) -> Any:
    """Trains `module` in place and returns it unwrapped. Effect: checkpoints and `log.jsonl` in `out`.

    `hook` is called after each step with its number and loss. An exception in it ends the run as a kill would.
    """
    from accelerate import Accelerator  # type: ignore[import-untyped]

    accelerator = Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())
    parameters = [value for value in module.parameters() if value.requires_grad]
    optimizer: Any = torch.optim.AdamW(parameters, lr=0.0, weight_decay=options.weight_decay)
    steps = steps_of(task, options)
    done = load_checkpoint(out, module, optimizer, options, task.digest)
    _trim_log(out, done)
    if done:
        log.info("resumed at step %d of %d", done, steps)
    model, optimizer = accelerator.prepare(module, optimizer)
    model.train()
    started = time.monotonic()
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, options)
        loss = _step(accelerator, model, optimizer, task, options, step, parameters)
        if accelerator.is_main_process:
            line = {"step": step + 1, "loss": loss, "lr": learning_rate(step, steps, options)}
            with (out / LOG).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
            if (step + 1) % max(1, steps // 10) == 0:
                log.info("step %d of %d: loss %.4f, %.1f s", step + 1, steps, loss, time.monotonic() - started)
            if (step + 1) % options.save_every == 0 and step + 1 < steps:
                save_checkpoint(out, accelerator.unwrap_model(model), optimizer, step + 1, options, task.digest)
        hook(step + 1, loss)
    accelerator.wait_for_everyone()
    return accelerator.unwrap_model(model)


def _step(
    accelerator: Any,
    model: Any,
    optimizer: Any,
    task: Task,
    options: TrainOptions,
    step: int,
    parameters: list[nn.Parameter],
) -> float:
    """One step. Returns its loss over all processes."""
    rank, world = accelerator.process_index, accelerator.num_processes
    rows = order_of_step(task, options, step)
    own = rows[rank::world]
    weight = task.weight(rows)
    # The noise of dropout follows from seed, step and rank, so a checkpoint needs no generator's state.
    torch.manual_seed((options.seed * 1_000_003 + step) * 64 + rank)
    total = 0.0
    micros = [own[i : i + options.micro] for i in range(0, len(own), options.micro)]
    for number, micro in enumerate(micros):
        last = number == len(micros) - 1
        half = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=options.bf16)
        with nullcontext() if last else accelerator.no_sync(model), half:
            loss = task.loss(model, micro, accelerator.device) / max(weight, 1.0)
        # DistributedDataParallel averages over the processes; the sum is wanted.
        accelerator.backward(loss * world)
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(parameters, options.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    summed = accelerator.reduce(torch.tensor(total, device=accelerator.device), reduction="sum")
    return float(summed)


def _trim_log(out: Path, done: int) -> None:
    """Effect: lines of steps after the checkpoint go; they will come again."""
    path = out / LOG
    if path.exists():
        kept = [line for line in path.read_text("utf-8").splitlines() if json.loads(line)["step"] <= done]
        path.write_text("".join(line + "\n" for line in kept), "utf-8")
