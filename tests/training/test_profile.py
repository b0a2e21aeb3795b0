"""The profile of a run: words are known of its rows as they are of new ones."""

import numpy as np
import pytest

from handler.inference.tasks import SingleLabel
from training.fitting.encoded import Encoded
from training.profile import count_known, profile_rows
from training.tokenizer import make_tokenizer

WORDS = ["[PAD]", "[UNK]", "good", "bad", "film", "rare"]
TEXTS = ["good film", "bad film", "rare rare film", "good xyzzy", ""]
IDS = [[2, 4], [3, 4], [5, 5, 4], [2, 1], []]


def encode(**fields):
    targets = np.eye(2, dtype=np.float32)[[0, 1, 0, 0, 1]]
    return Encoded(IDS, targets, words=WORDS, **fields)


def test_of_rows_that_were_not_learned_from_words_are_known_that_have_an_id():
    assert count_known(encode(), encode()) == [2, 2, 3, 1, 0]


def test_of_rows_that_told_the_vocabulary_words_are_known_that_others_have():
    offsets = np.zeros((5, 2), np.float32)

    # "bad" and "rare" stand in one row each; all but that one have never heard of them.
    assert count_known(encode(offsets=offsets), encode()) == [2, 1, 1, 1, 0]


@pytest.mark.parametrize("is_learned", [False, True])
def test_the_profile_counts_what_models_said_that_were_not_fitted(is_learned):
    told = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3], [0.4, 0.6]], np.float32)
    rows = encode(offsets=np.zeros((5, 2), np.float32) if is_learned else None)
    tokenizer = make_tokenizer(WORDS, max_length=8)

    profile = profile_rows(SingleLabel(["pos", "neg"]), tokenizer, TEXTS, told, rows, encode())

    histograms = profile["histograms"]
    assert profile["rows"] == 5
    assert histograms["label"] == {"names": ["pos", "neg"], "counts": [3, 2, 0, 0]}
    shares = histograms["unknown"]
    unknown = dict(zip([*shares["edges"], 1.0], shares["counts"], strict=True))
    assert {edge: count for edge, count in unknown.items() if count} == (
        {0.0: 2, 0.5: 2, 0.7: 1} if is_learned else {0.0: 4, 0.5: 1}
    )


def test_of_more_rows_than_are_kept_any_may_be(monkeypatch):
    monkeypatch.setattr("training.profile.MAX_ROWS", 40)
    size = 400  # sorted, as a folder for each label is read
    targets = np.repeat(np.eye(2, dtype=np.float32), size // 2, axis=0)
    texts = ["good film"] * (size // 2) + ["bad"] * (size // 2)
    ids = [[2, 4]] * (size // 2) + [[3]] * (size // 2)
    rows = Encoded(ids, targets, words=WORDS)
    tokenizer = make_tokenizer(WORDS, max_length=8)

    profile = profile_rows(SingleLabel(["pos", "neg"]), tokenizer, texts, targets, rows, rows)

    histograms = profile["histograms"]
    lengths = dict(zip(histograms["length"]["edges"], histograms["length"]["counts"], strict=False))
    answers = dict(zip(histograms["label"]["names"], histograms["label"]["counts"], strict=False))
    assert profile["rows"] == 40
    assert answers == {"pos": lengths[2], "neg": lengths[1]}
    assert 10 < answers["pos"] < 30
