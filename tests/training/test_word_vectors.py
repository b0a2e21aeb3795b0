"""First word vectors: alike for words in the same company."""

import numpy as np

from training.tokenizer import PAD_ID
from training.vectors.word_vectors import learn_word_vectors


def make_texts() -> list[list[int]]:
    """Words 2 and 3 stand among 10 to 14, words 4 and 5 among 20 to 24."""
    random = np.random.default_rng(2)
    texts = []
    for _ in range(400):
        words, company = ((2, 3), (10, 15)) if random.random() < 0.5 else ((4, 5), (20, 25))
        text = random.integers(*company, 8).tolist()
        text[int(random.integers(8))] = int(random.choice(words))
        texts.append(text)
    return texts


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_words_in_the_same_company_are_alike():
    vectors = learn_word_vectors(make_texts(), 30, 4, seed=0)

    assert vectors.shape == (30, 4)
    assert vectors.dtype == np.float32
    assert cosine(vectors[2], vectors[3]) > 0.9
    assert cosine(vectors[4], vectors[5]) > 0.9
    assert cosine(vectors[2], vectors[4]) < 0.2


def test_values_have_unit_spread_and_padding_none():
    vectors = learn_word_vectors(make_texts(), 30, 4, seed=0)

    np.testing.assert_allclose(vectors.std(), 1, rtol=1e-5)
    assert not vectors[PAD_ID].any()


def test_seed_decides():
    first, second = (learn_word_vectors(make_texts(), 30, 4, seed=1) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_vocabulary_smaller_than_the_vectors():
    vectors = learn_word_vectors([[2, 3], [3, 4]], 5, 16, seed=0)

    assert vectors.shape == (5, 16)
    assert np.isfinite(vectors).all()


def test_texts_of_one_word_give_zeros():
    vectors = learn_word_vectors([[2], [], [3]], 5, 3, seed=0)

    assert np.isfinite(vectors).all()
