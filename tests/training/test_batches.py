import random

import numpy as np
import pytest

from training.fitting.batches import POOL_BATCHES, pad, shuffled_batches, sorted_batches


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[5, 6, 7], [8], []], [[5, 6, 7], [8, 0, 0], [0, 0, 0]]),
        ([[5]], [[5]]),
        ([[]], [[0]]),
        ([[], []], [[0], [0]]),
    ],
)
def test_rows_are_padded_on_the_right_to_the_longest(rows, expected):
    batch = pad(rows)

    np.testing.assert_array_equal(batch, expected)
    assert batch.dtype == np.int32


@pytest.fixture(scope="module")
def lengths() -> list[int]:
    order = random.Random(0)
    return [order.randrange(200) for _ in range(1003)]


def test_shuffled_batches_hold_each_row_once(lengths):
    batches = shuffled_batches(lengths, 10, seed=1)

    assert sorted(row for batch in batches for row in batch) == list(range(1003))
    assert sorted(len(batch) for batch in batches) == [3] + [10] * 100


def test_shuffled_batches_follow_the_seed(lengths):
    first, again, other = (shuffled_batches(lengths, 10, seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_a_batch_holds_similar_lengths_but_the_batches_come_in_any_order(lengths):
    batches = shuffled_batches(lengths, 10, seed=1)

    spans = [max(lengths[row] for row in b) - min(lengths[row] for row in b) for b in batches]
    longest = [max(lengths[row] for row in batch) for batch in batches]
    # A pool of 50 batches over lengths 0 to 199: 4 on average; unsorted batches span about 160.
    assert np.mean(spans) < 10
    assert longest != sorted(longest)
    assert POOL_BATCHES * 10 < len(lengths)


def test_sorted_batches_go_from_short_to_long_and_keep_equal_rows_in_order():
    assert list(sorted_batches([3, 1, 2, 1, 0], 2)) == [[4, 1], [3, 2], [0]]
    assert list(sorted_batches([], 2)) == []
