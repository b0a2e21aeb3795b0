"""Objectives of two labels and more, and rows for them."""

from pathlib import Path

from handler.inference.tasks import SingleLabel
from training.objectives.single_label import SingleLabelObjective
from training.rows.readers import Dataset


def make_dataset(labels: list[str], name: str = "rows.csv") -> Dataset:
    """Return rows of empty texts."""
    return Dataset([""] * len(labels), labels, None, Path(name), "")


def single_label(num_labels: int) -> SingleLabelObjective:
    """Return the objective of the labels "label 0", "label 1" ..."""
    return SingleLabelObjective(SingleLabel([f"label {number}" for number in range(num_labels)]))
