"""The rows of a file whose labels would teach a model most, ready to be labelled."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer import Tokenizer
from handler.rows.rows import Row
from training.blocks.ngrams import count_features, find_words
from training.curation.checks import check_single
from training.curation.out_of_fold import fit_and_predict, train_speller
from training.curation.selection import measure_margins, reduce_words, select_unsure
from training.curation.tables import check_output, write_table
from training.errors import CurationError
from training.fitting.encoded import Encoded, encode_part
from training.labelling.files import Source, find_text
from training.objectives.single_label import SingleLabelObjective
from training.progress import interruptible, say, step
from training.rows.columns import Columns
from training.rows.data import Part
from training.rows.overlaps import group_rows
from training.rows.readers import Dataset, read_dataset

# Of more rows so many are looked at, drawn at random: enough to find a hundred that teach.
MOST_CANDIDATES = 20_000
Predict = Callable[[list[str]], NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Args:
        count: Rows that are wanted.
        labelled: Rows that have labels; those without one are passed over. None: there are none.
        columns: Of `labelled`.
        predict: From texts to probabilities, shape (texts, labels); None: the linear half, fitted
            to `labelled`, says them.
        seed: Of what is drawn at random.
        margins: From what `predict` says to how sure that is, shape (texts,).
    """

    count: int
    labelled: Path | None
    columns: Columns = Columns()
    predict: Predict | None = None
    seed: int = 0
    margins: Callable[[NDArray[np.float64]], NDArray[Any]] = measure_margins


@dataclass(frozen=True)
class Suggestions:
    """What came of it; holds no text.

    Args:
        rows: Rows of the file.
        looked_at: Those that were compared.
        known: Of these, rows that are nearly a labelled one, or a part of it.
        unreadable: Rows that have no text, or cannot be read.
        suggested: Rows that were written.
        row_numbers: Of those, from 1, in the order of the table.
    """

    output: str
    rows: int
    looked_at: int
    known: int
    unreadable: int
    suggested: int
    row_numbers: list[int]


def suggest_file(source: Source, out: Path, plan: Plan, force: bool = False) -> Suggestions:
    """Write the rows of a file that are worth a label, the most unsure first.

    Raises:
        DataError: A file cannot be read.
        CurationError: Nothing can be learned from the labelled rows, no row is left to suggest, or
            the table cannot be written.
        OSError: Another process writes it, or the disk is full.
    """
    inputs = [source.path, *([plan.labelled] if plan.labelled else [])]
    check_output(out, force, inputs)
    with step("reading"):
        labelled = None if plan.labelled is None else read_labelled(plan.labelled, plan.columns)
        if labelled is not None and plan.predict is None:
            check_single(labelled)
        numbers, texts, num_rows, num_bad = draw_candidates(source, MOST_CANDIDATES, plan.seed)
    say(f"{source.path}: {num_rows:,} rows, {len(texts):,} of them looked at")
    if not texts:
        raise CurationError(f"{source.path}: no row has a text that can be read.")
    known_texts = labelled.texts if labelled else []
    with step("near duplicates"):
        groups = interruptible(lambda: group_rows([*known_texts, *texts]))
    is_new = ~np.isin(groups[len(known_texts) :], groups[: len(known_texts)])
    new = np.flatnonzero(is_new)
    if not len(new):
        raise CurationError(
            f"{source.path}: every row is nearly one of {plan.labelled}, or a part of one: there "
            "is nothing new to label."
        )
    new_texts, new_groups = [texts[row] for row in new], groups[len(known_texts) :][new]
    with step("choice"):
        chosen = interruptible(lambda: choose(labelled, new_texts, new_groups, plan))
    rows = [numbers[row] for row in new[chosen]]
    label = labelled.label_column if labelled else plan.columns.label
    columns, records = read_whole_rows(source, rows, label)
    write_table(out, columns, records, force)
    num_known = len(texts) - len(new)
    return Suggestions(str(out), num_rows, len(texts), num_known, num_bad, len(rows), rows)


def read_labelled(path: Path, columns: Columns) -> Dataset:
    """Return the rows of a file that have a label.

    Raises:
        CurationError: They have less than two labels.
    """
    dataset = read_dataset(path, columns)
    kept = [row for row, label in enumerate(dataset.labels) if label]
    if len({str(dataset.labels[row]) for row in kept}) < 2:
        raise CurationError(
            f"{path}: its rows have less than two labels, wanted two or more. Label some rows of "
            "each by hand first; is this the right --label-column?"
        )
    texts, labels = ([part[row] for row in kept] for part in (dataset.texts, dataset.labels))
    return replace(dataset, texts=texts, labels=labels, groups=None, weights=None)


