"""Objectives of two labels and more."""

from handler.inference.tasks import SingleLabel
from training.objectives.single_label import SingleLabelObjective


def single_label(num_labels: int) -> SingleLabelObjective:
    """Return the objective of the labels "label 0", "label 1" ..."""
    return SingleLabelObjective(SingleLabel([f"label {number}" for number in range(num_labels)]))
