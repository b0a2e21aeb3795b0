"""What is trained on a stream of rows, and what only on rows in memory."""

from __future__ import annotations

from handler.inference.tasks import SingleLabel
from training.errors import SettingsError
from training.rows.data import Sources

RECIPE = "wide_deep"


def check_streamable(sources: Sources, recipe: str, batch_size: int, num_workers: int) -> None:
    """Raise SettingsError for what cannot be streamed; TensorFlow is not needed for it.

    Args:
        batch_size: Rows of a step, of all workers together.
    """
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
    if recipe != RECIPE:
        raise SettingsError(f"--stream trains the recipe {RECIPE}, not {recipe}.")
    if batch_size % num_workers:
        raise SettingsError(
            f"--stream-batch is {batch_size}, wanted a multiple of the {num_workers} workers."
        )
