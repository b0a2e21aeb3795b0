"""The default recipe's Keras model: both halves, alone and in batches, and how it is fitted."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.helpers.killed import Killed, kill_after_batches
from tests.helpers.objectives import single_label
from tests.helpers.phrases import logits_of, make_rows
from tests.helpers.tiny_run import ATOL, weights_of
from tests.helpers.wide_deep import LENGTHS, SETTINGS, VOCAB_SIZE, random_tables, set_known
from training.answers.calibration import find_mixture
from training.fitting import deep_half, wide_half
from training.fitting.batches import pad
from training.fitting.deep_half import Trial, start_deep, try_deep
from training.fitting.encoded import Encoded
from training.fitting.fit import make_predictor
from training.fitting.mixture import mix_outputs, read_halves, set_mixture
from training.recipes import wide_deep
from training.recipes.wide_deep import (
    build_model,
    count_rows,
    fine_tune_model,
    fit_model,
    learned_rows,
    plan_model,
    shrink_vocabulary,
)
from training.resuming.stages import Stages
from training.rows.data import Sources
from training.run_folder import read_run
from training.train import train_run

pytestmark = pytest.mark.slow

TABLES = ("embedding", "wide_fingerprints", "wide_weights")


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """The rows here are few, and may have a deep half all the same."""
    monkeypatch.setattr(wide_deep, "MIN_DEEP_ROWS", 300)


@pytest.fixture(scope="module")
def texts() -> list[list[int]]:
    """Every length at a border; few different words, so that features repeat; unknown ones too."""
    random = np.random.default_rng(0)
    return [random.integers(1, 12, length).tolist() for length in LENGTHS]


@pytest.fixture(params=[2, 3])
def model(request) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_model(SETTINGS, VOCAB_SIZE, single_label(request.param))


def encode(rows: list[list[int]], label_ids: np.ndarray, num_labels: int = 2) -> Encoded:
    targets = np.eye(num_labels, dtype=np.float32)[label_ids]
    return Encoded(rows, targets, words=[f"w{number}" for number in range(VOCAB_SIZE)])


def read(model: keras.Model, layer: str, rows: list[list[int]]) -> np.ndarray:
    part = keras.Model(model.input, model.get_layer(layer).output)
    return part(pad(rows) if any(rows) else np.zeros((len(rows), 1), np.int32)).numpy()


def test_wide_half_sums_what_is_present(model, texts):
    num_logits = model.get_layer("deep_logits").units
    tables = random_tables(num_logits, texts)
    set_known(model, tables)

    found = read(model, "both_logits", texts)[:, :num_logits]

    assert tables["wide_fingerprints"].astype(bool).sum() > 100
    np.testing.assert_allclose(found, logits_of(tables, texts, VOCAB_SIZE), rtol=0, atol=1e-5)


def test_two_labels_have_two_columns_of_one_logit(texts):
    keras.utils.set_random_seed(1)
    model = build_model(SETTINGS, VOCAB_SIZE, single_label(2))
    set_known(model, random_tables(1, texts))

    outputs, logits = read(model, "outputs", texts), read(model, "mixture", texts)

    positive = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert model.output_names == ["outputs"]
    assert model.get_layer("wide_weights").output_dim == 2  # anywhere, and in the tail
    np.testing.assert_allclose(outputs, np.hstack([1 - positive, positive]), rtol=0, atol=1e-6)


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


@pytest.mark.parametrize("num_labels", [2, 3])
def test_what_one_pair_of_words_says_is_learned(tmp_path, num_labels):
    rows, label_ids = make_rows(num_labels)
    train, dev = (
        encode(rows[part], label_ids[part], num_labels) for part in (slice(300), slice(300, None))
    )
    keras.utils.set_random_seed(2)
    model = build_model(SETTINGS, VOCAB_SIZE, single_label(num_labels))

    dev = dataclasses.replace(dev, is_apart=True)

    fitted = fit_model(model, train, dev, SETTINGS, single_label(num_labels), Stages(tmp_path))

    outputs = make_predictor(model)(dev.rows)
    assert (len(fitted.history), fitted.rows) == (SETTINGS.epochs, None)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
    assert np.mean(outputs.argmax(axis=1) == label_ids[300:]) > 0.95
    assert np.isfinite(model.get_layer("mixture").get_weights()[0]).all()


def test_half_that_knows_has_the_greater_weight():
    label_ids = np.random.default_rng(0).integers(0, 2, 400)
    targets = np.eye(2, dtype=np.float32)[label_ids]
    noise = np.random.default_rng(1).normal(size=400)
    knows = 4.0 * (label_ids - 0.5) + np.random.default_rng(2).normal(size=400)
    objective = single_label(2)
    model = build_model(SETTINGS, VOCAB_SIZE, objective)

    for logits, better in ((np.stack([knows, noise], 1), 0), (np.stack([noise, knows], 1), 1)):
        set_mixture(model, logits, targets, np.zeros(1, np.float32), objective)
        kernel = model.get_layer("mixture").get_weights()[0][:, 0]
        assert kernel[better] > 3 * kernel[1 - better] >= 0


@pytest.mark.parametrize("num_rows", [90, 400])
def test_few_rows_are_told_out_of_their_folds(tmp_path, num_rows):
    rows, label_ids = make_rows(2, num_rows)
    train, dev = (encode(rows[part], label_ids[part]) for part in (slice(10, None), slice(10)))
    keras.utils.set_random_seed(2)
    objective, stages = single_label(2), Stages(tmp_path)

    settings = plan_model(train, dev, SETTINGS, objective, stages)
    model = build_model(settings, VOCAB_SIZE, objective)
    fitted = fit_model(model, train, dev, settings, objective, stages)

    learned = learned_rows(train, dev)
    assert len(learned.token_ids) == num_rows
    assert not settings.units  # one pair of words says all: the LSTM has nothing to add
    assert sorted(fitted.rows) == list(range(num_rows))
    label_ids = learned.targets.argmax(axis=1)
    told = np.mean(fitted.outputs.argmax(axis=1) == label_ids)
    known = make_predictor(model)(learned.rows).argmax(axis=1)
    # By heart it knows nearly all; what is told of rows by others is less, and honest.
    assert told < np.mean(known == label_ids)
    assert told > (0.6 if num_rows == 90 else 0.85)
    logits = make_predictor(read_halves(model))(learned.rows)[fitted.rows] + fitted.offsets
    np.testing.assert_allclose(
        mix_outputs(model, logits, objective), fitted.outputs, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(("num_rows", "is_started"), [(999, False), (299, True)])
def test_of_few_rows_no_deep_half_is_tried(tmp_path, monkeypatch, num_rows, is_started):
    monkeypatch.setattr(wide_deep, "MIN_DEEP_ROWS", 1_000)
    monkeypatch.setattr(wide_deep, "try_deep", None)
    rows, label_ids = make_rows(2, num_rows)
    train = encode(rows, label_ids)
    if is_started:
        train = dataclasses.replace(train, unlabelled=[[2, 3]])

    settings = plan_model(
        train.select(np.arange(10, num_rows)),
        train.select(np.arange(10)),
        SETTINGS,
        single_label(2),
        Stages(tmp_path),
    )

    assert settings.units == ()


@pytest.mark.parametrize(("error", "units"), [(0.19, (4,)), (0.21, ())])
def test_deep_half_is_kept_where_it_gains_more_than_chance(tmp_path, monkeypatch, error, units):
    rows, label_ids = make_rows(2, 400)
    train, dev = (encode(rows[part], label_ids[part]) for part in (slice(10, None), slice(10)))
    trial = Trial(0.2, error, np.ones((80, 1), np.float32), [{"epoch": 1, "gain": 0.2}])
    monkeypatch.setattr(wide_deep, "try_deep", lambda *_: trial)

    settings = plan_model(train, dev, SETTINGS, single_label(2), Stages(tmp_path))

    assert settings.units == units


def test_as_many_epochs_are_fitted_as_paid_on_the_fold(tmp_path, monkeypatch):
    rows, label_ids = make_rows(2, 400)
    train, dev = (encode(rows[part], label_ids[part]) for part in (slice(10, None), slice(10)))
    fitted_epochs = []
    monkeypatch.setattr(
        wide_deep, "fit", lambda *_, most_epochs, **__: fitted_epochs.append(most_epochs) or []
    )
    logits, history = np.ones((80, 1), np.float32), [{"epoch": 1, "gain": 0.1}]
    history += [{"epoch": 2, "gain": 0.3}, {"epoch": 3, "gain": 0.2}]
    monkeypatch.setattr(wide_deep, "try_deep", lambda *_: Trial(99.0, 98.0, logits, history))
    objective, stages = single_label(2), Stages(tmp_path)

    settings = plan_model(train, dev, SETTINGS, objective, stages)
    model = build_model(settings, VOCAB_SIZE, objective)
    fitted = fit_model(model, train, dev, settings, objective, stages)

    assert (settings.units, fitted_epochs, len(fitted.history)) == ((4,), [2], 3)


@pytest.mark.parametrize(("told", "num_epochs"), [(9.0, 2), (0.0, 5)])
def test_deep_half_is_given_up_where_the_wide_one_knows_all(tmp_path, told, num_epochs):
    label_ids = np.random.default_rng(0).integers(0, 2, 400)
    rows = [[2 + int(label_id)] * 5 for label_id in label_ids]
    inside, outside = encode(rows[:320], label_ids[:320]), encode(rows[320:], label_ids[320:])
    wide_logits = told * (2 * label_ids[320:, None] - 1).astype(np.float32)
    settings = dataclasses.replace(SETTINGS, epochs=5, batch_size=8, learning_rate=2e-2)
    keras.utils.set_random_seed(1)

    objective, stages = single_label(2), Stages(tmp_path)
    model = build_model(settings, VOCAB_SIZE, objective)
    start_deep(model, inside, settings, stages)

    trial = try_deep(model, wide_logits, inside, outside, settings, objective, stages)

    # 0.4 of the epochs, or all
    assert (len(trial.history), trial.logits.shape) == (num_epochs, (80, 1))
    assert trial.gain <= 0 or not told
    gains = [row["gain"] for row in trial.history]
    assert trial.gain == (pytest.approx(max(gains), rel=1e-5) if gains[-1] > 0 else 0)
    assert gains[trial.count_epochs() - 1] == max(gains)
    # Where the phrases tell nothing, what they are mixed with tells all of the loss.
    halves = np.hstack([wide_logits, trial.logits])
    mixture = find_mixture(halves, outside.targets, objective)
    losses = objective.excess_losses(mixture.apply(halves), outside.targets)
    if not told:
        assert trial.error == pytest.approx(losses.std() / 80**0.5, rel=1e-3)


def test_rows_of_a_file_of_their_own_are_not_learned_from():
    rows, label_ids = make_rows(2, 60)
    train, dev = (encode(rows[part], label_ids[part]) for part in (slice(30), slice(30, None)))

    assert learned_rows(train, dataclasses.replace(dev, is_apart=True)) is train
    assert len(learned_rows(train, dev).token_ids) == 60


# 9 batches and 10 checkpoints an epoch: inside the first epoch, and inside the second.
@pytest.mark.parametrize("num_batches", [3, 14])
def test_killed_training_goes_on_to_the_same_end(tiny_data, tmp_path, num_batches, monkeypatch):
    monkeypatch.setattr("training.fitting.fit.TRIED_SHARE", 1.0)  # both epochs are fitted
    whole = train_run(Sources(tiny_data), tmp_path / "whole", SETTINGS)
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_after_batches(patch, num_batches)
        with pytest.raises(Killed):
            train_run(Sources(tiny_data), out, SETTINGS)
    stages = Path(f"{out}.partial") / "stages"
    before = {path.name: path.stat().st_mtime_ns for path in stages.iterdir()}
    assert sorted(before) == [
        "checkpoint_of_folds.npz",
        "plan.npz",
        "sizes.npz",
        "word_vectors.npz",
    ]

    resumed = train_run(Sources(tiny_data), out, SETTINGS)

    for found, expected in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    assert not (read_run(out).folder / "stages").exists()


def test_stage_that_stands_is_not_computed_again(tmp_path, monkeypatch):
    rows, label_ids = make_rows(2, 120)
    train, objective, stages = encode(rows, label_ids), single_label(2), Stages(tmp_path)
    first = build_model(SETTINGS, VOCAB_SIZE, objective)
    fit_model(first, train, train, SETTINGS, objective, stages)
    again = build_model(SETTINGS, VOCAB_SIZE, objective)
    for name in ("fit_tables", "choose_plan", "cross_fit"):
        monkeypatch.setattr(wide_half, name, None)
    monkeypatch.setattr(deep_half, "learn_word_vectors", None)

    fit_model(again, train, train, SETTINGS, objective, stages)

    for found, expected in zip(again.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_smaller_vocabulary_keeps_what_the_deep_half_learned(tmp_path):
    rows, label_ids = make_rows(2, 120)
    keras.utils.set_random_seed(6)
    objective = single_label(2)
    model = build_model(SETTINGS, VOCAB_SIZE, objective)
    kept_ids = np.array([0, 1, 2, 3, 4, 7, 9, 30])
    id_map = np.ones(VOCAB_SIZE, int)
    id_map[kept_ids] = np.arange(len(kept_ids))
    mapped = [id_map[ids].tolist() for ids in rows]
    train = dataclasses.replace(encode(mapped, label_ids), words=["w"] * len(kept_ids))

    dev = dataclasses.replace(
        train, offsets=np.full((len(rows), 2), 9, np.float32), places=np.arange(len(rows))
    )

    small, dev = shrink_vocabulary(
        model, kept_ids, train, dev, SETTINGS, objective, Stages(tmp_path)
    )

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
    bias = small.get_layer("mixture").get_weights()[1]
    assert np.mean((logits + bias > 0) == label_ids) > 0.95
    # Of rows out of their folds it tells the pair too, but by less; the deep half is as it was.
    told = logits + bias + dev.offsets[:, 0]
    sides = 2 * label_ids - 1
    assert np.mean(told * sides > 0) > 0.8
    assert np.mean(told * sides) < np.mean((logits + bias) * sides)
    assert (dev.offsets[:, 1] == 9).all()


def test_half_that_knows_its_rows_by_heart_is_trusted_as_if_it_did_not(tmp_path):
    rows, label_ids = make_rows(2, 120)
    train, objective = encode(rows, label_ids), single_label(2)
    model = build_model(SETTINGS, VOCAB_SIZE, objective)
    fit_model(model, train, train, SETTINGS, objective, Stages(tmp_path / "whole"))
    known = make_predictor(read_halves(model))(train.rows)
    random = np.random.default_rng(0).normal(0, 3, known.shape)
    dev = dataclasses.replace(train, offsets=(random - known).astype(np.float32))

    history = fine_tune_model(model, train, dev, SETTINGS, objective, Stages(tmp_path / "small"))

    assert all("dev_loss" not in row for row in history)  # there is none to be measured
    assert model.get_layer("mixture").get_weights()[0][0, 0] < 0.2


def test_fine_tuning_leaves_the_phrases_alone(tmp_path):
    rows, label_ids = make_rows(2, 120)
    train, objective = encode(rows, label_ids), single_label(2)
    model = build_model(SETTINGS, VOCAB_SIZE, objective)
    before = {name: model.get_layer(name).get_weights()[0] for name in TABLES}

    fine_tune_model(model, train, train, SETTINGS, objective, Stages(tmp_path))

    after = {name: model.get_layer(name).get_weights()[0] for name in TABLES}
    assert np.abs(after["embedding"] - before["embedding"]).max() > 0
    for name in ("wide_fingerprints", "wide_weights"):
        np.testing.assert_array_equal(after[name], before[name])
