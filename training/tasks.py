"""Objectives: what only training needs to know of a task.

`handler/inference/tasks/` says what the columns of a model's outputs mean. An objective adds how
they are learned and measured: what a label is as a target, the model's last layers, loss, figures.
It is a module in `training/objectives`, named as the task's kind, and the folder is the list.
Nothing here imports TensorFlow before it is needed, so that data are checked without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import MultiLabel, Regression, Selective, SingleLabel, Task
from training.errors import DataError, SettingsError
from training.rows.columns import Columns
from training.rows.label_sets import LabelSet, say_several
from training.rows.numbers import are_fractional
from training.rows.readers import Dataset, read_dataset

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
EPSILON = 1e-7  # Keras' own, against log(0)
# Aims of answers that may be withheld (`training/answers/selective.py`): of kinds with a label.
SELECTIVE_AIMS = ("abstain_accuracy", "scope_coverage", "label_sets")
FIELD_FLAGS = {"clips": "--no-clip"}  # field of a task -> the option that gives it
FOLDER = Path(__file__).with_name("objectives")


class Objective(Protocol):
    """How one task is learned and measured.

    Attributes:
        task: What the columns of the outputs mean.
        aims: What `settle` is to reach, by the names of the command line's options, such as
            `min_precision`; what was not asked for is not there.
        settled: What `settle` found, for people and metadata; `is_reached` is false where an aim is
            not reached, so that no bundle is made. Empty before.
        num_logits: Columns that the layers before the head compute.
        scales_each: Each logit is an answer of its own, and is calibrated for itself.
        score_name: The figure of `evaluate` that is the mean of `row_scores`.
        loss_name: What people call the loss.
        linear: How the linear half of a model learns each logit, a name in
            `training/linear/weights.py`: "balanced", "logistic", "squared".
        settles: Whether `settle` has anything to find.
        has_margin: Whether `add_margin` says what it says; else there is no early exit.
    """

    def __init__(self, task: Any, aims: Mapping[str, Any]) -> None:
        """Raise SettingsError for an aim that this kind of task does not have."""

    @property
    def task(self) -> Task: ...
    @property
    def aims(self) -> Mapping[str, Any]: ...
    @property
    def settled(self) -> Mapping[str, Any]: ...
    @property
    def num_logits(self) -> int: ...
    @property
    def scales_each(self) -> bool: ...
    @property
    def score_name(self) -> str: ...
    @property
    def loss_name(self) -> str: ...
    @property
    def linear(self) -> str: ...
    @property
    def settles(self) -> bool: ...
    @property
    def has_margin(self) -> bool: ...

    @staticmethod
    def find_task(labels: Sequence[str], given: Mapping[str, Any]) -> Task:
        """Return the task that rows with these labels are.

        Args:
            labels: Of the training rows, not yet checked; soft ones
                (`training/rows/soft_labels.py`) name all that they know.
            given: Fields of the task that need not be found.

        Raises:
            SettingsError: A field that cannot be given.
        """

    @property
    def loss(self) -> Callable[[Any, Any], Any]:
        """Keras' function from targets and outputs, both (rows, num_outputs), to the loss of each
        row, shape (rows,); for `model.compile` and for gradients."""

    def check(self, train: Dataset, *others: Dataset) -> None:
        """Raise DataError unless `train` can be learned from, and the `others` measured with it."""

    def strata(self, targets: Floats) -> Sequence[Hashable]:
        """Return for each row what a split keeps in about the same share on both sides; of a soft
        label its most probable one. A row of a `frozenset` is of as many strata as that has.

        Args:
            targets: Floats, shape (rows, num_outputs), as `encode` gives them.
        """

    def encode(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Return the targets, float32, shape (len(labels), num_outputs): the perfect outputs, of a
        soft label its probabilities.

        Raises:
            DataError: A label that the task does not know.
        """

    def add_head(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Return the outputs, (batch, num_outputs), of a model that computed the logits, (batch,
        num_logits); by a layer named `outputs`."""

    def add_learner(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Return the outputs whose `loss` teaches the logits: those of `add_head`, where that has
        no weights that are fitted afterwards."""

    def fit_head(
        self,
        model: keras.Model,
        logits: Floats,
        targets: Floats,
        weights: Floats | None = None,
    ) -> None:
        """Set the weights of the head that `add_head` made a part of `model`, if it has any, by
        rows that the model was not fitted to.

        Args:
            logits: Floats, shape (rows, num_logits).
            targets: Floats, shape (rows, num_outputs).
            weights: Shape (rows,): how often each row counts; None: once.
        """

    def add_margin(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Return by how much the answer's logit leads the next one's, or that of each label is off
        its threshold, (batch, 1), 0 or more.

        Args:
            logits: (batch, num_logits).
        """

    def exit_margins(self, exits: Floats, full: Floats) -> tuple[Floats, Floats]:
        """Return what `add_margin` gives of an early exit's logits, and what is left of it in the
        whole model, which is under 0 where the answer changes; both floats, shape (rows,).

        Args:
            exits, full: Logits, shape (rows, num_logits).
        """

    def output_logits(self, logits: Floats) -> Floats:
        """Return a logit for each output, floats, shape (rows, num_outputs).

        Args:
            logits: Floats, shape (rows, num_logits).
        """

    def outputs_of(self, logits: Floats) -> Floats:
        """Return what the head makes of logits: (rows, num_logits) -> (rows, num_outputs)."""

    def logit_targets(self, targets: Floats) -> Floats:
        """Return floats, shape (rows, num_logits): how far a row is on the side of each logit, 0 to
        1; of numbers how far they are from their mean, in standard deviations.

        Args:
            targets: Floats, shape (rows, num_outputs), as `encode` gives them.
        """

    def rough_logits(self, sides: Floats) -> Floats:
        """Return logits, but for their scale, of what least squares say of `logit_targets`.

        Both are floats, shape (rows, num_logits).
        """

    def shift_outputs(self, outputs: Floats, before: Floats, after: Floats) -> Floats:
        """Return the outputs, moved as far as a model's outputs for the same rows moved: of logits
        by their difference.

        All are floats, shape (rows, num_outputs).
        """

    def logits_loss(self, logits: Floats, targets: Floats, weights: Floats | None = None) -> float:
        """Return the loss summed over the rows.

        Args:
            logits: Floats, shape (rows, num_logits).
            targets: Floats, shape (rows, num_outputs).
            weights: Shape (rows,): how often each row counts; None: once.
        """

    def loss_slopes(self, logits: Floats, targets: Floats) -> Floats:
        """Return the derivatives of each row's loss by its logits, shape (rows, num_logits).

        The arguments are those of `logits_loss`.
        """

    def excess_losses(self, logits: Floats, targets: Floats) -> NDArray[np.float64]:
        """Return float64, shape (rows,): the loss of each row beyond the least that its target
        allows, which is 0 of a label and the entropy of a soft one.

        The arguments are those of `logits_loss`.
        """

    def log_loss(self, outputs: Floats, targets: Floats, weights: Floats | None = None) -> float:
        """Return the mean of `loss` over the rows.

        Args:
            outputs, targets: Floats, shape (rows, num_outputs).
            weights: Shape (rows,): how often each row counts in the mean; None: once.
        """

    def row_scores(self, outputs: Floats, targets: Floats) -> NDArray[np.float64]:
        """Return float64, shape (rows,): what each answer is worth, more is better.

        Both arguments are floats, shape (rows, num_outputs).
        """

    def mistake_scores(self, outputs: Floats, targets: Floats) -> Floats:
        """Return how certain a wrong answer was, floats, shape (rows,); below 0 of a right one.

        Both arguments are floats, shape (rows, num_outputs). Only asked of tasks with labels.
        """

    def settle(self, outputs: Floats, targets: Floats, weights: Floats | None = None) -> Objective:
        """Return the objective whose task knows what rows tell that the model was not fitted to,
        such as thresholds; the same one where nothing is to be known.

        Called after training, and again for each smaller model.

        Args:
            outputs, targets: Floats, shape (rows, num_outputs).
            weights: Shape (rows,): how often each row counts; None: once.
        """

    def describe_settled(self, settled: Mapping[str, Any]) -> str:
        """Return one line about what `settle` found, for people; "" where there is nothing.

        Args:
            settled: As the objective that `settle` returned has it.
        """

    def evaluate(
        self, labels: Sequence[str], outputs: Floats, weights: Sequence[float] | None = None
    ) -> dict[str, Any]:
        """Return every figure that `minnow evaluate` prints, ready for JSON.

        Every row counts once. Where rows have weights, the score and the loss stand there a second
        time by the weights, as `sample_weight` has it in scikit-learn's metrics: `weighted_...`.

        Args:
            labels: True label of each row, of a soft one the most probable.
            outputs: Floats, shape (len(labels), num_outputs).
            weights: What each row counts, above 0; None: all the same.

        Raises:
            DataError: A label that the task does not know.
        """

    def format_evaluation(self, figures: Mapping[str, Any]) -> str:
        """Return what `evaluate` gave as a text for people."""

    def headline(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Return the figures that are one number each."""

    def write_plots(self, figures: Mapping[str, Any], folder: Path) -> dict[str, str]:
        """Draw what `evaluate` gave to files in `folder`; return title -> file name."""


def _guess_kind(labels: Sequence[str]) -> str:
    if any(isinstance(label, LabelSet) for label in labels):
        return MultiLabel.kind
    return Regression.kind if are_fractional(labels) else SingleLabel.kind


def make_objective(task: Task, aims: Mapping[str, Any] | None = None) -> Objective:
    """Return how `task` is learned and measured, of one whose answers may be withheld the task
    within.

    Raises:
        SettingsError: An aim that this kind of task does not have.
    """
    own = task.task if isinstance(task, Selective) else task
    return _load(task.kind)(own, aims or {})


def check_fields(kind: str, given: Mapping[str, Any], known: Sequence[str] = ()) -> None:
    """Raise SettingsError unless a task of this kind takes all of these fields."""
    if unknown := sorted(given.keys() - {*known}):
        names = ", ".join(FIELD_FLAGS.get(name, name) for name in unknown)
        raise SettingsError(f"the task {kind} takes no {names}.")


def check_aims(kind: str, aims: Mapping[str, Any], known: Sequence[str] = ()) -> None:
    """Raise SettingsError unless a task of this kind has all of these aims."""
    if unknown := [name for name in aims if name not in known]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in unknown)
        raise SettingsError(f"the task {kind} takes no {flags}.")


def list_kinds() -> list[str]:
    """Return the kinds of tasks that can be learned; none is imported for it."""
    return sorted(module.name.replace("_", "-") for module in iter_modules([str(FOLDER)]))


def find_task(labels: Sequence[str], given: Mapping[str, Any] | None = None) -> Task:
    """Return the task that rows with these labels are: ["pos", "neg", "pos"] -> neg or pos.

    Args:
        given: What is known of the task: its `kind`, and fields of it. By default it is several
            labels where rows have sets of them (`rows/label_sets.py`), regression where labels
            are numbers with fractions (`training/rows/numbers.py`), else a single label.

    Raises:
        SettingsError: No such kind of task in this build, or it takes no such field.
    """
    fields = {"kind": _guess_kind(labels), **(given or {})}
    kind = fields.pop("kind")
    if kind not in list_kinds():
        raise SettingsError(f"there is no task {kind!r}, wanted {', '.join(list_kinds())}.")
    return _load(kind).find_task(labels, fields)


def read_known_labels(path: Path, columns: Columns, objective: Objective) -> Dataset:
    """Read the rows of a file, of which the task must know every label.

    Raises:
        DataError: It can't be read, or a label is missing or unknown; with the file's name.
    """
    labels = objective.task.describe().get("labels", ())
    if objective.task.kind == MultiLabel.kind and columns.labels:
        if missing := sorted({*labels} - {*columns.labels}):
            raise DataError(
                f"{path}: the model also knows the label {missing[0]!r}, which none of "
                "--label-columns holds. Name a column for each of its labels."
            )
    dataset = read_dataset(path, say_several(columns, objective.task.kind))
    try:
        objective.encode(dataset.labels)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return dataset


def _load(kind: str) -> type[Objective]:
    module = importlib.import_module(f"{__package__}.objectives.{kind.replace('-', '_')}")
    return cast(type[Objective], module.OBJECTIVE)
