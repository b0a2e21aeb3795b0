"""Label errors of a file: found by confident learning, and written as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import SingleLabel
from training.curation.checks import check_single
from training.curation.label_errors import LabelErrors, find_label_errors
from training.curation.out_of_fold import encode_dataset, predict_out_of_fold
from training.curation.tables import check_output, write_table
from training.progress import interruptible, say, step
from training.rows.data import Data, Sources, read_sources
from training.rows.labels import find_variants

DECIMALS = 6
# Also where they look like numbers; of several labels each may be wrong, and none is suggested.
ONE_LABEL = {"kind": SingleLabel.kind}
COLUMNS = (
    *("row", "label", "suggested", "score", "probability_label", "probability_suggested"),
    *("suspected", "same_text", "text"),
)


@dataclass(frozen=True)
class Findings:
    """What was found; holds no text.

    Args:
        rows: Rows that were read.
        suspected: Rows whose label is likely wrong.
        written: Rows of the table: the suspected ones, and those of conflicting texts.
        pairs: Label, suggested label, and how many rows are suspected of it; the most first.
        conflicting_texts: Texts that stand in several rows with different labels.
        conflicting_rows: Rows of these.
        empty: Rows whose text is empty; they are never suspected.
        unchecked: Rows of labels all of whose rows nearly repeat each other, or stand in one group,
            so that none is left to learn from; they are never suspected.
        variants: Labels that differ by case, blanks or number form alone, with their rows.
    """

    output: str
    rows: int
    suspected: int
    written: int
    pairs: list[tuple[str, str, int]]
    conflicting_texts: int
    conflicting_rows: int
    empty: int
    unchecked: int
    variants: list[dict[str, int]]


def lint_file(sources: Sources, out: Path, seed: int = 0, force: bool = False) -> Findings:
    """Write a table of the rows whose labels are likely wrong, the most suspect first.

    Raises:
        DataError: The rows cannot be read or learned from.
        CurationError: The table cannot be written there.
        OSError: Another process writes it, or the disk is full.
    """
    check_output(out, force, [sources.train])
    with step("reading"):
        data = interruptible(lambda: read_sources(replace(sources, task=ONE_LABEL)))
    check_single(data.train)
    say(f"{sources.train}: {len(data.train):,} rows, {data.train.found.describe()}")
    with step("vocabulary"):
        rows = interruptible(lambda: encode_dataset(data))
    with step("probabilities out of fold"):
        probabilities, told = interruptible(lambda: predict_out_of_fold(rows, data.objective, seed))
    given = rows.targets.argmax(axis=1).astype(np.int64)
    errors = find_label_errors(probabilities, given)
    errors = replace(errors, rows=leave_out(errors.rows, told, data.train.texts))
    conflicts = find_conflicts(data.train.texts, data.train.labels)
    table = list(_make_rows(data, probabilities, given, errors, conflicts))
    write_table(out, COLUMNS, table, force)
    return _summarize(data, errors, given, conflicts, int((~told).sum()), out)


def leave_out(
    suspects: NDArray[np.int64], told: NDArray[np.bool_], texts: Sequence[str]
) -> NDArray[np.int64]:
    """Return the suspects that have a text, of nothing no label is right, and whose label was known
    to the model that told them."""
    kept = [row for row in suspects.tolist() if told[row] and texts[row].strip()]
    return np.array(kept, np.int64)


def find_conflicts(texts: Sequence[str], labels: Sequence[str]) -> dict[int, list[int]]:
    """Return row -> rows of the same text with another label; all from 0, in order.

    Texts are the same if they differ by case and blanks alone; empty ones are not looked at.

        ["Good!", "good!", "bad"], ["pos", "neg", "neg"] -> {0: [1], 1: [0]}
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        members[_fold(text)].append(row)
    members.pop("", None)
    found: dict[int, list[int]] = {}
    for rows in members.values():
        if len({str(labels[row]) for row in rows}) > 1:
            for row in rows:
                found[row] = [other for other in rows if str(labels[other]) != str(labels[row])]
    return dict(sorted(found.items()))


def _fold(text: str) -> str:
    """Return what texts share that differ by case and blanks alone."""
    return " ".join(text.casefold().split())


def _make_rows(
    data: Data,
    probabilities: NDArray[np.float64],
    given: NDArray[np.int64],
    errors: LabelErrors,
    conflicts: dict[int, list[int]],
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table: suspects in their order, then the other conflicting rows."""
    names, suspects = cast(SingleLabel, data.objective.task).labels, errors.rows.tolist()
    suspected = set(suspects)
    others = [row for row in conflicts if row not in suspected]
    others.sort(key=lambda row: probabilities[row, given[row]])
    for row in [*suspects, *others]:
        suggested = errors.suggested[row] if row in suspected else probabilities[row].argmax()
        own, other = probabilities[row, given[row]], probabilities[row, suggested]
        yield {
            "row": row + 1,
            "label": str(data.train.labels[row]),
            "suggested": names[suggested],
            "score": round(float(1 - own), DECIMALS),
            "probability_label": round(float(own), DECIMALS),
            "probability_suggested": round(float(other), DECIMALS),
            "suspected": "yes" if row in suspected else "no",
            "same_text": " ".join(str(same + 1) for same in conflicts.get(row, ())),
            "text": data.train.texts[row],
        }


def _summarize(
    data: Data,
    errors: LabelErrors,
    given: NDArray[np.int64],
    conflicts: dict[int, list[int]],
    num_unchecked: int,
    out: Path,
) -> Findings:
    names, texts = cast(SingleLabel, data.objective.task).labels, data.train.texts
    rows = errors.rows.tolist()
    pairs = Counter((names[given[row]], names[errors.suggested[row]]) for row in rows)
    return Findings(
        str(out),
        len(texts),
        len(rows),
        len({*rows, *conflicts}),
        [(*pair, count) for pair, count in sorted(pairs.items(), key=lambda one: (-one[1], one))],
        len({_fold(texts[row]) for row in conflicts}),
        len(conflicts),
        sum(not text.strip() for text in texts),
        num_unchecked,
        find_variants(map(str, data.train.labels)),
    )
