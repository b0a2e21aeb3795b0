"""Runs of letters: which a word has, and that Keras finds the same ones."""

import keras
import numpy as np
import pytest

from handler.inference.letters import join_row
from handler.inference.padding import feed
from handler.inference.tokenizer import MAX_WORD_LETTERS
from tests.helpers.phrases import hash_of_run, runs_of
from training.blocks import letters
from training.blocks.table import SUM_LIMIT, place_features

WORDS = ("films", "a", "go", "좋아요", "ß", "𐐷x", "x" * MAX_WORD_LETTERS, "I’m")


def test_runs_of_a_word():
    assert runs_of("go") == ["g", "o", "<g", "go", "o>", "<go", "go>", "<go>"]


@pytest.mark.parametrize("word", WORDS)
def test_hashes_are_those_of_the_runs(word):
    hashes, owners = letters.hash_runs([word])

    assert sorted(hashes.tolist()) == sorted(map(hash_of_run, runs_of(word)))
    assert not owners.any()
    assert hashes.max() < SUM_LIMIT


def test_runs_belong_to_their_words():
    hashes, owners = letters.hash_runs(WORDS)

    for number, word in enumerate(WORDS):
        expected = sorted(map(hash_of_run, runs_of(word)))
        assert sorted(hashes[owners == number].tolist()) == expected


def test_no_words_have_no_runs():
    hashes, owners = letters.hash_runs([])

    assert len(hashes) == len(owners) == 0


def test_letters_of_a_long_word_are_cut():
    long = "ab" * MAX_WORD_LETTERS

    assert len(letters.hash_runs([long])[0]) == len(runs_of(long[:MAX_WORD_LETTERS]))


@pytest.mark.slow
def test_keras_sums_what_is_kept_alone_and_in_batches():
    random = np.random.default_rng(0)
    hashes = np.unique(letters.hash_runs(WORDS)[0])[::2]
    table = place_features(hashes, np.ones(len(hashes)), 300)
    weights = random.normal(size=(301, 3)).astype(np.float32)
    weights[0] = 0
    weights[1:][table == 0] = 0  # as nothing was fitted there
    spelled = keras.Input((None,), dtype="int32", name="letters")
    model = keras.Model(spelled, letters.letter_logits(spelled, 300, 3))
    model.get_layer(letters.FINGERPRINTS).set_weights([table[:, None]])
    model.get_layer(letters.WEIGHTS).set_weights([weights])
    texts = [["films"], [], ["좋아요", "go", "films"], ["unseen", "𐐷x"], list(WORDS)]
    rows = [join_row([1] * len(words), words) for words in texts]

    together = model(feed(rows, 0, True)["letters"]).numpy()

    alone = np.vstack([model(feed([row], 0, True)["letters"]).numpy() for row in rows])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5)
    for words, found in zip(texts, together, strict=True):
        expected = np.zeros(3)
        for run in [run for word in words for run in runs_of(word)]:
            place, fingerprint = divmod(hash_of_run(run) % (300 * 256), 256)
            if fingerprint and table[place] == fingerprint:
                expected += weights[place + 1]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
