"""Ways to break an exported graph, each as an export might come out broken. Parity has to name the failing step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper
from polyclone.encode.onnx import OUTPUT


def edit(change: Callable[[ModelProto], None]) -> Callable[[Path, Path], None]:
    def broken(source: Path, target: Path) -> None:
        model = onnx.load(str(source))
        change(model)
        target.write_bytes(model.SerializeToString())

    return broken


def rename(old: str, new: str) -> Callable[[ModelProto], None]:
    """Another name for an input or the output."""

    def change(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name == old:
                value.name = new
        for node in model.graph.node:
            for names in (node.input, node.output):
                for position, name in enumerate(names):
                    if name == old:
                        names[position] = new

    return change


def pool_the_maximum(model: ModelProto) -> None:
    """Instead of the sum of the tokens."""
    (first, *_) = [node for node in model.graph.node if node.op_type == "ReduceSum"]
    first.op_type = "ReduceMax"


def ones_for_the_mask(model: ModelProto, like: str) -> None:
    ones = [
        helper.make_node("Shape", [like], ["mask_shape"]),
        helper.make_node(
            "ConstantOfShape", ["mask_shape"], ["ones"], value=numpy_helper.from_array(np.array([1], np.int64))
        ),
    ]
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == "attention_mask":
                node.input[position] = "ones"
    for node in reversed(ones):
        model.graph.node.insert(0, node)


def ignore_the_mask(model: ModelProto) -> None:
    ones_for_the_mask(model, "attention_mask")


def lose_the_mask(model: ModelProto) -> None:
    ones_for_the_mask(model, "input_ids")
    (mask,) = [value for value in model.graph.input if value.name == "attention_mask"]
    model.graph.input.remove(mask)


def fix_an_axis(axis: int, size: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        (ids,) = [value for value in model.graph.input if value.name == "input_ids"]
        ids.type.tensor_type.shape.dim[axis].dim_value = size

    return change


def finish_with(kind: str, constant: np.ndarray, output_name: str = OUTPUT) -> Callable[[ModelProto], None]:
    """One more node behind the output."""

    def change(model: ModelProto) -> None:
        for node in model.graph.node:
            for position, name in enumerate(node.output):
                if name == output_name:
                    node.output[position] = "before"
        model.graph.initializer.append(numpy_helper.from_array(constant, "extra"))
        model.graph.node.append(helper.make_node(kind, ["before", "extra"], [output_name]))
        (output,) = model.graph.output
        output.type.tensor_type.ClearField("shape")

    return change


def disturb_a_table(model: ModelProto) -> None:
    tables = [t for t in model.graph.initializer if len(t.dims) == 2 and t.dims[1] == 16]
    (table,) = tables
    noise = np.random.default_rng(0).standard_normal(tuple(table.dims)).astype(np.float32)
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table) + 0.2 * noise, table.name))
