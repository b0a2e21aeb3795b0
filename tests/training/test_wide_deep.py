"""The default recipe's Keras model: both halves, alone and in batches, and how it is fitted."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.blocks.test_phrases import logits_of, make_rows
from tests.training.test_train import ATOL, Killed, kill_after_batches, weights_of
from training.batches import pad
from training.blocks.phrases import NUM_FINGERPRINTS, Wide, find_phrases
from training.fit import Encoded, make_predictor
from training.recipes import wide_deep
from training.recipes.wide_deep import (
    build_model,
    count_rows,
    fine_tune_model,
    fit_model,
    num_buckets,
    shrink_vocabulary,
)
from training.run_folder import read_run
from training.train import Sources, train_run

pytestmark = pytest.mark.slow

VOCAB_SIZE = 60
TABLES = ("embedding", "wide_fingerprints", "wide_weights")
SETTINGS = dataclasses.replace(
    wide_deep.SETTINGS, embedding_dim=4, units=(4,), batch_size=32, epochs=2, min_steps=0, seed=1
)
LENGTHS = (0, 1, 2, 3, 49, 50, 51, 99, 100, 101, 102, 103, 230)


@pytest.fixture(scope="module")
def texts() -> list[list[int]]:
    """Every length at a border; few different words, so that features repeat; unknown ones too."""
    random = np.random.default_rng(0)
    return [random.integers(1, 12, length).tolist() for length in LENGTHS]


@pytest.fixture(params=[2, 3])
def model(request) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_model(SETTINGS, VOCAB_SIZE, request.param)


def read(model: keras.Model, layer: str, rows: list[list[int]]) -> np.ndarray:
    part = keras.Model(model.input, model.get_layer(layer).output)
    return part(pad(rows) if any(rows) else np.zeros((len(rows), 1), np.int32)).numpy()


def random_wide(columns: int, texts: list[list[int]]) -> Wide:
    """A table that knows half of the phrases of `texts`."""
    random = np.random.default_rng(3)
    size = num_buckets(columns, SETTINGS.table_bytes)
    hashes = np.unique(find_phrases(texts).feature_ids)[::2]
    fingerprints = np.zeros(size, np.int32)
    fingerprints[hashes % size] = hashes % NUM_FINGERPRINTS + 1
    weights = random.normal(size=(VOCAB_SIZE + size, 2 * columns)).astype(np.float32)
    return Wide(fingerprints, weights, np.zeros(columns, np.float32))


def test_wide_half_sums_what_is_present(model, texts):
    columns = model.output_shape[-1]
    wide = random_wide(columns, texts)
    model.get_layer("wide_fingerprints").set_weights([wide.fingerprints[:, None]])
    model.get_layer("wide_weights").set_weights([wide.weights])

    found = read(model, "both_logits", texts)[:, :columns]

    assert wide.fingerprints.astype(bool).sum() > 100
    np.testing.assert_allclose(found, logits_of(wide, texts, VOCAB_SIZE), rtol=0, atol=1e-5)


def test_text_alone_gives_what_it_gives_in_a_batch(model, texts):
    together = read(model, "both_logits", texts)

    alone = np.vstack([read(model, "both_logits", [text]) for text in texts])

    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)


def test_deep_half_reads_every_segment(model, texts):
    before = read(model, "deep_logits", texts)
    changed = [text[:-1] + [12 if text[-1] < 12 else 11] if text else [] for text in texts]

    after = read(model, "deep_logits", changed)

    differs = np.abs(after - before).max(axis=1) > 0
    # The maximum over a long text need not move with its last word; most do.
    assert not differs[0]
    assert differs.mean() > 0.6


@pytest.mark.parametrize("num_classes", [2, 3])
def test_what_one_pair_of_words_says_is_learned(tmp_path, num_classes):
    rows, label_ids = make_rows(num_classes)
    label_ids = label_ids.astype(np.int32)
    train, dev = (Encoded(rows[part], label_ids[part]) for part in (slice(300), slice(300, None)))
    keras.utils.set_random_seed(2)
    model = build_model(SETTINGS, VOCAB_SIZE, num_classes)

    history = fit_model(model, train, dev, SETTINGS, tmp_path / "checkpoint.npz")

    probabilities = make_predictor(model)(dev.token_ids)
    assert len(history) == SETTINGS.epochs
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == dev.label_ids) > 0.95
    assert np.isfinite(model.get_layer("probabilities").get_weights()[0]).all()


def test_half_that_knows_is_trusted_more():
    label_ids = np.random.default_rng(0).integers(0, 2, 400).astype(np.int32)
    dev = Encoded([[2]] * 400, label_ids)
    noise = np.random.default_rng(1).normal(size=400)
    knows = 4.0 * (label_ids - 0.5) + np.random.default_rng(2).normal(size=400)
    model = build_model(SETTINGS, VOCAB_SIZE, 2)

    for logits, better in ((np.stack([knows, noise], 1), 0), (np.stack([noise, knows], 1), 1)):
        wide_deep._set_mixture(model, logits, dev, np.zeros(1, np.float32))
        kernel = model.get_layer("probabilities").get_weights()[0][:, 0]
        assert kernel[better] > 3 * kernel[1 - better] >= 0


# 9 batches and 10 checkpoints an epoch: inside the first epoch, and inside the second.
@pytest.mark.parametrize("num_batches", [3, 14])
def test_killed_training_goes_on_to_the_same_end(tiny_data, tmp_path, num_batches, monkeypatch):
    whole = train_run(Sources(tiny_data), tmp_path / "whole", SETTINGS)
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_after_batches(patch, num_batches)
        with pytest.raises(Killed):
            train_run(Sources(tiny_data), out, SETTINGS)
    wide = Path(f"{out}.partial") / "wide.npz"
    assert wide.is_file()

    resumed = train_run(Sources(tiny_data), out, SETTINGS)

    for found, expected in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    assert not (read_run(out).folder / "wide.npz").exists()


def test_smaller_vocabulary_keeps_what_the_deep_half_learned(tmp_path):
    rows, label_ids = make_rows(2, 120)
    keras.utils.set_random_seed(6)
    model = build_model(SETTINGS, VOCAB_SIZE, 2)
    kept_ids = np.array([0, 1, 2, 3, 4, 7, 9, 30])
    id_map = np.ones(VOCAB_SIZE, int)
    id_map[kept_ids] = np.arange(len(kept_ids))
    mapped = [id_map[ids].tolist() for ids in rows]
    train = Encoded(mapped, label_ids.astype(np.int32))

    small = shrink_vocabulary(model, kept_ids, train, SETTINGS, tmp_path / "words.npz")

    unknown = [np.where(np.isin(ids, kept_ids), ids, 1).tolist() for ids in rows]
    np.testing.assert_allclose(
        read(small, "deep_logits", mapped), read(model, "deep_logits", unknown), rtol=0, atol=1e-6
    )
    found = {name: small.get_layer(name).input_dim for name in TABLES}
    assert found == count_rows(model, len(kept_ids))
    share = len(kept_ids) / VOCAB_SIZE
    assert found["wide_fingerprints"] == pytest.approx(
        share * model.get_layer("wide_fingerprints").input_dim, rel=0.01
    )
    # The phrases alone, fitted anew, tell the pair that decides.
    logits = read(small, "both_logits", mapped)[:, 0]
    bias = small.get_layer("probabilities").get_weights()[1]
    assert np.mean((logits + bias > 0) == label_ids) > 0.95


def test_fine_tuning_leaves_the_phrases_alone(tmp_path):
    rows, label_ids = make_rows(2, 120)
    train = Encoded(rows, label_ids.astype(np.int32))
    model = build_model(SETTINGS, VOCAB_SIZE, 2)
    before = {name: model.get_layer(name).get_weights()[0] for name in TABLES}

    fine_tune_model(model, train, train, SETTINGS, tmp_path / "checkpoint.npz")

    after = {name: model.get_layer(name).get_weights()[0] for name in TABLES}
    assert np.abs(after["embedding"] - before["embedding"]).max() > 0
    for name in ("wide_fingerprints", "wide_weights"):
        np.testing.assert_array_equal(after[name], before[name])
