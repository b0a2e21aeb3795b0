"""One candidate as it stands, told from all its trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minnow.tune.candidates import DEFAULT
from minnow.tune.journal import Choices, name_choices

Budget = tuple[int | None, float | None]


@dataclass(frozen=True)
class Standing:
    """One candidate as it stands.

    Args:
        step: Number of the furthest step that it has finished; -1 where it has none.
        rows, num_folds: That it was fitted to there, and measured on; where it has finished no
            step, of the trials that have ended.
        value, error: Mean of those folds, and the standard error of that.
        gain, gain_error: By how much it is better than the default on the same rows, above 0
            whichever way the metric goes, and the standard error of that; None where the default
            was not measured there.
        size_bytes, latency_ms: Of its bundle of most rows.
        full_bytes: About what its bundle of all rows has; this is held against the budget.
        seconds: Of all its trials.
        problem: Why it has no bundle; "" where it has.
        is_over: It does not keep the budget.
    """

    choices: Choices
    step: int
    rows: int
    num_folds: int
    value: float
    error: float
    gain: float | None
    gain_error: float
    size_bytes: int
    latency_ms: float
    seconds: float
    problem: str = ""
    is_over: bool = False
    full_bytes: float = 0.0

    @property
    def name(self) -> str:
        return name_choices(self.choices)

    @property
    def is_default(self) -> bool:
        return self.choices == DEFAULT


def is_default_out(standings: Iterable[Standing]) -> bool:
    """Say whether the default does not keep the budget."""
    return any(one.is_over for one in standings if one.is_default)
