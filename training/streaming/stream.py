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

from dataclasses import replace
from pathlib import Path

from handler.inference.tasks import SingleLabel
from training.errors import SettingsError
from training.progress import step
from training.rows.data import Sources
from training.run_folder import Run, check_free
from training.settings import Settings
from training.streaming.cache import cache_folder
from training.streaming.chief import Chief, Reading
from training.streaming.counting import (
    SAMPLE_CHARACTERS,
    Counted,
    choose_sides,
    count_rows,
)
from training.streaming.sampling import Sample
from training.streaming.shards import (
    list_shards,
    only_one_label,
    read_shards,
    share_out,
)
from training.streaming.team import Team
from training.streaming.worker import Worker
from training.train import train_run

RECIPE = "wide_deep"


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
    which it keeps the token ids of its rows while it works. The rest is as in `train_run`.

    Raises:
        DataError: The data cannot be trained on.
        RunError: `out` cannot be written, or another worker is gone.
        SettingsError: Something is asked for that cannot be streamed.
    """
    _check(sources, settings, reading, team)
    if team.is_chief:
        check_free(out, force, sources.paths)
    shards = list_shards(sources.train)
    columns = only_one_label(sources.columns)
    dev_fraction = settings.dev_fraction if sources.dev is None else 0.0
    sides = choose_sides(sum(shard.rows for shard in shards), dev_fraction, settings.seed)
    own = share_out(shards, team.size)[team.number]
    num_rows = sum(shard.rows for shard in own)
    with cache_folder(out, team.number) as folder:
        with step("counting words and labels"):
            counted = count_rows(
                read_shards(own, columns), num_rows, sides, reading.sample_rows, settings.max_length
            )
            parts = team.gather(counted.to_bytes())
        worker = Worker(own, replace(sources, columns=columns), sides, team, folder)
        if not team.is_chief:
            del parts, counted
            worker.follow()
            return None
        counted = Counted(Sample(reading.sample_rows, SAMPLE_CHARACTERS))
        for part in parts:
            counted.merge(part)
        chief = Chief(worker, counted, shards, reading, out)
        with chief:
            data = chief.make_data(settings)
            return train_run(sources, out, settings, force, command, data, beyond=chief)
    raise AssertionError("not reached")


def _check(sources: Sources, settings: Settings, reading: Reading, team: Team) -> None:
    """Raise SettingsError for what cannot be streamed."""
    columns = sources.columns
    given = {
        "--group-column": columns.group,
        "--weight-column": columns.weight,
        "--label-columns": columns.labels,
        "--label-separator": columns.separator,
        "--class-weight": sources.aims.get("class_weight"),
        "--unlabelled": sources.unlabelled,
        "--add": sources.added,
    }
    if named := [name for name, value in given.items() if value]:
        raise SettingsError(
            f"--stream does not know {', '.join(named)}: leave it out, or --stream."
        )
    kind = sources.task.get("kind", SingleLabel.kind)
    if kind != SingleLabel.kind:
        raise SettingsError(f"--stream learns one label a text, not --task {kind}.")
    if settings.recipe != RECIPE:
        raise SettingsError(f"--stream trains the recipe {RECIPE}, not {settings.recipe}.")
    if reading.batch_size % team.size:
        raise SettingsError(
            f"--stream-batch is {reading.batch_size}, wanted a multiple of the {team.size} workers."
        )
