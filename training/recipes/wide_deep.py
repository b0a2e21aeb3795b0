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

from training import calibration, word_vectors
from training.blocks import early_exit, letters, segments, wide
from training.calibration import find_mixture
from training.encoded import Encoded, join_encoded
from training.encoders import read_both_ways
from training.fit import fit, make_predictor
from training.known_vectors import reduce_known
from training.linear import plan as planning
from training.linear import weights as linear_weights
from training.linear.features import Features
from training.linear.plan import cross_fit, find_planned, fold
from training.linear.weights import Plan
from training.mixture import (
    BOTH,
    DEEP,
    MIXTURE,
    has_deep,
    mix_outputs,
    read_halves,
    set_mixture,
)
from training.progress import interruptible, step
from training.recipe import Fitted, History, SmallerVocabulary, Stages
from training.settings import Settings
from training.tasks import Objective
from training.wide_half import (
    count_phrases,
    count_places_of,
    count_words,
    fit_wide_half,
    make_plan,
    reads_tail,
)

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
VECTOR_SCALE = 0.5  # standard deviation of the first word vectors
# So many development rows tell the mixture. Where there are fewer, they are learned from too, and
# the mixture is told by rows out of their folds.
ENOUGH_DEV_ROWS = 1_000
MIN_DEEP_ROWS = 300  # of fewer rows the LSTM learns nothing
MIN_GAIN = 0.002  # of the log loss, for which the deep half is worth its bytes and its time
TABLES = (wide.FINGERPRINTS, wide.WEIGHTS, letters.FINGERPRINTS, letters.WEIGHTS)
CONSTANTS: Mapping[str, Any] = (
    wide.CONSTANTS
    | linear_weights.CONSTANTS
    | planning.CONSTANTS
    | segments.CONSTANTS
    | early_exit.CONSTANTS
    | calibration.CONSTANTS
    | word_vectors.CONSTANTS
    | {
        "word_vector_scale": VECTOR_SCALE,
        "enough_dev_rows": ENOUGH_DEV_ROWS,
        "deep_min_rows": MIN_DEEP_ROWS,
        "deep_min_gain": MIN_GAIN,
    }
)
WEIGHT_TABLES: Sequence[str] = (wide.WEIGHTS, letters.WEIGHTS)


def plan_model(
    train: Encoded, dev: Encoded, settings: Settings, objective: Objective, stages: Stages
) -> Settings:
    """Return the settings with the parts that pay, and the sizes of their tables.

    Where there are few development rows, all rows but those of a file of their own are told out of
    their folds; `fit_model` finds that in the stages.
    """
    rows = learned_rows(train, dev)
    plan = make_plan(rows, settings, objective, stages)
    features = find_planned(rows, plan)
    num_columns = objective.num_logits * len(features.blocks.keys() & {"words", "tail"})
    settings = dataclasses.replace(
        settings,
        phrase_places=count_places_of(features, "phrases", num_columns, settings),
        run_places=count_places_of(features, "letters", objective.num_logits, settings),
        reads_tail="tail" in features.blocks,
    )
    if rows is train:
        return settings
    held_out = stages.make(
        "held_out", lambda: _tell_out_of_folds(rows, features, plan, settings, objective, stages)
    )
    return settings if held_out["deep"].any() else dataclasses.replace(settings, units=())


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
        deep = segments.read_segments(token_ids, settings, vocab_size, read_both_ways)
        deep = layers.Dropout(settings.dropout_rate)(deep)
        deep = layers.Dense(num_logits, name=DEEP)(deep)
        both = layers.Concatenate(name=BOTH)([wide_part, deep])
    logits = layers.Dense(num_logits, name=MIXTURE)(both)
    if settings.early_exit and settings.units:
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
    plan = make_plan(rows, settings, objective, stages)
    fit_wide_half(model, rows, plan, settings, objective, stages)
    if settings.units:
        _start_vectors(model, rows, settings, stages, "word_vectors")
    if rows is train:
        history = fine_tune_model(model, train, dev, settings, objective, stages)
        return Fitted(history)
    held_out = stages.make(
        "held_out",
        lambda: _tell_out_of_folds(
            rows, find_planned(rows, plan), plan, settings, objective, stages
        ),
    )
    if settings.units:
        teacher = make_teacher(model, objective)
        fit(teacher, rows, None, settings, objective, stages.checkpoint)
    _, bias = model.get_layer(MIXTURE).get_weights()
    told = held_out["rows"] if settings.units else np.arange(len(rows.targets))
    halves = [held_out["wide"][told] - bias] + [held_out["deep"]] * bool(settings.units)
    logits = np.hstack(halves)
    set_mixture(model, logits, rows.targets[told], bias, objective)
    outputs = mix_outputs(model, logits, objective)
    history = [dict(zip(held_out["names"], row, strict=True)) for row in held_out["history"]]
    return Fitted(history, told, outputs)


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
        history = fit(teacher, train, dev, settings, objective, stages.checkpoint, "the LSTM alone")
    logits = make_predictor(read_halves(model))(dev.rows)
    wide_bias = bias / kernel[0, 0] if kernel[0, 0] else np.zeros_like(bias)
    set_mixture(model, logits, dev.targets, wide_bias, objective)
    return history


