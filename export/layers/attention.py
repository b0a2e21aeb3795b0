"""MultiHeadAttention over the steps of one text: reads channels, and writes the same ones.

What it owns are its heads: taking one out takes its columns in the projections of queries, keys and
values, and its rows in the projection back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from onnx import NodeProto, TensorProto

from export.errors import ExportError
from export.graph import Graph, attribute
from export.layers import dense
from export.layers.integers import MICROSOFT, quantize_rows
from export.layers.kind import UNKNOWN, Changes, Channels, Cut, Quantization, Weights, Wiring
from export.layers.stand_ins import describe_stand_in, find_stand_ins

NAME = "MultiHeadAttention"
NODE_TYPES: tuple[str, ...] = ("Attention", "QAttention")
READS_IDS = False
IS_RECURRENT = False
IS_FUSED = True
NUM_PROJECTIONS = 4  # of queries, keys and values, and back
ARGUMENTS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    return class_name == NAME


def wire(wiring: Wiring, name: str, config: Mapping[str, Any], read: Channels) -> Channels:
    if _find_problem(config):
        return UNKNOWN
    wiring.own(name, config["num_heads"])
    wiring.single.add(name)
    wiring.read(name, read)
    return read


def resize(name: str, config: dict[str, Any], cut: Cut) -> None:
    config["num_heads"] = cut.count(name)


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    stays, heads = cut.stays(name), cut.held(name)
    sliced = []
    *inwards, (kernel, *bias) = _projections(weights)
    for projection, *biases in inwards:  # (channels, heads, head size), (heads, head size)
        sliced += [projection[stays][:, heads], *(values[heads] for values in biases)]
    # (heads, head size, channels), (channels,)
    return [*sliced, kernel[heads][:, :, stays], *(values[stays] for values in bias)]


def add_changes(
    name: str,
    weights: Sequence[Weights],
    slopes: Sequence[Weights],
    wiring: Wiring,
    changes: Changes,
) -> None:
    products = [weight * slope for weight, slope in zip(weights, slopes, strict=True)]
    *inwards, (kernel, *_) = _projections(products)
    for projection, *_ in inwards:
        changes.add(wiring.reads[name], projection.sum(axis=(1, 2)))
    changes.add(wiring.holders[name], kernel.sum(axis=(1, 2)))


def stand_in(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `LayerKind.stand_in` does: each call reads the steps and, if there is one, the
    mask of those that are read.

    Raises:
        ExportError: The layer does what the node does not.
    """
    problem = _find_problem(layer["config"])
    calls = []
    for node in layer["inbound_nodes"]:
        given = dict(zip(ARGUMENTS, node["args"], strict=False)) | node["kwargs"]
        problem = problem or _find_problem_of_call(given)
        mask = given.get("attention_mask")
        calls.append([given["query"]] + ([] if mask is None else [mask]))
    if problem:
        raise ExportError(f"{layer['name']}: the attention {problem}. Train without that.")
    return describe_stand_in(layer, calls[0][0]["config"]["shape"], calls)


def find(graph: Graph, layer: keras.Layer) -> None:
    """Write an Attention node, which projects queries, keys and values and attends, and the
    projection back as a Dense layer's product."""
    inwards = (layer.query_dense, layer.key_dense, layer.value_dense)
    width = layer.num_heads * layer.key_dim
    kernel = np.hstack([np.asarray(one.kernel).reshape(-1, width) for one in inwards])
    bias = np.zeros(3 * width, np.float32)
    if layer._use_bias:
        bias = np.concatenate([np.ravel(np.asarray(one.bias)) for one in inwards])
    back = np.asarray(layer.output_dense.kernel).reshape(width, -1)
    graph.import_domain(MICROSOFT)
    for node in find_stand_ins(graph, layer.name):
        inputs = [
            node.input[2],
            graph.add_constant(kernel.astype(np.float32), f"{layer.name}/kernel"),
            graph.add_constant(bias.astype(np.float32), f"{layer.name}/bias"),
        ]
        if len(node.input) > 3:
            inputs.append(_write_mask(graph, node.input[3]))
        heads = graph.add_node(
            "Attention", inputs, layer.name, MICROSOFT, num_heads=layer.num_heads
        )
        graph.tell_type(heads, TensorProto.FLOAT, [0, 0, width])
        rows = graph.add_constant(back.astype(np.float32), f"{layer.name}/back")
        written = graph.add_node("MatMul", [heads, rows], "projected")
        if layer._use_bias:
            own = graph.add_constant(np.asarray(layer.output_dense.bias), f"{layer.name}/back_bias")
            written = graph.add_node("Add", [written, own], "projected")
        graph.redirect(node.output[0], written)


