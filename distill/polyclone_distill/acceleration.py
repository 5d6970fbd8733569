"""Several devices for one run, by way of Hugging Face Accelerate. The trainer itself knows only the protocol."""

from __future__ import annotations

from typing import Any

import torch
from polyclone.errors import UsageError
from torch import Tensor, nn


class AcceleratedDevices:
    """One process of `accelerate launch`. Gradients are averaged; contrastive negatives are those of each process."""

    def __init__(self) -> None:
        try:
            from accelerate import Accelerator, DistributedDataParallelKwargs  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            raise UsageError("--accelerate needs Accelerate: pip install 'polyclone[distill]'.") from error
        # A masked stage leaves the lexicon alone, a plain one has no maps: some parameters have no gradient.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self._accelerator = Accelerator(kwargs_handlers=[unused])

    @property
    def device(self) -> torch.device:
        device: torch.device = self._accelerator.device
        return device

    @property
    def rank(self) -> int:
        return int(self._accelerator.process_index)

    def wrap(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """The module synchronises gradients when called; the optimizer stays as it is, batches are not split."""
        return self._accelerator.prepare_model(module), optimizer

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def agree(self, value: bool) -> bool:
        from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]

        self._accelerator.wait_for_everyone()
        said: list[Any] = [value]
        broadcast_object_list(said, from_process=0)
        return bool(said[0])
