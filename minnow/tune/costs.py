"""How long a trial or the last fit will take, told from the trials that were timed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from minnow.tune.candidates import DEFAULT
from minnow.tune.journal import Choices, Trial, name_choices
from training.recipe_settings import read_settings

MARGIN = 1.25  # by which a fit may take longer than was told from others
FINAL_S = 8.0  # of a processor: the last fit's report, plots and measurement
LOAD_TRIALS = 6  # the last so many tell what share of a processor a job gets here
FIT_GROWTH = 1.0  # how seconds grow with rows, as a power, until two sizes were timed
LEAST_GROWTH = 0.3
# About how long a candidate takes beside the default, until one like it was timed.
COSTS: Mapping[str, Mapping[Any, float]] = {
    "encoder": {"none": 0.5, "cnn": 0.9, "rnn": 0.9, "transformer": 1.5},
    "recipe": {"stacked": 2.0},
}


def estimate_trial(trials: Collection[Trial], choices: Choices, rows: int) -> float | None:
    """Return about how many seconds a trial of so many rows takes; None: nothing was timed."""
    own, default = _find_times(trials, choices), _find_times(trials, DEFAULT)
    growth = _find_growth(default)
    if own:
        known = max(own)
        return float(own[known] * (rows / known) ** growth)
    if not default:
        return None
    known = max(default)
    return float(default[known] * (rows / known) ** growth * guess_cost(choices))


def estimate_fit(trials: Collection[Trial], choices: Choices, rows: int) -> float | None:
    """Return about how many seconds fitting to all rows, exporting and measuring take, with a
    margin; None: nothing was timed."""
    seconds = estimate_trial(trials, choices, rows)
    return None if seconds is None else MARGIN * seconds + FINAL_S * _find_load(trials)


def guess_cost(choices: Choices) -> float:
    """Return about how many times as long as the default a candidate takes."""
    base = read_settings()[0]
    cost = 1.0
    for name, costs in COSTS.items():
        cost *= costs.get(choices.get(name), 1.0)
    if choices.get("encoder") == "none":
        return cost
    epochs = choices.get("epochs", base.epochs) / base.epochs
    units = choices.get("units", base.units)[0] / base.units[0]
    width = choices.get("embedding_dim", base.embedding_dim) / base.embedding_dim
    batches = base.batch_size / choices.get("batch_size", base.batch_size)
    return float(cost * epochs * units**0.7 * width**0.3 * batches**0.7)


def _find_times(trials: Collection[Trial], choices: Choices) -> dict[int, float]:
    """Return rows -> the longest time of a trial of a candidate."""
    name, times = name_choices(choices), dict[int, float]()
    for trial in trials:
        if not trial.error and name_choices(trial.choices) == name:
            times[trial.rows] = max(times.get(trial.rows, 0.0), trial.seconds)
    return times


def _find_growth(times: Mapping[int, float]) -> float:
    """Return the power by which seconds grow with rows, told by the two largest sizes."""
    if len(times) < 2:
        return FIT_GROWTH
    few, many = sorted(times)[-2:]
    growth = math.log(times[many] / times[few]) / math.log(many / few)
    return min(FIT_GROWTH, max(LEAST_GROWTH, growth))


def _find_load(trials: Collection[Trial]) -> float:
    """Return how many seconds one of the processor takes, beside what else runs here."""
    last = [trial for trial in trials if trial.cpu_s > 0][-LOAD_TRIALS:]
    return max([1.0, *(trial.seconds / trial.cpu_s for trial in last)])
