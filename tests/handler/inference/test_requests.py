import math
import re

import pytest

from handler.errors import InvalidInput
from handler.inference.models import Model
from handler.inference.requests import check_text, name_texts, name_type, read_request
from handler.inference.tasks import Options
from handler.settings import Limits

LIMITS = Limits(max_texts=2, max_characters=10)
WINNING = 1 / (1 + math.exp(-2))


def answer_request(classifier, request):
    model = Model(classifier, LIMITS)
    texts, options = read_request(request)
    return model.answer(texts, model.predict(texts, name_texts(request)), options)


def test_answer_has_the_model_and_a_prediction_for_each_text(tiny_classifier):
    answer = answer_request(tiny_classifier, {"texts": ["good film", ""]})

    assert answer == {
        "model": {"name": "tiny", "version": "1", "sha256": tiny_classifier.model_sha256},
        "predictions": [
            {
                "label": "pos",
                "score": pytest.approx(WINNING, abs=1e-6),
                "scores": {
                    "pos": pytest.approx(WINNING, abs=1e-6),
                    "neg": pytest.approx(1 - WINNING, abs=1e-6),
                },
                "truncated": False,
                "known_tokens": 2,
            },
            {
                "label": "pos",
                "score": 0.5,
                "scores": {"pos": 0.5, "neg": 0.5},
                "truncated": False,
                "known_tokens": 0,
            },
        ],
    }


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({}, ["pos", "neg"]),
        ({"top_k": None}, ["pos", "neg"]),
        ({"top_k": 1}, ["neg"]),
        ({"top_k": 99}, ["neg", "pos"]),
        ({"threshold": 0.5}, ["neg"]),
        ({"threshold": 1}, []),
        ({"threshold": 0}, ["pos", "neg"]),
    ],
)
def test_top_k_and_threshold_choose_the_scores_and_never_the_label(
    tiny_classifier, options, labels
):
    answer = answer_request(tiny_classifier, {"text": "bad", **options})

    (prediction,) = answer["predictions"]
    assert (prediction["label"], list(prediction["scores"])) == ("neg", labels)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (None, "the request is null, wanted a JSON object"),
        ([], "the request is an array"),
        ({}, 'wanted one of the fields "text" and "texts"'),
        ({"text": "a", "texts": ["a"]}, 'wanted one of the fields "text" and "texts"'),
        ({"text": None}, "text is null, wanted a string"),
        ({"texts": "a"}, "texts is a string, wanted an array"),
        ({"texts": []}, "texts is empty"),
        ({"texts": ["a", 1]}, "texts[1] is a number, wanted a string"),
        ({"texts": ["a", True]}, "texts[1] is a boolean, wanted a string"),
        ({"texts": ["a"] * 3}, "texts has 3 texts, the limit is 2"),
        ({"text": "a" * 11}, "text has 11 characters, the limit is 10"),
        ({"text": "ab\ud800"}, "text holds a lone surrogate at character 2"),
        ({"text": "a", "top_k": 0}, "top_k: wanted a whole number of 1 or more"),
        ({"text": "a", "top_k": True}, "top_k: wanted a whole number"),
        ({"text": "a", "top_k": 1.0}, "top_k: wanted a whole number"),
        ({"text": "a", "threshold": 1.1}, "threshold: wanted a number, 0 to 1"),
        ({"text": "a", "threshold": math.nan}, "threshold: wanted a number, 0 to 1"),
        ({"text": "a", "threshold": False}, "threshold: wanted a number, 0 to 1"),
        ({"text": "a", "explain": 1}, "explain is a number, wanted true or false"),
        ({"text": "a", "topk": 1}, "unknown field; the fields are: text, texts, top_k"),
    ],
)
def test_a_wrong_request_is_refused_with_its_place(tiny_classifier, request_, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        answer_request(tiny_classifier, request_)


def test_a_refusal_never_repeats_the_text(tiny_classifier):
    secret = "my diary " * 5

    for request in ({"text": secret}, {secret: 1}, {"text": "a", "top_k": secret}):
        with pytest.raises(InvalidInput) as caught:
            answer_request(tiny_classifier, request)
        assert "diary" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_options_are_read_beside_the_texts():
    request = {"texts": ["a"], "top_k": 2, "threshold": 0.25, "explain": True}

    assert read_request(request) == (["a"], Options(top_k=2, threshold=0.25, explain=True))


def test_types_are_named_as_json_names_them():
    assert [name_type(v) for v in (None, True, 1, 1.0, "", [], {})] == [
        "null",
        "a boolean",
        "a number",
        "a number",
        "a string",
        "an array",
        "an object",
    ]


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("\ufdfa", 18),
        ("\ufdfa" * 10, 180),
        ("½" * 5, 15),
        ("ﬁ" * 6, 12),
        ("\ufdfa" * 600, None),  # too long as it is
    ],
    ids=ascii,
)
def test_a_text_counts_as_long_as_the_model_reads_it(text, received):
    limits = Limits(max_characters=10 if received is not None else 500)

    with pytest.raises(InvalidInput, match=f"the limit is {limits.max_characters}") as refused:
        check_text(text, "text", limits)

    assert refused.value.received == (received or 600)


@pytest.mark.parametrize("text", ["e\u0301" * 10, "電影" * 5, "éé", "가나다라", "\u1100\u1161" * 5])
def test_what_normalization_does_not_lengthen_is_taken_up_to_the_limit(text):
    assert check_text(text, "text", Limits(max_characters=len(text))) == text


def test_marks_in_reverse_order_are_counted_in_no_time():
    marks = "\u0301\u0323" * 500_000  # sorted by insertion, this would take half an hour

    assert check_text(marks, "text", Limits(max_characters=1_000_000)) == marks
