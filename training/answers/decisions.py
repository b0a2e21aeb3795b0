"""Which label a row of probabilities shall answer: what may be asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import Selective, SingleLabel, Task, read_task
from training.answers.class_weights import AIM, check_class_weight
from training.answers.promises import CONFIDENCE, check_share, describe_needed, keep_promise
from training.answers.thresholds import maximize_macro_f1, weigh_costs
from training.errors import SettingsError
from training.tasks import Objective, make_objective

Floats = NDArray[np.floating[Any]]

AIMS = ("class_weight", "threshold_label", "min_precision", "min_recall", "decide")
# What `decide` can be: the most probable label, the one by which mistakes cost least by the class
# weights, or the labels by which macro F1 is highest.
MOST_PROBABLE, LEAST_COST, MACRO_F1 = "most-probable", "least-cost", "macro-f1"
WAYS = (MOST_PROBABLE, LEAST_COST, MACRO_F1)


def check_decision(task: SingleLabel, aims: Mapping[str, Any]) -> None:
    """Raise SettingsError for aims that do not fit each other or the task's labels."""
    if "class_weight" in aims:
        check_class_weight(aims["class_weight"], task.labels)
    way, label = aims.get("decide"), aims.get("threshold_label")
    if way is not None and way not in WAYS:
        raise SettingsError(f"--decide is {way!r}, wanted {', '.join(WAYS)}.")
    if way == LEAST_COST and "class_weight" not in aims:
        raise SettingsError("--decide least-cost needs --class-weight, which says the costs.")
    wanted = [name for name in ("min_precision", "min_recall") if name in aims]
    flags = [f"--{name.replace('_', '-')}" for name in wanted]
    if label is None and wanted:
        raise SettingsError(f"{flags[0]} needs --threshold-label LABEL: of which label?")
    if label is None:
        return
    if way is not None:
        raise SettingsError(f"--threshold-label and --decide {way}: wanted one of them.")
    if label not in task.labels:
        names = ", ".join(map(repr, task.labels[:10])) + (" …" if len(task.labels) > 10 else "")
        raise SettingsError(f"--threshold-label: there is no label {label!r}, wanted {names}.")
    if len(wanted) != 1:
        raise SettingsError(
            f"--threshold-label {label!r} needs --min-precision or --min-recall, and one of them."
        )
    check_share(aims, wanted[0])


def renew_aims(task: Task, known: Mapping[str, Any], aims: Mapping[str, Any]) -> Objective:
    """Return the objective of a finished run with other aims; those of another kind stay, and class
    weights.

    Args:
        task: Of the run.
        known: The run's own aims.

    Raises:
        SettingsError: Aims that do not fit the task or its labels.
    """
    is_decided = bool(aims.keys() & {*AIMS})
    kept = {
        name: value
        for name, value in known.items()
        if name == AIM or name not in AIMS or not is_decided
    }
    own = task.task if isinstance(task, Selective) else task
    optional = getattr(own, "optional_fields", {})
    fields = {name: value for name, value in own.describe().items() if name not in optional}
    return make_objective(read_task(fields), {**kept, **aims})


def decide(
    task: SingleLabel,
    aims: Mapping[str, Any],
    outputs: Floats,
    targets: Floats,
    weights: Floats | None = None,
) -> tuple[SingleLabel, dict[str, Any]]:
    """Return the task with the thresholds that the aims want, and what is to be said of them.

    Args:
        outputs, targets: Floats, shape (rows, labels), of rows that the model was not fitted to.
        weights: What each row counts, shape (rows,); None: once.
    """
    counted = np.ones(len(outputs)) if weights is None else np.asarray(weights, np.float64)
    label = aims.get("threshold_label")
    if label is not None:
        return _decide_one(task, aims, outputs, targets, counted)
    way = aims.get("decide", LEAST_COST if "class_weight" in aims else MOST_PROBABLE)
    thresholds: dict[str, float] = {}
    if way == LEAST_COST:
        thresholds = weigh_costs(task.labels, aims["class_weight"])
    if way == MACRO_F1:
        thresholds = maximize_macro_f1(task.labels, outputs, targets, counted)
    told = {"decide": way, "rows": len(outputs), "is_needed": bool(thresholds)}
    if way == MOST_PROBABLE:
        told = {}
    return SingleLabel(task.labels, thresholds), told


