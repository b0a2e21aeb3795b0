"""The default recipe, small, and texts that tell its halves apart."""

import dataclasses

import numpy as np

from training.blocks import letters, wide
from training.blocks.ngrams import FIRST_WORD_ID, find_phrases
from training.blocks.table import place_features
from training.recipes import wide_deep

VOCAB_SIZE = 60
NUM_RUNS = 500  # places of the table of runs of letters
SETTINGS = dataclasses.replace(
    wide_deep.SETTINGS, embedding_dim=4, units=(4,), batch_size=32, epochs=2, min_steps=0, seed=1
)
READING_LETTERS = dataclasses.replace(SETTINGS, run_places=NUM_RUNS)
# Of texts: every length at a border of segments, tail and phrases.
LENGTHS = (0, 1, 2, 3, 47, 48, 49, 96, 97, 99, 100, 101, 102, 103, 230)
SPELLED = ("good", "wow", "x", "unseen")


def random_tables(num_logits: int, texts: list[list[int]]) -> dict[str, np.ndarray]:
    """Return what the layers of a wide half hold that knows half of the phrases of `texts`, and
    half of the runs of letters of `SPELLED`."""
    random = np.random.default_rng(3)
    size = wide.count_places(2 * num_logits, SETTINGS.table_bytes)
    hashes = np.unique(find_phrases(texts).feature_ids)[::2]
    fingerprints = place_features(hashes, np.ones(len(hashes)), size)
    weights = random.normal(size=(VOCAB_SIZE + size, 2 * num_logits)).astype(np.float32)
    weights[:FIRST_WORD_ID] = 0
    weights[VOCAB_SIZE:][fingerprints == 0] = 0
    runs = np.unique(letters.hash_runs(SPELLED)[0])[::2]
    run_table = place_features(runs, np.ones(len(runs)), NUM_RUNS)
    run_weights = random.normal(size=(NUM_RUNS + 1, num_logits)).astype(np.float32)
    run_weights[0] = 0
    run_weights[1:][run_table == 0] = 0
    return {
        wide.FINGERPRINTS: fingerprints[:, None],
        wide.WEIGHTS: wide.round_weights(weights),
        letters.FINGERPRINTS: run_table[:, None],
        letters.WEIGHTS: wide.round_weights(run_weights),
    }


def set_known(model, tables: dict[str, np.ndarray]) -> None:
    """Put those of `tables` in that the model has layers for."""
    names = {layer.name for layer in model.layers}
    wide.set_tables(model, {name: table for name, table in tables.items() if name in names})
