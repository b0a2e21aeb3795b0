"""Regression: targets, head, losses and figures of numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import Regression
from training.answers.intervals import find_interval
from training.answers.isotonic import Curve, draw_line, fit_curve, tell_out_of_folds
from training.errors import SettingsError
from training.figures.metrics import headline
from training.figures.number_figures import format_numbers, measure_numbers
from training.fitting.losses import HUBER, LOSSES, SQUARED, make_keras_loss, measure_loss
from training.rows.numbers import check_spread, find_numbers, read_column, read_numbers
from training.rows.readers import Dataset
from training.tasks import Floats, Objective, check_aims, check_fields

if TYPE_CHECKING:
    import keras

COVERAGE = 0.9  # of the interval, unless told
# Parts of the numbers that a split keeps in proportion, and the rows that one needs: of fewer none
# could be held out.
NUM_STRATA, ROWS_PER_STRATUM = 10, 4
ROOM = 8.0  # standard deviations that an answer may be from the mean where nothing is clipped


class RegressionObjective:
    """One number a text: the target is the number itself. The logit is the number in standard
    deviations from the mean, and a curve (`training/blocks/curve.py`) makes of it the answer.

    The logit is fitted by the loss; so is the curve, by rows that the model was not fitted to.
    """

    score_name = "skill"
    loss_name = "loss"
    num_logits = 1
    linear = "squared"
    settles = True
    has_margin = False
    scales_each = False
    settled: Mapping[str, Any] = {}

    def __init__(self, task: Regression, aims: Mapping[str, Any] | None = None) -> None:
        self.task = task
        self.aims = dict(aims or {})
        check_aims(task.kind, self.aims, ("loss", "coverage"))
        self.loss_kind: str = self.aims.get("loss", SQUARED)
        if self.loss_kind not in LOSSES:
            raise SettingsError(f"there is no loss {self.loss_kind!r}, wanted {', '.join(LOSSES)}.")
        self.coverage: float = self.aims.get("coverage", COVERAGE)
        if not 0 < self.coverage < 1:
            raise SettingsError(f"--coverage is {self.coverage:g}, wanted a share between 0 and 1.")

    @staticmethod
    def find_task(labels: Sequence[str], given: Mapping[str, Any]) -> Regression:
        """Return the task of numbers between the lowest and the highest of the labels."""
        check_fields(Regression.kind, given, ("clips",))
        numbers = find_numbers(labels)
        if len(numbers) == 0 or not numbers.std() > 0:  # `check` tells which row is why
            numbers = np.array([-1.0, 1.0])
        lowest, highest = float(numbers[0]), float(numbers[-1])
        mean = min(max(float(numbers.mean()), lowest), highest)
        return Regression(lowest, highest, mean, float(numbers.std()), given.get("clips", True))

    @property
    def loss(self) -> Callable[[Any, Any], Any]:
        """Of absolute errors too Huber's, which has a slope that ends at 0: the curve makes the
        median of what the logit tells."""
        trained = SQUARED if self.loss_kind == SQUARED else HUBER
        return make_keras_loss(trained, self.task.standard_deviation)

    def check(self, train: Dataset, *others: Dataset) -> None:
        """Raise DataError unless every row has a number, and those of `train` differ."""
        check_spread(read_column(train), train)
        for other in others:
            read_column(other)

    def strata(self, targets: Floats) -> Sequence[Hashable]:
        """Return for each row the tenth of the numbers that it stands in."""
        numbers = targets[:, 0]
        num_strata = max(1, min(NUM_STRATA, len(numbers) // ROWS_PER_STRATUM))
        edges = np.unique(np.quantile(numbers, np.arange(1, num_strata) / num_strata))
        parts: list[int] = np.searchsorted(edges, numbers, side="left").tolist()
        return parts

    def encode(self, labels: Sequence[str]) -> NDArray[np.float32]:
        return self._read(labels).astype(np.float32)[:, None]

    def _read(self, labels: Sequence[str]) -> NDArray[np.float64]:
        return read_numbers(labels, lambda row: f"row {row}: the label")

    def add_head(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        from training.blocks.curve import add_curve

        return add_curve(logits, self._line())

    def add_learner(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        return self.add_head(logits)

    def fit_head(
        self,
        model: keras.Model,
        logits: Floats,
        targets: Floats,
        weights: Floats | None = None,
    ) -> None:
        """Bend the curve of the model, in place."""
        from training.blocks.curve import set_curve

        curve = fit_curve(logits[:, 0], targets[:, 0], self._line(), self.loss_kind, weights)
        set_curve(model, curve)

    def _line(self) -> Curve:
        """Return the line from logits to numbers that the curve is before it is bent."""
        task = self.task
        room = 0.0 if task.clips else ROOM * task.standard_deviation
        lowest, highest = task.lowest - room, task.highest + room
        return draw_line(lowest, highest, task.mean, task.standard_deviation)

    def add_margin(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        raise NotImplementedError("numbers have no next answer: `has_margin` is false")

    def output_logits(self, logits: Floats) -> Floats:
        return logits

    def exit_margins(self, exits: Floats, full: Floats) -> tuple[Floats, Floats]:
        raise NotImplementedError("of numbers nothing exits early: `has_margin` is false")

    def mistake_scores(self, outputs: Floats, targets: Floats) -> Floats:
        return np.abs(outputs - targets)[:, 0]

    def outputs_of(self, logits: Floats) -> Floats:
        """Return the numbers without the curve, which the model alone knows."""
        return np.asarray(self.task.mean + self.task.standard_deviation * logits)

    def logit_targets(self, targets: Floats) -> Floats:
        """Return the numbers in standard deviations from the mean."""
        return (targets - self.task.mean) / self.task.standard_deviation

    def rough_logits(self, sides: Floats) -> Floats:
        return sides

    def shift_outputs(self, outputs: Floats, before: Floats, after: Floats) -> Floats:
        shifted = outputs + after - before
        task = self.task
        return np.clip(shifted, task.lowest, task.highest) if task.clips else shifted

    def logits_loss(self, logits: Floats, targets: Floats, weights: Floats | None = None) -> float:
        losses = self.excess_losses(logits, targets)
        return float(losses.sum() if weights is None else weights @ losses)

    def loss_slopes(self, logits: Floats, targets: Floats) -> Floats:
        return 2 * (logits - self.logit_targets(targets))

    def excess_losses(self, logits: Floats, targets: Floats) -> NDArray[np.float64]:
        """Return squared errors, whatever the loss: they have slopes everywhere, and the curve
        behind the logits has its own."""
        errors: NDArray[np.float64] = (logits - self.logit_targets(targets))[:, 0]
        return errors**2

    def log_loss(self, outputs: Floats, targets: Floats, weights: Floats | None = None) -> float:
        """Return the mean loss of errors in standard deviations."""
        losses = measure_loss(self._errors(outputs, targets), self.loss_kind)
        return float(np.average(losses, weights=weights))

    def row_scores(self, outputs: Floats, targets: Floats) -> NDArray[np.float64]:
        """Return 1 less the error in standard deviations: 1 is exact."""
        return 1 - np.abs(self._errors(outputs, targets))

    def _errors(self, outputs: Floats, targets: Floats) -> NDArray[np.float64]:
        errors = np.asarray(outputs, np.float64)[:, 0] - np.asarray(targets, np.float64)[:, 0]
        return errors / self.task.standard_deviation

    def settle(
        self, outputs: Floats, targets: Floats, weights: Floats | None = None
    ) -> RegressionObjective:
        """Return the objective whose task knows how far from its answer the truth is."""
        ends = self._line().values[[0, -1]]
        # Of the outputs too a curve can be made, as they are in the order of the logits.
        line = draw_line(float(ends[0]), float(ends[1]), 0.0, 1.0)
        told = tell_out_of_folds(outputs[:, 0], targets[:, 0], line, self.loss_kind, weights)
        interval = find_interval(outputs[:, 0], told - targets[:, 0], self.coverage)
        fields = self.task.describe() | {"interval": interval}
        del fields["kind"]
        return RegressionObjective(Regression(**fields), self.aims)

    def describe_settled(self, settled: Mapping[str, Any]) -> str:
        return ""

    def evaluate(
        self, labels: Sequence[str], outputs: Floats, weights: Sequence[float] | None = None
    ) -> dict[str, Any]:
        numbers = self._read(labels)
        targets = numbers[:, None]
        figures = measure_numbers(numbers, np.asarray(outputs, np.float64), self.task)
        figures |= {
            self.score_name: float(self.row_scores(outputs, targets).mean()),
            "loss": self.log_loss(outputs, targets),
        }
        if weights is not None and len(set(weights)) > 1:
            counts_as = np.asarray(weights, np.float64)
            scores = self.row_scores(outputs, targets)
            figures["weighted_skill"] = float(np.average(scores, weights=counts_as))
            figures["weighted_loss"] = self.log_loss(outputs, targets, counts_as)
        return figures

    def format_evaluation(self, figures: Mapping[str, Any]) -> str:
        return format_numbers(figures)

    def headline(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        return headline(figures)

    def write_plots(self, figures: Mapping[str, Any], folder: Path) -> dict[str, str]:
        """Draw the answers over the truth."""
        from training.figures.plots import plot_numbers

        plot_numbers(figures, folder / "predictions.png")
        return {"Predicted numbers over true ones": "predictions.png"}


OBJECTIVE: type[Objective] = RegressionObjective
