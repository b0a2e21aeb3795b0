"""Every encoder of the default recipe, in the graph as in Keras."""

import dataclasses

import keras
import numpy as np
import onnxruntime
import pytest

from export.convert import convert_model
from export.optimize import optimize_model
from export.quantize import quantize_model
from handler.inference.classifier import session_options
from tests.helpers.objectives import single_label
from tests.helpers.wide_deep import LENGTHS, SETTINGS, VOCAB_SIZE, random_tables, set_known
from training.batches import pad
from training.errors import SettingsError
from training.recipes import stacked
from training.recipes.wide_deep import WEIGHT_TABLES, build_model
from training.settings import ENCODERS

# float32 beside float32, and int8 weights of layers that were not trained.
ATOL, INT8_ATOL = 1e-5, 0.02
NODES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name != "none"])
def test_graph_computes_what_keras_does(encoder):
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)
    texts = [random.integers(1, 12, length).tolist() for length in LENGTHS]
    objective = single_label(3)
    settings = dataclasses.replace(SETTINGS, encoder=encoder, units=(4, 4))
    model = build_model(settings, VOCAB_SIZE, objective)
    set_known(model, random_tables(objective.num_logits, texts))
    ids = pad(texts)

    graph = convert_model(model)
    smaller = optimize_model(quantize_model(graph, weight_tables=WEIGHT_TABLES))

    expected = model(ids, training=False).numpy()
    for proto, atol in ((graph, ATOL), (smaller, INT8_ATOL)):
        session = onnxruntime.InferenceSession(proto.SerializeToString(), session_options(1))
        (outputs,) = session.run(None, {"token_ids": ids})
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=atol)
        # Alone as in a batch of longer ones, but for what int8 activations share in a batch.
        (alone,) = session.run(None, {"token_ids": ids[4:5, : LENGTHS[4]]})
        np.testing.assert_allclose(alone, outputs[4:5], rtol=0, atol=atol / 10)
    types = [node.op_type for node in graph.graph.node]
    assert not {"Loop", "Scan"} & set(types)
    assert {name: types.count(name) for name in NODES.values()} == {
        name: 2 * (name == NODES.get(encoder)) for name in NODES.values()
    }


@pytest.mark.parametrize("encoder", ["cnn", "none"])
def test_encoder_that_cannot_be_stacked_is_refused(encoder):
    settings = dataclasses.replace(stacked.SETTINGS, encoder=encoder)

    with pytest.raises(SettingsError, match=f"^--encoder is {encoder}, wanted lstm or gru or rnn"):
        stacked.plan_model(None, None, settings, single_label(2), None)


def test_unknown_encoder_is_refused():
    with pytest.raises(SettingsError, match="^--encoder is bert, wanted lstm or gru or rnn or cnn"):
        dataclasses.replace(SETTINGS, encoder="bert")
