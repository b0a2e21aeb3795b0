"""A finished run whose answers are chosen otherwise: other thresholds, without training again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.compress.distill import prepare_distillation
from training.blocks.early_exit import measure_exit
from training.decisions import renew_aims
from training.fit import make_predictor
from training.recipe import settle
from training.run_folder import Run, read_run, write_held_out, write_run


def decide_run(run: Run, aims: Mapping[str, Any], folder: Path) -> Run:
    """Write the run into `folder`, which is empty, with thresholds for `aims`; return it.

    They are chosen, as in training, on rows that the model was not fitted to, which are read again
    from the run's data. Class weights stay those of the training.

    Args:
        aims: As `Sources` has them, without class weights.

    Raises:
        DataError: A file is gone or not what the run was trained on.
        SettingsError: Aims that do not fit the task or its labels.
    """
    objective = renew_aims(run.task, run.metadata["aims"], aims)
    distillation = prepare_distillation(run, epochs=1)
    model, rows = run.load_model(), distillation.dev
    told = distillation.told
    if told is None:
        told = make_predictor(model)(rows.rows)
    objective, told = settle(distillation.recipe, model, rows, told, objective)
    names = objective.task.describe()["labels"]
    labels = [names[column] for column in rows.targets.argmax(axis=1).tolist()]
    weights = rows.weights.tolist() if rows.is_weighted else None
    metrics = {"dev": objective.evaluate(labels, told, weights)}
    metadata = {
        **run.metadata,
        "task": objective.task.describe(),
        "aims": dict(objective.aims),
        "settled": dict(objective.settled),
        "early_exit": measure_exit(model, rows, objective),
        "metrics": metrics,
    }
    reference, _ = run.reference()
    write_run(folder, model, run.tokenizer, reference, metadata, run.load_vectors())
    if rows.places is not None and rows.offsets is not None:
        write_held_out(folder, rows.places, told, rows.offsets)
    return read_run(folder)
