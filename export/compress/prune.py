"""Structured pruning: a smaller Keras model that computes what the larger one did without the rest.

What is taken out of an LSTM is a hidden unit: its column in all four gates, its row of recurrent
weights, and its row in every layer that reads it; likewise embedding columns and Conv1D filters.
Of a transformer, whole attention heads and columns of feed-forward layers. Unlike weights set to
zero, that makes the model smaller and quicker.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from export.errors import ExportError
from export.layers import kind_of, kind_of_config
from export.layers.kind import Changes, Cut, Wiring
from export.layers.wiring import trace_channels
from training.fitting.fit import signature

Indices = NDArray[np.int64]
NUM_FIRST_IDS = 2  # padding and unknown keep their ids
# Gets a model's outputs and what they should be, both (rows, num_outputs), and what each row
# counts, (rows,); returns the mean loss.
Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
Floats = NDArray[np.float32]


def prune_model(
    model: keras.Model, keep: Mapping[str, Indices], kept_ids: Indices | None = None
) -> keras.Model:
    """Return a new model of the channels in `keep` and the words in `kept_ids`.

    Args:
        keep: Owner (`export/layers/kind.py`) -> sorted numbers of its channels that stay, shape
            (num,), int64; an owner that is not named stays whole.
        kept_ids: Sorted token ids that stay, shape (num,), int64, 0 and 1 among them; they are
            numbered anew in that order. None: all.

    Raises:
        ExportError: A channel or word cannot be taken out; the message names the layer in the way.
    """
    wiring = trace_channels(model)
    _check_plan(wiring, keep, kept_ids)
    kept = np.ones(wiring.num_channels, bool)
    for owner, stay in keep.items():
        kept[wiring.owners[owner]] = np.isin(np.arange(len(wiring.owners[owner])), stay)
    cut = Cut(wiring, kept, kept_ids)

    config = copy.deepcopy(model.get_config())
    for layer in config["layers"]:
        _resize(layer, cut)
    pruned = keras.Model.from_config(_without_shapes(config))
    for layer in model.layers:
        weights = layer.get_weights()
        kind = kind_of(layer)
        if kind is not None and wiring.is_wired(layer.name):
            weights = kind.slice_weights(layer.name, weights, cut)
        pruned.get_layer(layer.name).set_weights(weights)
    return pruned


def measure_importance(
    model: keras.Model,
    batches: Iterable[tuple[Any, Floats, Floats]],
    loss: Loss,
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Return importance of each channel by owner, and of each token id.

    The first-order Taylor criterion of Molchanov et al., "Importance Estimation for Neural Network
    Pruning" (CVPR 2019): the squared change of the loss, to first order, if the channel were zero.
    With a gate of 1 before all that reads a channel, that is the squared gradient of the gate,
    which is the sum of weight x gradient over the rows of the weights that read it. For a word it
    is the change if its vector were the unknown word's. Mean over the batches.

    Args:
        batches: What the model is called with, targets float32 (rows, num_outputs), and what each
            row counts, float32 (rows,).
        loss: What the targets mean: the task's loss, mean over rows.

    Returns:
        Owner -> float64, shape (channels of the owner,); and float64, shape (vocab_size,), empty
        where words cannot be told apart.
    """
    wiring = trace_channels(model)
    channels = np.zeros(wiring.num_channels)
    words = np.zeros(_vocab_size(model, wiring))
    num_batches = 0
    differentiate = _make_gradients(model, loss)
    for batch, targets, weights in batches:
        gradients = differentiate(batch, tf.constant(targets), tf.constant(weights))
        changes = Changes(np.zeros(len(channels)), np.zeros(len(words)))
        for layer in model.layers:
            kind = kind_of(layer)
            trained = layer.trainable_weights
            if kind is not None and trained and wiring.is_wired(layer.name):
                values = [weight.numpy() for weight in trained]
                slopes = [gradients[weight.path] for weight in trained]
                kind.add_changes(layer.name, values, slopes, wiring, changes)
        channels += changes.channels**2
        words += changes.words**2
        num_batches += 1
    words[:NUM_FIRST_IDS] = np.inf
    owners = {owner: channels[own] / num_batches for owner, own in wiring.owners.items()}
    return owners, words / num_batches


def choose_most(importance: NDArray[np.float64], count: int) -> Indices:
    """Return the indices of the `count` largest, sorted: [3, 9, 5], 2 -> [1, 2].

    Args:
        importance: Shape (num,), float64.

    Returns:
        Shape (count,), int64.
    """
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


def _resize(layer: dict[str, Any], cut: Cut) -> None:
    """Change the sizes in a layer's configuration in place."""
    name, config, wiring = layer["name"], layer["config"], cut.wiring
    kind = kind_of_config(layer["class_name"], config)
    if kind is not None and wiring.is_wired(name):
        kind.resize(name, config, cut)
    elif name in wiring.reshaped:
        num = int(cut.kept[wiring.reshaped[name]].sum())
        config["target_shape"] = (*config["target_shape"][:-1], num)


def _without_shapes(config: Any) -> Any:
    """Leave out the shapes that layers were built with: they are built anew from their inputs."""
    if isinstance(config, dict):
        return {key: _without_shapes(part) for key, part in config.items() if key != "build_config"}
    if isinstance(config, (list, tuple)):
        return type(config)(_without_shapes(part) for part in config)
    return config


def _make_gradients(model: keras.Model, loss: Loss) -> Any:
    """Return a function from a batch to weight's path -> gradient of the loss."""
    wanted = [
        signature(model),
        tf.TensorSpec((None, None), tf.float32),
        tf.TensorSpec((None,), tf.float32),
    ]
    variables = [weight.value for weight in model.trainable_weights]

    def gradients(batch: Any, targets: tf.Tensor, counts_as: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = loss(model(batch, training=False), targets, counts_as)
        slopes = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(slope) for slope in slopes]  # an embedding's are sparse

    traced = tf.function(gradients, wanted)

    def by_weight(batch: Any, targets: tf.Tensor, counts_as: tf.Tensor) -> dict[str, Floats]:
        slopes = traced(batch, targets, counts_as)
        return {
            weight.path: slope.numpy()
            for weight, slope in zip(model.trainable_weights, slopes, strict=True)
        }

    return by_weight
