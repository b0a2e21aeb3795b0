import math
import unicodedata

import pytest

from handler.errors import InvalidInput
from handler.inference import explain as explain_module
from handler.inference.classifier import load_classifier
from handler.inference.explain import check_num_tokens, explain_predictions, part_text
from handler.inference.letters import join_row
from handler.inference.models import Model
from handler.inference.tasks import Options
from handler.inference.tokenizer import PAD, UNKNOWN, Located
from handler.settings import Limits
from tests.helpers.paths import ROOT
from training.tokenizer import make_tokenizer

WINNING = 1 / (1 + math.exp(-2))
LOST = pytest.approx(WINNING - 0.5, abs=1e-6)  # without its one word, the tiny model says 0.5


def explain(classifier, texts):
    return explain_predictions(classifier, texts, classifier.predict(texts))


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


@pytest.mark.parametrize(
    ("texts", "have"), [(["good film", "bad"], "3"), (["good", "film bad", "bad"], "3 or more")]
)
def test_more_tokens_than_the_limit_are_refused(tiny_classifier, texts, have):
    limits = Limits(max_explained_tokens=2)

    with pytest.raises(InvalidInput, match=f"the texts have {have} tokens, the limit is 2") as it:
        check_num_tokens(tiny_classifier, texts, limits)

    assert (it.value.status, it.value.limit, it.value.received) == (413, 2, 3)


def test_what_cannot_be_explained_is_not_predicted_first(tiny_classifier, monkeypatch):
    model = Model(tiny_classifier, Limits(max_explained_tokens=2))
    monkeypatch.setattr(tiny_classifier, "predict", None)

    with pytest.raises(InvalidInput, match="the limit is 2"):
        model.predict(["good film bad"], options=Options(explain=True))


ACCENTED = [
    "a cafe\u0301 film",  # decomposed
    "cafe\u0301\u0327s",  # two marks
    "q\u0323\u0307 good",  # no composed form
    "\u1112\u1161\u11ab\u1100\u116e\u11a8 good",  # Korean in parts
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 good",  # a family, joined
    "\U0001f44d\U0001f3fd good",  # a skin tone
    "\u2764\ufe0f good",  # a variation selector
    "\u0928\u092e\u0938\u094d\u0924\u0947 good",  # vowel signs
    "(\u0301 good",  # a mark on a sign
    "\u0301good",  # a mark on nothing
    "wait\u2026 what",  # three tokens of one character
    "\u00bd \u338f \ufdfa good",
    "a\r\nb\r\n good\r\n",
    "goo\u200bd \u200bgood\u200b film\ufeff",
    "so\u00adft \u200egood\u200f",
    "line<br />good",
]


@pytest.mark.parametrize("text", ACCENTED, ids=ascii)
@pytest.mark.parametrize("bundle", ["tests/tiny_bundle", "handler/model"])
def test_spans_hold_whole_characters_and_never_overlap(bundle, text):
    classifier = load_classifier(ROOT / bundle)
    (tokens,) = explain(classifier, [text])

    assert tokens
    end = 0
    for token in tokens:
        assert token["start"] >= end
        end = token["end"]
        assert end > token["start"]
        assert text[token["start"] : end] == token["token"]
        assert not (end < len(text) and unicodedata.combining(text[end]))
        assert text[end : end + 1] not in ("\u200d", "\ufe0f")
        assert not token["token"].isspace()


def test_a_decomposed_accent_belongs_to_its_word():
    (tokens,) = explain(load_classifier(ROOT / "handler/model"), ["a cafe\u0301 film"])

    assert [token["token"] for token in tokens] == ["a", "cafe\u0301", "film"]


def test_tokens_of_one_character_are_explained_together():
    (tokens,) = explain(load_classifier(ROOT / "handler/model"), ["a bad film\u2026"])

    assert [token["token"] for token in tokens] == ["a", "bad", "film", "\u2026"]


@pytest.mark.parametrize(
    ("offsets", "spans"),
    [
        ([(0, 4), (8, 12)], [(0, 5), (8, 12)]),
        ([(0, 4), (4, 5), (8, 12)], [(0, 5), (8, 12)]),
        ([(0, 5), (8, 9), (8, 9)], [(0, 5), (8, 9)]),
        ([], []),
    ],
)
def test_parts_go_on_to_the_end_of_a_character(offsets, spans):
    parts = part_text("cafe\u0301 a film", offsets)

    assert [(part.start, part.end) for part in parts] == spans
    assert [place for part in parts for place in part.positions] == list(range(len(offsets)))


def test_marks_that_many_tokens_share_are_looked_at_once(monkeypatch):
    # A stroke ends a token: of 250 tokens each went on to the end of all 20,000 marks, for 3 s.
    looked_at = []
    continues = explain_module._continues
    monkeypatch.setattr(
        explain_module, "_continues", lambda each: looked_at.append(each) or continues(each)
    )
    text = "a" + "\u0338\u0301" * 250 + "\u0301" * 5000
    tokenizer = make_tokenizer([PAD, UNKNOWN], max_length=1024)

    (part,) = part_text(text, tokenizer.locate(text).offsets)

    assert (part.start, part.end) == (0, len(text))
    assert len(part.positions) > 200
    assert len(looked_at) < len(text)


def test_an_unknown_word_is_occluded_with_its_letters():
    located = Located([2, 1, 3, 1], [(0, 1)] * 4, ["xy", "z"])

    assert explain_module._occlude(located, [1], 1) == join_row([2, 1, 3, 1], ["z"])
    assert explain_module._occlude(located, [0, 3], 1) == join_row([1, 1, 3, 1], ["xy"])
    few = located._replace(unknown=["xy"])  # of a text with too many letters the first alone
    assert explain_module._occlude(few, [3], 1) == join_row([2, 1, 3, 1], ["xy"])
