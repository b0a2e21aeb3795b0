"""Tasks: what the columns of a model's outputs mean.

The graph of every bundle computes `outputs`, float32 (batch, columns). The bundle's manifest
describes the task, and all that must know what a column means asks it: training, verification,
the classifier, file columns, every wire format, the monitor, the page. What only training needs
of a task stands in `training/tasks.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from handler.errors import ArtefactError
from handler.inference.checks import Check, array, one_of, record, show, text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Cell = str | float
OutputRow = Sequence[float]  # the outputs of one text


class Options(NamedTuple):
    """What a request may ask of its answer.

    Args:
        top_k: Only the so many most probable labels in `scores`; None: all.
        threshold: Only labels of at least this probability in `scores`, 0 to 1.
        explain: Add each token's contribution (`handler/inference/explain.py`).
        explain_field: What the sender calls that option, for the error of too many tokens.
    """

    top_k: int | None = None
    threshold: float = 0.0
    explain: bool = False
    explain_field: str = "explain"


DEFAULT_OPTIONS = Options()
# A float32 probability is 1 - 6e-8 at most before it is 1: log odds past 16.6 are not measured.
CLOSEST = 2.0**-24
# Every answer holds a score for each label: 10,000 of 20 letters are 0.4 MB.
MAX_LABELS = 10_000
MAX_LABEL_CHARACTERS = 256  # longer ones are texts, of a column that holds no labels
# What rounding may do to a row that sums to 1: six decimals of 10,000 labels are 0.005 at most.
SUM_ATOL = 0.01
PROBABILITY_ATOL = 1e-5  # to a single one: a few units of float32's last place


class Tensor(NamedTuple):
    """One output of the Open Inference Protocol.

    Args:
        name: As clients ask for it.
        datatype: "BYTES" or "FP32".
        width: Values for each text; None: one, in a tensor of one dimension.
    """

    name: str
    datatype: str
    width: int | None = None


class Task(Protocol):
    """What one row of outputs means.

    Attributes:
        kind: Its name in a manifest and on the command line.
        fields: Its fields in a manifest, beside `kind`, by which it is made.
        num_outputs: Columns of the graph's outputs.
        output_scale: How far outputs lie apart: 1 of probabilities, a standard deviation of
            numbers. Tolerances are shares of it.
        columns: Column of a scored file -> type of its cells.
        tensors: Outputs of the Open Inference Protocol.
    """

    @property
    def kind(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, Check]: ...
    @property
    def num_outputs(self) -> int: ...
    @property
    def output_scale(self) -> float: ...
    @property
    def columns(self) -> Mapping[str, type]: ...
    @property
    def tensors(self) -> Sequence[Tensor]: ...

    def describe(self) -> dict[str, Any]:
        """Return the manifest's field `task`, from which `read_task` makes the task again."""

    def find_flaw(self, row: OutputRow) -> str:
        """Return why a row cannot be an answer, such as "sums to 2"; "" if it can."""

    def answer(self, row: OutputRow, options: Options = DEFAULT_OPTIONS) -> dict[str, Any]:
        """Return the native answer's fields for one text, as `json.dumps` takes them."""

    def describe_answer(self) -> dict[str, Any]:
        """Return the JSON Schema of each field that `answer` gives."""

    def cells(self, row: OutputRow) -> tuple[Cell, ...]:
        """Return the cells of one text in a scored file, in the order of `columns`."""

    def rank(self, row: OutputRow) -> list[tuple[str, float]]:
        """Return (label, score), the highest score first; equal ones in the outputs' order."""

    def raw_score(self, score: float) -> float:
        """Return what a score of `rank` was before the function that bounds it; a probability's log
        odds, and of what no function bounds the score itself."""

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell]:
        """Return what one text adds to the tensor `name`."""

    def predicted_labels(self, row: OutputRow) -> Sequence[str]:
        """Return the labels that are counted as predicted; none where there are no labels."""

    def explained_output(self, row: OutputRow) -> int:
        """Return the index of the output whose change an explanation measures."""

    def same_answers(
        self, left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        """Return, shape (rows,), whether both outputs, shape (rows, columns), answer the same."""

    def margins(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return, shape (rows,), how much an output must change before the answer can."""


def read_labels(value: object, field: str) -> list[str]:
    """Return labels as a manifest may hold them: each once, and told apart by what people see."""
    labels: list[str] = array(text(MAX_LABEL_CHARACTERS, 1), MAX_LABELS, least=2)(value, field)
    seen: set[str] = set()
    for index, label in enumerate(labels):
        if label in seen:
            raise ArtefactError(f"{field}[{index}] is {show(label)}, which stands twice.")
        if label != label.strip():
            raise ArtefactError(f"{field}[{index}] is {show(label)}, wanted no blanks around it.")
        seen.add(label)
    return labels


class SingleLabel:
    """One of two labels or more; column i is the probability of `labels[i]`, a row sums to 1."""

    kind = "single-label"
    fields: Mapping[str, Check] = {"labels": read_labels}
    output_scale = 1.0
    columns: Mapping[str, type] = {"predicted_label": str, "predicted_score": float}

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.num_outputs = len(self.labels)
        self.tensors = (
            Tensor("label", "BYTES"),
            Tensor("score", "FP32"),
            Tensor("probabilities", "FP32", self.num_outputs),
        )

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "labels": list(self.labels)}

    def find_flaw(self, row: OutputRow) -> str:
        if not all(-PROBABILITY_ATOL <= value <= 1 + PROBABILITY_ATOL for value in row):
            return "holds a number outside 0 to 1"  # or none at all, NaN
        total = math.fsum(row)
        return "" if abs(total - 1) <= SUM_ATOL else f"sums to {total:.4g}, wanted 1"

    def answer(self, row: OutputRow, options: Options = DEFAULT_OPTIONS) -> dict[str, Any]:
        """Return `label`, its probability `score`, and `scores`; ranked where `top_k` is asked."""
        label, score = self.cells(row)
        scores = dict(zip(self.labels, row, strict=True))
        if options is not DEFAULT_OPTIONS:
            ranked = self.rank(row)[: options.top_k] if options.top_k else scores.items()
            scores = {name: value for name, value in ranked if value >= options.threshold}
        return {"label": label, "score": score, "scores": scores}

    def describe_answer(self) -> dict[str, Any]:
        probability = {"type": "number", "minimum": 0, "maximum": 1}
        scores = {
            "type": "object",
            "properties": dict.fromkeys(self.labels, probability),
            "additionalProperties": False,
        }
        return {
            "label": {"type": "string", "enum": list(self.labels)},
            "score": {**probability, "description": "The label's probability."},
            "scores": scores,
        }

    def cells(self, row: OutputRow) -> tuple[str, float]:
        best = self.explained_output(row)
        return self.labels[best], row[best]

    def rank(self, row: OutputRow) -> list[tuple[str, float]]:
        return sorted(zip(self.labels, row, strict=True), key=lambda pair: -pair[1])

    def raw_score(self, score: float) -> float:
        return log_odds(score)

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell]:
        label, score = self.cells(row)
        values: dict[str, Sequence[Cell]] = {"label": (label,), "score": (score,)}
        return values.get(name, row)

    def predicted_labels(self, row: OutputRow) -> Sequence[str]:
        return (self.labels[self.explained_output(row)],)

    def explained_output(self, row: OutputRow) -> int:
        return row.index(max(row))

    def same_answers(
        self, left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = left.argmax(axis=1) == right.argmax(axis=1)
        return same

    def margins(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the gap between the two most probable labels."""
        outputs = outputs.copy()
        outputs.sort(axis=1)
        gaps: NDArray[np.floating[Any]] = outputs[:, -1] - outputs[:, -2]
        return gaps


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p)), at most 16.6 from 0."""
    kept = min(max(probability, CLOSEST), 1 - CLOSEST)
    return math.log(kept) - math.log1p(-kept)


TASKS: Mapping[str, Any] = {SingleLabel.kind: SingleLabel}


def read_task(description: object) -> Task:
    """Return the task that `describe` described.

    Raises:
        ArtefactError: No such kind of task in this build, or fields that do not fit it.
    """
    kind = description.get("kind") if isinstance(description, dict) else None
    if not isinstance(kind, str) or kind not in TASKS:
        raise ArtefactError(f"the task is {show(kind)}, this build knows {', '.join(TASKS)}.")
    fields = record({"kind": one_of(kind), **TASKS[kind].fields})(description, "task")
    del fields["kind"]
    task: Task = TASKS[kind](**fields)
    return task