def make_teacher(model: keras.Model, objective: Objective) -> keras.Model:
    """Return what a smaller model learns from: the deep half, whose weights it shares; where there
    is none, the model.

    The wide half knows the training rows by heart, and would teach no more than the labels do.
    """
    if not has_deep(model):
        return model
    return keras.Model(model.input, objective.add_head(model.get_layer(DEEP).output))


def shrink_vocabulary(
    model: keras.Model,
    kept_ids: NDArray[np.int64],
    train: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> keras.Model:
    """Return the model of fewer words and, in proportion, fewer phrases.

    The deep half keeps what it learned; the wide half is fitted anew.

    Args:
        kept_ids: int64, shape (words,): token ids that stay, sorted; they are numbered anew in that
            order.
        train: Rows in the new ids.
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
    plan = make_plan(train, settings, objective, stages)
    fit_wide_half(small, train, plan, settings, objective, stages)
    return small


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


def _start_vectors(
    model: keras.Model, rows: Encoded, settings: Settings, stages: Stages, name: str
) -> None:
    embedding = model.get_layer(segments.EMBEDDING)
    size, dim = embedding.input_dim, embedding.output_dim

    def learn() -> dict[str, NDArray[np.float32]]:
        if rows.vectors is not None and rows.vectors.shape[1] >= dim:
            return {"vectors": reduce_known(rows.vectors, rows.token_ids, dim)}
        with step("word vectors"):
            learned = interruptible(
                lambda: word_vectors.learn_word_vectors(rows.token_ids, size, dim, settings.seed)
            )
        return {"vectors": learned}

    embedding.set_weights([stages.make(name, learn)["vectors"] * VECTOR_SCALE])


def _tell_out_of_folds(
    rows: Encoded,
    features: Features,
    plan: Plan,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> dict[str, NDArray[Any]]:
    """Return what models that were not fitted to a row say of it.

    `wide`: logits of all rows, float32, (rows, num_logits); `deep`: those of one fold, 0 where the
    deep half does not pay; `rows`: the numbers of that fold's rows; `history`: of the deep half,
    one row an epoch, whose columns are `names`.
    """
    folds = fold(rows, settings.seed)
    targets = objective.logit_targets(rows.targets)
    with step("cross-validation"):
        counts = rows.weights if rows.is_weighted else None
        told = interruptible(
            lambda: cross_fit(features, targets, folds, plan, settings.seed, counts)
        )
    held = np.flatnonzero(folds == 0)
    found: dict[str, NDArray[Any]] = {
        "wide": told,
        "deep": np.zeros((len(held), objective.num_logits), np.float32),
        "rows": held,
        "history": np.zeros((0, 0)),
        "names": np.array([], np.str_),
    }
    if not settings.units or len(folds) < MIN_DEEP_ROWS:
        return found
    inside, outside = rows.select(np.flatnonzero(folds != 0)), rows.select(held)
    gain, deep, history = _try_deep(told[held], inside, outside, settings, objective, stages)
    if gain > MIN_GAIN * len(held):
        names = sorted(history[0])
        found["history"] = np.array([[row[name] for name in names] for row in history])
        found |= {"deep": deep, "names": np.array(names)}
    return found


def _try_deep(
    told: NDArray[np.float32],
    inside: Encoded,
    outside: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> tuple[float, NDArray[np.float32], History]:
    """Return by how much the loss of rows outside falls with a deep half beside the wide one, the
    logits of that half, (rows, num_logits), and its history. It is given up while it is fitted,
    where nothing is gained by then.

    Args:
        told: The wide half's logits of the rows outside, as `cross_fit` tells them.
    """
    model = build_model(settings, len(inside.words), objective)
    _start_vectors(model, inside, settings, stages, "word_vectors_of_folds")
    read_deep = make_predictor(keras.Model(model.input, model.get_layer(DEEP).output))
    alone = find_mixture(told, outside.targets, objective)[1]

    def measure_gain() -> tuple[float, NDArray[np.float32]]:
        deep = read_deep(outside.rows)
        both = np.hstack([told, deep])
        return alone - find_mixture(both, outside.targets, objective)[1], deep

    history = fit(
        make_teacher(model, objective),
        inside,
        outside,
        settings,
        objective,
        stages.checkpoint.with_name("checkpoint_of_folds.npz"),
        "the LSTM alone",
        gives_up=lambda: measure_gain()[0] <= 0,
    )
    return *measure_gain(), history
