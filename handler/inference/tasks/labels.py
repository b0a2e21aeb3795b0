"""The labels of a task, as a manifest holds them."""

from __future__ import annotations

from handler.errors import ArtefactError
from handler.inference.checks import array, show, text

# Every answer holds a score for each label: 10,000 of 20 letters are 0.4 MB.
MAX_LABELS = 10_000
MAX_LABEL_CHARACTERS = 256  # longer ones are texts, of a column that holds no labels


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
