"""Language-model students → graphs, by two roads: torch.export for all, optimum's body for what it knows.

The road of optimum exports the body by its standard task (feature extraction) and joins the head behind it, so that
pooling, projection and normalisation are inside the graph on both roads. It needs `optimum-onnx`, which limits
transformers to 4.57; without it the other road carries everything.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from polyclone.encode import llm as embedding
from polyclone.encode.judge import OUTPUT as LOGIT
from polyclone.encode.judge import judge_inputs
from polyclone.errors import UsageError
from polyclone_distill.llm.heads import SidesJudge
from polyclone_distill.llm.saved import Student

from .graphs import OPSET, export_dynamo, export_text, quiet, strip
from .parity import BOUNDS, Record, Subject, ValuesError, run_graph
from .split import MAX_GRAPH_BYTES, beside, open_graph, weight_bytes

ROADS = ("dynamo", "optimum", "both")
#: The first transformers that optimum-onnx 0.1 does not work with.
OPTIMUM_TRANSFORMERS_END = (4, 58)
#: The last one that the exporter under optimum knows.
OPTIMUM_OPSET = 18


def interface(student: Student) -> tuple[tuple[str, ...], str]:
    """Inputs and output of a student's graph, as the engine names them."""
    record = student.record
    if record.head == "contrastive":
        return embedding.INPUTS, embedding.OUTPUT
    return judge_inputs(record.layout or "joint"), LOGIT


def export_student(
    student: Student, path: Path, *, road: str = "dynamo", opset: int = OPSET, max_bytes: int = MAX_GRAPH_BYTES
) -> None:
    """Effect: writes a student's graph by one road, its weights beside it if they are more than `max_bytes`.

    `UsageError` if that road does not lead there.
    """
    inputs, output = interface(student)
    if road == "optimum":
        _by_optimum(student, path, output, max_bytes)
    else:
        export_text(student.module, path, inputs, output, opset=opset, max_bytes=max_bytes)


def has_optimum() -> bool:
    """Whether the road of optimum is open here: it is installed, beside a transformers that it works with."""
    try:
        metadata.version("optimum-onnx")
        major, minor = metadata.version("transformers").split(".")[:2]
    except metadata.PackageNotFoundError:
        return False
    return (int(major), int(minor)) < OPTIMUM_TRANSFORMERS_END


def check_roads(subject: Subject, one: Path, other: Path) -> Record:
    """That two graphs of one student agree within the bounds of parity. Raises `ValuesError` with the worst case."""
    first, second = open_graph(one), open_graph(other)
    worst = max(
        (float(np.abs(_run(first, case, subject) - _run(second, case, subject)).max()), case.name)
        for case in subject.cases
    )
    limit = BOUNDS["float32"].most_difference
    if not worst[0] <= limit:
        raise ValuesError(f"values: the roads differ by {worst[0]:.6f} at {worst[1]}; at most {limit} is allowed.")
    return {"roads": "dynamo, optimum", "largest_difference": round(worst[0], 7), "cases": len(subject.cases)}


def _run(graph: Any, case: Any, subject: Subject) -> Any:
    return run_graph(graph, case.feed, subject.output)


def _by_optimum(student: Student, path: Path, output: str, max_bytes: int) -> None:
    if isinstance(student.module, SidesJudge):
        raise UsageError("The road of optimum reads one text a row; export a head over two sides by --road dynamo.")
    if not has_optimum():
        raise UsageError(
            "The road of optimum needs optimum-onnx, which works with transformers 4.57: pip install"
            " optimum-onnx==0.1.0 'transformers<4.58', or export by --road dynamo."
        )
    exporters: Any = import_module("optimum.exporters.onnx")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        body, head = Path(folder) / "body", Path(folder) / "head.onnx"
        with quiet():
            exporters.onnx_export_from_model(
                student.body.model,
                body,
                opset=OPTIMUM_OPSET,
                task="feature-extraction",
                do_validation=False,
                no_post_process=True,
            )
        _export_head(student, head, output)
        _join(body / "model.onnx", head, path, output, split=weight_bytes(student.module) > max_bytes)
    strip(path)


def _export_head(student: Student, path: Path, output: str) -> None:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("sequence")
    example = (torch.zeros(2, 9, student.body.width), torch.ones(2, 9, dtype=torch.long))
    axes = {0: batch, 1: length}
    export_dynamo(student.module.head, example, path, ("states", "mask"), output, (axes, axes), opset=OPTIMUM_OPSET)


def _join(body_path: Path, head_path: Path, path: Path, output: str, *, split: bool) -> None:
    """Effect: writes body and head as one graph that reads ids and mask alone; `split`: its weights beside it."""
    import onnx
    from onnx import helper

    body, head = onnx.load(str(body_path)), onnx.load(str(head_path))
    given = {value.name for value in body.graph.input}
    wiring = {"states": body.graph.output[0].name, "mask": "attention_mask", output: output}
    for node in head.graph.node:
        node.name = f"head/{node.name}"
        node.input[:] = [_renamed(name, wiring) for name in node.input]
        node.output[:] = [_renamed(name, wiring) for name in node.output]
    for tensor in head.graph.initializer:
        tensor.name = _renamed(tensor.name, wiring)
    positions = _positions() if "position_ids" in given else ([], [])
    inputs = [value for value in body.graph.input if value.name in embedding.INPUTS]
    graph = helper.make_graph(
        [*positions[0], *body.graph.node, *head.graph.node],
        "student",
        inputs,
        list(head.graph.output),
        [*positions[1], *body.graph.initializer, *head.graph.initializer],
    )
    made = helper.make_model(graph, opset_imports=_opsets(body, head), ir_version=body.ir_version)
    if split:
        onnx.save_model(made, str(path), save_as_external_data=True, location=beside(path).name)
    else:
        path.write_bytes(made.SerializeToString(deterministic=True))


def _renamed(name: str, wiring: dict[str, str]) -> str:
    """A name of the head that clashes with none of the body. An empty one stands for an input left out."""
    return wiring.get(name, f"head/{name}" if name else "")


def _opsets(*models: Any) -> list[Any]:
    from onnx import helper

    versions: dict[str, int] = {}
    for model in models:
        for item in model.opset_import:
            versions[item.domain] = max(item.version, versions.get(item.domain, 0))
    return [helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())]


def _positions() -> tuple[list[Any], list[Any]]:
    """Nodes that count positions from 0 for every row: what the module does when it is given none."""
    from onnx import helper, numpy_helper

    node = helper.make_node
    nodes = [
        node("Shape", ["input_ids"], ["positions/shape"]),
        node("Gather", ["positions/shape", "positions/axis"], ["positions/length"], axis=0),
        node("Range", ["positions/first", "positions/length", "positions/step"], ["positions/row"]),
        node("Expand", ["positions/row", "positions/shape"], ["position_ids"]),
    ]
    values: Sequence[tuple[str, int]] = (("positions/axis", 1), ("positions/first", 0), ("positions/step", 1))
    return nodes, [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values]
