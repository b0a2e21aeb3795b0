"""Several labels: targets, head, loss, thresholds and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import MAX_LABELS, MultiLabel
from training.answers import label_thresholds as thresholds
from training.answers.decisions import MACRO_F1
from training.answers.odds import log_odds
from training.answers.promises import check_share
from training.errors import DataError, SettingsError
from training.figures.label_figures import format_figures, measure
from training.figures.metrics import headline
from training.rows.label_sets import LabelSet, names_of, shares_of
from training.rows.readers import Dataset
from training.rows.unknown_labels import check_known, check_same
from training.tasks import EPSILON, Floats, Objective, check_aims, check_fields

if TYPE_CHECKING:
    import keras

LEAST_SHARE = 1e-3  # of what least squares say, which may be below 0: its log odds are finite


class MultiLabelObjective:
    """Each label for itself: a target is 1 in the column of each label that the row has, or its
    probability.

    The loss is the binary cross-entropy, summed over the labels: minus the logarithm of the
    probability of just this set of labels. So a label's loss, and what a prior of so many rows is
    worth beside it, does not depend on how many other labels there are, as in a mean it would.
    """

    scales_each = True
    linear = "several"
    settles = True
    has_margin = True
    score_name = "sample_f1"
    loss_name = "log loss"

    def __init__(self, task: MultiLabel, aims: Mapping[str, Any] | None = None) -> None:
        self.task = task
        self.aims = dict(aims or {})
        self.settled: Mapping[str, Any] = {}
        check_aims(task.kind, self.aims, ("min_precision", "decide"))
        check_share(self.aims, "min_precision")
        if (way := self.aims.get("decide", MACRO_F1)) != MACRO_F1:
            raise SettingsError(f"--decide is {way!r}, wanted {MACRO_F1} of several labels.")
        if "min_precision" in self.aims and "decide" in self.aims:
            raise SettingsError(f"--min-precision and --decide {way}: wanted one of them.")
        self.num_logits = task.num_outputs

    @staticmethod
    def find_task(labels: Sequence[str], given: Mapping[str, Any]) -> MultiLabel:
        """Return the task of all labels, sorted: ["a", "b"], ["a"] -> a and b, each or none."""
        check_fields(MultiLabel.kind, given)
        return MultiLabel(sorted(_list_known(labels)))

    @property
    def loss(self) -> Callable[[Any, Any], Any]:
        from keras import losses

        def sum_losses(targets: Any, outputs: Any) -> Any:
            return self.num_logits * losses.binary_crossentropy(targets, outputs)

        return sum_losses

    def check(self, train: Dataset, *others: Dataset) -> None:
        """Raise DataError unless `train` has two labels or more, with two rows or more each, and
        the `others` have no label that it lacks. A row may be without any label."""
        known = _list_known(train.labels)
        where = train.label_place
        is_separated = bool(train.columns.separator)
        separator = " and --label-separator" if is_separated else ""
        if len(known) > MAX_LABELS:
            raise DataError(
                f"{where} has {len(known):,} labels, wanted {MAX_LABELS:,} at most. Is this the "
                f"right --label-column{separator}?"
            )
        if len(known) < 2:
            found = "has no label in any row" if not known else "has one label only"
            cure = (
                "are the labels separated by what --label-separator says? " if is_separated else ""
            )
            raise DataError(
                f"{where} {found}, wanted two or more. Is this the right --label-column? {cure}"
                "A label that a text has or has not is one of two for --task single-label"
            )
        counts = Counter(name for label in train.labels for name in names_of(label))
        soft = {
            name
            for label in train.labels
            if isinstance(label, LabelSet) and label.is_soft
            for name in label.probabilities
        }
        if missing := sorted(name for name in known - soft if not counts[name]):
            raise DataError(
                f"{train.path}: no row has the label {missing[0]!r}"
                + (f", nor {len(missing) - 1:,} others" if len(missing) > 1 else "")
                + ". Add rows that have it, or leave it out of --label-columns."
            )
        _check_rare(train, counts, known, known - soft)
        for other in others:
            check_same(other.path, other.labels, known, train.path)

    def strata(self, targets: Floats) -> Sequence[Hashable]:
        """Return for each row the columns of its labels."""
        has = np.asarray(targets) >= thresholds.HALF
        return [frozenset(np.flatnonzero(row).tolist()) for row in has]

    def encode(self, labels: Sequence[str]) -> NDArray[np.float32]:
        columns = {label: column for column, label in enumerate(self.task.labels)}
        check_known(labels, columns)
        targets = np.zeros((len(labels), len(columns)), np.float32)
        for row, label in enumerate(labels):
            for name, share in shares_of(label).items():
                targets[row, columns[name]] = share
        return targets

    def add_head(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        from keras import layers

        return layers.Activation("sigmoid", name="outputs")(logits)

    def add_learner(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        return self.add_head(logits)

    def fit_head(
        self,
        model: keras.Model,
        logits: Floats,
        targets: Floats,
        weights: Floats | None = None,
    ) -> None:
        """Leave the head as it is: it has no weights."""

    def add_margin(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Return how far the least certain label is from a probability of 0.5."""
        from keras import ops

        return ops.min(ops.abs(logits), axis=1, keepdims=True)

    def exit_margins(self, exits: Floats, full: Floats) -> tuple[Floats, Floats]:
        """Return `add_margin` of the exit's logits; and how far the label that is nearest to its
        own threshold in the whole model is on the exit's side of it."""
        bounds = log_odds(np.asarray(self.task.thresholds))
        sides = np.where(exits >= bounds, 1.0, -1.0)
        return np.abs(exits).min(axis=1), (sides * (full - bounds)).min(axis=1)

    def output_logits(self, logits: Floats) -> Floats:
        return logits

    def outputs_of(self, logits: Floats) -> Floats:
        return _sigmoid(logits)

    def logit_targets(self, targets: Floats) -> Floats:
        return targets

    def rough_logits(self, sides: Floats) -> Floats:
        return log_odds(np.clip(sides, LEAST_SHARE, 1 - LEAST_SHARE))

    def shift_outputs(self, outputs: Floats, before: Floats, after: Floats) -> Floats:
        kept, old, new = (log_odds(np.asarray(part)) for part in (outputs, before, after))
        return _sigmoid(kept + new - old)

    def logits_loss(self, logits: Floats, targets: Floats, weights: Floats | None = None) -> float:
        losses = self._cross_entropies(logits, targets)
        return float(losses.sum() if weights is None else weights @ losses)

    def loss_slopes(self, logits: Floats, targets: Floats) -> Floats:
        return np.asarray(_sigmoid(logits) - targets)

    def excess_losses(self, logits: Floats, targets: Floats) -> NDArray[np.float64]:
        certain = np.clip(targets, EPSILON, 1 - EPSILON)
        entropies = -(targets * np.log(certain) + (1 - targets) * np.log1p(-certain)).sum(axis=1)
        return np.asarray(self._cross_entropies(logits, targets) - entropies, np.float64)

    def _cross_entropies(self, logits: Floats, targets: Floats) -> Floats:
        return np.asarray((np.logaddexp(0, logits) - targets * logits).sum(axis=1))

    def log_loss(self, outputs: Floats, targets: Floats, weights: Floats | None = None) -> float:
        kept = np.clip(np.asarray(outputs, np.float64), EPSILON, 1 - EPSILON)
        losses = -(targets * np.log(kept) + (1 - targets) * np.log1p(-kept)).sum(axis=1)
        return float(np.average(losses, weights=weights))

    def row_scores(self, outputs: Floats, targets: Floats) -> NDArray[np.float64]:
        """Return the F1 of each row's labels; 1 where there are none and none are given."""
        given, true = self.task.is_over(outputs), np.asarray(targets) >= thresholds.HALF
        both, all_ = (given & true).sum(axis=1), given.sum(axis=1) + true.sum(axis=1)
        return np.where(all_ > 0, 2 * both / np.maximum(all_, 1), 1.0)

    def mistake_scores(self, outputs: Floats, targets: Floats) -> Floats:
        """Return the largest difference of a label that is wrong, of -1 where none is."""
        wrong = self.task.is_over(outputs) != (np.asarray(targets) >= thresholds.HALF)
        return np.asarray(np.where(wrong, np.abs(outputs - targets), -1.0).max(axis=1))

    def settle(
        self, outputs: Floats, targets: Floats, weights: Floats | None = None
    ) -> MultiLabelObjective:
        """Return the objective with the threshold of each label at which its F1 is highest, or that
        keeps `min_precision`."""
        counted = np.ones(len(outputs)) if weights is None else np.asarray(weights, np.float64)
        settled: Mapping[str, Any] = {}
        if "min_precision" in self.aims:
            found, settled = thresholds.keep_precisions(
                self.task.labels, outputs, targets, counted, self.aims["min_precision"]
            )
        else:
            found = thresholds.maximize_f1(outputs, targets, counted)
        objective = MultiLabelObjective(MultiLabel(self.task.labels, found), self.aims)
        objective.settled = settled
        return objective

    def describe_settled(self, settled: Mapping[str, Any]) -> str:
        return thresholds.describe_precisions(settled) if settled else ""

    def evaluate(
        self, labels: Sequence[str], outputs: Floats, weights: Sequence[float] | None = None
    ) -> dict[str, Any]:
        targets = (self.encode(labels) >= thresholds.HALF).astype(np.float32)
        scores = self.row_scores(outputs, targets)
        figures = measure(self.task, outputs, targets)
        figures |= {"sample_f1": float(scores.mean()), "log_loss": self.log_loss(outputs, targets)}
        if weights is not None and len(set(weights)) > 1:
            counts_as = np.asarray(weights, np.float64)
            figures["weighted_sample_f1"] = float(np.average(scores, weights=counts_as))
            figures["weighted_log_loss"] = self.log_loss(outputs, targets, counts_as)
        return figures

    def format_evaluation(self, figures: Mapping[str, Any]) -> str:
        return format_figures(figures)

    def headline(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        return headline(figures)

    def write_plots(self, figures: Mapping[str, Any], folder: Path) -> dict[str, str]:
        """Draw what each label's answers are worth, and whether probabilities are true."""
        from training.figures.label_plots import plot_labels, plot_reliability

        plot_labels(figures, folder / "labels.png")
        plot_reliability(figures, folder / "calibration.png")
        return {"Labels": "labels.png", "Calibration": "calibration.png"}


def _check_rare(train: Dataset, counts: Counter[str], known: set[str], hard: set[str]) -> None:
    """Raise DataError for labels of one row only, of those that rows have or have not."""
    rare = sorted(name for name in hard if counts[name] < 2)
    if rare:
        row = next(n for n, label in enumerate(train.labels, 1) if rare[0] in names_of(label))
        names = ", ".join(map(repr, rare[:5])) + (" …" if len(rare) > 5 else "")
        cure = "take the label out of the cell, or merge it with another"
        if train.columns.labels:
            cure = "leave the label out of --label-columns, or merge it with another"
        doubt = "; is this the right --label-separator?" if train.columns.separator else ""
        raise DataError(
            f"{train.label_place}: {len(rare):,} of {len(known):,} labels have one row only "
            f"({names}; the first is in row {row:,}), wanted two or more: one to learn from, one "
            f"to check. Add rows, {cure}{doubt or '.'}"
        )


def _list_known(labels: Sequence[str]) -> set[str]:
    """Return every label that rows have or may have: those of probability 0 too."""
    return {name for label in labels for name in shares_of(label)}


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


OBJECTIVE: type[Objective] = MultiLabelObjective
