"""What a layer kind answers, and the words in which it is asked.

A channel is what pruning can take out: an embedding column, a Conv1D filter, a hidden unit of a
recurrent layer, a column of a Dense layer in between, an attention head. They are numbered through
the model. A holder is a layer (or direction) that has a part for each; layers that are added to one
another hold the same, and the owner is the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from export.graph import Graph

Channels = NDArray[np.int64]  # shape (width of a tensor's last axis,): a channel for each column
Weights = NDArray[np.float32]
IDS: Channels = np.empty(0, np.int64)  # stands for the token ids themselves
UNKNOWN: Channels = np.empty(0, np.int64)  # stands for channels that are not told apart


class LayerKind(Protocol):
    """One kind of Keras layer with weights: all that export must know of it.

    Each module beside this one is a kind, and the tuple KINDS in `export/layers/__init__.py` lists
    them. A layer of no known kind can be exported, if tf2onnx and ONNX Runtime can: its weights
    stay float32, and pruning leaves it and what it reads whole.

    Attributes:
        NAME: The layer's name in Keras.
        NODE_TYPES: Types of the ONNX nodes that compute it: as tf2onnx and the passes write them,
            then as `quantize` does.
        READS_IDS: It looks up token ids; all others read channels.
        IS_RECURRENT: It carries a state from step to step. Then each layer is one node, both
            directions together, whose inputs stand as those of ONNX's LSTM: `sequence_lens` the
            fifth, initial states after it, and whose second output is the last state.
        IS_FUSED: Each layer must be one node of NODE_TYPES, or export fails.
    """

    NAME: str
    NODE_TYPES: tuple[str, ...]
    READS_IDS: bool
    IS_RECURRENT: bool
    IS_FUSED: bool

    def matches(self, class_name: str, config: Mapping[str, Any]) -> bool:
        """Say whether a layer of this class and configuration is of this kind."""

    def wire(
        self, wiring: Wiring, name: str, config: Mapping[str, Any], read: Channels
    ) -> Channels:
        """Note in `wiring` what the layer owns and reads; return the channels that it writes.

        Args:
            read: Shape (width,), int64: channels of its input. Where READS_IDS: IDS for the token
                ids as they come, anything else for computed ids.

        Returns:
            Shape (output width,), int64. UNKNOWN where pruning does not know such a configuration.
        """

    def resize(self, name: str, config: dict[str, Any], cut: Cut) -> None:
        """Change the sizes in the configuration of a wired layer, in place, to what stays."""

    def slice_weights(self, name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
        """Return the part of a wired layer's weights that stays, in Keras' order.

        Float32, of the shapes that Keras gives them, and then of those that `resize` asks for.
        """

    def add_changes(
        self,
        name: str,
        weights: Sequence[Weights],
        slopes: Sequence[Weights],
        wiring: Wiring,
        changes: Changes,
    ) -> None:
        """Add to `changes` what the weights of a wired layer say of all that it reads.

        Args:
            weights: The trainable ones, float32, in Keras' order.
            slopes: Gradient of the loss by each of them, of the same shapes.
        """

    def stand_in(self, layer: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what tf2onnx is shown in the layer's place (`export/layers/stand_ins.py`); None
        where it writes the layer well.

        Args:
            layer: Its part of the model's configuration: name, class_name, config, inbound_nodes.

        Raises:
            ExportError: The layer does what no node can do.
        """

    def find(self, graph: Graph, layer: keras.Layer) -> None:
        """Find `layer` again in the graph that tf2onnx wrote, before any other change.

        Give names to what `quantize` must find by the layer's name, and write the layer's nodes
        where it has a stand-in.
        """

    def quantize(self, graph: Graph, node: NodeProto, quantization: Quantization) -> None:
        """Let the graph compute with integers what `node`, of one of NODE_TYPES, computes.

        Leaves alone what is not a layer's or does not gain by it.
        """

    def estimate_bytes(
        self,
        name: str,
        shapes: Sequence[tuple[int, ...]],
        quantization: Quantization,
        num_rows: int | None,
    ) -> float:
        """Return about how many bytes the layer's weights take in a quantized graph.

        Args:
            shapes: Of its weights, in Keras' order.
            num_rows: Rows of its table in place of those in `shapes`; None: those.
        """


