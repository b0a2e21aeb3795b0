"""The phrases of the default recipe: what is a feature, which are kept, what they weigh."""

import numpy as np
import pytest

from training.blocks.phrases import (
    FIRST_WORD_ID,
    MULTIPLIERS,
    NUM_FINGERPRINTS,
    PRIME,
    TAIL_TOKENS,
    find_phrases,
    find_words,
    fit_wide,
    log_count_ratios,
    look_up,
    split_hash,
)

UNKNOWN = FIRST_WORD_ID - 1


def hash_of(*ids: int) -> int:
    """Python's own integers, which no sum overflows."""
    multipliers = MULTIPLIERS[len(ids) - 2]
    return sum(m * id_ for m, id_ in zip(multipliers, ids, strict=True)) % PRIME


def test_words_and_phrases_of_known_words_are_features():
    texts = [[2, 3, UNKNOWN, 4, 5, 6], [], [7], [UNKNOWN]]

    words, phrases = find_words(texts), find_phrases(texts)

    assert words.feature_ids.tolist() == [2, 3, 4, 5, 6, 7]
    assert words.text_ids.tolist() == [0, 0, 0, 0, 0, 2]
    expected = {hash_of(2, 3), hash_of(4, 5), hash_of(5, 6), hash_of(4, 5, 6)}
    assert set(phrases.feature_ids.tolist()) == expected
    assert phrases.text_ids.tolist() == [0] * 4


def test_phrases_do_not_reach_into_the_next_text():
    alone, together = (find_phrases(texts) for texts in ([[2, 3]], [[2, 3], [4, 5]]))

    assert alone.feature_ids.tolist() == [hash_of(2, 3)]
    assert together.feature_ids.tolist() == [hash_of(2, 3), hash_of(4, 5)]


def test_hash_of_the_largest_ids_does_not_overflow():
    largest = 2**20 - 1

    phrases = find_phrases([[largest] * 3])

    assert set(phrases.feature_ids.tolist()) == {hash_of(largest, largest), hash_of(*[largest] * 3)}


def test_last_tokens_are_the_tail():
    length = TAIL_TOKENS + 3

    words, phrases = (find([list(range(2, 2 + length))]) for find in (find_words, find_phrases))

    assert np.flatnonzero(words.in_tail).tolist() == list(range(3, length))
    pair = {int(id_): tail for id_, tail in zip(phrases.feature_ids, phrases.in_tail, strict=True)}
    assert not pair[hash_of(4, 5)]  # begins one token before the tail
    assert pair[hash_of(5, 6)]


def test_log_count_ratios_follow_the_paper():
    from scipy import sparse

    presence = sparse.csr_matrix([[1, 0, 1], [1, 1, 0], [0, 1, 0]])
    target = np.array([True, False, False])

    ratios = log_count_ratios(presence, target)

    p, q = np.array([1 + 1, 1 + 0, 1 + 1]), np.array([1 + 1, 1 + 2, 1 + 0])
    np.testing.assert_allclose(ratios, np.log((p / p.sum()) / (q / q.sum())), rtol=1e-6)


def make_rows(num_classes: int, num_rows: int = 400) -> tuple[list[list[int]], np.ndarray]:
    """Texts of 20 words whose class is said by one pair alone: (2, 3), (3, 4), (4, 2)..."""
    random = np.random.default_rng(5)
    pairs = [(2, 3), (3, 2), (2, 4)][:num_classes]
    label_ids = random.integers(0, num_classes, num_rows)
    texts = []
    for label_id in label_ids:
        noise = random.integers(5, 40, 20).tolist()
        place = int(random.integers(0, 19))
        texts.append(noise[:place] + list(pairs[label_id]) + noise[place:])
    return texts, label_ids


def logits_of(wide, texts, vocab_size: int) -> np.ndarray:
    """What the docstring of `Wide` says, with sets and loops."""
    columns = len(wide.bias)
    rows = []
    for ids in texts:
        features: dict[int, int] = {}  # row -> start of its last occurrence
        for start in range(len(ids)):
            for size in (1, 2, 3):
                window = ids[start : start + size]
                if len(window) < size or min(window) < FIRST_WORD_ID:
                    continue
                row = window[0]
                if size > 1:
                    place = hash_of(*window) % len(wide.fingerprints)
                    if wide.fingerprints[place] != hash_of(*window) % NUM_FINGERPRINTS + 1:
                        continue
                    row = vocab_size + place
                features[row] = start
        tail = [row for row, start in features.items() if len(ids) - start <= TAIL_TOKENS]
        logits = wide.bias.astype(np.float64)
        for found, part in ((list(features), slice(0, columns)), (tail, slice(columns, None))):
            if found:
                logits = logits + wide.weights[found, part].sum(axis=0) / np.sqrt(len(found))
        rows.append(logits)
    return np.array(rows)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_word_order_is_learned(num_classes):
    texts, label_ids = make_rows(num_classes)

    wide = fit_wide(texts[:300], label_ids[:300], num_classes, 40, 500, seed=0)

    logits = logits_of(wide, texts[300:], 40)
    columns = 1 if num_classes == 2 else num_classes
    assert wide.weights.shape == (40 + 500, 2 * columns)
    assert wide.weights.dtype == np.float32
    guesses = (logits[:, 0] > 0).astype(int) if columns == 1 else logits.argmax(axis=1)
    assert np.mean(guesses == label_ids[300:]) > 0.95


def test_full_table_keeps_the_phrases_that_weigh_most():
    texts, label_ids = make_rows(2)

    wide = fit_wide(texts, label_ids, 2, 40, 7, seed=0)

    for pair in ((2, 3), (3, 2)):
        place, fingerprint = split_hash(np.array([hash_of(*pair)]), 7)
        assert wide.fingerprints[place] == fingerprint
    kept = look_up(find_phrases(texts), wide.fingerprints)
    found = find_phrases(texts)
    # Each of the seven places is taken by one phrase, and no other is read as it.
    hashes = {int(h) for h in found.feature_ids}
    mine = [h for h in hashes if wide.fingerprints[h % 7] == h % NUM_FINGERPRINTS + 1]
    assert len(kept.feature_ids) == sum(int(h) in mine for h in found.feature_ids)
    assert len(mine) < len(hashes) / 20


def test_texts_without_phrases_are_fitted():
    texts = [[2], [3], [2], [3], []] * 4
    label_ids = np.array([0, 1, 0, 1, 0] * 4)

    wide = fit_wide(texts, label_ids, 2, 6, 10, seed=0)

    assert not wide.fingerprints.any()
    logits = logits_of(wide, [[2], [3]], 6)
    assert logits[0] < 0 < logits[1]
