"""A mask becomes lengths where that is all it does, and is refused everywhere else."""

from collections.abc import Callable

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops

from export.convert import convert_model
from export.errors import ExportError
from export.masks import RECURRENT, check_masks
from tests.helpers.small_models import ROWS, build, open_session, run_keras, run_onnx
from training.fitting.batches import pad

pytestmark = [
    pytest.mark.slow,
    # Keras says so of a layer that loses a mask; here that is wanted.
    pytest.mark.filterwarnings("ignore:Layer .* does not support masking:UserWarning"),
]
# Keras and ONNX Runtime sum the gates in another order; seen: under 1e-6 for models this small.
ATOL = 1e-5


def lstm(units: int = 4, all_steps: bool = False, **settings: object) -> layers.LSTM:
    return layers.LSTM(units, return_sequences=all_steps, **settings)


def reload(model: keras.Model, tmp_path) -> keras.Model:
    """Return the model as export finds it: Keras keeps masks in another way in a loaded one."""
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras", compile=False)


def two_layers(token_ids, words):
    hidden = layers.Dropout(0.2)(words(token_ids))
    return lstm()(layers.Dropout(0.2)(lstm(all_steps=True)(hidden)))


def two_directions(token_ids, words):
    hidden = layers.Bidirectional(lstm(all_steps=True))(words(token_ids))
    return layers.Bidirectional(lstm())(hidden)


def residual(token_ids, words):
    hidden = words(token_ids)
    return lstm()(layers.Add()([hidden, lstm(all_steps=True)(hidden)]))


def side_by_side(token_ids, words):
    hidden = words(token_ids)
    return lstm()(layers.Concatenate()([hidden, lstm(3, all_steps=True)(hidden)]))


def put_to_zero(token_ids, words):
    """Mask by hand what Keras leaves in padding."""
    is_token = ops.expand_dims(ops.cast(token_ids != 0, "float32"), -1)
    return layers.GlobalMaxPooling1D()(lstm(all_steps=True)(words(token_ids)) * is_token)


def pooled(hidden):
    return layers.GlobalMaxPooling1D()(hidden)


SKIPPING = {
    "two layers": two_layers,
    "two directions": two_directions,
    "residual": residual,
    "side by side": side_by_side,
    "normalized": lambda ids, words: lstm()(layers.BatchNormalization()(words(ids))),
    "wider ids": lambda ids, words: lstm()(words(ops.cast(ids, "int64"))),
    "told that it does not train": lambda ids, words: lstm()(words(ids), training=False),
    "given the mask": lambda ids, words: lstm()(
        layers.Dropout(0.1)(words(ids)), mask=ops.not_equal(ids, 0)
    ),
    "pooled directions": lambda ids, words: pooled(
        layers.Bidirectional(lstm(all_steps=True))(words(ids))
    ),
    "pooled with zeros": lambda ids, words: pooled(
        layers.Dense(3)(lstm(all_steps=True, zero_output_for_mask=True)(words(ids)))
    ),
    "put to zero": put_to_zero,
}
NOT_SKIPPING = {
    "no mask": lambda ids, words: lstm()(words(ids)),
    "a mask that no layer reads": lambda ids, words: layers.Concatenate()(
        [
            lstm()(words(ids)),
            pooled(layers.Dense(3)(layers.Embedding(16, 4, mask_zero=True)(ids))),
        ]
    ),
}


def has_lengths(graph: onnx.ModelProto) -> set[bool]:
    nodes = [node for node in graph.graph.node if node.op_type == "LSTM"]
    return {len(node.input) > 4 and node.input[4] != "" for node in nodes}


@pytest.mark.parametrize("name", SKIPPING)
def test_recurrent_layers_that_skip_padding_get_the_lengths(name, tmp_path):
    model = reload(build(SKIPPING[name]), tmp_path)

    graph = convert_model(model)

    assert check_masks(model)
    assert has_lengths(graph) == {True}
    found, expected = run_onnx(open_session(graph), pad(ROWS)), run_keras(model, pad(ROWS))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    assert np.ptp(expected[:, 0]) > 0.01  # a constant would prove nothing


@pytest.mark.parametrize("name", NOT_SKIPPING)
def test_recurrent_layers_that_read_padding_get_no_lengths(name, tmp_path):
    model = reload(build(NOT_SKIPPING[name], mask_zero=False), tmp_path)

    graph = convert_model(model)

    assert not check_masks(model)
    assert has_lengths(graph) == {False}
    found, expected = run_onnx(open_session(graph), pad(ROWS)), run_keras(model, pad(ROWS))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)


def test_masks_that_are_joined_often_are_followed_once():
    """Every sum doubles the ways back to the mask: 2**60 of them."""

    def body(token_ids, words):
        hidden = words(token_ids)
        for _ in range(60):
            hidden = layers.Add()([hidden, layers.Dense(4)(hidden)])
        return lstm()(hidden)

    assert check_masks(build(body))


def refused(model: keras.Model, tmp_path) -> str:
    """Return the message, which is the same of the model and of its loaded twin."""
    messages = []
    for each in (model, reload(model, tmp_path)):
        with pytest.raises(ExportError) as caught:
            convert_model(each)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    return messages[0]


def test_message_names_the_layer_what_reached_it_and_what_to_do(tmp_path):
    average = layers.GlobalAveragePooling1D(name="average")
    model = build(lambda ids, words: average(layers.Dropout(0.1)(words(ids))))

    assert refused(model, tmp_path) == (
        "average (GlobalAveragePooling1D): a mask reaches it from words (Embedding), and only "
        f"{RECURRENT} layers are exported with a mask. Train without masks (mask_zero=False), or "
        "compute with keras.ops from `token_ids != 0` what they should leave out."
    )


