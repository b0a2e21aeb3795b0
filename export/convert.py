"""From a trained Keras model to a float32 ONNX graph with fused recurrent nodes."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import keras
import onnx
import tensorflow as tf

from export.graph import Graph
from export.layers import FUSED_KINDS, kind_of, kind_of_config
from export.layers.stand_ins import OPSETS, forget_stand_ins, name_nodes
from export.masks import check_masks
from export.passes import simplify
from export.passes.naming import name_outputs
from export.passes.recurrent import set_sequence_lens

# The newest that tf2onnx 1.17 writes (`tf2onnx.constants.OPSET_MAX_SUPPORTED`), and known to every
# ONNX Runtime that Python 3.11 has wheels for.
OPSET = 18


def convert_model(model: keras.Model) -> onnx.ModelProto:
    """Return the float32 graph of `model`, by way of a twin without masks.

    token_ids int32 (batch, length), right-padded with 0, and where unknown words are read letters
    int32 (batch, letters) -> outputs float32 (batch, num_outputs).

    A mask makes tf2onnx write each recurrent layer as a Loop, five times slower and closed to
    quantization. The twin has none; `sequence_lens` then does in the graph what the mask did in
    Keras.

    Raises:
        ExportError: A mask does in Keras what `sequence_lens` cannot do, or a layer does what no
            node does.
    """
    skips_padding = check_masks(model)
    graph = Graph(trace(make_twin(model)))
    for layer in model.layers:
        kind = kind_of(layer)
        if kind is not None:
            kind.find(graph, layer)
    forget_stand_ins(graph)
    if skips_padding:
        set_sequence_lens(graph)
    simplify(graph)
    name_outputs(graph)
    graph.tidy()
    onnx.checker.check_model(graph.model)
    return graph.model


def make_twin(model: keras.Model) -> keras.Model:
    """Return the same layers and weights, without masks and without cuDNN kernels."""
    config = _without_masks(model.get_config())
    config["layers"] = [_without_nodes(layer) for layer in config["layers"]]
    twin = keras.Model.from_config(config)
    for layer in twin.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return twin


def count_fused_layers(model: keras.Model) -> dict[str, int]:
    """Return fused kind -> how many nodes the graph must have: one for each layer.

    Both directions of a Bidirectional are one node.
    """
    kinds = [kind_of(layer) for layer in model.layers]
    return {kind.NAME: kinds.count(kind) for kind in FUSED_KINDS}


def trace(model: keras.Model) -> onnx.ModelProto:
    """Return what tf2onnx makes of `model`, with batch and length left open.

    A batch fixed to 1 would turn the bias addition into another pattern, and an LSTM into a Loop.
    """
    os.environ.setdefault("TF2ONNX_LOG_LEVEL", "ERROR")
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    names = [tensor.name for tensor in model.inputs]
    signature = [tf.TensorSpec((None, None), tf.int32, name=name) for name in names]
    call = tf.function(lambda *arrays: model(name_arrays(names, arrays), training=False), signature)
    graph: onnx.ModelProto
    graph, _ = tf2onnx.convert.from_function(
        call, signature, opset=OPSET, custom_op_handlers=name_nodes(), extra_opset=list(OPSETS)
    )
    return graph


def name_arrays(names: Sequence[str], arrays: Sequence[Any]) -> Any:
    """Return what a model with inputs of these names is called with."""
    return dict(zip(names, arrays, strict=True)) if len(names) > 1 else arrays[0]


def _without_nodes(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the layer's part of the configuration, or that of its stand-in."""
    kind = kind_of_config(layer["class_name"], layer["config"])
    other = None if kind is None else kind.stand_in(layer)
    return layer if other is None else other


def _without_masks(config: Any) -> Any:
    if isinstance(config, dict):
        replaced = {"mask_zero": False, "mask": None, "use_cudnn": False}
        return {key: replaced.get(key, _without_masks(part)) for key, part in config.items()}
    if isinstance(config, (list, tuple)):
        return [_without_masks(part) for part in config]
    return config
