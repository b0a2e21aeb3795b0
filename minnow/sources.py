"""What `minnow train` and `minnow tune` learn from, of the options that both have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from minnow.options import read_aims, split_names

if TYPE_CHECKING:
    from training.rows.data import Sources


def gather_sources(
    context: typer.Context,
    data: Path,
    dev: Path | None,
    test: Path | None,
    word_vectors: Path | None,
    unlabelled: Path | None,
    added: Path | None = None,
) -> Sources:
    """Return what is learned from, and what is asked of it, as the options of the command say."""
    from handler.rows.options import ReadOptions
    from training.answers.class_weights import read_class_weight
    from training.rows.columns import Columns
    from training.rows.data import Sources

    given = context.params
    options = ReadOptions(
        given["delimiter"], given["encoding"], given["quoting"], given["join_surplus"]
    )
    columns = Columns(
        given["text_column"],
        given["label_column"],
        given["group_column"],
        options,
        given["normalize_labels"],
        split_names(given["label_columns"]),
        given["weight_column"],
        separator=given["label_separator"],
    )
    aims = read_aims(context)
    if given["class_weight"] is not None:
        aims["class_weight"] = read_class_weight(given["class_weight"])
    known = {"kind": given["task"]} if given["task"] else {}
    known |= {"clips": False} if given["no_clip"] else {}
    return Sources(data, dev, test, columns, known, word_vectors, unlabelled, aims, added)
