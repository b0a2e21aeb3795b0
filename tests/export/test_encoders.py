"""Every encoder of the default recipe, in the graph as in Keras."""

import dataclasses
from collections import Counter

import keras
import numpy as np
import onnxruntime
import pytest

from export.compress.points import Budget
from export.compress.search import compress_run
from export.convert import convert_model
from export.export import export_run
from export.inspection import inspect_bundle
from export.optimize import optimize_model
from export.quantize import quantize_model
from handler.inference.bundle import read_bundle
from handler.inference.classifier import load_classifier, session_options
from tests.helpers import tiny_run
from tests.helpers.objectives import single_label
from tests.helpers.wide_deep import LENGTHS, SETTINGS, VOCAB_SIZE, random_tables, set_known
from training.errors import SettingsError
from training.fitting.batches import pad
from training.recipes import stacked
from training.recipes.wide_deep import WEIGHT_TABLES, build_model
from training.rows.data import Sources
from training.run_folder import read_run
from training.settings import ENCODERS
from training.train import load_predictor, train_run

# float32 beside float32, and int8 weights of layers that were not trained.
ATOL, INT8_ATOL = 1e-5, 0.02
TEXTS = ["the plot was not good .", "", "cast"]
NODES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "transformer": "Attention"}


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


@pytest.mark.slow
def test_a_small_transformer_is_trained_exported_made_smaller_and_answers(tmp_path):
    """From synthetic rows to a pruned bundle, by the steps that the commands take."""
    settings = dataclasses.replace(
        tiny_run.SETTINGS,
        encoder="transformer",
        embedding_dim=32,
        units=(32,),
        learning_rate=3e-3,
        epochs=20,
        patience=20,
    )
    data = tiny_run.write_tiny_data(tmp_path)

    run = train_run(Sources(data), tmp_path / "run", settings)
    export_run(run.folder, tmp_path / "bundle")
    size = load_classifier(tmp_path / "bundle").size_bytes
    budget = Budget(max_size_bytes=round(0.8 * size), max_drop=60)
    compress_run(run.folder, tmp_path / "small", budget, fine_tune_epochs=1)

    assert run.metadata["settings"]["cosine_decay"]
    for folder, bundle in ((run.folder, "bundle"), (tmp_path / "small.compression", "small")):
        if bundle == "small":
            (folder,) = (path for path in folder.glob("width-*") if path.is_dir())
        outputs = load_classifier(tmp_path / bundle).predict_outputs(TEXTS)
        told = load_predictor(read_run(folder))(TEXTS)
        np.testing.assert_allclose(outputs, told, rtol=0, atol=INT8_ATOL)
    found = inspect_bundle(read_bundle(tmp_path / "small"))
    counts = Counter(found["operators"])
    assert counts["LayerNormalization"] + counts["SkipLayerNormalization"] == 3
    assert counts["Attention"] + counts["QAttention"] == 1
    assert found["size_bytes"]["model"] < budget.max_size_bytes
    assert found["provenance"]["compression"]["width"] < 1


@pytest.mark.parametrize("encoder", ["cnn", "none"])
def test_encoder_that_cannot_be_stacked_is_refused(encoder):
    settings = dataclasses.replace(stacked.SETTINGS, encoder=encoder)

    with pytest.raises(
        SettingsError, match=f"^--encoder is {encoder}, wanted lstm or gru or rnn or tr"
    ):
        stacked.plan_model(None, None, settings, single_label(2), None)


def test_unknown_encoder_is_refused():
    with pytest.raises(SettingsError, match="^--encoder is bert, wanted lstm or gru or rnn or tr"):
        dataclasses.replace(SETTINGS, encoder="bert")
