"""Checkpoints of a run: the weights that are trained, the optimizer's state, the step. No pickle is ever executed.

Nothing else is needed to go on: the order of the examples and the noise of every step follow from seed and step.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from polyclone.errors import UsageError
from torch import nn

from .options import TrainOptions
from .runs import CHECKPOINT, read_options

WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.pt", "state.json"
#: What may differ between a run and its resumption.
_FREE = {"save_every": 1}


def trained(module: nn.Module) -> dict[str, torch.Tensor]:
    """Name → parameter, of those that are trained."""
    return {name: value for name, value in module.named_parameters() if value.requires_grad}


def save_checkpoint(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int, options: TrainOptions, data: str
) -> None:
    """Effect: the checkpoint of `folder` is this one, or, if the machine dies meanwhile, the one before."""
    from safetensors.torch import save_file

    part = folder / f"{CHECKPOINT}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file({name: value.detach().cpu().contiguous() for name, value in trained(module).items()}, part / WEIGHTS)
    torch.save(optimizer.state_dict(), part / OPTIMIZER)
    state = {"step": step, "data": data, "options": dataclasses.asdict(options)}
    (part / STATE).write_text(json.dumps(state), "utf-8")
    kept = folder / CHECKPOINT
    old = folder / f"{CHECKPOINT}.old"
    shutil.rmtree(old, ignore_errors=True)
    if kept.exists():
        kept.rename(old)
    part.rename(kept)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, options: TrainOptions, data: str
) -> int:
    """Steps that are done; 0 without a checkpoint. `UsageError` if it belongs to other options or data.

    Effect: `module` and `optimizer` are as they were.
    """
    from safetensors.torch import load_file

    kept = folder / CHECKPOINT
    if not kept.exists() and (folder / f"{CHECKPOINT}.old").exists():
        (folder / f"{CHECKPOINT}.old").rename(kept)
    if not (kept / STATE).exists():
        return 0
    state = json.loads((kept / STATE).read_text("utf-8"))
    _same(folder, read_options(state["options"]), options, state["data"], data)
    saved = load_file(kept / WEIGHTS)
    own = trained(module)
    if own.keys() != saved.keys():
        raise UsageError(f"{kept} holds other weights than this student has; remove it to begin anew.")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(saved[name])
    optimizer.load_state_dict(torch.load(kept / OPTIMIZER, weights_only=True, map_location="cpu"))
    return int(state["step"])


def remove_checkpoint(folder: Path) -> None:
    """Effect: as it says; a finished run needs none."""
    for name in (CHECKPOINT, f"{CHECKPOINT}.old", f"{CHECKPOINT}.part"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _same(folder: Path, before: TrainOptions, now: TrainOptions, data_before: str, data: str) -> None:
    old, new = (dataclasses.asdict(options.with_(**_FREE)) for options in (before, now))
    changed = sorted(name for name, value in new.items() if old[name] != value)
    if data_before != data:
        changed.append("the training pairs")
    if changed:
        raise UsageError(
            f"{folder} holds an unfinished run with other {', '.join(changed)}; give those again, or another --out."
        )


def describe(module: nn.Module) -> dict[str, Any]:
    """How many parameters there are and how many are trained."""
    total = sum(value.numel() for value in module.parameters())
    return {"parameters": total, "trained parameters": sum(value.numel() for value in trained(module).values())}
