"""The default recipe: a wide linear model over words and phrases beside a deep LSTM over segments.

Wide and deep (Cheng et al. 2016), fitted one after the other: the linear model
(`training/linear.py`), the LSTM by gradient descent, and last, on rows that neither was fitted to,
the weight of each in their mixture. Fitted together, the LSTM learns only what is left of texts
that the linear model knows by heart.

    letters ────── runs of unknown words ─┐
    token_ids ─┬─ words, phrases: look up, sum ───────────────────── wide ─┬─ exit ───┐
               │                                                           │        where ─ outputs
               └─ embedding ─ segments ─ Conv1D ─ LSTM ─ max ─────── deep ──┴─ mixture ┘

Where the wide half is certain, the outputs are its own (`training/blocks/early_exit.py`). Which
parts a model has is found by cross-validation (`plan_model`): what does not pay is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from training.answers import calibration, isotonic
from training.blocks import early_exit, letters, segments, transformer, wide
from training.blocks.encoders import NAMES, encoder_of_steps
from training.fitting import deep_half
from training.fitting.deep_half import READ, make_teacher, start_deep, try_deep
from training.fitting.encoded import Encoded, join_encoded
from training.fitting.fit import fit, make_predictor
from training.fitting.mixture import (
    BOTH,
    DEEP,
    MIXTURE,
    has_deep,
    mix_outputs,
    read_halves,
    read_moved,
    set_exit,
    set_mixture,
    wide_bias,
)
from training.fitting.wide_half import (
    count_phrases,
    count_words,
    fit_wide_half,
    make_plan,
    reads_tail,
    renew_offsets,
    size_tables,
    tell_out_of_folds,
)
from training.linear import plan as planning
from training.linear import weights as linear_weights
from training.linear.cache import FeatureCache
from training.linear.plan import fold
from training.linear.weights import Plan
from training.progress import say
from training.recipe import Fitted, History, SmallerVocabulary
from training.resuming.stages import Stages
from training.settings import Settings
from training.tasks import Objective

SETTINGS = Settings(
    recipe="wide_deep",
    dev_fraction=0.05,
    max_length=1024,
    embedding_dim=32,
    units=(64,),
    table_bytes=262_144,
    dropout_rate=0.5,
    token_dropout_rate=0.3,
    learning_rate=2e-3,
    weight_decay=1e-4,
    cosine_decay=True,
    ema_share=0.15,
    epochs=8,
    min_steps=1500,
    max_epochs=30,
    patience=0,
    early_exit=True,
)
QUICK = dataclasses.replace(SETTINGS, epochs=2, min_steps=600)
# So many development rows tell the mixture. Where there are fewer, they are learned from too, and
# the mixture is told by rows out of their folds.
ENOUGH_DEV_ROWS = 1_000
# Of fewer rows the LSTM learns nothing beside the linear half (docs/choosing.md), where it does not
# start from what others know: word vectors, or texts without labels.
MIN_DEEP_ROWS = 1_000
MIN_STARTED_ROWS = 300
# Of the log loss, for which the deep half is worth its bytes and its time; and in standard errors
# of the gain, as what it seems to gain on one fold of few rows may be chance.
MIN_GAIN, NUM_ERRORS = 0.002, 1.0
FEATURES = "features"  # name of what is held in memory from the plan to the fitted wide half
TABLES = (wide.FINGERPRINTS, wide.WEIGHTS, letters.FINGERPRINTS, letters.WEIGHTS)
CONSTANTS: Mapping[str, Any] = (
    wide.CONSTANTS
    | linear_weights.CONSTANTS
    | planning.CONSTANTS
    | segments.CONSTANTS
    | transformer.CONSTANTS
    | early_exit.CONSTANTS
    | calibration.CONSTANTS
    | isotonic.CONSTANTS
    | deep_half.CONSTANTS
    | {
        "enough_dev_rows": ENOUGH_DEV_ROWS,
        "deep_min_rows": MIN_DEEP_ROWS,
        "deep_min_started_rows": MIN_STARTED_ROWS,
        "deep_min_gain": MIN_GAIN,
        "deep_min_gain_errors": NUM_ERRORS,
    }
)
WEIGHT_TABLES: Sequence[str] = (wide.WEIGHTS, letters.WEIGHTS, transformer.POSITIONS)


def plan_model(
    train: Encoded, dev: Encoded, settings: Settings, objective: Objective, stages: Stages
) -> Settings:
    """Return the settings with the parts that pay, and the sizes of their tables.

    Where there are few development rows, all rows but those of a file of their own are told out of
    their folds; `fit_model` finds that in the stages.
    """
    if settings.encoder == "none":
        settings = dataclasses.replace(settings, units=())
    cache = _hold_features(train, dev, stages)
    rows, find = cache.rows, cache.find
    plan = make_plan(rows, settings, objective, stages, find)
    settings = size_tables(lambda: find(rows, plan), settings, objective, stages)
    if rows is train:
        return settings
    held_out = stages.make(
        "held_out", lambda: _tell_out_of_folds(cache, plan, settings, objective, stages)
    )
    if held_out["deep"].any() or not settings.units:
        return settings
    why = f"beside the phrases it gains too little {objective.loss_name} to be no chance"
    if len(rows.token_ids) < (least := _count_least(rows)):
        why = f"of {len(rows.token_ids):,} rows, fewer than {least:,}, it learns nothing"
    say(f"the model is a linear one, without {settings.encoder.upper()}: {why}")
    return dataclasses.replace(settings, units=())


def _count_least(rows: Encoded) -> int:
    """Return of how many rows a deep half is tried."""
    is_started = rows.vectors is not None or len(rows.unlabelled) > 0
    return MIN_STARTED_ROWS if is_started else MIN_DEEP_ROWS


def learned_rows(train: Encoded, dev: Encoded) -> Encoded:
    """Return the rows that the model is fitted to: the development rows too, where they are few and
    not of a file of their own."""
    if dev.is_apart or len(dev.token_ids) >= ENOUGH_DEV_ROWS:
        return train
    return join_encoded(train, dev)


def build_model(settings: Settings, vocab_size: int, objective: Objective) -> keras.Model:
    """Return the model: `token_ids` (batch, length), and `letters` (batch, letters) of a model
    that reads them -> `outputs` (batch, num_outputs)."""
    num_logits = objective.num_logits
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    spelled = None
    if settings.run_places:
        spelled = keras.Input((None,), dtype="int32", name="letters")
    num_columns = num_logits * (1 + settings.reads_tail)
    num_phrases = settings.phrase_places or wide.count_places(num_columns, settings.table_bytes)
    wide_part = wide.wide_logits(
        token_ids,
        spelled,
        vocab_size,
        num_phrases,
        settings.run_places,
        num_logits,
        settings.reads_tail,
    )
    both = wide_part
    if settings.units:
        encode = encoder_of_steps(settings, segments.STEPS)
        deep = segments.read_segments(token_ids, settings, vocab_size, encode)
        deep = layers.Dropout(settings.dropout_rate, name=READ)(deep)
        deep = layers.Dense(num_logits, name=DEEP)(deep)
        both = layers.Concatenate(name=BOTH)([wide_part, deep])
    logits = layers.Dense(num_logits, name=MIXTURE)(both)
    if settings.early_exit and settings.units and objective.has_margin:
        logits = early_exit.exit_early(wide_part, logits, objective)
    inputs = token_ids if spelled is None else {"token_ids": token_ids, "letters": spelled}
    return keras.Model(inputs, objective.add_head(logits), name="wide_deep")


def fit_model(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> Fitted:
    """Fit the model in place, from where the stages stand."""
    rows = learned_rows(train, dev)
    held_out = _fit_wide(model, train, dev, settings, objective, stages)
    if settings.units:
        start_deep(model, rows, settings, stages)
    if held_out is None:
        history = fine_tune_model(model, train, dev, settings, objective, stages)
        return Fitted(history)
    if settings.units:
        teacher = make_teacher(model, objective)
        epochs = int(held_out["epochs"])
        fit(teacher, rows, None, settings, objective, stages.checkpoint, most_epochs=epochs)
    _, bias = model.get_layer(MIXTURE).get_weights()
    told = held_out["rows"] if settings.units else np.arange(len(rows.targets))
    halves = [held_out["wide"][told] - bias] + [held_out["deep"]] * bool(settings.units)
    logits = np.hstack(halves)
    set_mixture(model, logits, rows.targets[told], bias, objective, rows.weights[told])
    outputs = mix_outputs(model, logits, objective)
    known = make_predictor(read_halves(model))(rows.select(told).rows)
    history = [dict(zip(held_out["names"], row, strict=True)) for row in held_out["history"]]
    return Fitted(history, told, outputs, logits - known)


def fine_tune_model(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> History:
    """Fit the deep half in place, the weight of each half and the exit; the wide half stays."""
    kernel, bias = model.get_layer(MIXTURE).get_weights()
    history: History = []
    if has_deep(model):
        teacher = make_teacher(model, objective)
        outside = dev if dev.offsets is None else None
        alone = f"{NAMES[settings.encoder]} alone"
        history = fit(teacher, train, outside, settings, objective, stages.checkpoint, alone)
    logits = read_moved(model, dev)
    set_mixture(model, logits, dev.targets, wide_bias(kernel, bias), objective, dev.weights)
    return history


def settle_model(
    model: keras.Model, rows: Encoded, objective: Objective
) -> tuple[Objective, NDArray[np.float32]]:
    """Return the objective, settled by what the whole model says of rows, and what the model then
    says of them with an exit that keeps those answers."""
    early_exit.close_gate(model)
    logits = read_moved(model, rows)
    outputs = mix_outputs(model, logits, objective)
    objective = objective.settle(outputs, rows.targets, rows.weights)
    set_exit(model, logits, rows.targets, objective, rows.weights)
    return objective, mix_outputs(model, logits, objective)


def tell_rows(model: keras.Model, rows: Encoded, objective: Objective) -> NDArray[np.float32]:
    """Return what the model says of rows, of those with offsets as if it had not learned them."""
    return mix_outputs(model, read_moved(model, rows), objective)


def shrink_vocabulary(
    model: keras.Model,
    kept_ids: NDArray[np.int64],
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> tuple[keras.Model, Encoded]:
    """Return the model of fewer words and, in proportion, fewer phrases; and the development rows.

    The deep half keeps what it learned; the wide half is fitted anew, and the offsets of rows that
    it learns from are found anew, out of their folds.

    Args:
        kept_ids: int64, shape (words,): token ids that stay, sorted; they are numbered anew in that
            order.
        train, dev: Rows in the new ids.
    """
    places = {
        name: _shrink(layer.input_dim, len(kept_ids), count_words(model))
        for layer in model.layers
        for name in (layer.name,)
        if name in (wide.FINGERPRINTS, letters.FINGERPRINTS)
    }
    settings = dataclasses.replace(
        settings,
        units=settings.units if has_deep(model) else (),
        phrase_places=places[wide.FINGERPRINTS],
        run_places=places.get(letters.FINGERPRINTS, 0),
        reads_tail=reads_tail(model),
    )
    small = build_model(settings, len(kept_ids), objective)
    for layer in small.layers:
        if layer.weights and layer.name not in TABLES:
            weights = model.get_layer(layer.name).get_weights()
            is_table = layer.name == segments.EMBEDDING
            layer.set_weights([weights[0][kept_ids]] if is_table else weights)
    early_exit.close_gate(small)  # until it is fitted anew
    find = FeatureCache(train).find
    plan = make_plan(train, settings, objective, stages, find)
    fit_wide_half(small, train, plan, settings, objective, stages, find)
    return small, renew_offsets(small, train, dev, plan, settings, objective, stages, find)


def count_rows(model: keras.Model, num_words: int) -> dict[str, int]:
    """Return the rows that each table of `shrink_vocabulary`'s model has."""
    size = count_words(model)
    phrases = _shrink(count_phrases(model), num_words, size)
    rows = {wide.FINGERPRINTS: phrases, wide.WEIGHTS: num_words + phrases}
    for layer in model.layers:
        if layer.name == segments.EMBEDDING:
            rows[layer.name] = num_words
        if layer.name == letters.FINGERPRINTS:
            runs = _shrink(layer.input_dim, num_words, size)
            rows |= {layer.name: runs, letters.WEIGHTS: runs + 1}
    return rows


