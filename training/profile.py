"""The profile of a finished model: what texts and its answers are like, of rows that it was not
fitted to (`handler/inference/profile.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.profile import Said, make_profile
from handler.inference.tasks import Selective, Task
from handler.inference.tokenizer import Tokenizer
from training.answers.selective import count_words, measure_distances
from training.fitting.encoded import Encoded
from training.tokenizer import UNKNOWN_ID

MAX_ROWS = 50_000  # more of them tell nothing that a window of texts could


def profile_rows(
    task: Task,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    told: NDArray[np.floating[Any]],
    rows: Encoded,
    learned: Encoded,
) -> dict[str, Any]:
    """Return what the manifest keeps as `profile`.

    Args:
        task: As it answers, with all that is settled of it.
        texts: Of the rows.
        told: What the model says of them as one that was not fitted to them, floats, shape (rows,
            num_outputs).
        rows: What it reads of them, with offsets where they are among `learned`.
        learned: The rows that told what words are known.
    """
    if len(texts) > MAX_ROWS:  # rows of a file may be sorted: the first ones are like each other
        chosen = np.sort(np.random.default_rng(0).choice(len(texts), MAX_ROWS, replace=False))
        texts, told = [texts[place] for place in chosen.tolist()], told[chosen]
        rows = rows.select(chosen)
    outputs = told.tolist()
    if isinstance(task, Selective) and task.scope is not None:
        distances = measure_distances(task.scope, rows, learned)
        for row, distance in zip(outputs, distances.tolist(), strict=True):
            row.append(distance)
    known = count_known(rows, learned)
    predictions: list[Said] = []
    for text, row, num_known in zip(texts, outputs, known, strict=True):
        encoding = tokenizer.encode(text)
        length = len(encoding.ids)
        predictions.append((row, encoding.is_truncated, min(num_known, length), length))
    return make_profile(task, texts, predictions).describe()


def count_known(rows: Encoded, learned: Encoded) -> list[int]:
    """Return how many words of each row are known; of rows that told the vocabulary, those that
    others would have told."""
    counts = None
    if rows.offsets is not None:
        counts = count_words(learned, len(learned.words))
    known = []
    for ids in rows.token_ids:
        found = np.asarray(ids, np.int64)
        is_known = found > UNKNOWN_ID
        if counts is not None:
            _, places, own = np.unique(found, return_inverse=True, return_counts=True)
            is_known &= counts[found] > own[places]
        known.append(int(is_known.sum()))
    return known
