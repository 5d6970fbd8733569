"""Float32 graphs → int8, blocks of four bits, half precision. What comes out is always one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .graphs import clean, quiet
from .split import MAX_GRAPH_BYTES, graph_bytes, is_split, remove, write_whole

#: Weights of one row that share a scale in 4 bits: the smallest that fits, for quality falls as they grow.
BLOCKS = (32, 64, 128)
#: Products in int8, activations scaled row by row and block by block: twice as fast on the CPU, and a row of a
#: batch does not depend on the others.
_INT8_PRODUCTS = 4
#: Sums over many values and what follows them, which half precision rounds visibly; they cost little.
_STAYS_FLOAT32 = ("ReduceSum", "ReduceMean", "ReduceL2", "LpNormalization", "Pow", "Sqrt", "Range")


def quantise_int8(source: Path, target: Path, *, max_bytes: int = MAX_GRAPH_BYTES) -> None:
    """Effect: writes the graph with int8 weights per channel; activations are scaled when it runs."""
    if not is_split(source):
        _dynamic(source, target)
        return
    loose = source.with_name(f"loose-{target.name}")
    _dynamic(source, loose, external=True)
    _gather(loose, target, precision="int8", max_bytes=max_bytes)


def quantise_int4(source: Path, target: Path, *, max_bytes: int = MAX_GRAPH_BYTES) -> None:
    """Effect: writes the graph with the weights of its body in 4 bits, its tables and heads in int8.

    Symmetric around zero, rounded to the nearest, in `BLOCKS` along each column (`MatMulNBits` of ONNX Runtime).
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    whole = ONNXModel(onnx.load(str(source)))
    body = [node.name for node in whole.nodes() if node.op_type == "MatMul"]
    block = block_size(whole.model, max_bytes)
    whole.replace_gemm_with_matmul()
    first, second = (source.with_name(f"loose-{step}-{target.name}") for step in ("body", "rest"))
    with quiet():
        quantiser = MatMulNBitsQuantizer(
            whole.model,
            block_size=block,
            is_symmetric=True,
            accuracy_level=_INT8_PRODUCTS,
            nodes_to_include=body,
            op_types_to_quantize=("MatMul",),
        )
        quantiser.process()
        quantiser.model.save_model_to_file(str(first), use_external_data_format=True)
    # Types cannot be inferred through the runtime's own operators; all that is multiplied is float32.
    float32 = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    _dynamic(first, second, external=True, op_types_to_quantize=["Gather", "MatMul"], extra_options=float32)
    remove(first)
    _gather(second, target, precision="int4", max_bytes=max_bytes)


def block_size(model: Any, max_bytes: int) -> int:
    """The smallest of `BLOCKS` with which a model fits into `max_bytes` in 4 bits; the largest if none does."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    places = {"MatMul": 1, "Gemm": 1, "Gather": 0}
    read = {node.input[places[node.op_type]]: node.op_type for node in model.graph.node if node.op_type in places}
    rounded = {name: kind for name, kind in read.items() if name in tensors}
    body = sum(_count(tensors[name]) for name, kind in rounded.items() if kind == "MatMul")
    others = sum(_count(tensors[name]) for name, kind in rounded.items() if kind != "MatMul")
    rest = graph_bytes(model) - sum(tensors[name].ByteSize() for name in rounded) + others
    # Four bits a weight, and a scale of 32 bits a block; a hundredth is left for what cannot be foreseen.
    fitting = [block for block in BLOCKS if (rest + body * (4 + 32 / block) / 8) * 1.01 <= max_bytes]
    return fitting[0] if fitting else BLOCKS[-1]


def halve(source: Path, target: Path, *, max_bytes: int = MAX_GRAPH_BYTES) -> None:
    """Effect: writes the graph in half precision for a GPU. What it reads and gives stays as it was."""
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    with quiet():
        model = convert_float_to_float16(
            # A model in memory loses its shapes above 2 GiB; by its path it keeps them.
            str(source) if is_split(source) else onnx.load(str(source)),
            keep_io_types=True,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_STAYS_FLOAT32],
        )
    clean(model)
    write_whole(model, target, precision="fp16", max_bytes=max_bytes)


def keep(source: Path, target: Path, *, max_bytes: int = MAX_GRAPH_BYTES) -> None:
    """Effect: writes the float32 graph itself."""
    if is_split(source):
        _gather(source, target, precision="float32", max_bytes=max_bytes)
    else:
        source.rename(target)


#: How the graph of each precision is made of the one in float32: (source, target, max_bytes=…).
MAKERS: dict[str, Callable[..., None]] = {
    "float32": keep,
    "int8": quantise_int8,
    "int4": quantise_int4,
    "fp16": halve,
}


def _dynamic(source: Path, target: Path, *, external: bool = False, **options: Any) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            str(source),
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=True,
            use_external_data_format=external,
            **options,
        )


def _gather(loose: Path, target: Path, *, precision: str, max_bytes: int) -> None:
    """Effect: writes a split graph as one file, and removes the split one."""
    import onnx

    model = onnx.load(str(loose))
    remove(loose)
    clean(model)
    write_whole(model, target, precision=precision, max_bytes=max_bytes)


def _count(tensor: Any) -> int:
    product = 1
    for size in tensor.dims:
        product *= size
    return product
