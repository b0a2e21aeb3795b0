"""Words and phrases: what is a feature, where it stands, which are kept in a table."""

import numpy as np
import pytest

from export.layers.embedding import quantize_table
from tests.helpers.phrases import hash_of
from training.blocks.ngrams import (
    END_ID,
    NO_WORD,
    START_ID,
    TAIL_TOKENS,
    find_phrases,
    find_words,
    number_frequent,
)
from training.blocks.table import SUM_LIMIT, find_places, place_features, split_hash
from training.blocks.wide import count_bytes, count_places, round_weights
from training.tokenizer import UNKNOWN_ID


def phrases_of(*ids: int) -> list[int]:
    """Return the hashes of the pairs and triples of a text of known words."""
    around = [START_ID, START_ID, *ids, END_ID, END_ID]
    return [hash_of(*around[i : i + size]) for size in (2, 3) for i in range(len(ids) + 2)]


def test_words_and_phrases_of_known_words_are_features():
    texts = [[2, 3, UNKNOWN_ID, 4, 5, 6], [], [7], [UNKNOWN_ID]]

    words, phrases = find_words(texts), find_phrases(texts)

    assert words.feature_ids.tolist() == [2, 3, 4, 5, 6, 7]
    assert words.text_ids.tolist() == [0, 0, 0, 0, 0, 2]
    start = [hash_of(START_ID, START_ID)]
    begin = [hash_of(START_ID, START_ID, 2), hash_of(START_ID, 2), hash_of(START_ID, 2, 3)]
    middle = [hash_of(2, 3), hash_of(4, 5), hash_of(5, 6), hash_of(4, 5, 6)]
    end = [hash_of(5, 6, END_ID), hash_of(6, END_ID), hash_of(6, END_ID, END_ID)]
    found = zip(phrases.text_ids.tolist(), phrases.feature_ids.tolist(), strict=True)
    of_texts = [start + begin + middle + end, phrases_of(), phrases_of(7), start]
    assert sorted(found) == sorted((n, h) for n, own in enumerate(of_texts) for h in own)


def test_phrases_do_not_reach_into_the_next_text():
    alone, together = (find_phrases(texts) for texts in ([[2, 3]], [[2, 3], [4, 5]]))

    assert sorted(alone.feature_ids.tolist()) == sorted(phrases_of(2, 3))
    assert sorted(together.feature_ids.tolist()) == sorted(phrases_of(2, 3) + phrases_of(4, 5))


def test_hash_of_the_largest_ids_is_told_from_one_with_an_unknown_word():
    largest = 2**20 - 1

    phrases = find_phrases([[largest] * 3])

    assert largest == START_ID
    assert set(phrases.feature_ids.tolist()) == set(phrases_of(*[largest] * 3))
    assert phrases.feature_ids.max() < SUM_LIMIT - 256 * 2**20 < 2**30 * NO_WORD
    assert hash_of(*[NO_WORD] * 3) < 2**63


def test_last_tokens_are_the_tail():
    length = TAIL_TOKENS + 3

    words, phrases = (find([list(range(2, 2 + length))]) for find in (find_words, find_phrases))

    assert np.flatnonzero(words.in_tail).tolist() == list(range(3, length))
    pair = {int(id_): tail for id_, tail in zip(phrases.feature_ids, phrases.in_tail, strict=True)}
    assert not pair[hash_of(4, 5)]  # begins one token before the tail
    assert pair[hash_of(5, 6)]


@pytest.mark.parametrize(("length", "in_tail"), [(TAIL_TOKENS - 1, True), (TAIL_TOKENS, False)])
def test_start_takes_a_place_of_the_tail(length, in_tail):
    phrases = find_phrases([[2] * length])

    begins = phrases.feature_ids == hash_of(START_ID, 2)
    ends = phrases.feature_ids == hash_of(2, END_ID)
    assert phrases.in_tail[ends].tolist() == [True]
    assert phrases.in_tail[begins].tolist() == [in_tail]


@pytest.mark.parametrize(("min_texts", "kept"), [(1, 23), (2, 5), (3, 1)])
def test_phrases_of_few_texts_are_left_out(min_texts, kept):
    phrases = find_phrases([[2, 3], [2, 3, 4], [5, 6, 5, 6]])

    frequent, hashes = number_frequent(phrases, min_texts)

    assert len(hashes) == kept
    assert set(np.unique(frequent.feature_ids)) == set(range(len(hashes)))
    assert (hash_of(2, 3) in hashes) == (min_texts < 3)
    assert (hash_of(5, 6) in hashes) == (min_texts < 2)  # twice, but in one text


def test_each_place_goes_to_the_feature_that_weighs_most():
    hashes = np.array([3 * 256 + 5, 13 * 256 + 9, 4 * 256 + 7])  # of ten places the first two share

    table = place_features(hashes, np.array([1.0, 2.0, 1.0]), 10)

    places, is_kept = find_places(hashes, table)
    assert places.tolist() == [3, 3, 4]
    assert is_kept.tolist() == [False, True, True]


def test_feature_whose_fingerprint_marks_empty_places_is_none():
    hashes = np.array([3 * 256, 4 * 256 + 9])

    table = place_features(hashes, np.ones(2), 10)

    assert np.flatnonzero(table).tolist() == [4]
    assert find_places(hashes, table)[1].tolist() == [False, True]


def test_place_and_fingerprint_are_one_remainder():
    places, fingerprints = split_hash(np.array([10 * 256 * 7 + 3 * 256 + 5]), 10)

    assert (places.tolist(), fingerprints.tolist()) == ([3], [5])


def test_weights_are_whole_steps_that_int8_keeps():
    weights = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    weights[:, 1] = 0

    rounded = round_weights(weights)

    values, scales = quantize_table(rounded, 8, is_vectors=False)
    np.testing.assert_allclose(values * scales, rounded, rtol=1e-6, atol=0)
    np.testing.assert_allclose(rounded, weights, rtol=0, atol=np.abs(weights).max() / 254)


@pytest.mark.parametrize("num_columns", [1, 2, 4, 6, 40])
def test_table_has_the_bytes_that_it_may_have(num_columns):
    size = count_bytes(count_places(num_columns, 2**15), num_columns)

    assert 2**15 - 2 * count_bytes(1, num_columns) <= size <= 2**15


def test_table_has_one_place_at_least():
    assert count_places(3, 0) == 1
