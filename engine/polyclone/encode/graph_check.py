"""What a graph may not hold: weights in other files, operators that are not part of the runtime, nested bombs.

Reads just enough of the protobuf encoding (ONNX IR, `onnx.proto3`) to see that, so that the engine needs no `onnx`
package. Runs before the runtime gets the bytes. Weights are stepped over, not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from polyclone.errors import ModelError

#: `com.microsoft` holds the runtime's own fused operators, which quantised and half-precision graphs use.
DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
#: Known operators that read files or carry compiled programs.
BANNED = frozenset({"EPContext", "PyOp", "PythonOp"})
MAX_DEPTH = 8

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Field(NamedTuple):
    number: int
    wire: int
    start: int
    end: int
    value: int


class _MalformedError(Exception):
    pass


def check_graph(content: bytes, where: str) -> None:
    """Raises `ModelError` that says what is refused; returns if the graph is self-contained.

    Whether it also makes sense is for the runtime to say.
    """
    try:
        reason = _model(memoryview(content))
    except (_MalformedError, IndexError, UnicodeDecodeError):
        reason = "it is no ONNX graph"
    if reason:
        raise ModelError(f"{where}: the graph is refused: {reason}. Export the bundle again, or do not use it.")


def _model(view: memoryview) -> str | None:
    graphs = 0
    for field in _fields(view, 0, len(view)):
        if field.number == 7 and field.wire == _BYTES:
            graphs += 1
            reason = _graph(view, field, 0)
            if reason:
                return reason
        elif field.number == 8 and field.wire == _BYTES:
            domain = _text(view, field, 1)
            if domain not in DOMAINS:
                return f"it uses operators of the domain {domain!r}, which are not part of the runtime"
        elif field.number == 25:
            return "it defines functions of its own"
    return None if graphs == 1 else "it is no ONNX graph"


def _graph(view: memoryview, graph: _Field, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"graphs are nested more than {MAX_DEPTH} deep"
    for field in _fields(view, graph.start, graph.end):
        reason = None
        if field.number == 1 and field.wire == _BYTES:
            reason = _node(view, field, depth)
        elif field.number == 5 and field.wire == _BYTES:
            reason = _tensor(view, field)
        elif field.number == 15 and field.wire == _BYTES:
            reason = _sparse(view, field)
        if reason:
            return reason
    return None


def _node(view: memoryview, node: _Field, depth: int) -> str | None:
    domain = kind = ""
    for field in _fields(view, node.start, node.end):
        if field.number == 7:
            domain = _string(view, field)
        elif field.number == 4:
            kind = _string(view, field)
        elif field.number == 5 and field.wire == _BYTES:
            reason = _attribute(view, field, depth)
            if reason:
                return reason
    if domain not in DOMAINS or kind in BANNED:
        return f"it uses the operator {domain + '.' if domain else ''}{kind}, which is not part of the runtime"
    return None


def _attribute(view: memoryview, attribute: _Field, depth: int) -> str | None:
    for field in _fields(view, attribute.start, attribute.end):
        reason = None
        if field.wire != _BYTES:
            continue
        if field.number in (5, 10):
            reason = _tensor(view, field)
        elif field.number in (6, 11):
            reason = _graph(view, field, depth + 1)
        elif field.number in (22, 23):
            reason = _sparse(view, field)
        if reason:
            return reason
    return None


def _sparse(view: memoryview, sparse: _Field) -> str | None:
    found = (_tensor(view, field) for field in _fields(view, sparse.start, sparse.end) if field.number in (1, 2))
    return next((reason for reason in found if reason), None)


def _tensor(view: memoryview, tensor: _Field) -> str | None:
    for field in _fields(view, tensor.start, tensor.end):
        if field.number == 13 or (field.number == 14 and field.value != 0):
            return "it keeps weights in another file, which no digest covers"
    return None


def _text(view: memoryview, message: _Field, number: int) -> str:
    found = [_string(view, field) for field in _fields(view, message.start, message.end) if field.number == number]
    return found[-1] if found else ""


def _string(view: memoryview, field: _Field) -> str:
    return bytes(view[field.start : field.end]).decode("utf-8")


def _fields(view: memoryview, start: int, end: int) -> Iterator[_Field]:
    """The fields of one message; raises `_MalformedError` where they do not fit into it."""
    at = start
    while at < end:
        key, at = _varint(view, at, end)
        number, wire = key >> 3, key & 7
        value = 0
        begin = at
        if wire == _VARINT:
            value, at = _varint(view, at, end)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        elif wire == _BYTES:
            length, begin = _varint(view, at, end)
            at = begin + length
        else:
            raise _MalformedError
        if at > end or number == 0:
            raise _MalformedError
        yield _Field(number, wire, begin, at, value)


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= end or shift > 63:
            raise _MalformedError
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
