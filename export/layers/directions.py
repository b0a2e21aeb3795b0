"""What all recurrent layers share: one direction, or two in a Bidirectional, and gates of units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from export.layers.kind import UNKNOWN, Changes, Channels, Cut, Weights, Wiring


def has_cell(cell: str, class_name: str, config: Mapping[str, Any]) -> bool:
    """Say whether a layer is a `cell` ("LSTM"), or a Bidirectional of two."""
    if class_name == "Bidirectional":
        return bool(config["layer"]["class_name"] == cell)
    return class_name == cell


def wire_directions(
    wiring: Wiring, name: str, config: Mapping[str, Any], read: Channels
) -> Channels:
    """Return what `LayerKind.wire` does: the units, one direction's after the other's."""
    inner = config.get("layer")
    if inner is None:
        written = wiring.own(name, config["units"])
    elif config["merge_mode"] == "concat":
        units = inner["config"]["units"]
        written = np.concatenate([wiring.own(f"{name}/{end}", units) for end in (0, 1)])
    else:
        return UNKNOWN
    wiring.read(name, read)
    return written


def resize_directions(name: str, config: dict[str, Any], cut: Cut) -> None:
    """Do what `LayerKind.resize` does."""
    if "layer" not in config:
        config["units"] = cut.count(name)
        return
    config["layer"]["config"]["units"] = cut.count(f"{name}/0")
    if "backward_layer" in config:
        config["backward_layer"]["config"]["units"] = cut.count(f"{name}/1")


def slice_directions(
    name: str, weights: Sequence[Weights], cut: Cut, num_gates: int
) -> list[Weights]:
    """Return what `LayerKind.slice_weights` does.

    Args:
        weights: Of each direction the kernel, float32 (inputs, gates * units), the recurrent
            kernel (units, gates * units), and biases whose last axis is gates * units, if any.
    """
    stays = cut.stays(name)
    sliced = []
    for own, (kernel, recurrent, *bias) in _directions(name, cut.wiring, weights):
        units = cut.kept[own]
        gates = np.tile(units, num_gates)
        sliced += [kernel[stays][:, gates], recurrent[units][:, gates]]
        sliced += [values[..., gates] for values in bias]
    return sliced


def add_changes_of_directions(
    name: str,
    weights: Sequence[Weights],
    slopes: Sequence[Weights],
    wiring: Wiring,
    changes: Changes,
) -> None:
    """Do what `LayerKind.add_changes` does; weights and slopes as in `slice_directions`."""
    products = [weight * slope for weight, slope in zip(weights, slopes, strict=True)]
    for own, (kernel, recurrent, *_) in _directions(name, wiring, products):
        changes.add(wiring.reads[name], kernel.sum(axis=1))
        changes.add(own, recurrent.sum(axis=1))


def _directions(
    name: str, wiring: Wiring, weights: Sequence[Weights]
) -> Iterator[tuple[Channels, Sequence[Weights]]]:
    """Yield the channels and the weights of each direction."""
    owners = [owner for owner in (name, f"{name}/0", f"{name}/1") if owner in wiring.holders]
    size = len(weights) // len(owners)
    for index, owner in enumerate(owners):
        yield wiring.holders[owner], weights[size * index : size * (index + 1)]
