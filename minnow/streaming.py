"""`minnow train --stream`: more rows than memory holds, by one worker or several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from minnow.options import flag, option
from training.progress import say
from training.recipe_settings import DEFAULT_RECIPE

if TYPE_CHECKING:
    from training.rows.data import Sources
    from training.run_folder import Run

PANEL = "More rows than memory holds"
STREAM = "DATA is a folder of Parquet files that is never in memory as a whole."
WORKERS = "Workers that train together, this one too, as TF_CONFIG names them."

Stream = Annotated[bool, flag("--stream", STREAM, rich_help_panel=PANEL)]
SampleRows = Annotated[
    int,
    option(
        "--sample-rows",
        "N",
        "Rows in memory, from which all that is chosen is chosen.",
        rich_help_panel=PANEL,
        min=1000,
    ),
]
Passes = Annotated[
    float,
    option(
        "--passes",
        "N",
        "Passes over all rows behind those; 0.5: half of them, drawn by chance.",
        rich_help_panel=PANEL,
        min=0,
    ),
]
StreamBatch = Annotated[
    int,
    option(
        "--stream-batch",
        "N",
        "Texts in one step of these passes, of all workers together.",
        rich_help_panel=PANEL,
        min=1,
    ),
]
Workers = Annotated[
    str | None,
    option(
        "--workers", "HOST:PORT,HOST:PORT", WORKERS, "what TF_CONFIG says", rich_help_panel=PANEL
    ),
]
Worker = Annotated[
    int | None,
    option(
        "--worker",
        "N",
        "Which of --workers this one is; 0 writes the run.",
        "what TF_CONFIG says",
        rich_help_panel=PANEL,
        min=0,
    ),
]


def fit_streamed(
    sources: Sources,
    out: Path,
    given: dict[str, Any],
    typed: str,
    params: dict[str, Any],
) -> None:
    """Check what was given before TensorFlow is imported, then train and, as the worker that writes
    the run, print the figures.

    Args:
        given: Setting -> value, in place of the recipe's own.
        typed: The command as it was typed, which the run keeps.
        params: Option -> value, of all options.
    """
    from training.settings import check_given, override
    from training.streaming.team import Team

    check_given(given)
    recipe = params["recipe"] or DEFAULT_RECIPE
    addresses, number = _check(sources, out, recipe, params)

    from minnow.quiet import import_tensorflow

    import_tensorflow()
    from training.recipe import load_recipe
    from training.streaming.chief import Reading
    from training.streaming.stream import train_stream

    module = load_recipe(recipe)
    settings = override(module.QUICK if params["quick"] else module.SETTINGS, given)
    reading = Reading(params["sample_rows"], params["passes"], params["stream_batch"])
    team = Team(addresses, number)
    run = train_stream(sources, out, settings, reading, team, params["force"], typed)
    if run is None:
        say(f"worker {number}: done. Worker 0 writes the run.")
    else:
        _tell(run, sources, given)


def _check(
    sources: Sources, out: Path, recipe: str, params: dict[str, Any]
) -> tuple[list[str], int]:
    """Return the workers and which of them this one is, where nothing speaks against the stream."""
    from training.run_folder import check_free
    from training.streaming.limits import check_streamable
    from training.streaming.row_groups import list_row_groups
    from training.streaming.team import read_team

    addresses, number = read_team(params["workers"], params["worker"], os.environ)
    check_streamable(sources, recipe, params["stream_batch"], max(1, len(addresses)))
    if number == 0:
        check_free(out, params["force"], sources.paths)
    list_row_groups(sources.train)
    if len(addresses) > 1:
        say(f"worker {number} of {len(addresses)}: begins when the others are there")
    return addresses, number


def _tell(run: Run, sources: Sources, given: dict[str, Any]) -> None:
    from minnow.after_training import say_done
    from training.figures.selective_figures import format_evaluation
    from training.run_folder import DEV
    from training.tasks import make_objective

    metrics = run.metadata["metrics"]
    objective = make_objective(run.task, run.metadata["aims"])
    print(format_evaluation(objective, metrics.get("test", metrics["dev"])))
    if settled := objective.describe_settled(run.metadata["settled"]):
        print(f"\n{settled}")
    measured = sources.test or sources.dev
    say_done(run, objective, DEV if measured is None else measured.name, given)


def check_not_streamed(params: dict[str, Any]) -> None:
    """Raise SettingsError where an option of streams is given without --stream."""
    from training.errors import SettingsError

    for name in ("workers", "worker"):
        if params[name] is not None:
            raise SettingsError(f"--{name} is for --stream alone: add it, or leave this out.")