SMALLER_VOCABULARY: SmallerVocabulary | None = SmallerVocabulary(count_rows, shrink_vocabulary)


def _shrink(num_places: int, num_words: int, vocab_size: int) -> int:
    """Return the places of a table whose share stays that `num_words` are of all."""
    return max(1, round(num_places * num_words / vocab_size))


def _fit_wide(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> dict[str, NDArray[Any]] | None:
    """Fit the wide half in place and let the features go; return what `_tell_out_of_folds` gives,
    None where the development rows are not learned from."""
    cache = _hold_features(train, dev, stages)
    plan = make_plan(cache.rows, settings, objective, stages, cache.find)
    held_out = None
    if cache.rows is not train:
        held_out = stages.make(
            "held_out", lambda: _tell_out_of_folds(cache, plan, settings, objective, stages)
        )
    fit_wide_half(model, cache.rows, plan, settings, objective, stages, cache.find)
    stages.release(FEATURES)
    return held_out


def _hold_features(train: Encoded, dev: Encoded, stages: Stages) -> FeatureCache:
    """Return the rows that the model is fitted to, and their features as soon as they are found."""
    return stages.hold(FEATURES, lambda: FeatureCache(learned_rows(train, dev)))


def _tell_out_of_folds(
    cache: FeatureCache,
    plan: Plan,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> dict[str, NDArray[Any]]:
    """Return what models that were not fitted to a row say of it.

    `wide`: logits of all rows, float32, (rows, num_logits); `deep`: those of one fold, 0 where the
    deep half does not pay; `rows`: the numbers of that fold's rows; `epochs`: after which that half
    gains most; `history`: of it, one row an epoch, whose columns are `names`.
    """
    rows = cache.rows
    folds = fold(rows, objective, settings.seed)
    told = tell_out_of_folds(rows, cache.find(rows, plan), plan, settings, objective)
    held = np.flatnonzero(folds == 0)
    found: dict[str, NDArray[Any]] = {
        "wide": told,
        "deep": np.zeros((len(held), objective.num_logits), np.float32),
        "rows": held,
        "epochs": np.array(0),
        "history": np.zeros((0, 0)),
        "names": np.array([], np.str_),
    }
    if not settings.units or len(folds) < _count_least(rows):
        return found
    inside, outside = rows.select(np.flatnonzero(folds != 0)), rows.select(held)
    model = build_model(settings, len(rows.words), objective)
    start_deep(model, rows, settings, stages)
    trial = try_deep(model, told[held], inside, outside, settings, objective, stages)
    if trial.gain > max(MIN_GAIN, NUM_ERRORS * trial.error):
        names = sorted(trial.history[0])
        found |= {
            "deep": trial.logits,
            "names": np.array(names),
            "epochs": np.array(trial.count_epochs()),
            "history": np.array([[row[name] for name in names] for row in trial.history]),
        }
    return found
