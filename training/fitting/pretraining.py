"""What a segment tells of its neighbours: how an encoder learns from texts without labels.

The encoder reads a segment and predicts which words stand in the segments before and behind it
(Johnson & Zhang, "Supervised and Semi-Supervised Text Categorization using LSTM for Region
Embeddings", ICML 2016, arXiv 1602.02373, section 3): so it learns what parts of texts say, before
it learns what that means for a label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from scipy import sparse

from training.blocks.segments import SEGMENT_TOKENS
from training.fitting.encoded import Encoded
from training.fitting.fit import fit
from training.progress import say
from training.resuming.stages import Stages
from training.settings import Settings
from training.tokenizer import UNKNOWN_ID

MIN_TOKENS = 12  # of a segment at the end of a text
MIN_SEGMENTS = 20_000  # with neighbours: fewer teach nothing
NUM_FREQUENT = 60  # words that stand everywhere tell nothing
NUM_WORDS = 6_000  # behind them, which are predicted
FIRST_LOGIT = -5.0  # a word stands in few segments
EPOCHS = 2
CONSTANTS = {"pretraining_epochs": EPOCHS, "pretraining_words": NUM_WORDS}


class _Neighbours:
    """What stands around each segment, as targets of a batch: all at once would be gigabytes.

    Args:
        cells: Shape (segments, words), 1 where a word stands.
    """

    def __init__(self, cells: sparse.csr_matrix) -> None:
        self._cells = cells

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        return np.asarray(self._cells[rows].toarray(), np.float32)


class _Objective:
    """The loss: binary cross-entropy, summed over the words."""

    @staticmethod
    def loss(targets: Any, logits: Any) -> Any:
        """Return the loss of each segment, shape (segments,); both have (segments, words)."""
        each = ops.binary_crossentropy(targets, logits, from_logits=True)
        return ops.sum(each, axis=-1) / 10  # about 1 a word, as gradients are clipped


def pretrain(encoder: keras.Model, rows: Encoded, settings: Settings, stages: Stages) -> None:
    """Fit an encoder in place to the neighbours of segments, if texts without labels have enough.

    The labelled texts alone do not pay: on 5,000 held-out rows of IMDB's train the log loss of both
    halves is 0.2005 without, 0.2009 by them (20,000), 0.1989 by 50,000 texts without labels too.

    Args:
        encoder: From a model's inputs to what it reads of a text, (batch, channels).
        rows: Their labels are not looked at.
    """
    if not rows.unlabelled:
        return
    learned = stages.make("pretrained", lambda: _learn(encoder, rows, settings, stages))
    if learned:
        encoder.set_weights([learned[str(number)] for number in range(len(learned))])


def _learn(
    encoder: keras.Model, rows: Encoded, settings: Settings, stages: Stages
) -> dict[str, NDArray[Any]]:
    """Return the weights of the encoder, by their numbers, once it is fitted; none where the texts
    have too few segments."""
    texts = [*rows.token_ids, *rows.unlabelled]
    segments, cells = find_neighbours(texts, len(rows.words))
    if len(segments) < MIN_SEGMENTS:
        return {}
    say(f"{len(segments):,} segments with neighbours")
    bias = keras.initializers.Constant(FIRST_LOGIT)
    words = layers.Dense(cells.shape[1], bias_initializer=bias)(encoder.output)
    student = keras.Model(encoder.input, words)
    own = dataclasses.replace(
        settings, epochs=EPOCHS, min_steps=0, batch_size=256, learning_rate=4e-3, patience=0
    )
    targets: Any = _Neighbours(cells)
    objective: Any = _Objective()
    checkpoint = stages.folder / "pretraining.npz"
    fit(student, Encoded(segments, targets), None, own, objective, checkpoint)
    return {str(number): weights for number, weights in enumerate(encoder.get_weights())}


def find_neighbours(
    token_ids: Sequence[Sequence[int]], vocab_size: int
) -> tuple[list[list[int]], sparse.csr_matrix]:
    """Return the segments of texts of two or more, and which words stand beside each.

    Args:
        token_ids: Of each text, without padding.

    Returns:
        Token ids of each segment; float32, shape (segments, words that are predicted).
    """
    counts = np.zeros(vocab_size, np.int64)
    for ids in token_ids:
        counts += np.bincount(ids, minlength=vocab_size)
    counts[: UNKNOWN_ID + 1] = 0
    order = np.argsort(-counts, kind="stable")[NUM_FREQUENT : NUM_FREQUENT + NUM_WORDS]
    order = order[counts[order] > 0]
    columns = np.full(vocab_size, -1)
    columns[order] = np.arange(len(order))
    segments: list[list[int]] = []
    indices: list[NDArray[np.int64]] = []
    for ids in token_ids:
        parts = [ids[at : at + SEGMENT_TOKENS] for at in range(0, len(ids), SEGMENT_TOKENS)]
        if len(parts) > 1 and len(parts[-1]) < MIN_TOKENS:
            parts.pop()
        if len(parts) < 2:
            continue
        found = [np.unique(columns[np.asarray(part)]) for part in parts]
        for number, part in enumerate(parts):
            beside = found[max(0, number - 1) : number] + found[number + 1 : number + 2]
            words = np.unique(np.concatenate(beside))
            segments.append(list(part))
            indices.append(words[words >= 0])
    ends = np.cumsum([0, *map(len, indices)])
    flat = np.concatenate(indices) if indices else np.empty(0, np.int64)
    shape = (len(segments), len(order))
    return segments, sparse.csr_matrix((np.ones(len(flat), np.float32), flat, ends), shape)
