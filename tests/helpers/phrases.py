"""Texts of token ids whose labels phrases say, and the wide half's logits computed the slow way."""

import numpy as np

from training.blocks import letters, wide
from training.blocks.ngrams import END_ID, MULTIPLIERS, START_ID, TAIL_TOKENS
from training.blocks.table import NUM_FINGERPRINTS
from training.tokenizer import UNKNOWN_ID


def hash_of(*ids: int) -> int:
    """Return the hash of a phrase by Python's own integers, which no sum overflows."""
    multipliers = MULTIPLIERS[: len(ids), len(ids) - 2].tolist()
    return sum(m * id_ for m, id_ in zip(multipliers, ids, strict=True))


def hash_of_run(run: str) -> int:
    """Return the hash of a run of letters, "<" and ">" its borders."""
    multipliers = letters.MULTIPLIERS[: len(run), len(run) - 1].tolist()
    codes = [1 if letter in "<>" else ord(letter) for letter in run]
    return sum(m * code for m, code in zip(multipliers, codes, strict=True))


def runs_of(word: str) -> list[str]:
    """Return every run of letters of a word, as the docstring of the block says."""
    bordered = f"<{word}>"
    longer = [bordered[i : i + n] for n in (2, 3, 4, 5) for i in range(len(bordered) - n + 1)]
    return [*word, *longer]


def place_of(hash_: int, num_places: int) -> tuple[int, int]:
    """Return place and fingerprint of a feature in a table of `num_places` places."""
    return divmod(hash_ % (num_places * NUM_FINGERPRINTS), NUM_FINGERPRINTS)


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


def find_row(hash_: int, fingerprints: np.ndarray) -> int | None:
    """Return the place of a feature, None where the table does not keep it."""
    place, fingerprint = place_of(hash_, len(fingerprints))
    return place if fingerprint and fingerprints[place] == fingerprint else None


def logits_of(
    tables: dict[str, np.ndarray],
    texts: list[list[int]],
    vocab_size: int,
    unknown: list[list[str]] | None = None,
) -> np.ndarray:
    """Return what the docstring of `wide` says, by sets and loops; (texts, num_logits)."""
    weights, fingerprints = tables[wide.WEIGHTS], tables[wide.FINGERPRINTS][:, 0]
    num_logits = weights.shape[1] // 2
    rows = []
    for number, ids in enumerate(texts):
        features, tail = [], []
        started = [START_ID, START_ID, *ids, END_ID, END_ID]
        for start in range(-2, len(ids)):
            for size in (1, 2, 3)[start < 0 :]:
                window = started[start + 2 : start + 2 + size]
                if UNKNOWN_ID in window:
                    continue
                row = window[0]
                if size > 1:
                    place = find_row(hash_of(*window), fingerprints)
                    if place is None:
                        continue
                    row = vocab_size + place
                is_new = size > 1 or row not in ids[start + 1 :]  # of a word the last one counts
                features += [row] * is_new
                tail += [row] * (is_new and len(ids) - start <= TAIL_TOKENS)
        logits = np.zeros(num_logits)
        for found, length, part in (
            (features, max(1, len(ids)), slice(0, num_logits)),
            (tail, min(max(1, len(ids)), TAIL_TOKENS), slice(num_logits, None)),
        ):
            if found:
                logits = logits + weights[found, part].sum(axis=0) / np.sqrt(length)
        for word in unknown[number] if unknown else ():
            for run in runs_of(word):
                place = find_row(hash_of_run(run), tables[letters.FINGERPRINTS][:, 0])
                if place is not None:
                    logits = logits + tables[letters.WEIGHTS][place + 1] / np.sqrt(len(ids))
        rows.append(logits)
    return np.array(rows)
