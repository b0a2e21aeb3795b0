"""The candidates as people see them while the search runs: a live table, or a line for each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from minnow.tune.journal import Trial, name_choices
from minnow.tune.standing import Standing
from training.progress import is_quiet, say

SHOWN = 12  # candidates of the live table
HEADS = ("rank", "candidate", "rows × folds", "score", "MB", "ms", "s")


class Display:
    """What is shown while candidates are tried; nothing if it shall be quiet."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self._live: Any = None

    def __enter__(self) -> Display:
        if sys.stderr.isatty() and not is_quiet():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, trial: Trial) -> None:
        """Show a finished trial, where there is no table."""
        if self._live is not None:
            return
        name = name_choices(trial.choices)
        if trial.error:
            say(f"{name}: none ({trial.error})")
            return
        bundle = ""
        if trial.size_bytes:
            bundle = f", {trial.size_bytes / 1e6:.3f} MB, {trial.latency_ms:.3f} ms"
        say(
            f"{name}: {self.metric} {trial.value:.4f} on fold {trial.fold}, fitted to "
            f"{trial.rows:,} rows{bundle}, {trial.seconds:.1f} s"
        )

    def update(self, standings: Sequence[Standing], running: Sequence[str], left_s: float) -> None:
        """Show the table anew.

        Args:
            standings: The best first.
            running: What is under way.
            left_s: Until the search ends.
        """
        if self._live is None:
            return
        from rich.table import Table

        shown = ", ".join(running) or "nothing"
        table = Table(
            title=f"{len(standings)} candidates, {max(0.0, left_s):.0f} s left",
            caption=f"under way: {shown}",
        )
        for head in HEADS:
            heading = self.metric if head == "score" else head
            table.add_column(heading, justify="left" if head == "candidate" else "right")
        for rank, standing in enumerate(standings[:SHOWN], start=1):
            table.add_row(*format_standing(standing, rank))
        self._live.update(table, refresh=True)


def format_standing(one: Standing, rank: int) -> list[str]:
    """Return the cells of a candidate's row, as HEADS names them."""
    if one.problem:
        return [str(rank), one.name, "", f"none: {one.problem}", "", "", f"{one.seconds:.1f}"]
    over = " over the budget" if one.is_over else ""
    return [
        str(rank),
        one.name,
        f"{one.rows:,} × {one.num_folds}",
        f"{one.value:.4f} ± {one.error:.4f}{over}",
        f"{one.size_bytes / 1e6:.3f}",
        f"{one.latency_ms:.3f}",
        f"{one.seconds:.1f}",
    ]
