"""Torch modules → ONNX graphs in float32, with dynamic batch and length. `rounding` makes the others of them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from polyclone.encode.onnx import INPUTS, OUTPUT
from torch import Tensor, nn

from .split import MAX_GRAPH_BYTES, is_split, weight_bytes

#: From opset 23 on, graphs with rotary embeddings load and then fail at run time for more than one row.
OPSET = 20

Axes = dict[int, "torch.export.Dim"]


def export_encoder(encoder: nn.Module, path: Path, *, opset: int = OPSET, max_bytes: int = MAX_GRAPH_BYTES) -> None:
    """Effect: writes the compact encoder with pooling, channels and normalisation inside the graph."""
    batch, sequence, words = (torch.export.Dim(name) for name in ("batch", "sequence", "words"))
    example = (_ids(2, 24), _ids(2, 24), _ids(2, 12), torch.ones(2, 12, dtype=torch.float32))
    shapes = ({0: batch, 1: sequence}, {0: batch, 1: sequence}, {0: batch, 1: words}, {0: batch, 1: words})
    export_dynamo(encoder, example, path, INPUTS, OUTPUT, shapes, opset=opset, max_bytes=max_bytes)


def export_pair_head(head: nn.Module, features: int, path: Path, *, opset: int = OPSET) -> None:
    """Effect: writes the pair head: features (n, f) → logit (n,)."""
    example = (torch.zeros(4, features),)
    export_dynamo(head, example, path, ("features",), "logit", ({0: torch.export.Dim("pairs")},), opset=opset)


def export_text(
    module: nn.Module,
    path: Path,
    inputs: Sequence[str],
    output: str,
    *,
    opset: int = OPSET,
    max_bytes: int = MAX_GRAPH_BYTES,
) -> None:
    """Effect: writes a student that reads pairs of ids and mask: one pair of inputs, or two of unlike lengths."""
    batch = torch.export.Dim("batch")
    example: list[Tensor] = []
    shapes: list[Axes] = []
    for number, length in enumerate(range(9, 9 + len(inputs), 2)):
        axes = {0: batch, 1: torch.export.Dim(("sequence", "right")[number])}
        # Two tensors, never one twice: the exporter takes one object for one input and wires both to it.
        example += [_ids(2, length), _ids(2, length)]
        shapes += [axes, axes]
    export_dynamo(module, tuple(example), path, inputs, output, tuple(shapes), opset=opset, max_bytes=max_bytes)


def export_dynamo(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    output: str,
    shapes: tuple[Axes, ...],
    *,
    opset: int,
    max_bytes: int = MAX_GRAPH_BYTES,
) -> None:
    """Effect: writes one graph by `torch.export`, with its weights inside, or beside it if they are more than
    `max_bytes`.
    """
    module.eval()
    with quiet():
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=shapes,
            opset_version=opset,
            dynamo=True,
            external_data=weight_bytes(module) > max_bytes,
            verbose=False,
        )
    strip(path)


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters say much that says nothing about the graph; what is wrong with one, parity finds."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "optimum", "onnxruntime", "root")]
    before = [logger.level for logger in loggers]
    manager = logging.getLogger().manager
    disabled = manager.disable
    for logger in loggers[:3]:
        logger.setLevel(logging.ERROR)
    manager.disable = max(disabled, logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        manager.disable = disabled
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def strip(path: Path) -> None:
    """Effect: `clean`, of a file. Weights beside it stay where they are."""
    import onnx

    model = onnx.load(str(path), load_external_data=not is_split(path))
    clean(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def clean(model: Any) -> None:
    """Effect: takes out what the exporter notes about its own run: stack traces, with paths of this machine.

    Shapes of inner values go too: some are stale after its own clean-up, and then quantisation refuses the graph.
    """
    del model.graph.value_info[:]
    for item in (model, model.graph, *model.graph.node, *model.graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    for item in (*model.graph.input, *model.graph.output):
        item.ClearField("metadata_props")
    del model.functions[:]


def _ids(rows: int, length: int) -> Tensor:
    return torch.ones(rows, length, dtype=torch.long)
