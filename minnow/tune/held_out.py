"""Rows that no choice sees: a file of the user's, or a part of the data, held out before anything.

The parts are written as files of their own, which run and report name: so the winner can be fitted
again by hand, and made smaller later, from exactly the same rows.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from handler.files import replacing
from training.errors import DataError
from training.rows.columns import Columns
from training.rows.data import Data, Sources
from training.rows.label_sets import LabelSet
from training.rows.readers import Dataset
from training.rows.soft_labels import SoftLabel
from training.rows.split import split_rows

TEST_SHARE = 0.2
MOST_TEST_ROWS = 5_000  # of which the standard error of an accuracy is 0.3 points
LEAST_ROWS = 2  # of each label that are left to learn from
TRAIN, TEST = "train.jsonl.gz", "test.jsonl.gz"


def hold_out(data: Data, sources: Sources, folder: Path, seed: int) -> Sources:
    """Return sources with test rows: as they are where there are some, else a part of the training
    rows, written to `folder` with the rest of them.

    What repeats stays on one side, as in training's split.

    Raises:
        DataError: The rows cannot be split.
    """
    if sources.test is not None:
        return sources
    strata = data.objective.strata(data.objective.encode(data.train.labels))
    share = min(TEST_SHARE, MOST_TEST_ROWS / len(data.train))
    try:
        _, chosen = split_rows(data.train, strata, share, seed)
    except DataError as error:
        raise DataError(
            f"{data.train.path}: no rows can be held out to measure the winner on, as all repeat "
            "each other. Give other rows with --test FILE."
        ) from error
    test = spare_rare(data.train.overlaps.groups.tolist(), strata, chosen)
    if not test:
        raise DataError(
            f"{data.train.path}: {len(data.train)} rows are too few to hold some out. Give other "
            "rows with --test FILE, or more rows."
        )
    kept = sorted(set(range(len(data.train))) - set(test))
    folder.mkdir(exist_ok=True)
    for name, rows in ((TRAIN, kept), (TEST, test)):
        if not (folder / name).exists():
            write_rows(folder / name, data.train, rows)
    return dataclasses.replace(
        sources,
        train=folder / TRAIN,
        test=folder / TEST,
        columns=Columns(
            group=None if data.train.groups is None else "group",
            weight=None if data.train.weights is None else "weight",
        ),
        task={**sources.task, "kind": data.objective.task.kind},
    )


def spare_rare(
    groups: Sequence[int], strata: Sequence[Hashable], chosen: Sequence[int]
) -> list[int]:
    """Return the chosen rows without groups of strata that would leave fewer than `LEAST_ROWS`.

    Args:
        groups, strata: Of all rows.
        chosen: Rows that are to be held out.
    """
    held = set(chosen)
    while True:
        counts: Counter[Hashable] = Counter()
        for row, stratum in enumerate(strata):
            if row not in held:
                counts.update(_parts(stratum))
        back = {
            groups[row] for row in held if any(counts[p] < LEAST_ROWS for p in _parts(strata[row]))
        }
        if not back:
            return sorted(held)
        held = {row for row in held if groups[row] not in back}


def _parts(stratum: Hashable) -> Sequence[Hashable]:
    return list(stratum) if isinstance(stratum, frozenset) else [stratum]


def write_rows(path: Path, dataset: Dataset, rows: Sequence[int]) -> None:
    """Write some rows as JSON Lines: text, label, and group and weight where rows have such."""
    with replacing(path) as temporary, temporary.open("wb") as raw:
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
            for row in rows:
                cells: dict[str, Any] = {
                    "text": dataset.texts[row],
                    "label": _write_label(dataset.labels[row]),
                }
                if dataset.groups is not None:
                    cells["group"] = dataset.groups[row]
                if dataset.weights is not None:
                    cells["weight"] = dataset.weights[row]
                file.write(f"{json.dumps(cells, ensure_ascii=False)}\n".encode())


def _write_label(label: str) -> Any:
    if isinstance(label, SoftLabel):
        return label.probabilities
    if isinstance(label, LabelSet):
        return label.probabilities if label.is_soft else label.names
    return label


def list_options(sources: Sources) -> list[str]:
    """Return data and options as they are typed after `minnow train`."""
    columns, aims = sources.columns, sources.aims
    words = [str(sources.train)]
    plain = Columns()
    pairs: list[tuple[str, Any]] = [
        ("--test", sources.test),
        ("--text-column", columns.text if columns.text != plain.text else None),
        ("--label-column", columns.label if columns.label != plain.label else None),
        ("--label-columns", ",".join(columns.labels) or None),
        ("--label-separator", columns.separator),
        ("--group-column", columns.group),
        ("--weight-column", columns.weight),
        ("--delimiter", columns.options.delimiter),
        ("--encoding", columns.options.encoding),
        ("--quoting", columns.options.quoting),
        ("--join-surplus", columns.options.join_surplus or None),
        ("--normalize-labels", columns.normalize_labels or None),
        ("--word-vectors", sources.word_vectors),
        ("--unlabelled", sources.unlabelled),
        ("--task", sources.task.get("kind")),
        ("--no-clip", True if sources.task.get("clips") is False else None),
        ("--class-weight", _show_weights(aims.get("class_weight"))),
        ("--loss", aims.get("loss")),
        ("--coverage", aims.get("coverage")),
    ]
    for flag, value in pairs:
        if value is not None:
            words += [flag] if value is True else [flag, str(value)]
    return words


def _show_weights(weights: Any) -> str | None:
    if weights is None or isinstance(weights, str):
        return weights
    return json.dumps(dict(weights), ensure_ascii=False)
