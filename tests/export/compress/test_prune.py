"""Taking units out is the same as silencing them, for every kind of layer that is known."""

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from export.compress.prune import choose_most, measure_importance, prune_model
from export.errors import ExportError
from export.layers.wiring import trace_channels
from tests.helpers.objectives import single_label
from training.recipes import stacked, wide_deep

pytestmark = pytest.mark.slow
VOCAB_SIZE, COLUMNS = 30, 8
ATOL = 1e-5  # float32: the sums run over other numbers of terms
TOKEN_IDS = np.random.default_rng(0).integers(1, VOCAB_SIZE, (5, 12)).astype(np.int32)
TOKEN_IDS[0, 7:] = 0
TARGETS = np.eye(2, dtype=np.float32)[[0, 1, 1, 0, 1]]
ONES = np.ones(5, np.float32)


def build(body: Callable, mask_zero: bool = False, num_outputs: int = 2) -> keras.Model:
    """Return Embedding -> `body` -> Dense, with weights far from zero."""
    keras.utils.set_random_seed(1)
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = layers.Embedding(VOCAB_SIZE, COLUMNS, mask_zero=mask_zero, name="words")(token_ids)
    outputs = layers.Dense(num_outputs, activation="softmax", name="out")(body(hidden))
    return shake(keras.Model(token_ids, outputs))


def log_loss(outputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor = ONES) -> tf.Tensor:
    return -tf.reduce_mean(weights * tf.math.log(tf.reduce_sum(outputs * targets, axis=1)))


def run(model: keras.Model, token_ids: np.ndarray) -> np.ndarray:
    return model(token_ids, training=False).numpy()


