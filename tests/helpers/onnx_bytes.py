"""ONNX models written byte by byte: `tests/handler` also runs where `onnx` is not installed, and
`onnx` would not write what a hostile file holds."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

FLOAT, INT32, INT64, STRING, DOUBLE = 1, 6, 7, 8, 11
Dim = int | str


def varint(number: int) -> bytes:
    number %= 1 << 64  # as Protocol Buffers store what is negative
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, *parts: bytes | str) -> bytes:
    content = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(
    name: str, dims: Sequence[int], values: Iterable[float] = (), *more: bytes, kind: int = FLOAT
) -> bytes:
    """Return the content of a TensorProto with raw data."""
    form = {FLOAT: "<f", INT32: "<i", INT64: "<q", DOUBLE: "<d"}.get(kind, "<b")
    raw = b"".join(struct.pack(form, value) for value in values)
    shape = b"".join(number(1, dim) for dim in dims)
    data = message(9, raw) if raw else b""
    return shape + number(2, kind) + message(8, name) + data + b"".join(more)


def ints(name: str, values: Iterable[int]) -> bytes:
    """Return an attribute of a node: a list of integers."""
    return message(5, message(1, name), *(number(8, value) for value in values), number(20, 7))


def integer(name: str, value: int) -> bytes:
    """Return an attribute of a node: an integer."""
    return message(5, message(1, name), number(3, value), number(20, 2))


def node(op_type: str, inputs: str, outputs: str, *attributes: bytes, domain: str = "") -> bytes:
    """Return a node as a field of a graph; names have blanks between."""
    names = [message(1, name) for name in inputs.split()]
    names += [message(2, name) for name in outputs.split()]
    last = [message(7, domain)] if domain else []
    return message(1, *names, message(3, outputs), message(4, op_type), *attributes, *last)


def value(field: int, name: str, kind: int, dims: Sequence[Dim]) -> bytes:
    """Return an input (field 11) or an output (12) of a graph."""
    shape = [message(1, number(1, d) if isinstance(d, int) else message(2, d)) for d in dims]
    return message(
        field, message(1, name), message(2, message(1, number(1, kind), message(2, *shape)))
    )


TOKEN_IDS = value(11, "token_ids", INT32, ("batch", "length"))
OUTPUTS = value(12, "outputs", FLOAT, ("batch", 2))
LOGITS = message(5, tensor("logits", (5, 2), (0, 0, 0, 0, 2, 0, 0, 2, 0, 0)))
# As in tests/helpers/tiny_bundle.py: rows of logits, their sum, softmax.
NODES = (
    node("Constant", "", "axes", ints("value_ints", [1])),
    node("Gather", "logits token_ids", "rows"),
    node("ReduceSum", "rows axes", "sums", integer("keepdims", 0)),
    node("Softmax", "sums", "outputs", integer("axis", -1)),
)


def graph(
    *parts: bytes,
    nodes: Sequence[bytes] = NODES,
    logits: bytes = LOGITS,
    token_ids: bytes = TOKEN_IDS,
    outputs: bytes = OUTPUTS,
) -> bytes:
    """Return the content of a GraphProto: that of the tiny bundle, with changes and additions."""
    return b"".join((*nodes, message(2, "tiny"), logits, token_ids, outputs, *parts))


def model(content: bytes, *parts: bytes, opset: int = 18) -> bytes:
    """Return a ModelProto of a graph's content."""
    opsets = message(8, number(2, opset)) + message(8, message(1, "com.microsoft"), number(2, 1))
    return number(1, 10) + message(7, content) + opsets + b"".join(parts)
