"""What a segment tells of its neighbours, before any label is seen."""

import keras
import numpy as np
import pytest
from keras import layers

from training.blocks.segments import SEGMENT_TOKENS
from training.fitting import pretraining
from training.fitting.encoded import Encoded
from training.fitting.pretraining import find_neighbours, pretrain
from training.resuming.stages import Stages
from training.settings import Settings
from training.tokenizer import UNKNOWN_ID

WORDS = 40
SETTINGS = Settings("wide_deep", seed=3)


@pytest.fixture(autouse=True)
def few_segments(monkeypatch):
    monkeypatch.setattr(pretraining, "NUM_FREQUENT", 0)
    monkeypatch.setattr(pretraining, "MIN_SEGMENTS", 10)


def make_texts(count: int) -> list[list[int]]:
    """Of two subjects, each with ten words of its own: 10 to 19, and 20 to 29."""
    random = np.random.default_rng(1)
    first = (10, 20)
    starts = random.choice(first, count).tolist()
    return [random.integers(at, at + 10, 3 * SEGMENT_TOKENS).tolist() for at in starts]


def make_unlabelled(texts: list[list[int]]) -> Encoded:
    """Return one labelled text, and these without labels."""
    targets = np.zeros((1, 2), np.float32)
    return Encoded([[2]], targets, words=["w"] * WORDS, unlabelled=texts)


def make_encoder() -> keras.Model:
    keras.utils.set_random_seed(1)
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = layers.Embedding(WORDS, 4)(token_ids)
    return keras.Model(token_ids, layers.GlobalAveragePooling1D()(hidden))


def test_neighbours_are_the_words_before_and_behind():
    text = [2] * SEGMENT_TOKENS + [3] * SEGMENT_TOKENS + [4] * 12
    too_short = [5] * SEGMENT_TOKENS + [6] * 11

    segments, cells = find_neighbours([text, [7, 8], [], too_short], 10)

    assert [segment[0] for segment in segments] == [2, 3, 4]
    assert [len(segment) for segment in segments] == [SEGMENT_TOKENS, SEGMENT_TOKENS, 12]
    columns = {word: column for column, word in enumerate([2, 3, 5, 4, 6, 7, 8])}
    found = [set(np.flatnonzero(row)) for row in cells.toarray()]
    assert found == [{columns[3]}, {columns[2], columns[4]}, {columns[3]}]


def test_the_unknown_word_is_not_predicted():
    text = [UNKNOWN_ID] * SEGMENT_TOKENS + [3] * SEGMENT_TOKENS

    _, cells = find_neighbours([text], 5)

    assert cells.toarray().tolist() == [[1], [0]]


def test_no_text_of_two_segments_gives_none():
    segments, cells = find_neighbours([[2, 3], []], 5)

    assert segments == []
    assert cells.shape[0] == 0


def test_the_encoder_learns_what_stands_together(tmp_path):
    encoder = make_encoder()
    rows = make_unlabelled(make_texts(400))

    pretrain(encoder, rows, SETTINGS, Stages(tmp_path))

    read = encoder.predict(np.array([[10, 11], [18, 19], [20, 21], [28, 29]]), verbose=0)
    same = np.linalg.norm(read[0] - read[1]) + np.linalg.norm(read[2] - read[3])
    other = np.linalg.norm(read[0] - read[2]) + np.linalg.norm(read[1] - read[3])
    assert other > 1.5 * same


def test_labelled_texts_alone_change_nothing(tmp_path):
    encoder = make_encoder()
    before = encoder.get_weights()[0]
    rows = Encoded(make_texts(30), np.zeros((30, 2), np.float32), words=["w"] * WORDS)

    pretrain(encoder, rows, SETTINGS, Stages(tmp_path))

    np.testing.assert_array_equal(encoder.get_weights()[0], before)


def test_it_is_done_once(tmp_path, monkeypatch):
    rows = make_unlabelled(make_texts(30))
    first, second = make_encoder(), make_encoder()
    pretrain(first, rows, SETTINGS, Stages(tmp_path))
    monkeypatch.setattr(pretraining, "find_neighbours", None)

    pretrain(second, rows, SETTINGS, Stages(tmp_path))

    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


def test_few_segments_change_nothing(tmp_path):
    encoder = make_encoder()
    before = encoder.get_weights()[0]
    rows = make_unlabelled(make_texts(3))

    pretrain(encoder, rows, SETTINGS, Stages(tmp_path))

    np.testing.assert_array_equal(encoder.get_weights()[0], before)