def draw_candidates(source: Source, most: int, seed: int) -> tuple[list[int], list[str], int, int]:
    """Return numbers and texts of rows, all or `most` of them drawn at random; how many rows there
    are; and how many have no text.

    In the memory of what is drawn (Vitter 1985, algorithm R).
    """
    chance = random.Random(seed)
    drawn: list[tuple[int, str]] = []
    num_rows = num_good = 0
    with source.open() as (rows, _):
        for row in rows:
            num_rows += 1
            text, problem = find_text(row)
            if problem:
                continue
            num_good += 1
            if len(drawn) < most:
                drawn.append((row.number, text))
            elif (place := chance.randrange(num_good)) < most:
                drawn[place] = (row.number, text)
    drawn.sort()
    numbers, texts = [number for number, _ in drawn], [text for _, text in drawn]
    return numbers, texts, num_rows, num_rows - num_good


def choose(
    labelled: Dataset | None, texts: list[str], groups: NDArray[np.int64], plan: Plan
) -> NDArray[np.int64]:
    """Return which texts to label next, the most unsure first; int64, shape (texts chosen,).

    Args:
        groups: int64, shape (texts,): of texts that share one, one is chosen.
    """
    known_texts = labelled.texts if labelled else []
    tokenizer = train_speller([*known_texts, *texts])
    others = encode_texts(tokenizer, texts)
    if plan.predict is not None:
        probabilities = np.asarray(plan.predict(texts), np.float64)
    elif labelled is not None:
        probabilities = predict_others(labelled, others, tokenizer, plan.seed)
    else:
        raise ValueError("neither labelled rows nor a model are given")
    words = find_words(others.token_ids)
    counts = count_features(words, len(texts), len(others.words), is_once=True)
    places = reduce_words(counts, plan.seed)
    margins = np.asarray(plan.margins(probabilities), np.float64)
    return select_unsure(margins, groups, places, plan.count, plan.seed)


def predict_others(
    labelled: Dataset, others: Encoded, tokenizer: Tokenizer, seed: int
) -> NDArray[np.float64]:
    """Return what the linear half, fitted to labelled rows, says of others; float64, shape (others,
    labels)."""
    objective = SingleLabelObjective(SingleLabelObjective.find_task(labelled.labels, {}))
    part = Part(labelled.texts, labelled.labels, (), labelled.overlaps.groups)
    rows = encode_part(part, tokenizer, objective)
    targets = np.zeros((len(others.token_ids), rows.targets.shape[1]), np.float32)
    return fit_and_predict(rows, replace(others, targets=targets), objective, seed)


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> Encoded:
    """Return what a model reads of texts that have no label."""
    encodings = [tokenizer.encode(text) for text in texts]
    return Encoded(
        [encoding.ids for encoding in encodings],
        np.zeros((len(texts), 1), np.float32),
        [encoding.unknown for encoding in encodings],
        list(tokenizer.word_ids),
    )


def read_whole_rows(
    source: Source, numbers: Sequence[int], label: str
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns of a table, and rows by their numbers with all that the file has of them,
    in the order of `numbers`; the column of the label is empty."""
    with source.open() as (rows, _):
        names = rows.names
    found: dict[int, dict[str, Any]] = {}
    wanted = set(numbers)
    once = [name for name in names or () if list(names or ()).count(name) == 1]
    with source.open(once) as (rows, _):
        for row in rows:
            if row.number in wanted:
                found[row.number] = _name_fields(row, once, names is not None) | {label: ""}
            if len(found) == len(wanted):
                break
    columns = [name for name in once if name != label] if names is not None else ["text"]
    if names is None:
        fields = [field for row in found.values() for field in row if field != label]
        columns = list(dict.fromkeys(fields))
    return [*columns, label], [found[number] for number in numbers]


def _name_fields(row: Row, names: Sequence[str], has_names: bool) -> dict[str, Any]:
    """Return column -> what a row has there; of plain lines the text."""
    if has_names:
        return dict(zip(names, row.values[1:], strict=True))
    if isinstance(row.fields, tuple):  # JSON: the line, and what it holds
        return dict(row.fields[1])
    return {"text": row.values[0]}
