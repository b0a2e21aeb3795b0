"""The wide half of a model: planned, fitted, and put into its tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.blocks import wide
from training.fitting.encoded import Encoded
from training.fitting.fit import make_predictor
from training.fitting.mixture import MIXTURE, has_deep, read_halves
from training.linear.features import Features
from training.linear.plan import Find, choose_plan, cross_fit, fold
from training.linear.weights import Plan, fit_tables
from training.progress import interruptible, step
from training.resuming.stages import Stages
from training.settings import Settings
from training.tasks import Objective

MIN_PLACES = 8_192  # of a table, where its features are as many
PLACES_PER_FEATURE = 8  # then one feature in 16 finds its place taken


def make_plan(
    rows: Encoded, settings: Settings, objective: Objective, stages: Stages, find: Find
) -> Plan:
    """Return how strongly each kind of feature counts, chosen once.

    Args:
        find: How the features of rows are found.
    """

    def choose() -> dict[str, NDArray[Any]]:
        with step("plan of features"):
            plan = interruptible(lambda: choose_plan(rows, objective, settings.seed, find))
        return {name: np.array(value) for name, value in plan._asdict().items()}

    arrays = stages.make("plan", choose)
    return Plan(**{name: float(arrays[name]) for name in Plan._fields})


def count_words(model: keras.Model) -> int:
    """Return the size of the vocabulary."""
    rows: int = model.get_layer(wide.WEIGHTS).input_dim
    return rows - count_phrases(model)


def count_phrases(model: keras.Model) -> int:
    places: int = model.get_layer(wide.FINGERPRINTS).input_dim
    return places


def reads_tail(model: keras.Model) -> bool:
    columns: int = model.get_layer(wide.WEIGHTS).output_dim
    return columns > int(model.get_layer(MIXTURE).units)


def fit_wide_half(
    model: keras.Model,
    rows: Encoded,
    plan: Plan,
    settings: Settings,
    objective: Objective,
    stages: Stages,
    find: Find,
) -> None:
    """Fit the wide half, or read what an earlier try left of it; put it in.

    Both halves then have the same weight.

    Args:
        find: How the features of rows are found.
    """
    num_places = {"phrases": count_phrases(model)}
    if settings.run_places:
        num_places["letters"] = settings.run_places
    else:
        plan = plan._replace(letters=0.0)

    def fit_wide() -> dict[str, NDArray[Any]]:
        kept, tables, weights = fit_tables(
            find(rows, plan),
            rows.token_ids,
            rows.unknown,
            objective.logit_targets(rows.targets),
            plan,
            num_places,
            settings.seed,
            rows.weights if rows.is_weighted else None,
            objective.linear,
        )
        held = wide.make_tables(weights, tables, kept.parts, reads_tail(model))
        return held | {"bias": weights.bias}

    def fit_told() -> dict[str, NDArray[Any]]:
        with step("words and phrases"):
            return interruptible(fit_wide)

    tables = stages.make("wide", fit_told)
    bias = tables.pop("bias")
    wide.set_tables(model, tables)
    identity = np.eye(objective.num_logits, dtype=np.float32)
    kernel = np.vstack([identity] * (1 + has_deep(model)))
    model.get_layer(MIXTURE).set_weights([kernel, bias])


def tell_out_of_folds(
    rows: Encoded, features: Features, plan: Plan, settings: Settings, objective: Objective
) -> NDArray[np.float32]:
    """Return the logits of a wide half that was fitted without each row's fold."""
    targets = objective.logit_targets(rows.targets)
    counts = rows.weights if rows.is_weighted else None
    folds = fold(rows, objective, settings.seed)
    with step("cross-validation"):
        return interruptible(
            lambda: cross_fit(
                features, targets, folds, plan, settings.seed, counts, objective.linear
            )
        )


def renew_offsets(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    plan: Plan,
    settings: Settings,
    objective: Objective,
    stages: Stages,
    find: Find,
) -> Encoded:
    """Return development rows with the offsets of a wide half that was just fitted to them; of the
    other half they are as they were. Rows without offsets are returned as they are.

    Args:
        train: What the wide half was fitted to, by `plan`.
        find: How the features of rows are found.
    """
    if dev.places is None or dev.offsets is None:
        return dev
    if not settings.run_places:
        plan = plan._replace(letters=0.0)

    def tell() -> dict[str, NDArray[Any]]:
        return {"wide": tell_out_of_folds(train, find(train, plan), plan, settings, objective)}

    told = stages.make("told", tell)["wide"][dev.places]
    _, bias = model.get_layer(MIXTURE).get_weights()
    known = make_predictor(read_halves(model))(dev.rows)[:, : len(bias)]
    offsets = np.hstack([told - bias - known, dev.offsets[:, len(bias) :]])
    return dataclasses.replace(dev, offsets=offsets.astype(np.float32))


def size_tables(
    find: Callable[[], Features], settings: Settings, objective: Objective, stages: Stages
) -> Settings:
    """Return the settings with the sizes of the tables, counted once.

    Args:
        find: Returns the features that the plan counts.
    """

    def count() -> dict[str, NDArray[Any]]:
        features, num_logits = find(), objective.num_logits
        num_columns = num_logits * len(features.blocks.keys() & {"words", "tail"})
        sizes = {
            "phrase_places": count_places_of(features, "phrases", num_columns, settings),
            "run_places": count_places_of(features, "letters", num_logits, settings),
            "reads_tail": "tail" in features.blocks,
        }
        return {name: np.array(value) for name, value in sizes.items()}

    sizes = {name: value.item() for name, value in stages.make("sizes", count).items()}
    return dataclasses.replace(settings, **sizes)


def count_places_of(features: Features, kind: str, num_columns: int, settings: Settings) -> int:
    """Return how many places the table of a kind has: as many as its bytes allow, fewer where it
    has few features."""
    if kind not in features.hashes:
        return 0
    most = max(wide.count_places(num_columns, settings.table_bytes), MIN_PLACES)
    return max(1, min(most, PLACES_PER_FEATURE * len(features.hashes[kind])))