@dataclass
class Wiring:
    """Which channels each layer of a model reads and writes.

    Args:
        holders: Holder -> its channels, int64. The directions of a Bidirectional are two,
            "NAME/0" and "NAME/1".
        firm: Holders whose channels all stay, unless they are added to those of another.
        single: Owners whose channels need not stay in multiples.
        reads: Layer -> channels of its input, int64, in order; only for layers whose weights have a
            row for each.
        reshaped: Reshape layer -> channels on its last axis, which it leaves as it is.
        fixed: Owner -> why none of its channels can be taken out.
        tables: Embeddings that read the token ids as they come.
        fixed_ids: Why no token id can be taken out; "" if they can.
    """

    holders: dict[str, Channels] = field(default_factory=dict)
    firm: set[str] = field(default_factory=set)
    single: set[str] = field(default_factory=set)
    reads: dict[str, Channels] = field(default_factory=dict)
    reshaped: dict[str, Channels] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    fixed_ids: str = ""
    num_channels: int = 0

    @property
    def owners(self) -> dict[str, Channels]:
        """Owner -> its channels, int64: of holders of the same the first, without the firm ones."""
        owners: dict[str, Channels] = {}
        for name, channels in self.holders.items():
            is_held = any(np.array_equal(channels, own) for own in owners.values())
            if name not in self.firm and not is_held:
                owners[name] = channels
        return owners

    def is_wired(self, layer: str) -> bool:
        """Say whether a layer kind noted what `layer` holds or reads."""
        return layer in self.holders or layer in self.reads

    def own(self, owner: str, count: int) -> Channels:
        """Return the channels of `owner`, shape (count,), int64; new ones if it has none yet."""
        if owner not in self.holders:
            first = self.num_channels
            self.holders[owner] = np.arange(first, first + count)
            self.num_channels += count
        return self.holders[owner]

    def join(self, first: Channels, second: Channels, tensors: dict[Any, Channels]) -> bool:
        """Let two holders, whose channels are added, hold the same; False if these are not all
        channels of one holder each.

        Args:
            first, second: Shape (width,), int64; `first` stands for both afterwards.
            tensors: What else names channels, changed in place.
        """
        found = [
            [name for name, held in self.holders.items() if np.array_equal(held, channels)]
            for channels in (first, second)
        ]
        if not all(found) or len(first) != len(second):
            return False
        names = [*found[0], *found[1]]
        reasons = [self.fixed[name] for name in names if name in self.fixed]
        numbers = np.arange(self.num_channels)
        numbers[second] = first
        for named in (self.holders, self.reads, self.reshaped, tensors):
            for key, channels in named.items():
                if len(channels):  # IDS and UNKNOWN are told by identity
                    named[key] = numbers[channels]
        if not self.firm.issuperset(names):
            self.firm.difference_update(names)
        if reasons:
            self.fix(first, reasons[0])
        return True

    def fix(self, channels: Channels, reason: str) -> None:
        """Let every owner of one of `channels`, shape (num,), int64, keep all that it has."""
        for owner, own in self.holders.items():
            if owner not in self.firm and np.isin(own, channels).any():
                self.fixed.setdefault(owner, reason)

    def read(self, layer: str, channels: Channels) -> None:
        """Note what `layer` reads, shape (width,), int64.

        A layer that is called twice must read the same channels, or they stay.
        """
        before = self.reads.setdefault(layer, channels)
        if not np.array_equal(before, channels):
            self.fix(np.concatenate([before, channels]), f"{layer} is called on two inputs")


@dataclass(frozen=True)
class Cut:
    """What pruning leaves of a model.

    Args:
        wiring: Of the whole model.
        kept: Shape (wiring.num_channels,), bool: which channels stay.
        kept_ids: Shape (ids that stay,), int64, sorted: token ids that stay, numbered anew in that
            order; None: all.
    """

    wiring: Wiring
    kept: NDArray[np.bool_]
    kept_ids: NDArray[np.int64] | None = None

    def count(self, holder: str) -> int:
        """Return how many channels of a holder stay."""
        return int(self.held(holder).sum())

    def held(self, holder: str) -> NDArray[np.bool_]:
        """Return which channels of `holder` stay, shape (num,)."""
        return self.kept[self.wiring.holders[holder]]

    def stays(self, layer: str) -> NDArray[np.bool_]:
        """Return which of the channels that `layer` reads stay, shape (num,)."""
        return self.kept[self.wiring.reads[layer]]

    def rows(self, table: str) -> NDArray[np.int64] | None:
        """Return the rows of the Embedding `table` that stay, shape (num,), int64; None: all."""
        return self.kept_ids if table in self.wiring.tables else None


@dataclass(frozen=True)
class Changes:
    """How much the loss changes, to first order, if a channel or a word were not there.

    Args:
        channels: Shape (num_channels,), float64, summed over all that reads a channel.
        words: Shape (vocab_size,), float64; empty where words cannot be told apart.
    """

    channels: NDArray[np.float64]
    words: NDArray[np.float64]

    def add(self, channels: Channels, values: NDArray[np.floating[Any]]) -> None:
        """Add `values` to those of `channels`, both of shape (num,)."""
        np.add.at(self.channels, channels, values)


@dataclass(frozen=True)
class Quantization:
    """How weights become integers.

    Args:
        highest: Largest integer of the weights of recurrent and dense layers.
        embedding_bits: 4 or 8, of the vectors in embedding tables.
        weight_tables: Embedding layers whose tables hold weights, not vectors, and keep 8 bits.
    """

    highest: int
    embedding_bits: int = 8
    weight_tables: Sequence[str] = ()
