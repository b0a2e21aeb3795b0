"""Which channels each layer of a Keras model reads and writes: tracing them through the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from export.errors import ExportError
from export.layers import kind_of_config
from export.layers.kind import IDS, UNKNOWN, Channels, Wiring

# Each channel goes its own way through these.
PASSING = {
    "AveragePooling1D",
    "Dropout",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "MaxPooling1D",
    "ReLU",
    "Relu",
    "SpatialDropout1D",
}
# So it does through these, if the other side is as wide as one channel: it is spread over all.
SPREADING = {"Add", "Divide", "Multiply", "Subtract", "TrueDivide"}
# And through these, if they work along another axis.
ALONG_AN_AXIS = {"Max", "Mean", "Sum", "Take"}


def trace_channels(model: keras.Model) -> Wiring:
    """Return the wiring of a functional model.

    Any operation may stand in the model. What reads channels and is not known here fixes them: they
    cannot be taken out, everything else can.

    Raises:
        ExportError: Not a functional model.
    """
    config = model.get_config()
    if "output_layers" not in config:
        raise ExportError(f"{model.name}: is a {type(model).__name__}, wanted a functional model")
    wiring = Wiring()
    tensors: dict[tuple[str, int], Channels] = {}  # (layer, call) -> channels on the last axis
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            tensors[layer["name"], 0] = IDS
        for call, node in enumerate(layer["inbound_nodes"]):
            sources = [tensors[name, index] for name, index, _ in _histories(node)]
            tensors[layer["name"], call] = _trace_layer(wiring, layer, sources, tensors)
    for name, call, _ in _outputs(config["output_layers"]):
        wiring.fix(tensors[name, call], "they are the model's output")
    return wiring


def _trace_layer(
    wiring: Wiring,
    layer: Mapping[str, Any],
    sources: list[Channels],
    tensors: dict[tuple[str, int], Channels],
) -> Channels:
    """Return the channels that `layer` writes; note what it holds and reads.

    Args:
        sources: Channels of what it reads.
        tensors: Channels of all tensors before it.
    """
    name, class_name, config = layer["name"], layer["class_name"], layer["config"]
    kind = kind_of_config(class_name, config)
    if kind is not None and kind.READS_IDS:
        return kind.wire(wiring, name, config, sources[0])
    if any(source is IDS for source in sources) and not _compares_with_pad(layer):
        wiring.fixed_ids = wiring.fixed_ids or f"{name} ({class_name}) computes with them"
    known = [source for source in sources if source is not UNKNOWN and source is not IDS]
    written = UNKNOWN
    if len(known) == len(sources) and config.get("data_format") != "channels_first":
        written = _trace_known(wiring, layer, known, tensors)
    if written is not UNKNOWN:
        return written
    if len(known) == 1 and (
        (class_name in SPREADING and _spreads_one(layer))
        or (
            class_name in ALONG_AN_AXIS
            and isinstance(config["axis"], int)
            and not _is_last_axis(layer)
        )
    ):
        return known[0]
    for channels in known:
        wiring.fix(channels, f"{name} ({class_name}) reads them, which pruning does not know")
    return UNKNOWN


def _trace_known(
    wiring: Wiring,
    layer: Mapping[str, Any],
    known: list[Channels],
    tensors: dict[tuple[str, int], Channels],
) -> Channels:
    """Return what `_trace_layer` does, of a layer that reads nothing but channels; UNKNOWN where
    they cannot be followed through it."""
    name, class_name, config = layer["name"], layer["class_name"], layer["config"]
    if class_name == "Concatenate" and _is_last_axis(layer):
        return np.concatenate(known)
    is_one = bool(known) and all(np.array_equal(known[0], it) for it in known)
    if class_name == "Add" and (
        is_one or (len(known) == 2 and wiring.join(known[0], known[1], tensors))
    ):
        return known[0]
    if is_one and len(known) == 1:
        if class_name == "Reshape" and config["target_shape"][-1] == len(known[0]):
            wiring.reshaped[name] = known[0]
            return known[0]
        if class_name in PASSING:
            return known[0]
    kind = kind_of_config(class_name, config)
    return kind.wire(wiring, name, config, known[0]) if is_one and kind is not None else UNKNOWN


def _compares_with_pad(layer: Mapping[str, Any]) -> bool:
    """Say whether this is the mask of an embedding: `ids != 0`, true of the same words after."""
    is_compared = layer["class_name"] == "NotEqual"
    return bool(is_compared and layer["inbound_nodes"][0]["args"][1] == 0)


def _spreads_one(layer: Mapping[str, Any]) -> bool:
    """Say whether all that the layer reads, but for one tensor, has one channel."""
    widths = [tensor["shape"][-1] for tensor in _tensors(layer["inbound_nodes"][0])]
    return [width != 1 for width in widths].count(True) == 1


def _is_last_axis(layer: Mapping[str, Any]) -> bool:
    axis = layer["config"]["axis"]
    shape = next(_tensors(layer["inbound_nodes"]))["shape"]
    return bool(axis in (-1, len(shape) - 1))


def _histories(node: Any) -> list[tuple[str, int, int]]:
    """Return (layer, call, output) of each tensor that a call reads, its masks apart."""
    kwargs = {name: None if name.endswith("mask") else v for name, v in node["kwargs"].items()}
    read = {**node, "kwargs": kwargs}
    return [tuple(tensor["keras_history"]) for tensor in _tensors(read)]


def _tensors(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]
            return
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str):
        for part in value:
            yield from _tensors(part)


def _outputs(value: Any) -> Iterator[tuple[str, int, int]]:
    """Yield (layer, call, output); Keras writes one output without the list around it."""
    if value and isinstance(value[0], str):
        yield tuple(value)
    else:
        for part in value:
            yield from _outputs(part)
