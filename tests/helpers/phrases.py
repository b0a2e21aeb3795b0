"""Texts of token ids whose labels phrases say, and the phrases' logits computed the slow way."""

import numpy as np

from training.blocks.ngrams import FIRST_WORD_ID, MULTIPLIERS, NUM_FINGERPRINTS, TAIL_TOKENS
from training.blocks.phrases import Phrases


def hash_of(*ids: int) -> int:
    """Return the hash of a phrase by Python's own integers, which no sum overflows."""
    multipliers = MULTIPLIERS[: len(ids), len(ids) - 2].tolist()
    return sum(m * id_ for m, id_ in zip(multipliers, ids, strict=True))


def place_of(*ids: int, num_buckets: int) -> tuple[int, int]:
    """Return place and fingerprint of a phrase in a table of `num_buckets` places."""
    return divmod(hash_of(*ids) % (num_buckets * NUM_FINGERPRINTS), NUM_FINGERPRINTS)


def make_rows(num_labels: int, num_rows: int = 400) -> tuple[list[list[int]], np.ndarray]:
    """Return texts of 22 words whose label is said by one pair alone, and the label of each.

    The labels are numbers, shape (num_rows,).
    """
    random = np.random.default_rng(5)
    pairs = [(2, 3), (3, 2), (2, 4)][:num_labels]
    label_ids = random.integers(0, num_labels, num_rows)
    texts = []
    for label_id in label_ids:
        noise = random.integers(5, 40, 20).tolist()
        place = int(random.integers(0, 19))
        texts.append(noise[:place] + list(pairs[label_id]) + noise[place:])
    return texts, label_ids


def logits_of(table: Phrases, texts: list[list[int]], vocab_size: int) -> np.ndarray:
    """Return what the docstring of `Phrases` says, by sets and loops; (texts, num_logits)."""
    num_logits = len(table.bias)
    rows = []
    for ids in texts:
        features, tail = [], []
        for start in range(len(ids)):
            for size in (1, 2, 3):
                window = ids[start : start + size]
                if len(window) < size or min(window) < FIRST_WORD_ID:
                    continue
                row = window[0]
                if size > 1:
                    place, fingerprint = place_of(*window, num_buckets=len(table.fingerprints))
                    if fingerprint == 0 or table.fingerprints[place] != fingerprint:
                        continue
                    row = vocab_size + place
                is_new = size > 1 or row not in ids[start + 1 :]  # of a word the last one counts
                features += [row] * is_new
                tail += [row] * (is_new and len(ids) - start <= TAIL_TOKENS)
        logits = table.bias.astype(np.float64)
        for found, length, part in (
            (features, len(ids), slice(0, num_logits)),
            (tail, min(len(ids), TAIL_TOKENS), slice(num_logits, None)),
        ):
            if found:
                logits = logits + table.weights[found, part].sum(axis=0) / np.sqrt(length)
        rows.append(logits)
    return np.array(rows)
