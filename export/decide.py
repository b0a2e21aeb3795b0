"""A finished run whose answers are chosen otherwise: other thresholds, without training again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.compress.distill import prepare_distillation, settle_student
from handler.inference.tasks import read_task
from training.decisions import renew_aims
from training.run_folder import read_run, write_held_out, write_run
from training.tasks import make_objective


def decide_run(folder: Path, aims: Mapping[str, Any], out: Path) -> str:
    """Write the run in `folder` into `out`, which is empty, with thresholds for `aims`; return a
    line about them for people.

    They are chosen, as in training, on rows that the model was not fitted to, which are read again
    from the run's data. Class weights stay those of the training.

    Args:
        aims: As `Sources` has them, without class weights.

    Raises:
        RunError: The run cannot be read.
        DataError: A file is gone or not what the run was trained on.
        SettingsError: Aims that do not fit the task or its labels.
    """
    run = read_run(folder)
    objective = renew_aims(run.task, run.metadata["aims"], aims)
    distillation = prepare_distillation(run, epochs=1)
    distillation = replace(distillation, objective=objective)
    model, rows = run.load_model(), distillation.dev
    told, answers = settle_student(model, distillation, rows)
    settled = make_objective(read_task(answers["task"]), objective.aims)
    weights = rows.weights.tolist() if rows.is_weighted else None
    metadata = {
        **run.metadata,
        **answers,
        "aims": dict(objective.aims),
        "metrics": {"dev": settled.evaluate(distillation.dev_labels, told, weights)},
    }
    reference, _ = run.reference()
    write_run(out, model, run.tokenizer, reference, metadata, run.load_vectors())
    if rows.places is not None and rows.offsets is not None:
        write_held_out(out, rows.places, told, rows.offsets)
    told_people = settled.describe_settled(answers["settled"])
    return told_people or "answers are the most probable labels"
