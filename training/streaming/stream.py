"""Training on more rows than there is memory for, by one worker or several.

1. Every worker reads its row groups once and counts words and labels. A sample of rows, and the
   held-out rows, are found by a hash of their texts.
2. The chief trains on the sample as `training/train.py` does: what is chosen is chosen there, such
   as the plan of features, the phrases that the table keeps, or whether there is an LSTM.
3. Every worker writes the token ids of its rows to disk, once. From there both halves of the model
   are fitted on to all rows, by all workers in step.
4. The chief weighs the halves anew by held-out rows, and writes the run, which is like any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from training.errors import RunError
from training.progress import step
from training.rows.data import Sources
from training.run_folder import Run, check_free
from training.settings import Settings
from training.streaming.cache import cache_folder
from training.streaming.chief import Chief, Reading
from training.streaming.counting import Sides, choose_sides
from training.streaming.limits import check_streamable
from training.streaming.row_groups import RowGroup, list_row_groups, only_one_label, share_out
from training.streaming.team import Team
from training.streaming.worker import Worker
from training.train import train_run


def train_stream(
    sources: Sources,
    out: Path,
    settings: Settings,
    reading: Reading,
    team: Team,
    force: bool = False,
    command: str = "",
) -> Run | None:
    """Train on all rows of `sources.train`, a folder of Parquet files; return the run, None where
    the chief, another worker, writes it.

    Every worker calls this with the same arguments, but that each may have its own `out`, beside
    which it keeps its token ids while it works. The rest is as in `train_run`.

    Raises:
        DataError: The data cannot be trained on.
        RunError: `out` cannot be written, or another worker is gone.
        SettingsError: Something is asked for that cannot be streamed.
    """
    check_streamable(sources, settings.recipe, reading.batch_size, team.size)
    if team.is_chief:
        check_free(out, force, sources.paths)
    sources = replace(sources, columns=only_one_label(sources.columns))
    own, sides = _share_rows(sources, settings, reading, team)
    with cache_folder(out, team.number) as folder:
        worker = Worker(own, sources, sides, team, folder)
        with step("counting words and labels"):
            counted = worker.count(reading.sample_rows, settings.max_length)
            parts = team.gather(counted.to_bytes())
        if not team.is_chief:
            del counted, parts
            worker.follow()
            return None
        with Chief(worker, parts, reading, out) as chief:
            del counted, parts
            data = chief.make_data(settings)
            return train_run(sources, out, settings, force, command, data, beyond=chief)


def _share_rows(
    sources: Sources, settings: Settings, reading: Reading, team: Team
) -> tuple[list[RowGroup], Sides]:
    """Return the row groups of this worker, and which rows are held out.

    Raises:
        RunError: Another worker finds other rows, or would read them otherwise.
    """
    groups = list_row_groups(sources.train)
    dev_fraction = settings.dev_fraction if sources.dev is None else 0.0
    sides = choose_sides(sum(group.rows for group in groups), dev_fraction, settings.seed)
    sizes = [(group.first, group.rows) for group in groups]
    own = repr((sizes, sides, settings.max_length, reading))
    digests = team.gather(hashlib.sha256(own.encode()).digest())
    if len({*digests}) > 1:
        others = [str(n) for n, one in enumerate(digests) if one != digests[team.number]]
        raise RunError(
            f"worker {team.number}: worker {', '.join(others)} was started with other options, or "
            "finds other files. Give all the same DATA and options, but for --worker and --out."
        )
    return share_out(groups, team.size)[team.number], sides
