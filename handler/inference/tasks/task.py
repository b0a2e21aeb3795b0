"""The interface of a task, and what requests may ask of an answer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from handler.inference.checks import Check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Cell = str | float


class JsonCell(str):
    """A cell that holds JSON: its text in a table, its value where rows are JSON themselves."""

    __slots__ = ()


OutputRow = Sequence[float]  # the outputs of one text


class Options(NamedTuple):
    """What a request may ask of its answer.

    Args:
        top_k: Only the so many most probable labels in `scores`; None: all.
        threshold: Only labels of at least this probability in `scores`, 0 to 1.
        explain: Add each token's contribution (`handler/inference/explain.py`).
        explain_field: What the sender calls that option, for the error of too many tokens.
        coverage: How often the true label shall be in `set`; None: no set.
        coverage_field: What the sender calls that option, for errors.
    """

    top_k: int | None = None
    threshold: float = 0.0
    explain: bool = False
    explain_field: str = "explain"
    coverage: float | None = None
    coverage_field: str = "coverage"


class Number(float):
    """A cell that is written as it is: a score has six decimals in a file, a number its own."""

    __slots__ = ()

    def __format__(self, form: str) -> str:
        return repr(self) if form.endswith("f") else super().__format__(form)


DEFAULT_OPTIONS = Options()
# A float32 probability is 1 - 6e-8 at most before it is 1: log odds past 16.6 are not measured.
CLOSEST = 2.0**-24
PROBABILITY_ATOL = 1e-5  # of a probability: a few units of float32's last place


class Tensor(NamedTuple):
    """One output of the Open Inference Protocol.

    Args:
        name: As clients ask for it.
        datatype: "BYTES", "FP32" or "BOOL".
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

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell | bool]:
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


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p)), at most 16.6 from 0."""
    kept = min(max(probability, CLOSEST), 1 - CLOSEST)
    return math.log(kept) - math.log1p(-kept)


def describe_rules(task: Task) -> str:
    """Return how the task's answers follow from outputs, beside its labels, such as by thresholds:
    with other rules the same graph answers otherwise. "" where there are none."""
    rules = {
        name: value for name, value in task.describe().items() if name not in ("kind", "labels")
    }
    return json.dumps(rules, sort_keys=True) if rules else ""
