"""A finished run whose answers are chosen otherwise: other thresholds, without training again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.compress.distill import prepare_distillation, settle_student
from handler.inference.tasks import MultiLabel, Selective, read_task
from training.answers.decisions import AIMS, renew_aims
from training.answers.promises import check_enough
from training.answers.selective import check_selective_aims
from training.figures.selective_figures import format_selective, measure_selective
from training.run_folder import read_run, write_held_out, write_run
from training.tasks import Objective, make_objective


def decide_run(folder: Path, aims: Mapping[str, Any], out: Path) -> str:
    """Write the run in `folder` into `out`, which is empty, with answers for `aims`; return what
    people are to know of them: lines about how they are chosen, and what is answered of the rows
    that told it.

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
    check_selective_aims(objective.aims, len(rows.token_ids))
    check_enough(objective.aims, distillation.dev_labels)
    told, answers = settle_student(model, distillation, rows, run.load_tokenizer())
    task = read_task(answers["task"])
    settled = make_objective(task, objective.aims)
    weights = rows.weights.tolist() if rows.is_weighted else None
    figures = settled.evaluate(distillation.dev_labels, told, weights)
    if isinstance(task, Selective):
        figures |= measure_selective(task, settled, told, rows, distillation.train)
    metadata = {
        **run.metadata,
        **answers,
        "aims": dict(objective.aims),
        "metrics": {"dev": figures},
    }
    reference, _ = run.reference()
    write_run(out, model, run.tokenizer, reference, metadata, run.load_vectors())
    if rows.places is not None and rows.offsets is not None:
        write_held_out(out, rows.places, told, rows.offsets)
    lines = [_describe_answers(settled, answers["settled"], aims), format_selective(figures)]
    if lines[1]:
        lines[1] = f"of {len(told):,} rows that were not learned from:\n{lines[1]}"
    return "\n".join(line for line in lines if line)


def _describe_answers(
    objective: Objective, settled: Mapping[str, Any], aims: Mapping[str, Any]
) -> str:
    """Return a line about how answers are chosen, where the aims choose it; "" where not."""
    if told := objective.describe_settled(settled):
        return told
    if not aims.keys() & {*AIMS}:
        return ""
    if objective.task.kind == MultiLabel.kind:
        return "each label has the threshold by which its F1 is about highest"
    return "answers are the most probable labels"
