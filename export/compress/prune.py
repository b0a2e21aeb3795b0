"""Structured pruning: a smaller Keras model that computes what the larger one did without the rest.

What is taken out of an LSTM is a hidden unit: its column in all four gates, its row of recurrent
weights, and its row in every layer that reads it; likewise embedding columns and Conv1D filters.
Unlike weights set to zero, that makes the model smaller and quicker.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from export.errors import ExportError
from export.layers.wiring import Wiring, trace_channels

Indices = NDArray[np.int64]
NUM_FIRST_IDS = 2  # padding and unknown keep their ids
EPSILON = 1e-7  # Keras' own, against log(0)


def prune_model(
    model: keras.Model, keep: Mapping[str, Indices], kept_ids: Indices | None = None
) -> keras.Model:
    """Return a new model of the channels in `keep` and the words in `kept_ids`.

    Args:
        keep: Owner (`export/layers/wiring.py`) -> sorted numbers of its channels that stay; an owner that
            is not named stays whole.
        kept_ids: Sorted token ids that stay, 0 and 1 among them; they are numbered anew in that
            order. None: all.

    Raises:
        ExportError: A channel or word cannot be taken out; the message names the layer in the way.
    """
    wiring = trace_channels(model)
    _check_plan(wiring, keep, kept_ids)
    kept = np.ones(wiring.num_channels, bool)
    for owner, stay in keep.items():
        kept[wiring.owners[owner]] = np.isin(np.arange(len(wiring.owners[owner])), stay)
    rows = {name: kept_ids for name in wiring.tables} if kept_ids is not None else {}

    config = copy.deepcopy(model.get_config())
    for layer in config["layers"]:
        _resize(layer, wiring, kept, rows)
    pruned = keras.Model.from_config(_without_shapes(config))
    for layer in model.layers:
        weights = _slice_weights(layer, wiring, kept, rows)
        pruned.get_layer(layer.name).set_weights(weights)
    return pruned


def measure_importance(
    model: keras.Model, batches: Iterable[tuple[NDArray[np.int32], NDArray[np.int32]]]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Return importance of each channel by owner, and of each token id.

    The first-order Taylor criterion of Molchanov et al., "Importance Estimation for Neural Network
    Pruning" (CVPR 2019): the squared change of the loss, to first order, if the channel were zero.
    With a gate of 1 before all that reads a channel, that is the squared gradient of the gate,
    which is the sum of weight x gradient over the rows of the weights that read it. For a word it
    is the change if its vector were the unknown word's. Mean over the batches.

    Args:
        batches: (token_ids (rows, length), label_ids (rows,)).
    """
    wiring = trace_channels(model)
    channels = np.zeros(wiring.num_channels)
    words = np.zeros(_vocab_size(model, wiring))
    num_batches = 0
    differentiate = _make_gradients(model)
    for token_ids, label_ids in batches:
        gradients = differentiate(tf.constant(token_ids), tf.constant(label_ids))
        gate = np.zeros(wiring.num_channels)
        change = np.zeros(len(words))
        for layer in model.layers:
            slopes = [gradients[weight.path] for weight in layer.trainable_weights]
            _add_slopes(layer, wiring, slopes, gate)
            if layer.name in wiring.tables and slopes and len(words):
                table = layer.weights[0].numpy()
                change += np.sum(slopes[0] * (table[1] - table), axis=1)
        channels += gate**2
        words += change**2
        num_batches += 1
    words[:NUM_FIRST_IDS] = np.inf
    owners = {owner: channels[own] / num_batches for owner, own in wiring.owners.items()}
    return owners, words / num_batches


def choose_most(importance: NDArray[np.float64], count: int) -> Indices:
    """Return the indices of the `count` largest, sorted: [3, 9, 5], 2 -> [1, 2]."""
    return np.sort(np.argsort(-importance, kind="stable")[:count])


def _check_plan(wiring: Wiring, keep: Mapping[str, Indices], kept_ids: Indices | None) -> None:
    for owner, stay in keep.items():
        if owner not in wiring.owners:
            raise ExportError(f"{owner}: is no layer with units; those are {list(wiring.owners)}")
        num = len(wiring.owners[owner])
        if len(stay) < num and owner in wiring.fixed:
            raise ExportError(f"{owner}: nothing can be taken out, because {wiring.fixed[owner]}")
        if not 0 < len(stay) <= num:
            raise ExportError(f"{owner}: {len(stay)} of {num} units would stay, wanted 1 to {num}")
    for owner in wiring.owners:
        name, _, end = owner.rpartition("/")
        if end == "0" and len(keep.get(owner, wiring.owners[owner])) != len(
            keep.get(f"{name}/1", wiring.owners[owner])
        ):
            raise ExportError(f"{name}: both directions must keep as many units as the other")
    if kept_ids is not None:
        if wiring.fixed_ids:
            raise ExportError(f"no word can be taken out, because {wiring.fixed_ids}")
        if list(kept_ids[:NUM_FIRST_IDS]) != [0, 1]:
            raise ExportError("padding (0) and unknown (1) must be among the ids that stay")


def _vocab_size(model: keras.Model, wiring: Wiring) -> int:
    """Return how many ids the tables have, 0 where words cannot be told apart."""
    if wiring.fixed_ids:
        return 0
    return max((model.get_layer(name).input_dim for name in wiring.tables), default=0)


