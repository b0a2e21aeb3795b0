"""Class weights: what a mistake on a row of each label costs.

They multiply the weights of the rows in the loss of what gradient descent fits. The linear half
counts all labels the same whatever they weigh (`training/linear/weights.py`): there they would
cancel. Probabilities are those of the rows as they come: what mixes the halves, calibrates them and
is reported does not count the costs. The answer is the label that costs least to be wrong about
(`training/answers/decisions.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import SettingsError
from training.rows.readers import Dataset
from training.tasks import Floats, Objective, make_objective

BALANCED = "balanced"
AIM = "class_weight"
SMALLEST, LARGEST = 1e-6, 1e6
MAX_BYTES = 4 << 20  # 10,000 labels are 3 MB at most
WANTED = 'wanted "balanced", or a JSON object such as {"spam": 5, "ham": 1}, or a file of one'


def read_class_weight(given: str) -> str | dict[str, float]:
    """Return what `--class-weight` names: "balanced", or a weight for each label.

    Args:
        given: As it was typed: "balanced", a JSON object, or the path of a file of one.

    Raises:
        SettingsError: It is none of these, or holds what is no weight.
    """
    if given.strip() == BALANCED:
        return BALANCED
    where, text = "--class-weight", given
    if not given.lstrip().startswith("{"):
        where, text = f"--class-weight {given}", _read_file(given)
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise SettingsError(f"{where}: is not JSON, {WANTED}.") from None
    if not text.lstrip().startswith("{"):
        raise SettingsError(f"{where}: is no JSON object, {WANTED}.")
    if not pairs:
        raise SettingsError(f"{where}: names no label, {WANTED}.")
    weights: dict[str, float] = {}
    for label, weight in pairs:
        if label in weights:
            raise SettingsError(f"{where}: the label {label!r} stands twice.")
        weights[label] = check_weight(label, weight, where)
    return weights


def _read_file(given: str) -> str:
    path = Path(given)
    try:
        content = path.read_bytes()[: MAX_BYTES + 1]
    except (OSError, ValueError) as error:
        raise SettingsError(f"--class-weight {given}: no such file, and no JSON; {WANTED}.") from (
            error
        )
    if len(content) > MAX_BYTES:
        raise SettingsError(f"--class-weight {given}: has over {MAX_BYTES >> 20} MB, {WANTED}.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"--class-weight {given}: is not UTF-8, {WANTED}.") from None


def check_weight(label: str, weight: object, where: str = "--class-weight") -> float:
    """Return a weight as a number; raises SettingsError for what is none."""
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not SMALLEST <= weight <= LARGEST:  # type: ignore[operator]  # nor NaN
        kind = f"{weight!r:.40}" if is_number else f"a JSON {type(weight).__name__}"
        raise SettingsError(
            f"{where}: the weight of {label!r} is {kind}, wanted a number from {SMALLEST:g} to "
            f"{LARGEST:g}."
        )
    return float(weight)  # type: ignore[arg-type]


def check_class_weight(weights: Any, labels: tuple[str, ...]) -> None:
    """Raise SettingsError unless each label has a weight, and no other; "balanced" is none yet."""
    if weights == BALANCED:
        return
    known = set(labels)
    if unknown := sorted(set(weights) - known):
        raise SettingsError(
            f"--class-weight: no row has the label {unknown[0]!r}; the labels are {_name(labels)}."
        )
    if missing := [label for label in labels if label not in weights]:
        raise SettingsError(
            f"--class-weight: the label {missing[0]!r} has no weight, nor have "
            f"{len(missing) - 1} others. Give each label one."
            if len(missing) > 1
            else f"--class-weight: the label {missing[0]!r} has no weight. Give each label one."
        )
    for label, weight in weights.items():
        check_weight(label, weight)


def _name(labels: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, labels[:10]))
    return f"{shown} and {len(labels) - 10} more" if len(labels) > 10 else shown


def settle_balance(objective: Objective, train: Dataset) -> Objective:
    """Return the objective with numbers in place of "balanced", as scikit-learn has it: all rows
    over the number of labels and the rows of the label, rows by their weights."""
    if objective.aims.get(AIM) != BALANCED:
        return objective
    targets = objective.encode(train.labels)
    weights = np.ones(len(targets)) if train.weights is None else np.asarray(train.weights)
    counts = (weights / weights.max()) @ targets
    present = counts > 0  # a soft label may name one that no row has
    means = counts[present].sum() / present.sum()
    balanced = np.where(present, means / np.maximum(counts, 1e-300), 1.0)
    names = objective.task.describe()["labels"]
    costs = {
        name: float(f"{weight:.6g}")
        for name, weight in zip(names, balanced.clip(SMALLEST, LARGEST), strict=True)
    }
    return make_objective(objective.task, {**objective.aims, AIM: costs})


def weigh_rows(objective: Objective, targets: Floats) -> NDArray[np.float32] | None:
    """Return the cost of each row by its label, float32, shape (rows,), of a soft label the mean;
    None where no class weights were given.

    Args:
        targets: Shape (rows, num_outputs), each of which sums to 1.
    """
    costs: Mapping[str, float] | None = objective.aims.get(AIM)
    if costs is None:
        return None
    names = objective.task.describe()["labels"]
    return np.asarray(targets @ np.array([costs[name] for name in names]), np.float32)
