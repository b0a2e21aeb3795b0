"""The default recipe, small, and texts that tell its halves apart."""

import dataclasses

import numpy as np

from training.blocks.ngrams import FIRST_WORD_ID, find_phrases, split_hash
from training.blocks.phrases import Phrases, count_buckets, round_weights
from training.recipes import wide_deep

VOCAB_SIZE = 60
SETTINGS = dataclasses.replace(
    wide_deep.SETTINGS, embedding_dim=4, units=(4,), batch_size=32, epochs=2, min_steps=0, seed=1
)
# Of texts: every length at a border of segments, tail and phrases.
LENGTHS = (0, 1, 2, 3, 47, 48, 49, 96, 97, 99, 100, 101, 102, 103, 230)


def random_phrases(num_logits: int, texts: list[list[int]]) -> Phrases:
    """Return a table that knows half of the phrases of `texts`."""
    random = np.random.default_rng(3)
    size = count_buckets(num_logits, SETTINGS.table_bytes)
    hashes = np.unique(find_phrases(texts).feature_ids)[::2]
    fingerprints = np.zeros(size, np.uint8)
    places, values = split_hash(hashes, size)
    fingerprints[places] = values
    weights = random.normal(size=(VOCAB_SIZE + size, 2 * num_logits)).astype(np.float32)
    weights[:FIRST_WORD_ID] = 0
    weights[VOCAB_SIZE:][fingerprints == 0] = 0
    weights = round_weights(weights)
    return Phrases(fingerprints, weights, np.zeros(num_logits, np.float32))
