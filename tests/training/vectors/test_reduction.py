"""Fewer dimensions: what is kept, what is left out, and on what scale."""

import numpy as np
import pytest

from training.vectors.reduction import reduce_vectors

NUM_WORDS = 2000
COUNTS = 1 / np.arange(1, NUM_WORDS + 1)


def make_vectors(frequency: float = 3.0, spread: tuple[float, ...] = (2, 1, 0.1)) -> np.ndarray:
    """Return vectors of independent directions, the last of which tells the frequency."""
    random = np.random.default_rng(0)
    columns = random.normal(size=(NUM_WORDS, len(spread))) * spread
    turned, _ = np.linalg.qr(random.normal(size=(len(spread) + 1,) * 2))
    rank = frequency * np.log(COUNTS)[:, np.newaxis]
    return (np.concatenate([columns, rank], axis=1) @ turned + 5).astype(np.float32)


def correlate(left: np.ndarray, right: np.ndarray) -> float:
    return abs(float(np.corrcoef(left, right)[0, 1]))


def test_the_most_telling_directions_come_first_and_frequency_is_left_out():
    vectors = make_vectors()

    reduced = reduce_vectors(vectors, 2)

    columns = np.random.default_rng(0).normal(size=(NUM_WORDS, 3))
    assert reduced.shape == (NUM_WORDS, 2)
    assert reduced.dtype == np.float32
    assert correlate(reduced[:, 0], columns[:, 0]) > 0.95
    assert correlate(reduced[:, 1], columns[:, 1]) > 0.95
    assert reduced.std() == pytest.approx(1, abs=1e-5)  # float32 sums


def test_with_all_dimensions_frequency_comes_last():
    reduced = reduce_vectors(make_vectors(), 4)

    assert correlate(reduced[:, 3], np.log(COUNTS)) > 0.95
    np.testing.assert_allclose(reduced[:, :2].std(axis=0)[0] / reduced[:, 1].std(), 2, rtol=0.2)


def test_without_a_direction_of_frequency_nothing_is_left_out():
    reduced = reduce_vectors(make_vectors(frequency=0), 1)

    assert (
        correlate(reduced[:, 0], np.random.default_rng(0).normal(size=(NUM_WORDS, 3))[:, 0]) > 0.95
    )


def test_scale_place_and_repetition_change_nothing():
    vectors = make_vectors()

    first = reduce_vectors(vectors, 2)

    np.testing.assert_array_equal(reduce_vectors(vectors, 2), first)
    # Float32 keeps 24 bits of values that were multiplied and moved.
    np.testing.assert_allclose(reduce_vectors(vectors * 127 + 9, 2), first, atol=1e-3)


def test_words_that_are_never_read_decide_nothing():
    vectors = make_vectors()
    counts = COUNTS.copy()
    counts[1000:] = 0
    others = vectors.copy()
    others[1000:] = 0

    left, right = reduce_vectors(vectors, 2, counts), reduce_vectors(others, 2, counts)

    np.testing.assert_allclose(left[:1000] / left[0], right[:1000] / right[0], rtol=1e-3)


@pytest.mark.parametrize("vectors", [np.ones((5, 3)), np.zeros((1, 3)), np.eye(3)])
def test_few_or_equal_vectors_stay_finite(vectors):
    reduced = reduce_vectors(vectors.astype(np.float32), 2)

    assert np.isfinite(reduced).all()


def test_equal_counts_leave_nothing_out():
    assert np.isfinite(reduce_vectors(make_vectors(), 4, np.ones(NUM_WORDS))).all()


@pytest.mark.parametrize("dim", [0, 5])
def test_dimensions_that_are_not_there_are_refused(dim):
    with pytest.raises(ValueError, match=f"dim is {dim}, wanted 1 to 4"):
        reduce_vectors(make_vectors(), dim)


def test_counts_of_nothing_are_refused():
    with pytest.raises(ValueError, match="have the sum 0.0"):
        reduce_vectors(make_vectors(), 2, np.zeros(NUM_WORDS))
