"""SimpleRNN (Elman's network), alone or in a Bidirectional: reads channels, writes one with each
hidden unit."""

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

NAME = "SimpleRNN"
NODE_TYPES: tuple[str, ...] = ("RNN",)
READS_IDS = False
IS_RECURRENT = True
IS_FUSED = True

wire = wire_directions
resize = resize_directions
add_changes = add_changes_of_directions
stand_in = recurrent.stand_in
quantize = recurrent.store_as_integers
estimate_bytes = recurrent.estimate_stored_bytes


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    return has_cell(NAME, class_name, config)


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    return slice_directions(name, weights, cut, 1)


def find(graph: Graph, layer: keras.Layer) -> None:
    """Write an RNN node."""
    recurrent.write_nodes(graph, layer, "RNN", [0], ["activation"])