@pytest.mark.parametrize(
    ("class_name", "body"),
    [
        ("Attention", lambda x: pooled(layers.Attention(name="reader")([x, x]))),
        (
            "Bidirectional",
            lambda x: layers.Bidirectional(layers.RNN(layers.GRUCell(3)), name="reader")(x),
        ),
        ("Maximum", lambda x: pooled(layers.Maximum(name="reader")([x, x]))),
        (
            "MultiHeadAttention",
            lambda x: pooled(layers.MultiHeadAttention(2, 2, name="reader")(x, x)),
        ),
        ("Multiply", lambda x: lstm()(layers.Multiply(name="reader")([x, x]))),
        ("RNN", lambda x: layers.RNN(layers.GRUCell(3), name="reader")(x)),
        ("Softmax", lambda x: pooled(layers.Softmax(name="reader")(x))),
        (
            "TimeDistributed",
            lambda x: pooled(layers.TimeDistributed(layers.Dense(3), name="reader")(x)),
        ),
    ],
)
def test_mask_that_another_layer_reads_is_refused(class_name, body, tmp_path):
    model = build(lambda ids, words: body(words(ids)))

    assert refused(model, tmp_path).startswith(
        f"reader ({class_name}): a mask reaches it from words (Embedding), and only {RECURRENT} "
    )


def test_mask_that_another_layer_is_given_is_refused(tmp_path):
    average = layers.GlobalAveragePooling1D(name="average")
    model = build(
        lambda ids, words: average(words(ids), mask=ops.not_equal(ids, 0)), mask_zero=False
    )

    assert refused(model, tmp_path).startswith(
        "average (GlobalAveragePooling1D): a mask reaches it from not_equal"
    )


OTHER_MASKS: dict[str, tuple[Callable, str]] = {
    "made of vectors": (
        lambda ids, words: lstm(name="lstm")(layers.Masking(name="maker")(words(ids))),
        "maker (Masking)",
    ),
    "of computed ids": (
        lambda ids, words: lstm(name="lstm")(words(ids // 2)),
        "words (Embedding)",
    ),
    "of another number": (
        lambda ids, words: lstm(name="lstm")(words(ids), mask=ops.not_equal(ids, 1)),
        "words (Embedding)",
    ),
    "of another length": (
        lambda ids, words: lstm(name="lstm")(
            layers.Concatenate(axis=1, name="longer")([words(ids), words(ids)])
        ),
        "longer (Concatenate)",
    ),
    "of half of the channels": (
        lambda ids, words: lstm(name="lstm")(
            layers.Concatenate(name="wider")([words(ids), layers.Embedding(16, 4)(ids)])
        ),
        "wider (Concatenate)",
    ),
}


@pytest.mark.parametrize("name", OTHER_MASKS)
def test_recurrent_layer_with_another_mask_is_refused(name, tmp_path):
    body, maker = OTHER_MASKS[name]

    message = refused(build(body), tmp_path)

    assert message.startswith(
        f"lstm (LSTM): the mask that reaches it from {maker} is not `token_ids != 0` of the "
        "model's own input, by which the graph knows where a text ends. Let an Embedding"
    )


@pytest.mark.parametrize(
    ("body", "loser"),
    [
        (lambda x: layers.Conv1D(4, 2, name="loser")(x), "loser (Conv1D)"),
        (lambda x: layers.Dense(3)(ops.tanh(x)), "tanh"),
    ],
)
def test_recurrent_layer_whose_mask_is_lost_is_refused(body, loser, tmp_path):
    model = build(lambda ids, words: lstm(name="lstm")(layers.Dropout(0.1)(body(words(ids)))))

    message = refused(model, tmp_path)

    assert message.startswith(f"lstm (LSTM): no mask reaches it, because {loser}")
    assert "loses the mask of what it reads. Let only layers that pass masks on" in message


def test_recurrent_layers_of_which_one_has_no_mask_are_refused(tmp_path):
    def body(token_ids, words):
        others = layers.Embedding(16, 4, name="others")(token_ids)
        masked, plain = lstm(name="masked"), lstm(name="plain")
        return layers.Concatenate()([masked(words(token_ids)), plain(others)])

    assert refused(build(body), tmp_path).startswith(
        "plain (LSTM): no mask reaches it, but one reaches masked (LSTM), and the graph gives"
    )


def test_layer_that_reads_repeated_states_is_refused(tmp_path):
    def body(token_ids, words):
        hidden = lstm(all_steps=True, name="lstm")(words(token_ids))
        return layers.GlobalMaxPooling1D(name="pool")(layers.Dense(3)(hidden))

    assert refused(build(body), tmp_path).startswith(
        "pool (GlobalMaxPooling1D): reads what lstm (LSTM) writes behind the end of a text, where "
        "Keras repeats the last state and the graph has zeros. Give lstm zero_output_for_mask=True"
    )


@pytest.mark.parametrize("makes_inside", [True, False])
def test_mask_in_a_model_inside_the_model_is_refused(makes_inside, tmp_path):
    def body(token_ids, words):
        read = token_ids if makes_inside else words(token_ids)
        inside = keras.Input(read.shape[1:], dtype=read.dtype)
        hidden = words(inside) if makes_inside else inside
        return keras.Model(inside, pooled(hidden), name="inner")(read)

    message = refused(build(body), tmp_path)

    reason = "masks are made inside it" if makes_inside else "a mask reaches it from words"
    assert message.startswith(f"inner (Functional): {reason}")
