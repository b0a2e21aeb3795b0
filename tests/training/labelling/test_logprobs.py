import math

import pytest

from tests.helpers.chat_server import token
from training.labelling.logprobs import find_label, read_logprobs

LABELS = ["pos", "neg", "negative-mixed"]
LOG = math.log


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("pos", "pos"),
        (' "Pos".\n', "pos"),
        ("**NEG**", "neg"),
        ("neg or pos", ""),
        ("negative", ""),
        ("", ""),
        ("\n<think>neg?\n</think>\n\npos", "pos"),
        ("<think>pos", ""),
        ("the label is pos", ""),
    ],
)
def test_an_answer_is_a_label_whatever_stands_around_it(answer, label):
    assert find_label(answer, LABELS) == label


def test_of_labels_that_differ_by_case_the_one_that_is_written_counts():
    assert find_label("US", ["us", "US"]) == "US"
    assert find_label("Us", ["us", "US"]) == ""


@pytest.mark.parametrize(
    ("content", "labels", "expected"),
    [
        # What is no label is left out, and the rest sums to 1.
        ([token("pos", LOG(0.6), neg=LOG(0.2), maybe=LOG(0.2))], ["pos", "neg"], [0.75, 0.25]),
        # Blanks, case and quotes of tokens do not matter, and a token may be a part of a label.
        (
            [token(" Po", LOG(0.8), **{'"ne': LOG(0.2)}), token("s", 0.0)],
            ["pos", "neg"],
            [0.8, 0.2],
        ),
        # The answer's own token stands among the others too, and counts once.
        ([token("pos", LOG(0.8), pos=LOG(0.8), neg=LOG(0.2))], ["pos", "neg"], [0.8, 0.2]),
        # Labels that begin alike are told apart by the next token.
        (
            [token("in", LOG(0.9), out=LOG(0.1)), token("side", LOG(0.7), ner=LOG(0.3))],
            ["inside", "inner", "out"],
            [0.63, 0.27, 0.1],
        ),
        # Another token that two labels begin with speaks for both.
        ([token("out", LOG(0.6), **{"in": LOG(0.4)})], ["inside", "inner", "out"], [0.2, 0.2, 0.6]),
        # A label that another one begins with.
        ([token("neg", LOG(0.5), pos=LOG(0.5))], ["pos", "neg", "neg-mixed"], [0.5, 0.5, 0.0]),
        # A blank first.
        ([token("\n", 0.0), token("neg", LOG(0.9), pos=LOG(0.1))], ["pos", "neg"], [0.1, 0.9]),
        # A quote that closes with the label.
        ([token("pos.", LOG(0.9), neg=LOG(0.1))], ["pos", "neg"], [0.9, 0.1]),
        # Another alternative that never had a chance.
        ([token("pos", 0.0, neg=-9999.0)], ["pos", "neg"], [1.0, 0.0]),
    ],
)
def test_tokens_become_probabilities(content, labels, expected):
    assert read_logprobs(content, labels) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "content",
    [
        [],
        "pos",
        {"token": "pos"},
        [{"token": "pos"}],
        [{"token": 1, "logprob": 0.0}],
        [{"token": "pos", "logprob": "high"}],
        [{"token": "pos", "logprob": math.nan}],
        [{"token": "pos", "logprob": True}],
        [{"token": "pos", "logprob": 0.0, "top_logprobs": [3]}],
        [token("Label", 0.0), token(": pos", 0.0)],
        [token(" ", 0.0)],
    ],
)
def test_tokens_that_do_not_tell_are_none(content):
    assert read_logprobs(content, LABELS) is None
