"""Layer kinds: all that export must know of a Keras layer with weights, one module a kind.

A new kind is a module that answers what `LayerKind` asks, and its name in KINDS. Pruning,
quantization, conversion and verification ask the kinds and name none of them; the plans of pruning
size what is of no known kind as Dense.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from export.layers import (
    attention,
    conv1d,
    dense,
    embedding,
    gru,
    layer_normalization,
    lstm,
    simple_rnn,
)
from export.layers.kind import LayerKind

KINDS: tuple[LayerKind, ...] = (
    embedding,
    dense,
    conv1d,
    lstm,
    gru,
    simple_rnn,
    attention,
    layer_normalization,
)
RECURRENT_KINDS = tuple(kind for kind in KINDS if kind.IS_RECURRENT)
FUSED_KINDS = tuple(kind for kind in KINDS if kind.IS_FUSED)
RECURRENT_NODE_TYPES = frozenset(name for kind in RECURRENT_KINDS for name in kind.NODE_TYPES)


def kind_of(layer: keras.Layer) -> LayerKind | None:
    """Return the kind of `layer`; None if it is of no known one."""
    return kind_of_config(type(layer).__name__, layer.get_config())


def kind_of_config(class_name: str, config: Mapping[str, Any]) -> LayerKind | None:
    """Return the kind of a layer that is described by its class and configuration."""
    return next((kind for kind in KINDS if kind.matches(class_name, config)), None)


def kind_of_node(op_type: str) -> LayerKind | None:
    """Return the kind whose layers become ONNX nodes of this type."""
    return next((kind for kind in KINDS if op_type in kind.NODE_TYPES), None)
