"""Graphs whose weights lie in a file beside them: how float32 is held on its way when one file cannot hold it.

They live in a scratch folder. What a bundle gets is one file, and `write_whole` refuses what does not fit into one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from polyclone.encode.runtime import CPU, plan, runtime, session, session_options
from polyclone.errors import ModelError, UsageError
from torch import nn

#: A protobuf message ends at 2 GiB, and a bundle's graphs keep their weights inside, under one digest.
MAX_GRAPH_BYTES = (2 << 30) - (1 << 20)

_REMEDY = {
    "float32": "Export with --int8, or a language model with --int4.",
    "int8": "Export with --int4, or distil into a smaller student.",
    "int4": "Distil into a smaller student.",
    "fp16": "Export without --fp16, or distil into a smaller student.",
}
#: Bytes that a weight takes at least.
_BYTES_EACH = {"float32": 4.0, "fp16": 2.0, "int8": 1.0, "int4": 0.5}


def weight_bytes(module: nn.Module) -> int:
    """What the weights of a module take as they are."""
    return sum(value.numel() * value.element_size() for value in module.state_dict().values())


def beside(path: Path) -> Path:
    """Where the weights of a split graph lie."""
    return path.with_name(path.name + ".data")


def is_split(path: Path) -> bool:
    return beside(path).exists()


def remove(path: Path) -> None:
    """Effect: removes a graph, and the weights beside it."""
    path.unlink()
    beside(path).unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Hex SHA-256 of a graph; of one that is split, of the graph and then of its weights."""
    found = hashlib.sha256()
    for file in (path, beside(path)):
        if file.exists():
            with file.open("rb") as opened:
                while chunk := opened.read(1 << 20):
                    found.update(chunk)
    return found.hexdigest()


def open_graph(path: Path) -> Any:
    """A session with the options of production. A split graph is opened by its path, which the engine never does."""
    if not is_split(path):
        return session(path.read_bytes(), str(path))
    ort, made = runtime(), plan("cpu")
    options = session_options(ort, made, weights_folder=str(path.parent))
    try:
        return ort.InferenceSession(str(path), options, providers=[CPU])
    except Exception as error:  # the runtime's own, unrelated types
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: the runtime refuses the graph ({reason}).") from error


def check_weights(weights: int, precision: str, name: str, max_bytes: int) -> None:
    """`UsageError` if float32 weights of so many bytes fit into no file of `max_bytes` at a precision.

    They may fit and the graph still be too large, as some of them stay in float32: then `write_whole` says so.
    """
    least = int(weights / 4 * _BYTES_EACH[precision])
    if least > max_bytes:
        raise too_large(name, precision, least, max_bytes)


def write_whole(model: Any, path: Path, *, precision: str, max_bytes: int) -> None:
    """Effect: writes an `onnx.ModelProto`, weights inside. `UsageError` with the remedy if it is too large."""
    size = graph_bytes(model)
    if size > max_bytes:
        raise too_large(path.name, precision, size, max_bytes)
    path.write_bytes(model.SerializeToString(deterministic=True))


def graph_bytes(model: Any) -> int:
    """About what a model in memory takes as one file. Protobuf itself cannot say it above 2 GiB."""
    graph = model.graph
    return sum(part.ByteSize() for part in (*graph.initializer, *graph.node))


def too_large(name: str, precision: str, size: int, max_bytes: int) -> UsageError:
    return UsageError(
        f"{name} in {precision} takes {size / 1e6:,.1f} MB; a file of a bundle holds at most {max_bytes / 1e6:,.1f}."
        f" {_REMEDY[precision]}"
    )
