"""Runs of letters inside words: what a word that nobody has seen is made of.

After fastText's subwords (Bojanowski et al. 2017, arXiv 1607.04606): a word is all runs of one to
five letters in it, those of two and more also over its borders. What they weigh is folded into
the words that are known. So only the letters of unknown words are read when a text is answered.

    <films> -> f, i, l, m, s, <f, fi, il, lm, ms, s>, <fi, fil, …, lms>
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from handler.inference.letters import BORDER_CODE, spell
from handler.inference.tokenizer import MAX_WORD_LETTERS
from training.blocks.table import SUM_LIMIT, find_rows

if TYPE_CHECKING:
    import keras

LONGEST = 5
# By one letter at a border a syllable that ends or begins words is told: Korean names of countries,
# languages ... by kind, 100 rows, 73.7 % in place of 69.2, Thai 55.6 in place of 54.4; five other
# sets 0 to +0.2.
FIRST_OVER_BORDERS = 2
# Multilinear hashing (Carter & Wegman 1979): row k has the multiplier of the letter at k of a run
# of each length. All are from 2**27 to 2**28, so that with codes under 2**21 the sums stay under
# 2**52.
MULTIPLIERS = np.array(
    [
        [201_326_611, 171_966_661, 262_139_071, 187_908_767, 150_994_979],
        [0, 240_518_169, 139_646_831, 222_643_807, 265_371_653],
        [0, 0, 230_584_301, 141_650_963, 179_426_549],
        [0, 0, 0, 253_396_103, 217_645_199],
        [0, 0, 0, 0, 198_491_317],
    ]
)
NO_LETTER = 2**27  # in place of what cannot stand there: it brings every sum to 2**54 or more
WEIGHTS, FINGERPRINTS = "letter_weights", "letter_fingerprints"  # names of the layers
CONSTANTS = {
    "longest_run_of_letters": LONGEST,
    "shortest_run_over_borders": FIRST_OVER_BORDERS,
}


def _split_multipliers() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the multipliers of what must be a letter, and of what may be a border; both of the
    shape of MULTIPLIERS."""
    offsets, lengths = np.indices(MULTIPLIERS.shape)
    lengths += 1
    is_end = (offsets == 0) | (offsets == lengths - 1)
    may_be_border = is_end & (lengths >= FIRST_OVER_BORDERS)
    return np.where(may_be_border, 0, MULTIPLIERS), np.where(may_be_border, MULTIPLIERS, 0)


INSIDE, AT_ENDS = _split_multipliers()


def letter_logits(
    letters: keras.KerasTensor, num_places: int, num_logits: int
) -> keras.KerasTensor:
    """Return shape (batch, num_logits): the sum of what each run of letters weighs.

    Args:
        letters: int32, shape (batch, letters), of unknown words, with a border before and behind
            each; padded on the right with 0.
    """
    from keras import layers, ops

    padded = ops.cast(ops.pad(letters, ((0, 0), (0, LONGEST - 1))), "int64")
    padded = ops.expand_dims(padded, -1)
    inside = ops.where(padded <= BORDER_CODE, NO_LETTER, padded) * INSIDE.ravel()
    at_ends = ops.where(padded < BORDER_CODE, NO_LETTER, padded) * AT_ENDS.ravel()
    products = inside + at_ends
    padded_end = 1 - LONGEST
    parts = [
        products[:, k : padded_end + k or None, LONGEST * k : LONGEST * (k + 1)]
        for k in range(LONGEST)
    ]
    rows = find_rows(sum(parts[1:], parts[0]), FINGERPRINTS, num_places, 1)
    table = layers.Embedding(num_places + 1, num_logits, name=WEIGHTS, trainable=False)
    return ops.sum(table(rows), axis=(1, 2))


def hash_runs(words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the hash of every run of letters in `words`, and the number of its word.

    Both int64, shape (runs of all words,).
    """
    codes = np.array(spell([word[:MAX_WORD_LETTERS] for word in words]), np.int64)
    if not len(codes):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    owners = np.maximum(np.cumsum(codes == BORDER_CODE) - 1, 0)
    codes = np.pad(codes, (0, LONGEST - 1))
    inside = np.where(codes <= BORDER_CODE, NO_LETTER, codes)
    at_ends = np.where(codes < BORDER_CODE, NO_LETTER, codes)
    num_starts = len(owners)
    hashes, found = [], []
    for length in range(1, LONGEST + 1):
        sums = np.zeros(num_starts, np.int64)
        for offset in range(length):
            part = slice(offset, offset + num_starts)
            sums += inside[part] * INSIDE[offset, length - 1]
            sums += at_ends[part] * AT_ENDS[offset, length - 1]
        is_run = sums < SUM_LIMIT
        hashes.append(sums[is_run])
        found.append(owners[is_run])
    return np.concatenate(hashes), np.concatenate(found)
