"""Which channels each layer of a Keras model reads and writes.

A channel is what pruning can take out: an embedding column, a Conv1D filter, a hidden unit of an
LSTM. They are numbered through the model; an owner is the layer (or direction) that writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError

Channels = NDArray[np.int64]
IDS: Channels = np.empty(0, np.int64)  # stands for the token ids themselves
DENSE = -1  # stands for a channel of a Dense layer: it is read, and stays

# Each channel goes its own way through these.
PASSING = {
    "AveragePooling1D",
    "Dropout",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "MaxPooling1D",
    "SpatialDropout1D",
}
# So it does through these, if the other side is as wide as one channel: it is spread over all.
SPREADING = {"Add", "Multiply", "Subtract"}
# And through these, if they work along another axis.
ALONG_AN_AXIS = {"Max", "Mean", "Sum", "Take"}


@dataclass
class Wiring:
    """What `trace_channels` found.

    Args:
        owners: Owner -> its channels. The directions of a Bidirectional are two owners, "NAME/0"
            and "NAME/1".
        reads: Layer -> channels of its input, in order; only for layers whose weights have a row
            for each.
        reshaped: Reshape layer -> channels on its last axis, which it leaves as it is.
        fixed: Owner -> why none of its channels can be taken out.
        tables: Embeddings that read the token ids as they come.
        fixed_ids: Why no token id can be taken out; "" if they can.
    """

    owners: dict[str, Channels] = field(default_factory=dict)
    reads: dict[str, Channels] = field(default_factory=dict)
    reshaped: dict[str, Channels] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    fixed_ids: str = ""

    @property
    def num_channels(self) -> int:
        return sum(len(channels) for channels in self.owners.values())

    def own(self, owner: str, count: int) -> Channels:
        """Return the channels of `owner`, new ones if it has none yet."""
        first = self.num_channels
        return self.owners.setdefault(owner, np.arange(first, first + count))

    def fix(self, channels: Channels, reason: str) -> None:
        for owner, own in self.owners.items():
            if np.isin(own, channels).any():
                self.fixed.setdefault(owner, reason)

    def read(self, layer: str, channels: Channels) -> None:
        """Note what `layer` reads; a layer called twice must read the same channels."""
        before = self.reads.setdefault(layer, channels)
        if not np.array_equal(before, channels):
            self.fix(np.concatenate([before, channels]), f"{layer} is called on two inputs")


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
    # (layer, call) -> channels on the last axis, IDS, or None: channels that are not told apart
    tensors: dict[tuple[str, int], Channels | None] = {}
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            tensors[layer["name"], 0] = IDS
        for call, node in enumerate(layer["inbound_nodes"]):
            sources = [tensors[name, index] for name, index, _ in _histories(node)]
            tensors[layer["name"], call] = _trace_layer(wiring, layer, sources)
    for name, call, _ in _outputs(config["output_layers"]):
        final = tensors[name, call]
        if isinstance(final, np.ndarray):
            wiring.fix(final, "they are the model's output")
    return wiring


def _trace_layer(
    wiring: Wiring, layer: Mapping[str, Any], sources: list[Channels | None]
) -> Channels | None:
    """Return the channels that `layer` writes; note what it owns and reads."""
    name, kind, config = layer["name"], layer["class_name"], layer["config"]
    if kind == "Embedding":
        if sources[0] is IDS:
            wiring.tables += [name] if name not in wiring.tables else []
        return wiring.own(name, config["output_dim"])
    if any(source is IDS for source in sources) and not _compares_with_pad(layer):
        wiring.fixed_ids = wiring.fixed_ids or f"{name} ({kind}) computes with them"
    known = [source for source in sources if source is not None and source is not IDS]
    is_plain = len(known) == len(sources) and config.get("data_format") != "channels_first"
    if is_plain and kind == "Concatenate" and _is_last_axis(layer):
        return np.concatenate(known)
    if is_plain and len(known) == 1:
        (channels,) = known
        if kind == "Reshape" and config["target_shape"][-1] == len(channels):
            wiring.reshaped[name] = channels
            return channels
        if kind in PASSING:
            return channels
        written = _trace_weights(wiring, name, kind, config, channels)
        if written is not None:
            return written
    if is_plain and kind == "Add" and all(np.array_equal(known[0], other) for other in known):
        return known[0]
    if len(known) == 1 and (
        (kind in SPREADING and _spreads_one(layer))
        or (kind in ALONG_AN_AXIS and isinstance(config["axis"], int) and not _is_last_axis(layer))
    ):
        return known[0]
    for channels in known:
        wiring.fix(channels, f"{name} ({kind}) reads them, which pruning does not know")
    return None


def _trace_weights(
    wiring: Wiring, name: str, kind: str, config: Mapping[str, Any], channels: Channels
) -> Channels | None:
    """Return what a layer with weights writes; None if it is none of those that are known."""
    written = None
    if kind == "Dense":
        written = np.full(config["units"], DENSE)
    elif kind == "Conv1D" and config["groups"] == 1:
        written = wiring.own(name, config["filters"])
    elif kind == "LSTM":
        written = wiring.own(name, config["units"])
    elif kind == "Bidirectional" and is_known_bidirectional(config):
        units = config["layer"]["config"]["units"]
        written = np.concatenate([wiring.own(f"{name}/{end}", units) for end in (0, 1)])
    if written is not None:
        wiring.read(name, channels)
    return written


def is_known_bidirectional(config: Mapping[str, Any]) -> bool:
    return bool(config["layer"]["class_name"] == "LSTM" and config["merge_mode"] == "concat")


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
    """Return (layer, call, output) of each tensor that a call reads, its mask apart."""
    read = {**node, "kwargs": {**node["kwargs"], "mask": None}}
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
