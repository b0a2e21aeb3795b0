"""int8 weights, layer kind by layer kind: recurrent layers, embeddings, large dense layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from export.graph import Graph
from export.layers import kind_of_node
from export.layers.integers import FULL_RANGE, MICROSOFT, REDUCED_RANGE
from export.layers.kind import Quantization
from export.passes.scales import scale_late

MIN_SPARSE_WEIGHTS = 1024  # of a tensor; the biases of an LSTM are smaller, and matter more


def quantize_model(
    model: onnx.ModelProto,
    reduce_range: bool = True,
    embedding_bits: int = 8,
    sparsity: float = 0.0,
    weight_tables: Sequence[str] = (),
) -> onnx.ModelProto:
    """Return `model` with int8 weights; activations are quantized as they come.

    Args:
        model: From `convert_model`, which names tables for their layers.
        reduce_range: Recurrent and dense weights within 7 bits.
        embedding_bits: 8 or 4, of the word vectors.
        sparsity: Share of the weights that become zero, 0 to 1.
        weight_tables: Embedding layers whose tables hold weights, not vectors, and keep 8 bits.
    """
    graph = Graph(onnx.ModelProto.FromString(model.SerializeToString()))
    if sparsity:
        zero_small_weights(graph, sparsity)
    highest = REDUCED_RANGE if reduce_range else FULL_RANGE
    quantization = Quantization(highest, embedding_bits, weight_tables)
    for node in graph.nodes:
        kind = kind_of_node(node.op_type)
        if kind is not None:
            kind.quantize(graph, node, quantization)
    graph.import_domain(MICROSOFT)
    scale_late(graph)
    graph.tidy()
    return graph.model


def zero_small_weights(graph: Graph, sparsity: float) -> None:
    """Set the smallest `sparsity` (0 to 1) of every large tensor's weights to zero, in place.

    Magnitude pruning (Han et al., "Learning both Weights and Connections", NeurIPS 2015). It makes
    a zip smaller and nothing quicker: ONNX Runtime computes with the zeros as with any number.
    """
    for tensor in graph.proto.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.float32 or weights.ndim < 2 or weights.size < MIN_SPARSE_WEIGHTS:
            continue
        limit = np.quantile(np.abs(weights), sparsity)
        sparse = np.where(np.abs(weights) < limit, 0, weights).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(sparse, tensor.name))