def quantize(graph: Graph, node: NodeProto, quantization: Quantization) -> None:
    """Replace Attention by ONNX Runtime's QAttention, a scale for each column of its kernel.

    A quarter quicker than a product of integers before com.microsoft's MultiHeadAttention: for 6
    segments of 24 steps, 64 channels and 4 heads, 216 and 256 us of CPU time; in floats 246.
    """
    weights = graph.weights(node.input[1])
    if np.count_nonzero(weights) < dense.MIN_WEIGHTS:
        return
    values, scales = quantize_rows(weights, quantization.highest, axis=0)
    read = graph.add_node("DynamicQuantizeLinear", [node.input[0]], "read", num_outputs=3)
    (source,) = (other for other in graph.nodes if read in other.output)
    inputs = [
        read,
        graph.add_constant(values, "attention_weights"),
        node.input[2],
        source.output[1],
        graph.add_constant(scales[0], "attention_scales"),
        node.input[3] if len(node.input) > 3 else "",
        source.output[2],
        graph.add_constant(np.zeros(len(scales[0]), np.int8), "attention_zero_points"),
    ]
    graph.replace_node(
        node,
        "QAttention",
        inputs,
        domain=MICROSOFT,
        num_heads=attribute(node, "num_heads"),
    )


def estimate_bytes(
    name: str,
    shapes: Sequence[tuple[int, ...]],
    quantization: Quantization,
    num_rows: int | None,
) -> float:
    """Count the kernels as the matrices that they become, and float32 biases."""
    *inwards, (back, *bias) = _projections(shapes)
    columns = sum(int(np.prod(kernel[1:])) for kernel, *_ in inwards)
    matrices = [(inwards[0][0][0], columns), (int(np.prod(back[:-1])), back[-1])]
    biases = 4 * (columns + back[-1]) if bias else 0
    return dense.estimate_bytes(name, matrices, quantization, None) + biases


def _projections(weights: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield kernel and maybe bias of the projections of queries, keys, values, and back."""
    size = len(weights) // NUM_PROJECTIONS
    for start in range(0, len(weights), size):
        yield weights[start : start + size]


def _find_problem(config: Mapping[str, Any]) -> str:
    """Return what the layer does that the node does not; "" if nothing."""
    if config.get("value_dim") not in (None, config["key_dim"]):
        return f"has values of {config['value_dim']} columns and keys of {config['key_dim']}"
    if config.get("output_shape"):
        return f"has the output_shape {config['output_shape']}"
    if tuple(config.get("attention_axes") or (1,)) != (1,):
        return f"has the attention_axes {config['attention_axes']}"
    return "has a gate" if config.get("use_gate") else ""


def _find_problem_of_call(given: Mapping[str, Any]) -> str:
    """Return what a call with these arguments does that the node does not; "" if nothing."""
    query, mask = given["query"], given.get("attention_mask")
    if any(given.get(name) not in (None, query) for name in ("value", "key")):
        return "reads another sequence than it is called on"
    if mask is not None and (len(mask["config"]["shape"]), mask["config"]["shape"][1]) != (3, 1):
        shape = mask["config"]["shape"]
        return f"has an attention_mask of the shape {shape}, wanted (batch, 1, steps)"
    if given.get("use_causal_mask"):
        return "has a causal mask"
    return "returns its scores" if given.get("return_attention_scores") else ""


def _write_mask(graph: Graph, mask: str) -> str:
    """Return the mask (batch, 1, steps) as the node reads it: int32, (batch, steps)."""
    widened = graph.match(mask, ("Unsqueeze", "mask", [1]))
    if widened:
        flat = widened["mask"]
    else:
        axes = graph.add_constant(np.array([1], np.int64), "mask_axes")
        flat = graph.add_node("Squeeze", [mask, axes], "mask")
    return graph.add_node("Cast", [flat], "mask", to=TensorProto.INT32)