def _resize(
    layer: dict[str, Any], wiring: Wiring, kept: NDArray[np.bool_], rows: Mapping[str, Indices]
) -> None:
    """Change the sizes in a layer's configuration in place."""
    name, config = layer["name"], layer["config"]
    counts = {owner: int(kept[own].sum()) for owner, own in wiring.owners.items()}
    if layer["class_name"] == "Embedding":
        config["output_dim"] = counts[name]
        config["input_dim"] = len(rows.get(name, range(config["input_dim"])))
    elif name in counts:
        config["filters" if layer["class_name"] == "Conv1D" else "units"] = counts[name]
    elif f"{name}/0" in counts:
        config["layer"]["config"]["units"] = counts[f"{name}/0"]
        if "backward_layer" in config:
            config["backward_layer"]["config"]["units"] = counts[f"{name}/1"]
    elif name in wiring.reshaped:
        num = int(_kept_of(wiring.reshaped[name], kept).sum())
        config["target_shape"] = (*config["target_shape"][:-1], num)


def _without_shapes(config: Any) -> Any:
    """Leave out the shapes that layers were built with: they are built anew from their inputs."""
    if isinstance(config, dict):
        return {key: _without_shapes(part) for key, part in config.items() if key != "build_config"}
    if isinstance(config, (list, tuple)):
        return type(config)(_without_shapes(part) for part in config)
    return config


def _slice_weights(
    layer: keras.Layer, wiring: Wiring, kept: NDArray[np.bool_], rows: Mapping[str, Indices]
) -> list[NDArray[np.float32]]:
    weights: list[NDArray[np.float32]] = layer.get_weights()
    if isinstance(layer, keras.layers.Embedding):
        table = weights[0][rows.get(layer.name, slice(None))]
        return [table[:, kept[wiring.owners[layer.name]]]]
    if layer.name not in wiring.reads:
        return weights
    stay = _kept_of(wiring.reads[layer.name], kept)
    if isinstance(layer, keras.layers.Dense):
        return [weights[0][stay], *weights[1:]]
    if isinstance(layer, keras.layers.Conv1D):
        filters = kept[wiring.owners[layer.name]]
        return [weights[0][:, stay][:, :, filters], *(bias[filters] for bias in weights[1:])]
    sliced = []
    for own, (kernel, recurrent, *bias) in _lstm_weights(layer.name, wiring, weights):
        gates = np.tile(kept[own], 4)
        sliced += [kernel[stay][:, gates], recurrent[kept[own]][:, gates]]
        sliced += [values[gates] for values in bias]
    return sliced


def _lstm_weights(name: str, wiring: Wiring, weights: list[Any]) -> list[tuple[Indices, list[Any]]]:
    """Return channels and weights of each direction."""
    owners = [owner for owner in (name, f"{name}/0", f"{name}/1") if owner in wiring.owners]
    size = len(weights) // len(owners)
    return [
        (wiring.owners[owner], weights[size * i : size * (i + 1)]) for i, owner in enumerate(owners)
    ]


def _kept_of(channels: Indices, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of `channels` stay; those of a Dense layer (-1) do."""
    return np.append(kept, True)[channels]  # DENSE reads the last


def _make_gradients(model: keras.Model) -> Any:
    """Return a function from a batch to weight's path -> gradient of the mean log loss."""
    signature = [tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)]
    variables = [weight.value for weight in model.trainable_weights]

    def gradients(token_ids: tf.Tensor, label_ids: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = model(token_ids, training=False)
            if outputs.shape[-1] == 1:
                outputs = tf.concat([1 - outputs, outputs], axis=1)
            true = tf.gather(outputs, label_ids, axis=1, batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(tf.maximum(true, EPSILON)))
        slopes = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(slope) for slope in slopes]  # an embedding's are sparse

    traced = tf.function(gradients, signature)

    def by_weight(token_ids: tf.Tensor, label_ids: tf.Tensor) -> dict[str, NDArray[np.float32]]:
        slopes = traced(token_ids, label_ids)
        return {
            weight.path: slope.numpy()
            for weight, slope in zip(model.trainable_weights, slopes, strict=True)
        }

    return by_weight


def _add_slopes(
    layer: keras.Layer, wiring: Wiring, slopes: list[Any], gate: NDArray[np.float64]
) -> None:
    """Add to each channel's gate what the weights of `layer` that read it say."""
    if layer.name not in wiring.reads or not slopes:
        return
    products = [
        weight.numpy() * slope
        for weight, slope in zip(layer.trainable_weights, slopes, strict=True)
    ]
    read = wiring.reads[layer.name]

    def add(channels: Indices, sums: NDArray[np.float32]) -> None:
        told = channels >= 0
        np.add.at(gate, channels[told], sums[told])

    if isinstance(layer, keras.layers.Dense):
        add(read, products[0].sum(axis=1))
    elif isinstance(layer, keras.layers.Conv1D):
        add(read, products[0].sum(axis=(0, 2)))
    else:
        for own, (kernel, recurrent, *_) in _lstm_weights(layer.name, wiring, products):
            add(read, kernel.sum(axis=1))
            add(own, recurrent.sum(axis=1))
