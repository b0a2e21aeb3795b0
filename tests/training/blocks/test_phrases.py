"""Phrases: what is a feature, which are kept, what they weigh."""

import numpy as np
import pytest

from export.layers.embedding import quantize_table
from tests.helpers.phrases import hash_of, logits_of, make_rows, place_of
from training.blocks.ngrams import (
    FIRST_WORD_ID,
    NO_WORD,
    SUM_LIMIT,
    TAIL_TOKENS,
    Features,
    find_phrases,
    find_words,
    look_up,
    place_phrases,
    split_hash,
)
from training.blocks.phrases import (
    count_buckets,
    count_bytes,
    fit_phrases,
    log_count_ratios,
    round_weights,
)

UNKNOWN = FIRST_WORD_ID - 1


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


def test_hash_of_the_largest_ids_is_told_from_one_with_an_unknown_word():
    largest = 2**20 - 1

    phrases = find_phrases([[largest] * 3])

    assert set(phrases.feature_ids.tolist()) == {hash_of(largest, largest), hash_of(*[largest] * 3)}
    assert phrases.feature_ids.max() < SUM_LIMIT - 256 * 2**20 < 2**30 * NO_WORD
    assert hash_of(*[NO_WORD] * 3) < 2**63


def test_last_tokens_are_the_tail():
    length = TAIL_TOKENS + 3

    words, phrases = (find([list(range(2, 2 + length))]) for find in (find_words, find_phrases))

    assert np.flatnonzero(words.in_tail).tolist() == list(range(3, length))
    pair = {int(id_): tail for id_, tail in zip(phrases.feature_ids, phrases.in_tail, strict=True)}
    assert not pair[hash_of(4, 5)]  # begins one token before the tail
    assert pair[hash_of(5, 6)]


def test_log_count_ratios_follow_the_paper():
    from scipy import sparse

    counts = sparse.csr_matrix([[1, 0, 1], [1, 1, 0], [0, 1, 0]])
    target = np.array([True, False, False])

    ratios = log_count_ratios(counts, target)

    p, q = np.array([1 + 1, 1 + 0, 1 + 1]), np.array([1 + 1, 1 + 2, 1 + 0])
    np.testing.assert_allclose(ratios, np.log((p / p.sum()) / (q / q.sum())), rtol=1e-6)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_word_order_is_learned(num_labels):
    texts, label_ids = make_rows(num_labels)
    # Two labels need one logit, that of the second.
    targets = np.eye(num_labels, dtype=bool)[label_ids][:, 1 if num_labels == 2 else 0 :]

    table = fit_phrases(texts[:300], targets[:300], 40, 500, seed=0)

    logits = logits_of(table, texts[300:], 40)
    num_logits = targets.shape[1]
    assert table.weights.shape == (40 + 500, 2 * num_logits)
    assert table.weights.dtype == np.float32
    guesses = (logits[:, 0] > 0).astype(int) if num_logits == 1 else logits.argmax(axis=1)
    assert np.mean(guesses == label_ids[300:]) > 0.95


def test_full_table_keeps_the_phrases_that_weigh_most():
    texts, label_ids = make_rows(2)

    table = fit_phrases(texts, label_ids[:, None] == 1, 40, 7, seed=0)

    for pair in ((2, 3), (3, 2)):
        place, fingerprint = place_of(*pair, num_buckets=7)
        assert table.fingerprints[place] == fingerprint
    kept = look_up(find_phrases(texts), table.fingerprints)
    found = find_phrases(texts)
    # Each of the seven places is taken by one phrase, and no other is read as it.
    places, fingerprints = split_hash(np.unique(found.feature_ids), 7)
    mine = np.unique(found.feature_ids)[table.fingerprints[places] == fingerprints]
    assert len(kept.feature_ids) == np.isin(found.feature_ids, mine).sum()
    assert len(mine) < len(places) / 20


def test_phrase_whose_fingerprint_marks_empty_places_is_none():
    hashes = np.array([3 * 256, 4 * 256 + 9])

    table = place_phrases(hashes, np.ones(2), 10)

    assert np.flatnonzero(table).tolist() == [4]
    phrases = Features(hashes, np.zeros(2, np.int64), np.zeros(2, np.bool_))
    assert look_up(phrases, table).feature_ids.tolist() == [4]


def test_weights_are_whole_steps_that_int8_keeps():
    weights = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    weights[:, 1] = 0

    rounded = round_weights(weights)

    values, scales = quantize_table(rounded, 8, is_vectors=False)
    np.testing.assert_allclose(values * scales, rounded, rtol=1e-6, atol=0)
    np.testing.assert_allclose(rounded, weights, rtol=0, atol=np.abs(weights).max() / 254)


def test_texts_without_phrases_are_fitted():
    texts = [[2], [3], [2], [3], []] * 4
    targets = np.array([[0], [1], [0], [1], [0]] * 4, bool)

    table = fit_phrases(texts, targets, 6, 10, seed=0)

    assert not table.fingerprints.any()
    logits = logits_of(table, [[2], [3]], 6)
    assert logits[0] < 0 < logits[1]


def test_logit_that_all_texts_are_on_one_side_of_is_its_prior():
    texts, label_ids = make_rows(2, num_rows=99)
    targets = np.stack([label_ids == 1, label_ids >= 0, label_ids < 0], axis=1)

    table = fit_phrases(texts, targets, vocab_size=40, num_buckets=99, seed=0)

    weighs = (table.weights != 0).any(axis=0)
    assert weighs.tolist() == [True, False, False] * 2  # anywhere, in the tail
    np.testing.assert_allclose(table.bias[1:], [np.log(100), -np.log(100)], rtol=1e-6)


@pytest.mark.parametrize("num_logits", [1, 2, 3, 20])
def test_table_has_the_bytes_that_it_may_have(num_logits):
    num_buckets = count_buckets(num_logits, 2**15)

    size = count_bytes(num_buckets, num_logits)
    assert 2**15 - 2 * count_bytes(1, num_logits) <= size <= 2**15


def test_table_has_one_place_at_least():
    assert count_buckets(3, 0) == 1
