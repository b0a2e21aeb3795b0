"""How long a trial or the last fit will take, and what it will weigh, told from the trials."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from minnow.tune.candidates import DEFAULT, NO_ENCODER, make_settings
from minnow.tune.journal import Choices, Trial, name_choices
from training.recipe_settings import read_settings
from training.settings import count_epochs

MARGIN = 1.25  # by which a fit may take longer than was told from others
FINAL_S = 8.0  # of a processor: the last fit's report and plots, and loading what is measured
PRUNED_MODELS = 2  # that a search for a bundle within the budget fits, about
# A bundle of all rows has more words than one of a part of them. Its bytes grow as this power of
# the rows (IMDB 0.593 MB of 500 rows, 0.84 of 25,000: 0.09; TREC from 500 to 2,000 rows: 0.13).
SIZE_GROWTH = 0.12
LOAD_TRIALS = 6  # the last so many tell what share of a processor a job gets here
LEAST_SHARE = 0.3  # of a trial's time that grows with its work, however it was timed
# What a fit does beside its epochs (phrases, tables, the bundle) takes about as long as so many
# epochs of the default, until one without an encoder was timed: TREC 3, airline tweets 10; more of
# many labels.
OTHER_EPOCHS = 15.0
LEAST_OTHER, MOST_OTHER = 1.0, 100.0
WITHOUT_ENCODER = 0.5  # of the default's time, until it was timed
GIVEN_UP = 2.0  # times as long as a fit that gives its encoder up is one that keeps it
# Of an epoch, beside the LSTM (TREC, `make bench-encoders`).
ENCODER_COSTS: Mapping[str, float] = {"cnn": 0.4, "rnn": 0.6, "gru": 1.2, "transformer": 1.2}
# An epoch of another recipe, which reads all tokens in turn, beside one of the default.
STACKED_COST, STACKED_TOKENS = 4.0, 64


def estimate_trial(trials: Collection[Trial], choices: Choices, rows: int) -> float | None:
    """Return about how many seconds a trial of so many rows takes; None: nothing was timed."""
    own, default = _find_times(trials, choices), _find_times(trials, DEFAULT)
    other = _find_other(trials)
    share = _find_share(default, other)

    def scale(times: Mapping[int, float], like: Choices) -> float:
        known = max(times)
        more_work = count_work(like, rows, other) / count_work(like, known, other)
        if rows > known and _is_without_encoder(trials, like, known):
            more_work *= GIVEN_UP
        return times[known] * (1 + share * (more_work - 1))

    if own:
        known = max(own)
        if known not in default or known == max(default):
            return scale(own, choices)
        # The default was timed with more rows: by how much that took longer than was told here.
        late = scale(default, DEFAULT) / scale({known: default[known]}, DEFAULT)
        return scale(own, choices) * late
    return scale(default, DEFAULT) * guess_cost(choices, rows, other) if default else None


def estimate_fit(
    trials: Collection[Trial], choices: Choices, rows: int, num_test_rows: int = 0
) -> float | None:
    """Return about how many seconds fitting to all rows, exporting and measuring take, with a
    margin; None: nothing was timed.

    Args:
        num_test_rows: That both the Keras model and the bundle are measured on.
    """
    seconds = estimate_trial(trials, choices, rows)
    if seconds is None:
        return None
    measuring = num_test_rows * _find_row_time(trials, choices)
    return MARGIN * (seconds + measuring) + FINAL_S * _find_load(trials)


def estimate_bytes(trial: Trial, all_rows: int) -> float:
    """Return about how many bytes the bundle of all rows has; the winner's is measured."""
    return float(trial.size_bytes * (all_rows / max(1, trial.rows)) ** SIZE_GROWTH)


