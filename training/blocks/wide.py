"""The wide half: a table of what words, pairs, triples and runs of letters weigh.

After NBSVM (Wang & Manning, "Baselines and Bigrams", ACL 2012) and fastText's subwords: what a text
has is looked up, summed, and divided by the root of its tokens. `training/linear/` fits what each
weighs. What is kept are the features with the largest weights, in tables of a fixed size
(`training/blocks/table.py`).

A word counts once, a phrase each time. Whatever counts once must be sorted at every answer.
Accuracy and log loss of this half for 1,250 development rows of IMDB where all count once 91.60 and
0.2028, words alone 91.84 and 0.2063, none 91.36 and 0.2109.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from training.blocks import letters as letter_runs
from training.blocks.ngrams import (
    AROUND,
    END_ID,
    FIRST_WORD_ID,
    LONGEST,
    MULTIPLIERS,
    NO_WORD,
    START_ID,
    TAIL_TOKENS,
)
from training.blocks.table import find_rows
from training.linear.weights import Weights
from training.tokenizer import UNKNOWN_ID

# Names of the layers that hold the table.
FINGERPRINTS = "wide_fingerprints"
WEIGHTS = "wide_weights"
WEIGHT_STEPS = 127  # of int8
CONSTANTS = {
    "longest_phrase": LONGEST,
    "tail_tokens": TAIL_TOKENS,
    "start_id": START_ID,
    "end_id": END_ID,
    "starts_and_ends": AROUND,
} | letter_runs.CONSTANTS


def count_places(num_columns: int, table_bytes: int) -> int:
    """Return how many features fit into a table of `table_bytes`, once it is int8."""
    return max(1, table_bytes // (1 + num_columns))


def count_bytes(num_places: int, num_columns: int) -> int:
    """Return how many bytes a table of `num_places` features has, once it is int8: a fingerprint
    and a weight for each column."""
    return num_places * (1 + num_columns)


def wide_logits(
    token_ids: keras.KerasTensor,
    letters: keras.KerasTensor | None,
    vocab_size: int,
    num_phrases: int,
    num_runs: int,
    num_logits: int,
    reads_tail: bool = True,
) -> keras.KerasTensor:
    """Return shape (batch, num_logits): what the tables say of each text, without their bias.

    The weights of all that a text has are summed and divided by the root of its tokens, a word's
    once; so are those of what begins in its tail.

    Args:
        token_ids: int32, shape (batch, length), padded on the right with 0.
        letters: As `letter_logits` reads them; None where none are read.
        num_phrases, num_runs: Places of the tables.
        reads_tail: What begins in the tail weighs something of its own.
    """
    num_masks = 1 + reads_tail
    started = ops.pad(token_ids, ((0, 0), (AROUND, 0)), constant_values=START_ID)
    padded = ops.pad(started, ((0, 0), (0, TAIL_TOKENS)))  # longer than a phrase
    size = vocab_size + num_phrases
    table = layers.Embedding(size, num_masks * num_logits, name=WEIGHTS, trainable=False)
    if reads_tail:
        words, is_word = _find_words(token_ids, padded[:, AROUND:])
        masks = _find_texts_and_tails(padded)
    else:
        words = ops.sort(token_ids, axis=1)
        is_word = ops.expand_dims(_is_first(words), 1)
        masks = ops.cast(ops.expand_dims(started, 1) > 0, "float32")
    phrases = ops.sum(table(_find_rows(padded, vocab_size, num_phrases)), axis=2)
    # (batch, num_masks, num_masks * num_logits)
    sums = ops.matmul(is_word, table(words)) + ops.matmul(masks, phrases)
    lengths = ops.sum(masks[:, :, AROUND:], axis=2, keepdims=True)  # without the start
    roots = ops.sqrt(ops.maximum(lengths, 1.0))
    if reads_tail:
        # Of each mask by each kind of weight: the first by the first and the last by the last.
        logits = ops.sum(ops.reshape(sums / roots, (-1, 4, num_logits))[:, ::3], axis=1)
    else:
        logits = ops.squeeze(sums / roots, 1)
    if letters is None:
        return logits
    return logits + letter_runs.letter_logits(letters, num_runs, num_logits) / roots[:, 0]


def _find_words(token_ids: Any, padded: Any) -> tuple[Any, Any]:
    """Return the words of each text, sorted, and 1 where one is the first, and where that is one of
    the text's last tokens too: (batch, length), (batch, 2, length).

    Of equal words the one nearest to the end is sorted first.
    """
    keys = 2 * token_ids + ops.cast(padded[:, TAIL_TOKENS:] > 0, "int32")
    keys = ops.sort(keys, axis=1)
    words = ops.floor_divide(keys, 2)
    is_first = _is_first(words)
    is_tail = is_first * ops.cast(ops.equal(keys, 2 * words), "float32")
    return words, ops.stack([is_first, is_tail], axis=1)


def _is_first(words: Any) -> Any:
    """Return 1 where a word is not the one before it, of sorted ones; padding is no word."""
    before = ops.pad(words[:, :-1], ((0, 0), (1, 0)))
    return ops.cast(ops.not_equal(words, before), "float32")


def _find_texts_and_tails(padded: Any) -> Any:
    """Return 1 where there is a token, and 1 where it is one of the last; (batch, 2, length)."""
    is_token = ops.cast(ops.expand_dims(padded, 1) > 0, "float32")
    text = is_token[:, :, :-TAIL_TOKENS]
    return ops.concatenate([text, text - is_token[:, :, TAIL_TOKENS:]], axis=1)


def _find_rows(padded: Any, vocab_size: int, num_places: int) -> Any:
    """Return the row of the pair and of the triple at both starts and at each token; (batch,
    AROUND + length, 2).

    Row 0 where the table does not have it. A sum with the unknown word in it is over the limit;
    padding is the end of the text.
    """
    words = ops.cast(ops.expand_dims(padded, -1), "int64")
    products = ops.where(ops.equal(words, UNKNOWN_ID), NO_WORD, words) * MULTIPLIERS.ravel()
    num_phrases = MULTIPLIERS.shape[1]
    parts = [
        products[:, start : start - TAIL_TOKENS, num_phrases * start : num_phrases * (start + 1)]
        for start in range(LONGEST)
    ]
    return find_rows(sum(parts[1:], parts[0]), FINGERPRINTS, num_places, vocab_size)


def make_tables(
    weights: Weights,
    tables: dict[str, NDArray[np.uint8]],
    parts: Mapping[str, Any],
    reads_tail: bool,
) -> dict[str, NDArray[Any]]:
    """Return name of a layer -> what it holds, of weights whose columns are places of `tables`.

    Known words get what their letters and their vectors weigh. Each column is whole numbers up to
    `WEIGHT_STEPS` times one step, as an int8 graph holds it. The weights of padding and of the
    unknown word are 0.

    Args:
        parts: Kind -> what each word has of it, shape (vocabulary, features).
        reads_tail: There are columns for the tail, though no text may be so long.
    """
    blocks = weights.blocks
    words = blocks["words"].copy()
    num_phrases = len(tables["phrases"])
    found: dict[str, NDArray[Any]] = {FINGERPRINTS: tables["phrases"][:, None]}
    for kind in blocks.keys() & parts.keys():
        words += np.asarray(parts[kind] @ blocks[kind], np.float32)
    if "letters" in blocks:
        padded = np.pad(blocks["letters"], ((1, 0), (0, 0)))  # row 0: not kept
        found[letter_runs.WEIGHTS] = round_weights(padded)
        found[letter_runs.FINGERPRINTS] = tables["letters"][:, None]
    empty = np.zeros((num_phrases, words.shape[1]), np.float32)
    whole = np.concatenate([words, blocks.get("phrases", empty)])
    both = whole
    if reads_tail:
        both = np.concatenate([whole, blocks.get("tail", np.zeros_like(whole))], axis=1)
    both[:FIRST_WORD_ID] = 0
    found[WEIGHTS] = round_weights(both)
    return found


def set_tables(model: keras.Model, tables: dict[str, NDArray[Any]]) -> None:
    """Put what `make_tables` gives into the layers that `wide_logits` made."""
    for name, table in tables.items():
        model.get_layer(name).set_weights([table])


def round_weights(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each column as whole numbers times a step, which an int8 graph holds as they are.

    So its sums are Keras'. Both float32, shape (features, columns).
    """
    largest = np.abs(weights).max(axis=0)
    steps = np.where(largest > 0, largest / WEIGHT_STEPS, 1).astype(np.float32)
    return np.asarray(np.rint(weights / steps) * steps, np.float32)
