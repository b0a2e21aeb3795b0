"""From labelled texts to a run folder."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from handler.files import check_room, empty_folder, holding, naming
from handler.inference.tasks import Selective
from handler.inference.tokenizer import Tokenizer
from training.answers.promises import check_enough
from training.answers.selective import check_selective_aims, leave_selective, settle_selective
from training.blocks.early_exit import measure_exit
from training.errors import RunError
from training.figures.mistakes import Mistake, find_mistakes
from training.figures.report import Findings, write_report
from training.figures.selective_figures import measure_selective
from training.fitting.encoded import (
    Encoded,
    add_unlabelled,
    encode_part,
    encode_split,
    join_encoded,
)
from training.fitting.fit import CONSTANTS as FIT_CONSTANTS
from training.fitting.fit import make_predictor
from training.output_folders import NEW, put_in_place, restore
from training.profile import profile_rows
from training.progress import interruptible, say, step
from training.recipe import Beyond, Fitted, Recipe, load_recipe, settle
from training.reference import reference_rows
from training.resuming.stages import Stages
from training.resuming.unfinished import claim
from training.rows.data import Data, Part, Sources, join_parts, read_sources, whole_part
from training.rows.survey import survey_data
from training.run_folder import (
    RUN,
    STARTED,
    TOKENIZER,
    Run,
    check_free,
    is_run,
    name_partial,
    read_run,
    write_held_out,
    write_run,
)
from training.settings import Settings
from training.tasks import Objective
from training.tokenizer import CONSTANTS as TOKENIZER_CONSTANTS
from training.tokenizer import PAD_ID, UNKNOWN_ID, encode_texts, format_tokenizer

# Weights, both moments, the average and the best of a checkpoint, twice while it is replaced.
COPIES = 12
SPARE_BYTES = 10_000_000  # reference batch, plots, report
LIBRARIES = ("tensorflow", "keras", "numpy", "minnow-maas")


def train_run(
    sources: Sources,
    out: Path,
    settings: Settings,
    force: bool = False,
    command: str = "",
    data: Data | None = None,
    is_held: bool = False,
    is_trial: bool = False,
    beyond: Beyond | None = None,
) -> Run:
    """Train on `sources` and return the run in `out`.

    Work in progress stands in `<out>.partial`; where that folder is there, made by the same data
    and settings, training goes on from it. `out` appears when everything is in it.

    Args:
        command: Kept in the metadata, so that others can do the same.
        data: What `read_sources` gives, if it is there already.
        is_held: The caller holds `name_partial(out)`, so that no other process trains for `out`.
        is_trial: The run is measured and thrown away: no report and no plots are drawn for it.
        beyond: How the model is fitted on to more rows than those of `data`; None: there are none.

    Raises:
        DataError: The data cannot be trained on; said before any training.
        RunError: `out` exists (without `force`), or the work in progress is of other settings.
        OSError: Another process trains for `out`, or the disk is full.
    """
    started = time.monotonic()
    check_free(out, force, sources.paths)
    partial = name_partial(out)
    with nullcontext() if is_held else holding(partial, out), naming(out):
        restore(partial, out)
        _make_run(sources, out, settings, force, command, data, started, is_trial, beyond)
    return read_run(out)


def _make_run(
    sources: Sources,
    out: Path,
    settings: Settings,
    force: bool,
    command: str,
    data: Data | None,
    started: float,
    is_trial: bool,
    beyond: Beyond | None,
) -> None:
    check_free(out, force, sources.paths)  # again: another process may just have ended
    check_room(out, estimate_bytes(settings))
    data = data or read_sources(sources)
    split = data.split(settings.dev_fraction, settings.seed)  # before anything is written
    check_selective_aims(data.objective.aims, sum(len(part.texts) for part in split))
    check_enough(data.objective.aims, [label for part in split for label in part.labels])
    partial = name_partial(out)
    wanted = {
        "settings": dataclasses.asdict(settings),
        "data": data.describe(),
        "task": data.objective.task.describe(),
        "aims": leave_selective(data.objective.aims),
    }
    if beyond is not None:
        wanted["stream"] = beyond.describe()
    claim(partial, wanted, force)
    if not is_run(partial / NEW):  # it is one where all was killed at the very end
        _train(partial, data, split, settings, command, started, is_trial, beyond)
    if obstacle := put_in_place(partial, out, RUN, force):
        raise RunError(f"{obstacle} The finished run stands in {partial / NEW}.")
    empty_folder(partial, STARTED)


def _train(
    partial: Path,
    data: Data,
    split: tuple[Part, Part],
    settings: Settings,
    command: str,
    started: float,
    is_trial: bool,
    beyond: Beyond | None,
) -> None:
    """Write the finished run into `partial/new`, from where the work in progress stands there."""
    new = partial / NEW
    new.mkdir(exist_ok=True)
    keras.utils.set_random_seed(settings.seed)
    objective = data.objective
    train_part, dev_part = split
    survey = interruptible(
        lambda: survey_data(
            data, len(dev_part.texts), settings.max_length, data.is_torn(train_part, dev_part)
        )
    )
    say(survey.format())
    recipe = load_recipe(settings.recipe)
    stages = Stages(partial / "stages")
    with step("vocabulary"):
        tokenizer, train, dev = interruptible(
            lambda: encode_split(data, split, settings, new / TOKENIZER)
        )
    if data.unlabelled is not None:
        say(data.unlabelled.format())
        train = add_unlabelled(train, data.unlabelled.texts, tokenizer, settings.seed, stages)
    settings = recipe.plan_model(train, dev, settings, objective, stages)
    tokenizer.reads_letters = settings.run_places > 0
    model = recipe.build_model(settings, len(tokenizer.word_ids), objective)
    fitted = recipe.fit_model(model, train, dev, settings, objective, stages)
    streamed = {}
    if beyond is not None:
        streamed["stream"] = beyond.fit(model, tokenizer, dev, settings, objective, stages)
        beyond.write(new)

    dev_part, told_rows, told = _tell_held_out(model, fitted, split, train, dev)
    objective, told = settle(recipe, model, told_rows, told, objective)
    if fitted.rows is not None and fitted.offsets is not None:
        write_held_out(new, rows=fitted.rows, outputs=told, offsets=fitted.offsets)
    learned = train if fitted.rows is None else join_encoded(train, dev)
    task = settle_selective(objective, told, told_rows, learned)
    parts = {"dev": dev_part} | ({} if data.test is None else {"test": whole_part(data.test)})
    with step("evaluation"):
        outputs = _tell_parts(model, tokenizer, parts, {"dev": told})
        metrics, mistakes = _measure(objective, parts, outputs)
        if isinstance(task, Selective):
            for name, part in parts.items():
                read = told_rows if name == "dev" else encode_part(part, tokenizer, objective)
                metrics[name] |= measure_selective(task, objective, outputs[name], read, learned)
    metadata = _describe(data, objective, settings, recipe, tokenizer) | {
        "task": task.describe(),
        "command": command,
        "metrics": metrics,
        "cross_validated": fitted.rows is not None,
        "early_exit": measure_exit(model, told_rows, objective),
        "profile": profile_rows(task, tokenizer, dev_part.texts, told, told_rows, learned),
        "mistakes": [mistake.row for mistake in mistakes],
        "seconds": round(time.monotonic() - started, 1),
        **streamed,
    }
    if not is_trial:
        findings = Findings(survey, {"train": train_part, **parts}, mistakes)
        metadata["files"] = write_report(new, metadata, fitted.history, objective, findings)
    rows = reference_rows(dev.rows, tokenizer)
    write_run(new, model, format_tokenizer(tokenizer), rows, metadata, train.vectors)


def _tell_held_out(
    model: keras.Model, fitted: Fitted, split: tuple[Part, Part], train: Encoded, dev: Encoded
) -> tuple[Part, Encoded, NDArray[np.float32]]:
    """Return rows that say how good the model is, read and encoded, and the outputs for them, of
    models that were not fitted to them; float32, shape (rows, num_outputs)."""
    if fitted.rows is None or fitted.outputs is None:
        return split[1], dev, make_predictor(model)(dev.rows)
    rows = join_encoded(train, dev).select(fitted.rows)
    rows = dataclasses.replace(rows, offsets=fitted.offsets)
    return join_parts(*split, fitted.rows), rows, fitted.outputs


def load_predictor(run: Run) -> Callable[[list[str]], NDArray[np.float32]]:
    """Return a function from texts to what Keras computes of them.

    Its result is float32, shape (len(texts), num_outputs).
    """
    model, tokenizer = run.load_model(), run.load_tokenizer()
    predict = make_predictor(model)
    return lambda texts: predict(encode_texts(tokenizer, texts))


def estimate_bytes(settings: Settings) -> int:
    """Return about how much room a run takes while it is made: checkpoints, stages, the model."""
    vectors = 4 * settings.vocab_size * settings.embedding_dim  # float32
    return SPARE_BYTES + COPIES * (vectors + 4 * settings.table_bytes)


def _tell_parts(
    model: keras.Model,
    tokenizer: Tokenizer,
    parts: Mapping[str, Part],
    told: Mapping[str, NDArray[np.float32]],
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of each part by name, float32, shape (rows, num_outputs).

    Args:
        told: Those that are known, of models that were not fitted to the rows.
    """
    predict = make_predictor(model)
    return {
        name: told[name] if name in told else predict(encode_texts(tokenizer, part.texts))
        for name, part in parts.items()
    }


