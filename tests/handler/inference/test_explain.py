import math

import pytest

from handler.errors import InvalidInput
from handler.inference.explain import explain_predictions
from handler.settings import Limits

WINNING = 1 / (1 + math.exp(-2))
LOST = pytest.approx(WINNING - 0.5, abs=1e-6)  # without its one word, the tiny model says 0.5


def explain(classifier, texts, limits=None):
    return explain_predictions(classifier, texts, classifier.predict(texts), limits or Limits())


def test_a_contribution_is_what_the_label_loses_without_the_token(tiny_classifier):
    explanations = explain(tiny_classifier, ["a Good film", "bad", ""])

    assert explanations == [
        [
            {"token": "a", "start": 0, "end": 1, "contribution": 0},
            {"token": "Good", "start": 2, "end": 6, "contribution": LOST},
            {"token": "film", "start": 7, "end": 11, "contribution": 0},
        ],
        [{"token": "bad", "start": 0, "end": 3, "contribution": LOST}],
        [],
    ]


def test_a_token_against_the_label_has_a_negative_contribution(tiny_classifier):
    (tokens,) = explain(tiny_classifier, ["good good bad"])

    assert [token["contribution"] > 0 for token in tokens] == [True, True, False]
    assert tokens[2]["contribution"] == pytest.approx(WINNING - 1 / (1 + math.exp(-4)), abs=1e-6)


@pytest.mark.parametrize("text", ["🙂 good", "e\u0301t\u00e9 good", "電影 good", "a\tb\n good"])
def test_offsets_are_characters_of_the_text_as_it_was_sent(tiny_classifier, text):
    (tokens,) = explain(tiny_classifier, [text])

    last = tokens[-1]
    assert (last["token"], last["start"], last["end"]) == ("good", len(text) - 4, len(text))
    assert all(text[t["start"] : t["end"]] == t["token"] for t in tokens)


def test_only_tokens_that_the_model_read_are_explained(tiny_classifier):
    (tokens,) = explain(tiny_classifier, ["good " * 20])

    assert len(tokens) == 8


def test_more_tokens_than_the_limit_are_refused(tiny_classifier):
    with pytest.raises(InvalidInput, match="the texts have 3 tokens, the limit is 2") as caught:
        explain(tiny_classifier, ["good film", "bad"], Limits(max_explained_tokens=2))

    assert (caught.value.status, caught.value.limit, caught.value.received) == (413, 2, 3)
