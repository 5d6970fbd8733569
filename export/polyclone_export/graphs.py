"""Torch modules → ONNX graphs, in float32 and int8. One file each, dynamic batch and sequence."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from polyclone.encode.onnx import INPUTS, OUTPUT
from torch import nn

#: From opset 23 on, graphs with more than one row load and then fail at run time.
OPSET = 20


def export_encoder(encoder: nn.Module, path: Path, *, opset: int = OPSET) -> None:
    """Effect: writes the encoder with pooling, channels and normalisation inside the graph."""
    batch, sequence, words = (torch.export.Dim(name) for name in ("batch", "sequence", "words"))
    example = (
        torch.ones(2, 24, dtype=torch.long),
        torch.ones(2, 24, dtype=torch.long),
        torch.ones(2, 12, dtype=torch.long),
        torch.ones(2, 12, dtype=torch.float32),
    )
    shapes = ({0: batch, 1: sequence}, {0: batch, 1: sequence}, {0: batch, 1: words}, {0: batch, 1: words})
    _export(encoder, example, path, list(INPUTS), [OUTPUT], shapes, opset)


def export_pair_head(head: nn.Module, features: int, path: Path, *, opset: int = OPSET) -> None:
    """Effect: writes the pair head: features (n, f) → logit (n,)."""
    example = (torch.zeros(4, features),)
    _export(head, example, path, ["features"], ["logit"], ({0: torch.export.Dim("pairs")},), opset)


def _export(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    shapes: tuple[dict[int, torch.export.Dim], ...],
    opset: int,
) -> None:
    module.eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    strip(path)


def strip(path: Path) -> None:
    """Effect: takes out what the exporter notes about its own run: stack traces, with paths of this machine."""
    import onnx

    model = onnx.load(str(path))
    for item in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    for item in (*model.graph.input, *model.graph.output):
        item.ClearField("metadata_props")
    del model.functions[:]
    onnx.save(model, str(path))


def quantise_int8(source: Path, target: Path) -> None:
    """Effect: writes the graph with int8 weights per channel; activations are scaled when it runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().manager.disable = logging.INFO
    try:
        quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True)
    finally:
        logging.getLogger().manager.disable = logging.NOTSET