def _measure(
    objective: Objective, parts: Mapping[str, Part], outputs: Mapping[str, NDArray[np.float32]]
) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the figures on each part by name, and the mistakes on the last one.

    Args:
        outputs: Of each part, as `_tell_parts` gives them.
    """
    metrics, mistakes = {}, []
    for name, part in parts.items():
        metrics[name] = objective.evaluate(part.labels, outputs[name], part.weights)
        mistakes = find_mistakes(objective, part, outputs[name])
    return metrics, mistakes


def _describe(
    data: Data, objective: Objective, settings: Settings, recipe: Recipe, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Return what `metadata.json` says of how the model came about."""
    constants: Mapping[str, Any] = TOKENIZER_CONSTANTS | FIT_CONSTANTS | dict(recipe.CONSTANTS)
    return {
        "task": objective.task.describe(),
        "aims": dict(objective.aims),
        "settled": dict(objective.settled),
        "recipe": settings.recipe,
        "settings": dataclasses.asdict(settings),
        "constants": constants,
        "weight_tables": list(recipe.WEIGHT_TABLES),
        "max_length": settings.max_length,
        "pad_id": PAD_ID,
        "unknown_id": UNKNOWN_ID,
        "vocab_size": len(tokenizer.word_ids),
        "columns": dataclasses.asdict(data.columns),
        "data": data.describe(),
        "versions": {name: version(name) for name in LIBRARIES}
        | {"python": platform.python_version()},
    }
