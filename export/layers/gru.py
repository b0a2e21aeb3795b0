"""GRU, alone or in a Bidirectional: reads channels, writes one with each hidden unit.

Taking out a unit takes its column in all three gates and its row of recurrent weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from export.graph import Graph
from export.layers import recurrent
from export.layers.directions import (
    add_changes_of_directions,
    has_cell,
    resize_directions,
    slice_directions,
    wire_directions,
)
from export.layers.kind import Cut, Weights

NAME = "GRU"
NODE_TYPES: tuple[str, ...] = ("GRU",)
READS_IDS = False
IS_RECURRENT = True
IS_FUSED = True
NUM_GATES = 3

wire = wire_directions
resize = resize_directions
add_changes = add_changes_of_directions
stand_in = recurrent.stand_in
quantize = recurrent.store_as_integers
estimate_bytes = recurrent.estimate_stored_bytes


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    return has_cell(NAME, class_name, config)


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    return slice_directions(name, weights, cut, NUM_GATES)


def find(graph: Graph, layer: keras.Layer) -> None:
    """Write a GRU node, whose gates stand as in Keras: update, reset, new state.

    Keras applies the reset gate behind the recurrent weights (`reset_after`) unless told otherwise:
    ONNX's `linear_before_reset`.
    """
    is_late = int(recurrent.directions_of(layer)[0].reset_after)
    fields = ("recurrent_activation", "activation")
    recurrent.write_nodes(
        graph, layer, "GRU", range(NUM_GATES), fields, linear_before_reset=is_late
    )