def count_work(choices: Choices, rows: int, other: float = OTHER_EPOCHS) -> float:
    """Return what a fit has to do, in rows of an epoch of the default: of few rows there are more
    epochs, so that it grows more slowly there than beyond.

    Args:
        other: Epochs of the default that all beside the epochs takes as long as.
    """
    settings, base = make_settings(choices, seed=0), read_settings()[0]
    if settings.encoder == "none":
        return rows * other
    epochs = count_epochs(settings, -(-rows // settings.batch_size))
    width = (settings.units[0] / base.units[0]) ** 0.7
    width *= (settings.embedding_dim / base.embedding_dim) ** 0.3
    batches = (base.batch_size / settings.batch_size) ** 0.7
    work = epochs * width * batches * ENCODER_COSTS.get(settings.encoder, 1.0)
    if settings.recipe != base.recipe:
        return float(rows * work * STACKED_COST * settings.max_length / STACKED_TOKENS)
    return float(rows * (other + work))


def guess_cost(choices: Choices, rows: int, other: float = OTHER_EPOCHS) -> float:
    """Return about how many times as long as the default a candidate takes."""
    cost = count_work(choices, rows, other) / count_work(DEFAULT, rows, other)
    return max(cost, WITHOUT_ENCODER)


def _find_times(trials: Collection[Trial], choices: Choices) -> dict[int, float]:
    """Return rows -> the longest time of a trial of a candidate."""
    name, times = name_choices(choices), dict[int, float]()
    for trial in trials:
        if not trial.error and name_choices(trial.choices) == name:
            times[trial.rows] = max(times.get(trial.rows, 0.0), trial.seconds)
    return times


def _find_other(trials: Collection[Trial]) -> float:
    """Return the epochs of the default that all beside its epochs takes as long as: told by a trial
    without an encoder and the default's of as many rows, if that kept its own."""
    alone, whole = _find_times(trials, NO_ENCODER), _find_times(trials, DEFAULT)
    both = [rows for rows in alone if rows in whole]
    rows = max(both, default=0)
    if not rows or _is_without_encoder(trials, DEFAULT, rows):
        return OTHER_EPOCHS
    epochs = count_work(DEFAULT, rows, other=0) / rows
    reading = max(1e-9, whole[rows] - alone[rows])
    return min(MOST_OTHER, max(LEAST_OTHER, epochs * alone[rows] / reading))


def _is_without_encoder(trials: Collection[Trial], choices: Choices, rows: int) -> bool:
    """Say whether a candidate that has an encoder gave it up when it was fitted to so many rows."""
    name = name_choices(choices)
    if make_settings(choices, seed=0).encoder == "none":
        return False
    own = (trial for trial in trials if name_choices(trial.choices) == name and trial.rows == rows)
    return any(not trial.error and not trial.has_encoder for trial in own)


def _find_share(times: Mapping[int, float], other: float) -> float:
    """Return the share of the default's longest time that grows with its work, told by the two
    largest sizes; the rest is the same for any number of rows."""
    if len(times) < 2:
        return 1.0
    few, many = sorted(times)[-2:]
    less_work = 1 - count_work(DEFAULT, few, other) / count_work(DEFAULT, many, other)
    if less_work <= 0:
        return 1.0
    return min(1.0, max(LEAST_SHARE, (1 - times[few] / times[many]) / less_work))


def _find_row_time(trials: Collection[Trial], choices: Choices) -> float:
    """Return the seconds in which the Keras model and the bundle answer one row; where only one of
    them was timed, the other takes as long."""
    for name in (name_choices(choices), name_choices(DEFAULT)):
        own = [trial for trial in trials if name_choices(trial.choices) == name]
        bundle = max((trial.row_s for trial in own if trial.size_bytes), default=0.0)
        keras = max((trial.row_s for trial in own if not trial.size_bytes), default=0.0)
        if bundle or keras:
            return (bundle or keras) + (keras or bundle)
    return 0.0


def _find_load(trials: Collection[Trial]) -> float:
    """Return how many seconds one of the processor takes, beside what else runs here."""
    last = [trial for trial in trials if trial.cpu_s > 0][-LOAD_TRIALS:]
    return max([1.0, *(trial.seconds / trial.cpu_s for trial in last)])