def _decide_one(
    task: SingleLabel, aims: Mapping[str, Any], outputs: Floats, targets: Floats, weights: Floats
) -> tuple[SingleLabel, dict[str, Any]]:
    """Return the task with a threshold of one label; without it where no threshold does."""
    label = aims["threshold_label"]
    column = task.labels.index(label)
    wanted = {name: aims[name] for name in ("min_precision", "min_recall") if name in aims}
    found = keep_promise(outputs[:, column], targets[:, column], weights, wanted)
    told = {
        "decide": "threshold",
        "label": label,
        **wanted,
        "confidence": CONFIDENCE,
        "threshold": found.threshold,
        "precision": found.precision,
        "recall": found.recall,
        "bound": found.bound,
        "is_reached": found.is_kept,
        "rows": len(outputs),
        "label_rows": found.label_rows,
        "needed_label_rows": found.needed,
    }
    return SingleLabel(task.labels, {label: found.threshold} if found.is_kept else None), told


def decide_logits(task: SingleLabel, logits: Floats) -> Floats:
    """Return logits whose largest is the answer, floats, shape (rows, labels); without thresholds
    the same ones. By how much it leads is how far the answer is from another.

    Of labels with a threshold it is how far their log odds are over it, of the others how far
    each is behind the likeliest of them.
    """
    if not task.thresholds:
        return logits
    levels = np.array([task.thresholds.get(label, np.nan) for label in task.labels])
    is_free = np.isnan(levels)
    if not is_free.any():
        return np.asarray(logits - np.log(levels))
    logits = logits.astype(np.float64)
    moved = logits.copy()
    moved[:, is_free] -= logits[:, is_free].max(axis=1, keepdims=True)
    for column in np.flatnonzero(~is_free):
        others = np.delete(logits, column, axis=1)
        odds = logits[:, column] - np.logaddexp.reduce(others, axis=1)
        level = min(levels[column], 1 - 1e-9)
        moved[:, column] = odds - np.log(level / (1 - level))
    return moved


def find_exit_margins(task: SingleLabel, exits: Floats, full: Floats) -> tuple[Floats, Floats]:
    """Return how far the most probable label leads in the exit, and how far the exit's answer leads
    in the whole model, under 0 where that answers otherwise; both floats, shape (rows,).

    Args:
        exits, full: A logit for each label, shape (rows, labels).
    """
    answers = decide_logits(task, exits).argmax(axis=1)
    return _lead(exits, exits.argmax(axis=1)), _lead(decide_logits(task, full), answers)


def _lead(logits: Floats, columns: NDArray[np.int64]) -> Floats:
    """Return by how much a column of each row is over the largest other one."""
    others = logits.astype(np.float64)
    own = np.take_along_axis(others, columns[:, None], axis=1)[:, 0]
    np.put_along_axis(others, columns[:, None], -np.inf, axis=1)
    return np.asarray(own - others.max(axis=1))


def describe_decision(told: Mapping[str, Any]) -> str:
    """Return one line about what was settled, for people; "" of the most probable label."""
    if not told:
        return ""
    if told["decide"] != "threshold":
        aim = "mistakes cost least" if told["decide"] == LEAST_COST else "macro F1 is highest"
        if not told.get("is_needed", True):
            return f"answers are the most probable labels: by them {aim} already"
        return f"answers are the labels by which {aim}, not always the most probable ones"
    name = "precision" if "min_precision" in told else "recall"
    wanted, label = told[f"min_{name}"], told["label"]
    known = (
        f"precision {told['precision']:.3f}, recall {told['recall']:.3f} on "
        f"{told['label_rows']:,} rows of it among {told['rows']:,} that were not learned from"
    )
    if told["is_reached"]:
        return (
            f"the answer is {label!r} from a probability of {told['threshold']:g} on: {known}, "
            f"which promise a {name} of {wanted:g} nine times in ten"
        )
    needed = told.get("needed_label_rows")
    return (
        f"no threshold of {label!r} keeps a {name} of {wanted:g}: the nearest has {known}, which "
        f"promise {told['bound']:.3f} nine times in ten; {describe_needed(needed, ' rows of it')}. "
        "Answers stay the most probable labels: choose another aim by minnow export RUN "
        "--threshold-label, without training again"
    )
