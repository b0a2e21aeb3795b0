"""What to try next, how long it will take, and what is chosen in the end.

Successive halving as it comes (asynchronous: Li et al., "A System for Massively Parallel
Hyperparameter Tuning", MLSys 2020): a candidate goes a step further, to more rows or more folds, as
soon as it is among the best third of those at its step and better than the default there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from minnow.tune.candidates import DEFAULT, NO_ENCODER, holds_more, needs_encoder, propose
from minnow.tune.costs import PRUNED_MODELS, estimate_bytes, estimate_fit, estimate_trial
from minnow.tune.folds import Folds, Step
from minnow.tune.journal import Choices, Trial, name_choices
from minnow.tune.scores import LOWER, better_by, expect_gains, mean_score
from minnow.tune.standing import Budget, Standing, is_default_out
from minnow.tune.trial import is_over

SHARE = 3  # one candidate in so many goes on to the next step
# A candidate that is better with fewer than this share of all rows may be worse with all of them:
# without an LSTM more often than not. What holds more words or phrases may not.
SURE_SHARE = 0.3
NO_LOSS = 1e-9
MOST_GIVEN_UP = 2  # encoders at a step, after which no others are tried there
Key = tuple[str, int, int]


class Schedule:
    """The trials that were made, and what follows from them.

    Args:
        trials: By key; the caller adds to them.
        list_levers: Returns the single changes that are worth a trial, as `list_levers` of
            `minnow.tune.candidates` does; its argument: the default does not keep the budget.
        is_felt: Says whether a candidate differs from others in a fit of so many rows.
        all_rows: That the winner is fitted to.
        budget: Bytes and milliseconds that a bundle must keep; None: any.
        num_test_rows: That the winner is measured on.
    """

    def __init__(
        self,
        folds: Folds,
        trials: Mapping[Key, Trial],
        list_levers: Callable[[bool], Sequence[Choices]],
        is_felt: Callable[[Choices, int], bool],
        metric: str,
        all_rows: int,
        budget: Budget,
        num_test_rows: int = 0,
    ) -> None:
        self.folds = folds
        self.trials = trials
        self.list_levers = list_levers
        self.is_felt = is_felt
        self.metric = metric
        self.all_rows = all_rows
        self.budget = budget
        self.num_test_rows = num_test_rows

    def stand(self) -> list[Standing]:
        """Return every candidate that has a trial, the best first."""
        known: dict[str, Choices] = {}
        for trial in self.trials.values():
            known.setdefault(name_choices(trial.choices), trial.choices)
        standings = [self._stand(choices) for choices in known.values()]
        sign = -1.0 if self.metric in LOWER else 1.0

        def order(one: Standing) -> tuple[bool, bool, int, float]:
            return bool(one.problem), one.is_over, -one.step, -sign * one.value

        return sorted(standings, key=order)

    def _stand(self, choices: Choices) -> Standing:
        name = name_choices(choices)
        own = [trial for (one, _, _), trial in self.trials.items() if one == name]
        problem = next((trial.error for trial in own if trial.error), "")
        done = [number for number, _ in enumerate(self.folds.steps) if self._has(name, number)]
        step = max(done, default=-1)
        found = [] if problem else self._at(name, step) if step >= 0 else own
        value, error = mean_score([trial.score for trial in found]) if found else (0.0, 0.0)
        gain, gain_error = self._compare(name, step) if found and step >= 0 else (None, 0.0)
        largest = max(
            (trial for trial in own if trial.size_bytes), key=attrgetter("rows"), default=None
        )
        size, latency = (largest.size_bytes, largest.latency_ms) if largest else (0, 0.0)
        full = estimate_bytes(largest, self.all_rows) if largest else 0.0
        return Standing(
            choices,
            step,
            own[0].rows if step < 0 else self.folds.steps[step].rows,
            len(found),
            value,
            error,
            gain,
            gain_error,
            size,
            latency,
            sum(trial.seconds for trial in own),
            problem,
            is_over(self.budget, full, latency),
            full,
        )

    def _has(self, name: str, step: int) -> bool:
        rows, folds = self.folds.steps[step]
        return all((name, rows, fold) in self.trials for fold in folds)

    def _at(self, name: str, step: int) -> list[Trial]:
        rows, folds = self.folds.steps[step]
        return [self.trials[name, rows, fold] for fold in folds]

    def _compare(self, name: str, step: int) -> tuple[float | None, float]:
        """Return gain and its standard error, over the folds of the step."""
        default = name_choices(DEFAULT)
        if not self._has(default, step):
            return None, 0.0
        pairs = zip(self._at(name, step), self._at(default, step), strict=True)
        gains = [better_by(own.score, other.score, self.metric) for own, other in pairs]
        return mean_score(gains)

    def next_jobs(self) -> Iterator[tuple[Choices, int, int]]:
        """Yield (choices, rows, fold) of what is worth a trial, the most worth first, each once.

        What was tried is not there; what is under way is.
        """
        seen: set[Key] = set()
        for choices, step in self._next_steps():
            for rows, fold in self._missing(choices, step):
                key = (name_choices(choices), rows, fold)
                if key not in seen:
                    seen.add(key)
                    yield choices, rows, fold

    def _next_steps(self) -> Iterator[tuple[Choices, int]]:
        """Yield candidates and the number of the step that each shall reach."""
        yield DEFAULT, 0
        standings = self.stand()
        if not any(one.is_default for one in standings):
            return  # its time tells what the others will take, and whether there is any for them
        for one in self._promoted(standings):
            yield DEFAULT, one.step + 1
            yield one.choices, one.step + 1
        later = []
        for choices in self._propose(standings):
            first = self._first_step(choices)
            if first is not None and (first == 0 or self._has(name_choices(DEFAULT), first)):
                yield choices, first
            elif first is not None:
                later.append((choices, first))
        for choices, first in later:
            yield DEFAULT, first
            yield choices, first

    def _first_step(self, choices: Choices) -> int | None:
        """Return the number of the first step where a candidate can tell anything; None: at none
        that there is."""
        numbered = enumerate(self.folds.steps)
        return next((number for number, step in numbered if self._is_told(choices, step)), None)

    def _is_told(self, choices: Choices, step: Step) -> bool:
        """Say whether a candidate differs from others at a step: what changes an encoder that was
        given up there changes nothing, and others are given up where two were."""
        if needs_encoder(choices):
            given_up = self._list_given_up(step)
            encoder = choices.get("encoder")
            is_none = encoder == NO_ENCODER["encoder"] and None in given_up
            if is_none or encoder in given_up or len(given_up) >= MOST_GIVEN_UP:
                return False
        return self.is_felt(choices, step.rows)

    def _list_given_up(self, step: Step) -> set[str | None]:
        """Return the encoders that models of a step were better without; None: the default's."""
        return {
            one.choices.get("encoder")
            for one in self.trials.values()
            if one.rows == step.rows and one.fold in step.folds and one.choices != NO_ENCODER
            if not (one.error or one.has_encoder or {*one.choices} - {"encoder"})
        }

    def _missing(self, choices: Choices, step: int) -> Iterator[tuple[int, int]]:
        rows, folds = self.folds.steps[step]
        name = name_choices(choices)
        if any(trial.error for (one, _, _), trial in self.trials.items() if one == name):
            return
        for fold in folds:
            if (name, rows, fold) not in self.trials:
                yield rows, fold

    def _promoted(self, standings: Sequence[Standing]) -> list[Standing]:
        """Return who goes a step further, those nearest to the end first."""
        chosen = []
        for step in reversed(range(len(self.folds.steps) - 1)):
            reached = [
                one
                for one in standings
                if one.step >= step
                and not one.problem
                and (self._first_step(one.choices) or 0) <= step
            ]
            others = [one for one in reached if one.step == step and not one.is_default]
            helpful = [one for one in others if (one.gain or 0) > 0 and not one.is_over]
            if not helpful and others and is_default_out(standings):
                helpful = [one for one in others if not one.is_over]
            helpful.sort(key=lambda one: -(one.gain or 0))
            passed = sum(one.step > step and not one.is_default for one in reached)
            room = max(1, math.ceil(len(reached) / SHARE)) - passed
            chosen += helpful[: max(0, room)]
        return chosen

    def _propose(self, standings: Sequence[Standing]) -> Iterator[Choices]:
        gains = {one.name: one.gain or 0.0 for one in standings if not one.problem}
        usable = [one for one in standings if not one.problem and not one.is_over and one.gain]
        best = max(usable, key=lambda one: one.gain or 0.0, default=None)
        base = best.choices if best is not None and (best.gain or 0) > 0 else DEFAULT
        if is_default_out(standings):
            # What keeps the budget is seldom better than what does not: there all that does helps,
            # and before there is any, all that comes nearer.
            lowest = min((one.gain or 0.0 for one in usable), default=0.0)
            gains |= {one.name: (one.gain or 0.0) - lowest + NO_LOSS for one in usable}
            near = min((one for one in standings if not one.problem), key=self._excess)
            base = best.choices if best is not None else near.choices
            if best is None:
                gains = {one.name: 1 / (1 + self._excess(one)) for one in standings}
        return propose(self.list_levers(is_default_out(standings)), gains, base)

    def _excess(self, one: Standing) -> float:
        """Return by how much a candidate misses the budget, as a share of it."""
        most_bytes, most_ms = self.budget
        size = one.full_bytes / most_bytes - 1 if most_bytes else 0.0
        slow = one.latency_ms / most_ms - 1 if most_ms else 0.0
        return max(0.0, size) + max(0.0, slow)

    def estimate(self, choices: Choices, rows: int) -> float | None:
        """Return about how many seconds a trial of so many rows takes; None: nothing was timed."""
        return estimate_trial(self.trials.values(), choices, rows)

    def estimate_final(self, choices: Choices) -> float | None:
        """Return about how many seconds fitting to all rows, exporting and measuring take, with a
        margin; None: nothing was timed."""
        return estimate_fit(self.trials.values(), choices, self.all_rows, self.num_test_rows)

    def estimate_needed(self, one: Standing) -> float:
        """Return the same, with the models that are pruned where its bundle is over the budget."""
        num_models = 1 + PRUNED_MODELS * one.is_over
        return num_models * (self.estimate_final(one.choices) or 0.0)

    def choose(self, left_s: float) -> Standing | None:
        """Return the candidate to fit to all rows; None: none can be in `left_s` seconds.

        It is the default, unless another is expected to gain, as `find_better` says. Of several
        that are, one that went further, then the one that is expected to gain most.
        """
        standings = self.stand()
        fitted = [
            one
            for one in standings
            if not one.problem and (self.estimate_final(one.choices) or 0.0) <= left_s
        ]
        candidates = [one for one in fitted if one.step >= 0]
        if not candidates:  # nothing to compare: not even the default has all of its first folds
            return next((one for one in fitted if one.is_default), None)
        kept = [one for one in candidates if not one.is_over]
        if not kept:
            return min(candidates, key=self._excess, default=None)
        default = next((one for one in kept if one.is_default), None)
        if default is None:
            return max(kept, key=lambda one: (one.step, one.gain or 0.0))
        expected = self.find_better(standings)
        better = [one for one in kept if one.name in expected]
        return max(better, key=lambda one: (one.step, expected[one.name]), default=default)

    def find_better(self, standings: Sequence[Standing]) -> dict[str, float]:
        """Return name -> expected gain, of the candidates of which it is more than its error."""
        sure = [
            (one.name, (one.gain, one.gain_error))
            for one in standings
            if one.gain is not None
            and not (one.problem or one.is_default)
            and (one.rows >= SURE_SHARE * self.all_rows or holds_more(one.choices))
        ]
        expected = expect_gains([gain for _, gain in sure])
        pairs = zip(sure, expected, strict=True)
        return {name: gain for (name, _), (gain, error) in pairs if gain > error}

    def count_compared(self) -> int:
        """Return how many candidates were compared with the default, at any step."""
        default = {
            (rows, fold) for (_, rows, fold), one in self.trials.items() if one.choices == DEFAULT
        }
        return len(
            {
                name
                for (name, rows, fold), one in self.trials.items()
                if one.choices != DEFAULT and not one.error and (rows, fold) in default
            }
        )
