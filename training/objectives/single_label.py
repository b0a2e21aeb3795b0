"""A single label: targets, head, loss and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import MAX_LABELS, SingleLabel
from training.answers.decisions import (
    AIMS,
    check_decision,
    decide,
    describe_decision,
    find_exit_margins,
)
from training.errors import DataError
from training.figures.confusions import format_classification, write_confusions
from training.figures.metrics import (
    calibration_error,
    calibration_noise,
    confidence_interval,
    count_confusions,
    headline,
    measure_classes,
)
from training.figures.precision_recall import average_precision, keep_curves
from training.rows.cells import describe_empty_cell
from training.rows.numbers import have_commas
from training.rows.readers import Dataset
from training.rows.soft_labels import SoftLabel, list_labels
from training.rows.unknown_labels import check_known, check_same
from training.tasks import EPSILON, SELECTIVE_AIMS, Floats, Objective, check_aims, check_fields

if TYPE_CHECKING:
    import keras


class SingleLabelObjective:
    """One label a text: a target is 1 in the label's column, or the probabilities of a soft label;
    the loss is the cross-entropy.

    Two labels need one logit, the log odds of the second; that of the first is then 0. So a half of
    a model, and the table of phrases with it, need not hold the same weights twice.
    """

    scales_each = False
    score_name = "accuracy"
    loss_name = "log loss"
    linear = "balanced"
    has_margin = True
    known_aims: Sequence[str] = (*AIMS, *SELECTIVE_AIMS)

    def __init__(self, task: SingleLabel, aims: Mapping[str, Any] | None = None) -> None:
        self.task = task
        self.aims = dict(aims or {})
        self.settled: Mapping[str, Any] = {}
        check_aims(task.kind, self.aims, self.known_aims)
        check_decision(task, self.aims)
        self.num_logits = 1 if task.num_outputs == 2 else task.num_outputs

    @property
    def settles(self) -> bool:
        return bool(self.aims.keys() & {*AIMS})

    @staticmethod
    def find_task(labels: Sequence[str], given: Mapping[str, Any]) -> SingleLabel:
        """Return the choice between all labels, sorted: ["pos", "neg", "pos"] -> neg or pos."""
        check_fields(SingleLabel.kind, given)
        return SingleLabel(sorted(list_labels(labels)))

    @property
    def loss(self) -> Callable[[Any, Any], Any]:
        import keras

        return cast(Callable[[Any, Any], Any], keras.losses.categorical_crossentropy)

    def check(self, train: Dataset, *others: Dataset) -> None:
        """Raise DataError unless every row has a label, `train` has two labels or more, with two
        rows or more each, and the `others` have no label that it lacks.

        Of soft labels, a label may be the most probable one of one row or of none.
        """
        for part in (train, *others):
            if "" in part.labels:
                row = part.labels.index("") + 1
                raise DataError(describe_empty_cell(part.path, row, part.label_column))
        counts = Counter(map(str, train.labels))
        known = list_labels(train.labels)
        if len(known) > MAX_LABELS:
            raise DataError(
                f"{train.path}: has {len(known)} labels, wanted {MAX_LABELS} at most. Is this the "
                "right --label-column?"
            )
        if len(counts) < 2:
            raise DataError(
                f"{train.path}: every row has the label {train.labels[0]!r}, wanted two labels or "
                "more. Is this the right --label-column?"
            )
        soft = list_labels(label for label in train.labels if isinstance(label, SoftLabel))
        rare = sorted(label for label, count in counts.items() if count < 2 and label not in soft)
        if rare and have_commas(train.labels):
            raise DataError(
                f"{train.label_place} holds numbers with commas, {len(rare):,} of them in one row "
                "only. Write decimal points (1234.5): then they are learned as numbers, by --task "
                "regression."
            )
        if rare:
            names = ", ".join(repr(label) for label in rare[:5]) + (" …" if len(rare) > 5 else "")
            raise DataError(
                f"{train.path}: {len(rare)} of {len(counts)} labels have one row only ({names}), "
                "wanted two or more: one to learn from, one to check. Add rows, or merge the "
                "labels; with this many labels, is this the right --label-column?"
            )
        for other in others:
            check_same(other.path, other.labels, known, train.path)

    def strata(self, targets: Floats) -> Sequence[Hashable]:
        columns: list[int] = targets.argmax(axis=1).tolist()
        return columns

    def encode(self, labels: Sequence[str]) -> NDArray[np.float32]:
        targets = self._encode_hard(labels)
        check_known(labels, self.task.labels)
        columns = {label: column for column, label in enumerate(self.task.labels)}
        for row, label in enumerate(labels):
            if isinstance(label, SoftLabel):
                targets[row] = 0
                for name, probability in label.probabilities.items():
                    targets[row, columns[name]] = probability
        return targets

    def _encode_hard(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Return 1 in the column of each row's label, of a soft one the likeliest."""
        columns = {label: column for column, label in enumerate(self.task.labels)}
        if "" in labels:
            row = labels.index("") + 1
            raise DataError(f"row {row} has no label. Remove the row or fill the cell.")
        check_known([str(label) for label in labels], columns)
        label_ids = [columns[label] for label in labels]
        return np.eye(len(columns), dtype=np.float32)[label_ids]

    def add_head(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Return the softmax of the logits; of two labels the first gets the logit 0."""
        from keras import layers, ops

        if self.num_logits < self.task.num_outputs:
            logits = ops.pad(logits, ((0, 0), (1, 0)))
        return layers.Activation("softmax", name="outputs")(logits)

    def add_learner(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        return self.add_head(logits)

    def fit_head(
        self,
        model: keras.Model,
        logits: Floats,
        targets: Floats,
        weights: Floats | None = None,
    ) -> None:
        """Do nothing: a softmax has no weights."""

    def add_margin(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        from keras import ops

        if self.num_logits == 1:  # the other answer's logit is 0
            return ops.abs(logits)
        highest, _ = ops.top_k(logits, 2)
        return highest[:, :1] - highest[:, 1:]

    def exit_margins(self, exits: Floats, full: Floats) -> tuple[Floats, Floats]:
        return find_exit_margins(self.task, self.output_logits(exits), self.output_logits(full))

    def output_logits(self, logits: Floats) -> Floats:
        num_left_out = self.task.num_outputs - self.num_logits
        return np.pad(logits, ((0, 0), (num_left_out, 0)))

    def outputs_of(self, logits: Floats) -> Floats:
        return _softmax(self.output_logits(logits))

    def logit_targets(self, targets: Floats) -> Floats:
        return targets[:, -self.num_logits :]

    def rough_logits(self, sides: Floats) -> Floats:
        return sides - 0.5

    def shift_outputs(self, outputs: Floats, before: Floats, after: Floats) -> Floats:
        logs, old, new = (np.log(np.maximum(part, EPSILON)) for part in (outputs, before, after))
        return _softmax(logs + new - old)

    def logits_loss(self, logits: Floats, targets: Floats, weights: Floats | None = None) -> float:
        losses = self._cross_entropies(logits, targets)
        return float(losses.sum() if weights is None else weights @ losses)

    def loss_slopes(self, logits: Floats, targets: Floats) -> Floats:
        return self.logit_targets(self.outputs_of(logits) - targets)

    def excess_losses(self, logits: Floats, targets: Floats) -> NDArray[np.float64]:
        entropies = -(targets * np.log(np.maximum(targets, EPSILON))).sum(axis=1)
        return np.asarray(self._cross_entropies(logits, targets) - entropies, np.float64)

    def _cross_entropies(self, logits: Floats, targets: Floats) -> Floats:
        logits = self.output_logits(logits)
        logits = logits - logits.max(axis=1, keepdims=True)
        return np.asarray(np.log(np.exp(logits).sum(axis=1)) - (targets * logits).sum(axis=1))

    def log_loss(self, outputs: Floats, targets: Floats, weights: Floats | None = None) -> float:
        losses = -(targets * np.log(np.maximum(outputs, EPSILON))).sum(axis=1, dtype=np.float64)
        return float(np.average(losses, weights=weights))

    def row_scores(self, outputs: Floats, targets: Floats) -> NDArray[np.float64]:
        """Return 1 where the answer is the true label, else 0."""
        is_right: NDArray[np.bool_] = self.task.choose_all(outputs) == targets.argmax(axis=1)
        return is_right.astype(np.float64)

    def mistake_scores(self, outputs: Floats, targets: Floats) -> Floats:
        right = self.row_scores(outputs, targets)
        chosen = self.task.choose_all(outputs)[:, None]
        told = np.take_along_axis(outputs, chosen, axis=1)[:, 0]
        return np.asarray(np.where(right > 0, -1.0, told))

    def settle(
        self, outputs: Floats, targets: Floats, weights: Floats | None = None
    ) -> SingleLabelObjective:
        if not self.settles:
            return self
        task, settled = decide(self.task, self.aims, outputs, targets, weights)
        objective = SingleLabelObjective(task, self.aims)
        objective.settled = settled
        return objective

    def describe_settled(self, settled: Mapping[str, Any]) -> str:
        return describe_decision(settled)

    def evaluate(
        self, labels: Sequence[str], outputs: Floats, weights: Sequence[float] | None = None
    ) -> dict[str, Any]:
        targets = self._encode_hard(labels)
        label_ids, predicted = targets.argmax(axis=1), self.task.choose_all(outputs)
        confusions = count_confusions(label_ids, predicted, self.task.num_outputs)
        classes = measure_classes(confusions, self.task.labels)
        for column, figures in enumerate(classes.values()):
            is_label = label_ids == column
            figures["average_precision"] = average_precision(outputs[:, column], is_label)
        # Rows sum to 1 within float32's rounding only, which would move some across a bin's edge.
        rows = np.asarray(outputs, np.float64)
        rows = rows / rows.sum(axis=1, keepdims=True)
        # Over the labels that stand in the data: one that does not has no F1.
        present = [figures for figures in classes.values() if figures["rows"]]
        f1, recalls, areas = (
            [figures[name] for figures in present] for name in ("f1", "recall", "average_precision")
        )
        return {
            "rows": len(labels),
            "accuracy": (accuracy := float(self.row_scores(outputs, targets).mean())),
            "accuracy_interval": confidence_interval(accuracy, len(labels)),
            "majority_accuracy": max(Counter(map(str, labels)).values()) / len(labels),
            "balanced_accuracy": float(np.mean(recalls)),
            "macro_f1": float(np.mean(f1)),
            "average_precision": float(np.mean(areas)),
            "log_loss": self.log_loss(outputs, targets),
            "calibration_error": calibration_error(label_ids, rows),
            "calibration_noise": calibration_noise(rows),
            "classes": classes,
            "labels": list(self.task.labels),
            "confusion_matrix": confusions.tolist(),
            "precision_recall": keep_curves(
                self.task.labels, outputs, label_ids, classes, tuple(self.task.thresholds)
            ),
        } | self._evaluate_weighted(outputs, targets, weights)

    def _evaluate_weighted(
        self, outputs: Floats, targets: Floats, weights: Sequence[float] | None
    ) -> dict[str, float]:
        """Return accuracy and log loss by the weights; nothing where all rows count the same."""
        if weights is None or len(set(weights)) == 1:
            return {}
        counts_as = np.asarray(weights, np.float64)
        accuracy = np.average(self.row_scores(outputs, targets), weights=counts_as)
        return {
            "weighted_accuracy": float(accuracy),
            "weighted_log_loss": self.log_loss(outputs, targets, counts_as),
        }

    def format_evaluation(self, figures: Mapping[str, Any]) -> str:
        return format_classification(figures, self.loss_name)

    def headline(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        return headline(figures)

    def write_plots(self, figures: Mapping[str, Any], folder: Path) -> dict[str, str]:
        """Draw the confusion matrix, of many labels the most confused, and what each label's
        precision is at each recall; the whole matrix goes to a CSV."""
        from training.figures.plots import DRAWN_LABELS, plot_confusion, plot_precision_recall

        plot_confusion(figures, folder / "confusion_matrix.png")
        plots = {"Confusion matrix": "confusion_matrix.png"}
        if len(figures["labels"]) > DRAWN_LABELS:
            write_confusions(figures, folder / "confusion_matrix.csv")
            plots["The whole confusion matrix"] = "confusion_matrix.csv"
        plot_precision_recall(figures, folder / "precision_recall.png")
        plots["Precision and recall"] = "precision_recall.png"
        return plots


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


OBJECTIVE: type[Objective] = SingleLabelObjective
