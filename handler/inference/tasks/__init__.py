"""Tasks: what the columns of a model's outputs mean.

The graph of every bundle computes `outputs`, float32 (batch, columns). The bundle's manifest
describes the task, and all that must know what a column means asks it: training, verification,
the classifier, file columns, every wire format, the monitor, the page. What only training needs
of a task stands in `training/tasks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handler.errors import ArtefactError
from handler.inference.checks import one_of, record, show
from handler.inference.tasks.labels import MAX_LABEL_CHARACTERS, MAX_LABELS, read_labels
from handler.inference.tasks.multi_label import MultiLabel
from handler.inference.tasks.ordinal import Ordinal
from handler.inference.tasks.regression import Regression
from handler.inference.tasks.selective import SELECTIVE_FIELDS, Selective, describe_briefly
from handler.inference.tasks.single_label import SingleLabel
from handler.inference.tasks.task import (
    DEFAULT_OPTIONS,
    Cell,
    JsonCell,
    Number,
    Options,
    Task,
    Tensor,
    describe_rules,
)

__all__ = [
    "DEFAULT_OPTIONS",
    "MAX_LABELS",
    "MAX_LABEL_CHARACTERS",
    "SCORED_COLUMNS",
    "SELECTIVE_KINDS",
    "Cell",
    "Number",
    "JsonCell",
    "MultiLabel",
    "Options",
    "Ordinal",
    "Regression",
    "Selective",
    "SingleLabel",
    "Task",
    "Tensor",
    "describe_briefly",
    "describe_rules",
    "read_labels",
    "read_task",
]

TASKS: Mapping[str, Any] = {
    task.kind: task for task in (SingleLabel, MultiLabel, Regression, Ordinal)
}
# Columns of a scored file, of any task: another model's scores are out of date beside this one's.
SCORED_COLUMNS = frozenset(
    (
        *("predicted_label", "predicted_score", "predicted_labels", "predicted_scores"),
        *("predicted_value", "predicted_low", "predicted_high", "abstained", "best_label"),
    )
)
SELECTIVE_KINDS = (SingleLabel.kind,)  # whose answers may be withheld


def read_task(description: object) -> Task:
    """Return the task that `describe` described.

    Raises:
        ArtefactError: No such kind of task in this build, or fields that do not fit it.
    """
    kind = description.get("kind") if isinstance(description, dict) else None
    if not isinstance(kind, str) or kind not in TASKS:
        raise ArtefactError(f"the task is {show(kind)}, this build knows {', '.join(TASKS)}.")
    own = getattr(TASKS[kind], "optional_fields", {})
    selective_fields = SELECTIVE_FIELDS if kind in SELECTIVE_KINDS else {}
    optional = {**own, **selective_fields}
    fields = record({"kind": one_of(kind), **TASKS[kind].fields}, optional)(description, "task")
    del fields["kind"]
    selective = {name: fields.pop(name) for name in selective_fields if name in fields}
    task: Task = TASKS[kind](**fields)
    return Selective(task, **selective) if selective else task
