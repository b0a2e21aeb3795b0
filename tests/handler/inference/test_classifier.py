"""The classifier on the tiny bundle: each word adds its logits, softmax of the sum."""

import math
import random

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.hosts.server import CUDA
from handler.inference import classifier as classifier_module
from handler.inference.bundle import read_bundle

# The graph computes in float32; probabilities are below 1, so this is some units in the last place.
ATOL = 1e-6

TEXTS = [
    "good good good bad film film film",
    "",
    "bad",
    "good film",
    "film " * 8,
    "zebra",
    "good bad good",
    "bad " * 20,
]


def by_hand(text: str) -> list[float]:
    """Return [pos, neg]: each good and each bad among the first 8 words counts 2."""
    words = text.lower().split()[:8]
    difference = 2 * (words.count("good") - words.count("bad"))
    pos = 1 / (1 + math.exp(-difference))
    return [pos, 1 - pos]


@pytest.fixture
def shapes(monkeypatch):
    """The shapes of the batches that are run, as they come."""
    found = []
    feed = classifier_module.feed

    def note_shape(*arguments):
        arrays = feed(*arguments)
        found.append(arrays["token_ids"].shape)
        return arrays

    monkeypatch.setattr(classifier_module, "feed", note_shape)
    return found


def test_order_is_kept_for_unsorted_lengths(tiny_classifier):
    texts = TEXTS * 5
    random.Random(7).shuffle(texts)

    probabilities = tiny_classifier.predict_outputs(texts)

    np.testing.assert_allclose(probabilities, [by_hand(text) for text in texts], rtol=0, atol=ATOL)


def test_batch_gives_what_each_text_gives_alone(tiny_classifier):
    together = tiny_classifier.predict(TEXTS)

    alone = [tiny_classifier.predict([text])[0] for text in TEXTS]

    assert together == alone


def test_small_batches_give_what_one_large_batch_gives(tiny_classifier, shapes, monkeypatch):
    texts = TEXTS * 3
    large = tiny_classifier.predict_outputs(texts)
    shapes.clear()
    monkeypatch.setattr(classifier_module, "MAX_BATCH_TOKENS", 16)

    small = tiny_classifier.predict_outputs(texts)

    assert len(shapes) > 5
    assert max(math.prod(shape) for shape in shapes) <= 16
    np.testing.assert_array_equal(small, large)


def test_texts_of_unlike_lengths_are_not_padded_to_the_longest(tiny_classifier, shapes):
    tiny_classifier.predict_outputs(["good " * 8] * 10 + ["bad"] * 10 + ["film bad"] * 5)

    # Fewer than 8 rows take longer ones in: ["film bad"] * 5 is run with three of ["good " * 8].
    assert shapes == [(10, 1), (8, 8), (7, 8)]


@pytest.mark.filterwarnings("ignore:Specified provider")  # none here: it goes on with the CPU
def test_a_gpu_runs_texts_of_unlike_lengths_together(tiny_bundle, shapes):
    classifier = classifier_module.Classifier(read_bundle(tiny_bundle), providers=CUDA)

    classifier.predict_outputs(["good " * 8] * 10 + ["bad"] * 10)

    assert shapes == [(20, 8)]


def test_a_precision_for_another_device_is_refused(tiny_bundle):
    bundle = read_bundle(tiny_bundle)
    manifest = bundle.manifest._replace(precision="int8")

    with pytest.raises(ArtefactError, match="a model for the CPU.*--precision float32"):
        classifier_module.Classifier(bundle._replace(manifest=manifest), providers=CUDA)


def test_text_longer_than_a_batch_is_still_run(tiny_classifier, monkeypatch):
    monkeypatch.setattr(classifier_module, "MAX_BATCH_TOKENS", 2)

    probabilities = tiny_classifier.predict_outputs(["good bad film good", "bad"])

    expected = [by_hand("good bad good"), by_hand("bad")]
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=ATOL)


def test_no_texts_give_no_predictions(tiny_classifier):
    assert tiny_classifier.predict([]) == []
    assert tiny_classifier.predict_outputs([]).shape == (0, 2)


def test_prediction_holds_the_outputs_in_the_order_of_the_task(tiny_classifier):
    (prediction,) = tiny_classifier.predict(["BAD film"])

    assert prediction.outputs == pytest.approx(by_hand("bad film"), abs=ATOL)
    assert (prediction.truncated, prediction.known_tokens, prediction.num_tokens) == (False, 2, 2)


@pytest.mark.parametrize(
    ("text", "known_tokens"),
    [
        ("", 0),
        (" \n\t ", 0),
        ("zebra quagga", 0),
        ("🎬", 0),
        ("g", 0),
        (".", 0),
        ("é", 0),
        ("good 🎬 film", 2),
        ("good, bad!", 2),
    ],
)
def test_awkward_texts_are_counted_and_scored(tiny_classifier, text, known_tokens):
    (prediction,) = tiny_classifier.predict([text])

    assert prediction.known_tokens == known_tokens
    assert prediction.truncated is False
    assert sum(prediction.outputs) == pytest.approx(1, abs=1e-5)


def test_text_without_known_words_gets_the_prior(tiny_classifier):
    predictions = tiny_classifier.predict(["", "zebra", "🎬"])

    assert [prediction.outputs for prediction in predictions] == [[0.5, 0.5]] * 3


@pytest.mark.parametrize(
    ("num_words", "truncated"), [(1, False), (7, False), (8, False), (9, True), (80, True)]
)
def test_truncated_is_said_from_one_token_over_max_length(tiny_classifier, num_words, truncated):
    assert tiny_classifier.manifest.max_length == 8

    (prediction,) = tiny_classifier.predict(["good " * num_words])

    assert prediction.truncated is truncated
    assert prediction.known_tokens == min(num_words, 8)


def test_words_past_max_length_do_not_count(tiny_classifier):
    short, long = tiny_classifier.predict(["good " * 8, "good " * 8 + "bad " * 8])

    assert short.outputs == long.outputs


def test_longer_neighbours_and_their_padding_change_nothing(tiny_classifier):
    (alone,) = tiny_classifier.run([[2]])

    padded = tiny_classifier.run([[2], [2, 3, 2, 3, 4, 4, 4]])[0]

    np.testing.assert_array_equal(padded, alone)
