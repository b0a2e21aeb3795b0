"""Stand-ins: layers whose nodes export writes itself, as tf2onnx knows no node for them.

tf2onnx makes a Loop of every recurrent layer that it does not know by sight, and dozens of nodes of
an attention. So a layer whose kind has a stand-in is one node of the type STAND_IN in what tf2onnx
writes, which holds the layer's name, a shape and what it reads; the kind's `find` then writes the
layer's own nodes in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from onnx import NodeProto, OperatorSetIdProto, helper

from export.errors import ExportError
from export.graph import Graph

STAND_IN = "StandIn"  # type of the nodes
DOMAIN = "minnow"
OPSETS: Sequence[OperatorSetIdProto] = (helper.make_opsetid(DOMAIN, 1),)


@keras.saving.register_keras_serializable(package="minnow")
class StandIn(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Takes a layer's place while the graph is traced; it cannot compute.

    Args:
        shape: Of what the layer writes; None for a size that is open.
    """

    def __init__(self, shape: Sequence[int | None], **more: Any) -> None:
        super().__init__(**more)
        self.shape = list(shape)

    def call(self, read: tf.Tensor, mask_read: tf.Tensor | None = None) -> tf.Tensor:
        sizes = [-1 if size is None else size for size in self.shape]
        told = [tf.constant(self.name), tf.constant(sizes), read]
        told += [] if mask_read is None else [mask_read]
        written = tf.numpy_function(_refuse, told, tf.float32, stateful=False)
        written.set_shape(self.shape)
        return written

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {"shape": self.shape}

    def compute_output_shape(self, *shapes: Any, **more: Any) -> tuple[int | None, ...]:
        return tuple(self.shape)


def describe_stand_in(
    layer: Mapping[str, Any], shape: Sequence[int | None], calls: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """Return what stands in a model's configuration in place of `layer`.

    Args:
        layer: Its part of the configuration.
        shape: Of what it writes.
        calls: What each of its calls reads that the kind must know: values, and maybe a mask.
    """
    described: dict[str, Any] = keras.saving.serialize_keras_object(
        StandIn(shape, name=layer["name"])
    )
    inbound = [{"args": list(read), "kwargs": {}} for read in calls]
    return {**described, "name": layer["name"], "inbound_nodes": inbound}


def name_nodes() -> dict[str, Any]:
    """Return what tf2onnx needs to make one node of each stand-in: `custom_op_handlers`."""

    def handle(context: Any, node: Any, name: str, arguments: Any) -> Any:
        node.domain = DOMAIN
        context.set_shape(node.output[0], node.inputs[1].get_tensor_value())
        return node

    return {"PyFuncStateless": (handle, [STAND_IN])}


def find_stand_ins(graph: Graph, layer: str) -> list[NodeProto]:
    """Return the nodes that stand in for the layer of that name, one for each call; what it reads
    are the third input and, if it reads a mask, the fourth."""
    found = []
    for node in graph.nodes:
        if node.op_type == STAND_IN:
            name = graph.constant(node.input[0])
            if name is not None and name.item() in (layer, layer.encode()):
                found.append(node)
    return found


def forget_stand_ins(graph: Graph) -> None:
    """Drop what made the stand-ins known, once all are replaced.

    Raises:
        ExportError: One is left.
    """
    graph.tidy()
    if any(node.op_type == STAND_IN for node in graph.nodes):
        raise ExportError("a layer's stand-in was not replaced. This is a bug: please report it.")
    for index, opset in reversed(list(enumerate(graph.model.opset_import))):
        if opset.domain == DOMAIN:
            del graph.model.opset_import[index]


def _refuse(*arrays: np.ndarray) -> np.ndarray:
    raise NotImplementedError("a stand-in does not compute")
