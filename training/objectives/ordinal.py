"""Ordinal labels: targets, head, losses and figures of labels that are numbers, such as stars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import Ordinal
from handler.inference.tasks.ordinal import MAX_ORDERED
from training.answers.odds import log_odds
from training.answers.ranks import (
    fit_odds,
    part_logits,
    ranked_losses,
    start_odds,
    tell_above,
)
from training.errors import DataError
from training.figures.number_figures import format_errors, measure_errors
from training.objectives.single_label import SingleLabelObjective
from training.rows.numbers import read_number
from training.rows.readers import Dataset
from training.rows.soft_labels import list_labels
from training.tasks import EPSILON, Floats, Objective, check_fields

if TYPE_CHECKING:
    import keras


HEAD = "outputs"


class OrdinalObjective(SingleLabelObjective):
    """One of several ordered labels a text. Logit k is the log odds that the label is above the
    k-th one; the loss is the sum of their cross-entropies.

    Each threshold has weights of its own (Frank & Hall, "A Simple Approach to Ordinal
    Classification", ECML 2001); what is above a threshold is above all lower ones, so each
    probability counts as the least of those up to it. With the same weights for all thresholds
    (proportional odds, McCullagh 1980) one logit would do: that is what regression learns.
    """

    loss_name = "ranked log loss"
    linear = "logistic"
    has_margin = False
    known_aims = ()
    task: Ordinal

    def __init__(self, task: Ordinal, aims: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, aims)
        self.num_logits = task.num_outputs - 1

    @staticmethod
    def find_task(labels: Sequence[str], given: Mapping[str, Any]) -> Ordinal:
        """Return the labels in the order of their numbers: ["10", "9", "10"] -> 9, 10."""
        check_fields(Ordinal.kind, given)
        found: dict[float, str] = {}
        for label in sorted(list_labels(labels)):
            try:
                found.setdefault(read_number(label), label)
            except DataError:  # which `check` tells with its row
                continue
        ordered = [found[number] for number in sorted(found)][:MAX_ORDERED]
        return Ordinal(ordered if len(ordered) > 1 else ["0", "1"])

    def check(self, train: Dataset, *others: Dataset) -> None:
        """Raise DataError unless all labels are numbers, and what a single label needs is there."""
        for part in (train, *others):
            _check_numbers(part)
        known = list_labels(train.labels)
        if len(known) > MAX_ORDERED:
            raise DataError(
                f"{train.path}: has {len(known)} labels, wanted {MAX_ORDERED} ordered ones at most."
                " --task regression learns numbers."
            )
        if strange := sorted(known - {*self.task.labels, ""}):
            raise DataError(
                f"{train.path}: the label {strange[0]!r} is the number of another label. "
                "--normalize-labels makes them one."
            )
        super().check(train, *others)

    def add_learner(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Return the differences of what is above the thresholds; what is above one is above all
        lower ones."""
        from keras import ops

        above = ops.sigmoid(logits)
        not_up_to = 1 - np.tri(self.num_logits, dtype=np.float32)  # 1 leaves a threshold out
        above = ops.min(ops.maximum(ops.expand_dims(above, 1), not_up_to), axis=2)
        before = ops.pad(above, ((0, 0), (1, 0)), constant_values=1.0)
        return before - ops.pad(above, ((0, 0), (0, 1)))

    def add_head(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        from keras import layers

        num_labels = self.num_logits + 1
        head = layers.Dense(num_labels, activation="softmax", trainable=False, name=HEAD)
        outputs = head(logits)
        head.set_weights(start_odds(num_labels))
        return outputs

    def fit_head(
        self,
        model: keras.Model,
        logits: Floats,
        targets: Floats,
        weights: Floats | None = None,
    ) -> None:
        """Fit the regression that makes labels of thresholds, in place."""
        model.get_layer(HEAD).set_weights(fit_odds(logits, targets, weights))

    def add_margin(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        raise NotImplementedError("of ordered labels nothing exits early: `has_margin` is false")

    def output_logits(self, logits: Floats) -> Floats:
        return logits

    def outputs_of(self, logits: Floats) -> Floats:
        return part_logits(logits)

    def logit_targets(self, targets: Floats) -> Floats:
        """Return how likely the label is above each but the last."""
        return tell_above(targets)

    def shift_outputs(self, outputs: Floats, before: Floats, after: Floats) -> Floats:
        told, old, new = (log_odds(tell_above(part)) for part in (outputs, before, after))
        return self.outputs_of(told + new - old)

    @property
    def loss(self) -> Callable[[Any, Any], Any]:
        from keras import ops

        def measure(targets: Any, outputs: Any) -> Any:
            wanted = 1 - ops.cumsum(ops.cast(targets, "float32"), axis=1)[:, :-1]
            above = 1 - ops.cumsum(ops.cast(outputs, "float32"), axis=1)[:, :-1]
            above = ops.clip(above, EPSILON, 1 - EPSILON)
            losses = wanted * ops.log(above) + (1 - wanted) * ops.log(1 - above)
            return -ops.sum(losses, axis=1)

        return measure

    def logits_loss(self, logits: Floats, targets: Floats, weights: Floats | None = None) -> float:
        losses = self._cross_entropies(logits, targets)
        return float(losses.sum() if weights is None else weights @ losses)

    def loss_slopes(self, logits: Floats, targets: Floats) -> Floats:
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))) - tell_above(targets))

    def excess_losses(self, logits: Floats, targets: Floats) -> NDArray[np.float64]:
        entropies = ranked_losses(targets, targets)
        return np.asarray(self._cross_entropies(logits, targets) - entropies, np.float64)

    def _cross_entropies(self, logits: Floats, targets: Floats) -> Floats:
        return np.asarray((np.logaddexp(0, logits) - tell_above(targets) * logits).sum(axis=1))

    def log_loss(self, outputs: Floats, targets: Floats, weights: Floats | None = None) -> float:
        losses = ranked_losses(outputs, targets)
        return float(np.average(losses, weights=weights))

    def evaluate(
        self, labels: Sequence[str], outputs: Floats, weights: Sequence[float] | None = None
    ) -> dict[str, Any]:
        """Return the figures of a single label, and those of the labels as numbers: `mae` of the
        answers; all others, and `value_mae`, of the means that the probabilities tell."""
        figures = super().evaluate(labels, outputs, weights)
        values = np.array(self.task.values)
        columns = {label: column for column, label in enumerate(self.task.labels)}
        numbers = values[[columns[str(label)] for label in labels]]
        told = np.asarray(outputs, np.float64) @ values
        found = measure_errors(numbers, told)
        mae = float(np.abs(values[self.task.choose_all(outputs)] - numbers).mean())
        return figures | found | {"mae": mae, "value_mae": found["mae"]}

    def format_evaluation(self, figures: Mapping[str, Any]) -> str:
        lines = [*format_errors(figures)[1:], ""]
        return "\n".join(lines) + super().format_evaluation(figures)


def _check_numbers(part: Dataset) -> None:
    known: set[str] = {""}  # what has no label is told by `SingleLabelObjective.check`
    for row, label in enumerate(part.labels, start=1):
        if label in known and not hasattr(label, "probabilities"):
            continue
        for name in list_labels([label]):
            try:
                read_number(name)
            except DataError as error:
                raise DataError(
                    f"{part.path}: row {row}: column {part.label_column!r} {error}. Mend the cell, "
                    "remove the row, or leave --task out."
                ) from None
        known.add(label)


OBJECTIVE: type[Objective] = OrdinalObjective
