"""Embedding: looks up token ids, writes a channel with each column of its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper

from export.graph import Graph
from export.layers.kind import IDS, Changes, Channels, Cut, Quantization, Weights, Wiring

NAME = "Embedding"
NODE_TYPES: tuple[str, ...] = ("Gather",)
READS_IDS = True
IS_RECURRENT = False
IS_FUSED = False
# A table of fewer columns holds weights, not vectors: 8 bits, and a scale for each column. So does
# a table that its recipe says holds weights, however many labels there are.
# A scale for each row would be an eighth of such a table or more, and 4 bits cost the default
# recipe's table of phrases half a point of accuracy on IMDB.
MIN_VECTOR = 16
SMALLEST_FLOAT16 = 6.2e-5  # below it float16 loses precision
# Shares of the largest value that 4 bits may reach up to.
CLIP_RATIOS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4)
MIDDLE = 8  # values of 4 bits are stored as 1 to 15


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    return class_name == NAME


def wire(wiring: Wiring, name: str, config: Mapping[str, Any], read: Channels) -> Channels:
    if read is IDS and name not in wiring.tables:
        wiring.tables.append(name)
    return wiring.own(name, config["output_dim"])


def resize(name: str, config: dict[str, Any], cut: Cut) -> None:
    config["output_dim"] = cut.count(name)
    rows = cut.rows(name)
    if rows is not None:
        config["input_dim"] = len(rows)


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    (table,) = weights  # (rows, columns)
    rows = cut.rows(name)
    table = table if rows is None else table[rows]
    return [table[:, cut.held(name)]]


def add_changes(
    name: str,
    weights: Sequence[Weights],
    slopes: Sequence[Weights],
    wiring: Wiring,
    changes: Changes,
) -> None:
    """Add the change of the loss if each word's vector were the unknown word's, which is row 1."""
    if name in wiring.tables and len(changes.words):
        (table,), (slope,) = weights, slopes
        changes.words[:] += np.sum(slope * (table[1] - table), axis=1)


def stand_in(layer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return None: tf2onnx writes the layer."""
    return None


def find(graph: Graph, layer: keras.Layer) -> None:
    """Name the table after its layer: "words" -> "words/table".

    tf2onnx names it after a call of the layer in a scope, with numbers that keep calls apart:
    `words` and `words_1` cannot be told from that. So the table is told by what it holds. Where two
    layers hold the same, the first one's name stands for both.
    """
    (table,) = layer.get_weights()
    name = table_name(layer.name)
    copies = [
        tensor
        for tensor in graph.proto.initializer
        if any(node.op_type == "Gather" for node in graph.consumers(tensor.name))
        and not tensor.name.endswith(table_name(""))
        and np.array_equal(numpy_helper.to_array(tensor), table)
    ]
    for tensor in copies:
        graph.redirect(tensor.name, name)
    if copies:
        copies[0].name = name


def quantize(graph: Graph, node: NodeProto, quantization: Quantization) -> None:
    """Let `node` look up integers and multiply what it found by their scales.

    Whole numbers up to 255 stay what they are; vectors that cannot be halved stay at 8 bits.
    """
    if not _is_table(graph.constant(node.input[0])):
        return
    table = graph.weights(node.input[0])
    ids, output = node.input[1], node.output[0]
    if _is_whole(table):
        whole = graph.add_constant(table.astype(np.uint8), "numbers", is_shared=True)
        found = graph.add_node("Gather", [whole, ids], "rows")
        graph.redirect(output, graph.add_node("Cast", [found], "number", to=TensorProto.FLOAT))
        return
    columns = table.shape[1]
    weight_tables = map(table_name, quantization.weight_tables)
    is_vectors = columns >= MIN_VECTOR and node.input[0] not in weight_tables
    bits = 8 if columns % 2 or not is_vectors else quantization.embedding_bits
    values, scales = quantize_table(table, bits, is_vectors)
    if bits == 8:
        found = graph.add_node("Gather", [_share(graph, values, "embedding"), ids], "rows")
        floats = graph.add_node("Cast", [found], "row_values", to=TensorProto.FLOAT)
    else:
        found = _look_up_nibbles(graph, values, ids)
        one = graph.add_constant(np.array(1, np.float32), "one")
        middle = graph.add_constant(np.array(MIDDLE, np.uint8), "middle")
        floats = graph.add_node("DequantizeLinear", [found, one, middle], "centred")
    steps = _share(graph, scales, "embedding_scales")
    if len(scales) == len(table):
        halves = graph.add_node("Gather", [steps, ids], "half_steps")
        steps = graph.add_node("Cast", [halves], "steps", to=TensorProto.FLOAT)
    graph.redirect(output, graph.add_node("Mul", [floats, steps], "embedded"))


