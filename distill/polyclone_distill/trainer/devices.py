"""Where a step runs. One device here; several are somebody else's matter, behind the same protocol."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Devices(Protocol):
    """One process of a run. Every process has its own batches; only the main one writes and judges."""

    @property
    def device(self) -> torch.device: ...

    @property
    def rank(self) -> int: ...

    def wrap(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """Module and optimizer as a step should call them. Their parameters are those given."""
        ...

    def backward(self, loss: Tensor) -> None: ...

    def agree(self, value: bool) -> bool:
        """What the main process says, in every process, once all have come here."""
        ...


class OneDevice:
    """This process alone, on the first accelerator or the CPU."""

    rank = 0

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def wrap(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        return module, optimizer

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def agree(self, value: bool) -> bool:
        return value


def random_state() -> dict[str, Tensor]:
    """The state of torch's generators: of the CPU, and of the accelerator in use, if there is one."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Effect: the generators go on from `state`. A CUDA state is left out where there is no such device."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
