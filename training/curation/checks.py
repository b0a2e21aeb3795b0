"""What curation cannot do, said before anything is computed."""

from __future__ import annotations

from training.errors import CurationError
from training.rows.label_sets import LabelSet, find_separator
from training.rows.readers import Dataset


def check_single(dataset: Dataset) -> None:
    """Raise CurationError where rows have several labels, or look like it."""
    several = any(isinstance(label, LabelSet) for label in dataset.labels)
    if several or find_separator(dataset.labels):
        raise CurationError(
            f"{dataset.label_place} holds several labels a row, and only "
            "single ones can be looked at here. Write a file with one label a row, such as whether "
            "a text has one of them; or leave the labelled rows to a model: minnow suggest --model"
        )