def estimate_bytes(
    name: str,
    shapes: Sequence[tuple[int, ...]],
    quantization: Quantization,
    num_rows: int | None,
) -> float:
    ((rows, columns),) = shapes
    rows = rows if num_rows is None else num_rows
    if columns >= MIN_VECTOR and name not in quantization.weight_tables:
        return rows * (columns * quantization.embedding_bits / 8 + 2)  # a float16 scale a row
    return rows * columns


def quantize_table(
    table: NDArray[np.float32], bits: int, is_vectors: bool = True
) -> tuple[NDArray[np.int8], NDArray[np.floating[Any]]]:
    """Return an embedding table as integers and scales, `bits` of each value in use.

    With 8 bits values * scales is at most half a step from `table`; with 4 bits large values may be
    clipped, where that makes the squared error smaller.

    Args:
        table: Shape (rows, columns), float32.

    Returns:
        Values, int8, of the shape of `table`. Scales: of vectors one for each row, float16, shape
        (rows, 1); of weights one for each column, float32, shape (1, columns).
    """
    axis = 1 if is_vectors else 0
    highest = 2 ** (bits - 1) - 1
    largest = np.abs(table).max(axis=axis, keepdims=True)
    best_error = np.full(largest.shape, np.inf)
    best = np.ones_like(largest)
    for ratio in CLIP_RATIOS if bits == 4 else (1.0,):
        scales = np.where(largest > 0, largest * ratio / highest, 1)
        if is_vectors:  # rounded up, so that the largest value needs no clipping
            scales = np.maximum(scales * (1 + 2**-11), SMALLEST_FLOAT16).astype(np.float16)
        scales = scales.astype(np.float32)
        values = np.clip(np.rint(table / scales), -highest, highest)
        error = np.mean((values * scales - table) ** 2, axis=axis, keepdims=True)
        best = np.where(error < best_error, scales, best)
        best_error = np.minimum(error, best_error)
    values = np.clip(np.rint(table / best), -highest, highest).astype(np.int8)
    return values, best.astype(np.float16 if is_vectors else np.float32)


def table_name(layer: str) -> str:
    """Return the name of the layer's table in the graph: "words" -> "words/table"."""
    return f"{layer}/table"


def _share(graph: Graph, values: NDArray[Any], hint: str) -> str:
    """Return the name of a constant that all calls of a layer read."""
    return graph.add_constant(values, hint, is_shared=True)


def _is_table(value: NDArray[Any] | None) -> bool:
    return value is not None and value.ndim == 2 and value.dtype == np.float32


def _is_whole(table: NDArray[np.float32]) -> bool:
    return bool(((table >= 0) & (table <= 255) & (table == np.rint(table))).all())


def _look_up_nibbles(graph: Graph, values: NDArray[np.int8], ids: str) -> str:
    """Return values + MIDDLE; the first half of a row is stored in the low four bits.

    As quick as com.microsoft's GatherBlockQuantized (39 and 46 us of CPU time for 250 ids of 32
    columns; int8: 27), and every ONNX runtime has these operators.
    """
    low, high = np.hsplit((values + MIDDLE).astype(np.uint8), 2)
    packed = _share(graph, low | high << 4, "embedding")
    both = graph.add_node("Gather", [packed, ids], "packed_rows")
    halves = [_low_nibble(graph, both), _high_nibble(graph, both)]
    return graph.add_node("Concat", halves, "rows", axis=-1)


def _low_nibble(graph: Graph, packed: str) -> str:
    mask = graph.add_constant(np.array(15, np.uint8), "low_bits")
    return graph.add_node("BitwiseAnd", [packed, mask], "low")


def _high_nibble(graph: Graph, packed: str) -> str:
    shift = graph.add_constant(np.array(4, np.uint8), "shift")
    return graph.add_node("BitShift", [packed, shift], "high", direction="RIGHT")