def shake(model: keras.Model) -> keras.Model:
    """Move every weight, biases too, which start at zero."""
    random = np.random.default_rng(2)
    model.set_weights([w + random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    return model


def two_branches(x):
    left = layers.GlobalMaxPooling1D()(layers.Conv1D(6, 3, activation="relu", name="conv")(x))
    right = layers.LSTM(5, name="lstm")(layers.SpatialDropout1D(0.5)(x))
    return layers.Concatenate()([left, right, layers.GlobalAveragePooling1D()(x)])


def wide_and_deep(x):
    x = layers.Conv1D(6, 4, strides=2, activation="relu", name="conv")(x)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both")(x)
    return layers.GlobalMaxPooling1D()(layers.Dropout(0.5)(x))


MODELS = {
    "one LSTM": lambda: build(layers.LSTM(5, name="lstm"), mask_zero=True),
    "no bias": lambda: build(layers.LSTM(5, use_bias=False, name="lstm")),
    "three LSTMs": lambda: build(
        lambda x: layers.LSTM(5, name="c")(
            layers.LSTM(6, return_sequences=True, name="b")(
                layers.Dropout(0.2)(layers.LSTM(5, return_sequences=True, name="a")(x))
            )
        ),
        mask_zero=True,
        num_outputs=3,
    ),
    "bidirectional": lambda: build(
        lambda x: layers.Bidirectional(layers.LSTM(4), name="second")(
            layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="first")(x)
        ),
        mask_zero=True,
    ),
    "two branches": lambda: build(two_branches),
    "convolution, then both ways": lambda: build(wide_and_deep),
    "pooled convolutions": lambda: build(
        lambda x: layers.GlobalMaxPooling1D()(
            layers.Conv1D(4, 2, activation="tanh", name="second")(
                layers.MaxPooling1D(2)(layers.Conv1D(6, 3, activation="relu", name="first")(x))
            )
        )
    ),
}


def read_all_around(x):
    """Return a transformer of one layer, its maximum over the steps."""
    normal = layers.LayerNormalization(name="first_norm")(x)
    attention = layers.MultiHeadAttention(3, 4, name="attention")
    x = layers.Add()([x, layers.Dropout(0.1)(attention(normal, normal))])
    normal = layers.LayerNormalization(name="second_norm")(x)
    inner = layers.Dense(10, "relu", name="inner")(normal)
    x = layers.Add()([x, layers.Dense(COLUMNS, name="outer")(inner)])
    return layers.GlobalMaxPooling1D()(layers.LayerNormalization(name="norm")(x))


def silence(model: keras.Model, owner: str, gone: np.ndarray) -> None:
    """Make the channels `gone` of `owner` zero at any input, by the weights that write them."""
    name, _, end = owner.partition("/")
    layer = model.get_layer(name)
    if end:
        layer = (layer.forward_layer, layer.backward_layer)[int(end)]
    weights = layer.get_weights()
    columns = gone
    if isinstance(layer, layers.LSTM):
        columns = 2 * layer.units + gone  # the candidate: c = 0, so h = tanh(0) = 0
    for values in weights:
        values[..., columns] = 0
    layer.set_weights(weights)


@pytest.mark.parametrize("name", MODELS)
def test_pruned_model_is_the_model_with_those_units_silenced(name):
    model = MODELS[name]()
    wiring = trace_channels(model)
    random = np.random.default_rng(3)
    removed = {owner: len(own) // 2 for owner, own in wiring.owners.items()}
    keep = {
        owner: np.sort(random.permutation(len(own))[removed[owner] :])
        for owner, own in wiring.owners.items()
    }

    pruned = prune_model(model, keep)

    before = run(model, TOKEN_IDS)
    for owner, stay in keep.items():
        silence(model, owner, np.setdiff1d(np.arange(len(wiring.owners[owner])), stay))
    masked = run(model, TOKEN_IDS)
    assert wiring.fixed == {}
    assert np.abs(masked - before).max() > 100 * ATOL
    assert pruned.count_params() < model.count_params()
    np.testing.assert_allclose(run(pruned, TOKEN_IDS), masked, rtol=0, atol=ATOL)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_taken_out_changes_nothing(name):
    model = MODELS[name]()

    pruned = prune_model(model, {}, np.arange(VOCAB_SIZE))

    np.testing.assert_array_equal(run(pruned, TOKEN_IDS), run(model, TOKEN_IDS))


def test_reshape_follows_the_columns():
    token_ids = keras.Input((12,), dtype="int32")
    hidden = layers.Embedding(VOCAB_SIZE, COLUMNS, name="words")(token_ids)
    hidden = layers.Reshape((3, 4, COLUMNS))(hidden)
    hidden = layers.Reshape((6, 2, COLUMNS))(hidden)
    hidden = layers.Reshape((12, COLUMNS))(hidden)
    model = shake(keras.Model(token_ids, layers.Dense(1)(layers.GlobalMaxPooling1D()(hidden))))

    pruned = prune_model(model, {"words": np.array([1, 4, 6])})

    silence(model, "words", np.array([0, 2, 3, 5, 7]))
    np.testing.assert_allclose(run(pruned, TOKEN_IDS), run(model, TOKEN_IDS), rtol=0, atol=ATOL)


def test_word_taken_out_is_read_as_unknown():
    model = MODELS["three LSTMs"]()
    kept_ids = np.array([0, 1, 4, 5, 20, 29])

    pruned = prune_model(model, {}, kept_ids)

    id_map = np.ones(VOCAB_SIZE, int)
    id_map[kept_ids] = np.arange(6)
    unknown = np.where(np.isin(TOKEN_IDS, kept_ids), TOKEN_IDS, 1)
    assert pruned.get_layer("words").input_dim == 6
    np.testing.assert_allclose(
        run(pruned, id_map[TOKEN_IDS]),
        run(model, unknown),
        rtol=0,
        atol=ATOL,
    )


def build_wide_and_deep() -> keras.Model:
    token_ids = keras.Input((None,), dtype="int32")
    deep = layers.Dense(1)(
        wide_and_deep(layers.Embedding(VOCAB_SIZE, COLUMNS, name="words")(token_ids))
    )
    wide = layers.Embedding(64, 1, name="ngrams")(ops.mod(token_ids * 7 + 1, 64))
    logit = layers.Add(name="logit")([deep, ops.sum(wide, axis=1)])
    return shake(keras.Model(token_ids, layers.Activation("sigmoid")(logit)))


def test_unknown_operations_stay_whole_beside_what_is_pruned():
    model = build_wide_and_deep()
    keep = {"words": [0, 3], "conv": [1, 2, 5], "both/0": [0, 1], "both/1": [2, 4]}

    pruned = prune_model(model, {owner: np.array(stay) for owner, stay in keep.items()})

    for owner, stay in keep.items():
        num = len(trace_channels(model).owners[owner])
        silence(model, owner, np.setdiff1d(np.arange(num), stay))
    np.testing.assert_allclose(run(pruned, TOKEN_IDS), run(model, TOKEN_IDS), rtol=0, atol=ATOL)


@pytest.fixture
def default_model() -> keras.Model:
    keras.utils.set_random_seed(4)
    settings = replace(wide_deep.SETTINGS, embedding_dim=8, units=(6,), table_bytes=600)
    return shake(wide_deep.build_model(settings, VOCAB_SIZE, single_label(3)))


def test_default_recipe_is_pruned_to_what_its_other_units_compute(default_model):
    keep = {
        "embedding": np.array([0, 3, 4, 7]),
        "conv1d": np.arange(0, 16, 2),
        "bidirectional/0": np.array([1, 2, 5]),
        "bidirectional/1": np.array([0, 2, 3]),
    }
    wiring = trace_channels(default_model)
    token_ids = np.random.default_rng(5).integers(1, VOCAB_SIZE, (4, 120)).astype(np.int32)
    token_ids[0, 30:] = 0

    pruned = prune_model(default_model, keep)

    before = run(default_model, token_ids)
    # A silent unit's maximum is still above that of padding: its rows must be silent too.
    units = [np.setdiff1d(np.arange(6), keep[f"bidirectional/{end}"]) for end in (0, 1)]
    for owner, stay in keep.items():
        num = len(wiring.owners[owner])
        silence(default_model, owner, np.setdiff1d(np.arange(num), stay))
    dense = default_model.get_layer("deep_logits")
    kernel, bias = dense.get_weights()
    kernel[np.concatenate([units[0], 6 + units[1]])] = 0
    dense.set_weights([kernel, bias])
    masked = run(default_model, token_ids)
    assert set(wiring.fixed) == {"wide_fingerprints", "wide_weights"}
    assert np.abs(masked - before).max() > 100 * ATOL
    np.testing.assert_allclose(run(pruned, token_ids), masked, rtol=0, atol=ATOL)


def test_words_of_the_default_recipe_stay(default_model):
    with pytest.raises(ExportError, match=r"no word can be taken out, because .* computes with"):
        prune_model(default_model, {}, np.arange(10))


@pytest.mark.parametrize(
    ("keep", "kept_ids", "message"),
    [
        ({}, [0, 1, 5], r"no word can be taken out, because multiply\w* \(Multiply\) computes"),
        ({"ngrams": []}, None, r"ngrams: nothing can be taken out, because \w+ \(Activation\)"),
        ({"both/0": [0, 1]}, None, "both: both directions must keep as many units as the other"),
        ({"both/0": [], "both/1": []}, None, "both/0: 0 of 5 units would stay, wanted 1 to 5"),
        ({"dense": [0]}, None, "dense: is no layer with units; those are"),
    ],
)
def test_what_cannot_be_taken_out_is_refused(keep, kept_ids, message):
    keep = {owner: np.array(stay, int) for owner, stay in keep.items()}

    with pytest.raises(ExportError, match=message):
        prune_model(build_wide_and_deep(), keep, kept_ids and np.array(kept_ids))


def test_ids_without_padding_and_unknown_are_refused():
    with pytest.raises(ExportError, match=r"padding \(0\) and unknown \(1\) must be among"):
        prune_model(MODELS["one LSTM"](), {}, np.array([0, 2, 3]))


@pytest.mark.parametrize(
    ("body", "owner", "reason"),
    [
        (
            lambda x: layers.LSTM(3)(layers.SeparableConv1D(3, 2, name="apart")(x)),
            "words",
            r"apart \(SeparableConv1D\) reads them",
        ),
        (
            lambda x: layers.Bidirectional(layers.LSTM(3), merge_mode="sum", name="both")(x),
            "words",
            r"both \(Bidirectional\) reads them",
        ),
        (
            lambda x: layers.LSTM(3)(layers.UnitNormalization(name="norm")(x)),
            "words",
            r"norm \(UnitNormalization\) reads them",
        ),
        (
            lambda x: layers.LSTM(3)(
                layers.MultiHeadAttention(2, 3, value_dim=4, name="attention")(x, x)
            ),
            "words",
            r"attention \(MultiHeadAttention\) reads them",
        ),
        (
            lambda x: layers.LSTM(3)(layers.Concatenate(axis=1, name="stacked")([x, x])),
            "words",
            r"stacked \(Concatenate\) reads them",
        ),
    ],
)
def test_layer_that_is_not_known_keeps_its_inputs(body, owner, reason):
    with pytest.raises(ExportError, match=f"{owner}: nothing can be taken out, because {reason}"):
        prune_model(build(body), {owner: np.array([0])})


def test_units_that_are_the_output_stay():
    token_ids = keras.Input((None,), dtype="int32")
    model = keras.Model(token_ids, layers.LSTM(2, name="lstm")(layers.Embedding(9, 4)(token_ids)))

    with pytest.raises(ExportError, match="because they are the model's output"):
        prune_model(model, {"lstm": np.array([0])})


def test_importance_is_the_squared_slope_of_a_gate():
    """A gate on the model's outputs, by finite differences, against the sum over weights."""
    model = MODELS["convolution, then both ways"]()
    importance, words = measure_importance(model, [(TOKEN_IDS, TARGETS, ONES)], log_loss)

    for owner in ("words", "conv", "both/1"):
        for unit in (0, 3):
            slope = (
                gated_loss(model, owner, unit, 1.002) - gated_loss(model, owner, unit, 0.998)
            ) / 0.004
            # 2 %: finite differences in float32
            np.testing.assert_allclose(importance[owner][unit], slope**2, rtol=0.02, atol=1e-8)
    assert np.isinf(words[:2]).all()
    assert words[np.setdiff1d(np.arange(VOCAB_SIZE), TOKEN_IDS)[2:]].sum() == 0


def gated_loss(model: keras.Model, owner: str, unit: int, gate: float) -> float:
    """Return the log loss when everything that reads the channel sees it `gate` times as large."""
    wiring = trace_channels(model)
    channel = wiring.owners[owner][unit]
    gated = keras.models.clone_model(model)
    gated.set_weights(model.get_weights())
    for name, read in wiring.reads.items():
        layer = gated.get_layer(name)
        weights = layer.get_weights()
        for kernel in weights[:: 3 if len(weights) == 6 else len(weights)]:
            kernel[..., read == channel, :] *= gate
        layer.set_weights(weights)
    if "/" in owner:
        name, end = owner.split("/")
        layer = gated.get_layer(name)
        weights = layer.get_weights()
        weights[3 * int(end) + 1][unit] *= gate
        layer.set_weights(weights)
    return float(log_loss(run(gated, TOKEN_IDS), TARGETS))


def test_most_important_are_kept_in_their_order():
    assert choose_most(np.array([3.0, 9.0, 5.0, 9.0]), 2).tolist() == [1, 3]


def test_importance_is_that_of_the_rows_that_count():
    model = MODELS["convolution, then both ways"]()
    weights = np.array([0, 2.5, 0, 0, 2.5], np.float32)
    chosen = weights > 0

    importance, words = measure_importance(model, [(TOKEN_IDS, TARGETS, weights)], log_loss)

    def alone(outputs: tf.Tensor, targets: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return log_loss(outputs, targets, ONES[:2])

    expected = measure_importance(
        model, [(TOKEN_IDS[chosen], TARGETS[chosen], ONES[chosen])], alone
    )
    np.testing.assert_allclose(words, expected[1], rtol=1e-4)
    for owner, values in importance.items():
        np.testing.assert_allclose(values, expected[0][owner], rtol=1e-4)


def test_heads_and_feed_forward_columns_are_taken_out():
    model = build(read_all_around)
    wiring = trace_channels(model)
    keep = {"attention": np.array([0, 2]), "inner": np.array([1, 2, 5, 6])}

    pruned = prune_model(model, keep)

    before = run(model, TOKEN_IDS)
    attention, inner = model.get_layer("attention"), model.get_layer("inner")
    weights = attention.get_weights()
    weights[6][1] = 0  # of the projection back, the rows of head 1
    attention.set_weights(weights)
    kernel, bias = inner.get_weights()
    gone = np.setdiff1d(np.arange(10), keep["inner"])
    kernel[:, gone] = bias[gone] = 0
    inner.set_weights([kernel, bias])
    masked = run(model, TOKEN_IDS)
    assert {owner: len(own) for owner, own in wiring.owners.items()} == {
        "words": COLUMNS,
        "attention": 3,
        "inner": 10,
    }
    assert pruned.get_layer("attention").num_heads == 2
    assert np.abs(masked - before).max() > 100 * ATOL
    np.testing.assert_allclose(run(pruned, TOKEN_IDS), masked, rtol=0, atol=ATOL)


def test_channels_that_layers_add_to_one_another_are_taken_out_of_all():
    model = build(read_all_around)
    stay = np.array([0, 3, 4, 7])

    pruned = prune_model(model, {"words": stay})

    for name, index, axis in (
        ("words", 0, -1),
        ("first_norm", 0, 0),
        ("attention", 0, 0),
        ("attention", 6, -1),
        ("attention", 7, 0),
        ("inner", 0, 0),
        ("outer", 0, -1),
        ("outer", 1, 0),
        ("norm", 1, 0),
        ("out", 0, 0),
    ):
        whole, part = (m.get_layer(name).get_weights()[index] for m in (model, pruned))
        np.testing.assert_array_equal(part, whole.take(stay, axis=axis), err_msg=name)
    assert np.isfinite(run(pruned, TOKEN_IDS)).all()


def test_importance_of_heads_and_inner_columns_is_the_squared_slope_of_a_gate():
    model = build(read_all_around)
    importance, _ = measure_importance(model, [(TOKEN_IDS, TARGETS, ONES)], log_loss)

    def loss_with(name: str, index: int, row: int, gate: float) -> float:
        gated = keras.models.clone_model(model)
        gated.set_weights(model.get_weights())
        weights = gated.get_layer(name).get_weights()
        weights[index][row] *= gate
        gated.get_layer(name).set_weights(weights)
        return float(log_loss(run(gated, TOKEN_IDS), TARGETS))

    for owner, reader, index in (("attention", "attention", 6), ("inner", "outer", 0)):
        for row in range(2):
            losses = [loss_with(reader, index, row, gate) for gate in (1.002, 0.998)]
            slope = (losses[0] - losses[1]) / 0.004
            # 2 %: finite differences in float32
            np.testing.assert_allclose(importance[owner][row], slope**2, rtol=0.02, atol=1e-8)


def test_default_recipe_with_a_transformer_is_pruned_and_its_words_are_not():
    settings = replace(
        wide_deep.SETTINGS, encoder="transformer", embedding_dim=8, units=(8, 8), table_bytes=600
    )
    model = shake(wide_deep.build_model(settings, VOCAB_SIZE, single_label(3)))

    wiring = trace_channels(model)

    owners = {owner: len(own) for owner, own in wiring.owners.items()}
    assert set(wiring.fixed) == {"wide_fingerprints", "wide_weights"}
    assert {owner: num for owner, num in owners.items() if owner not in wiring.fixed} == {
        "embedding": 8,
        "conv1d": 16,
        "attention_1": 4,
        "feed_forward_1": 16,
        "attention_2": 4,
        "feed_forward_2": 16,
        "projection": 16,
    }


def test_words_of_a_stacked_transformer_can_be_taken_out():
    settings = replace(stacked.SETTINGS, encoder="transformer", embedding_dim=8, units=(8,))
    model = shake(stacked.build_model(settings, VOCAB_SIZE, single_label(3)))
    kept_ids = np.array([0, 1, 4, 5, 20, 29])

    pruned = prune_model(model, {}, kept_ids)

    id_map = np.ones(VOCAB_SIZE, int)
    id_map[kept_ids] = np.arange(6)
    unknown = np.where(np.isin(TOKEN_IDS, kept_ids), TOKEN_IDS, 1)
    expected = run(model, np.where(TOKEN_IDS == 0, 0, unknown))
    padded = np.where(TOKEN_IDS == 0, 0, id_map[TOKEN_IDS])
    np.testing.assert_allclose(run(pruned, padded), expected, rtol=0, atol=ATOL)
