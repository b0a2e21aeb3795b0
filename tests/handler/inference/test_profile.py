"""What a profile counts, and which one a manifest may hold."""

import json

import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import read_bundle
from handler.inference.classifier import load_classifier
from handler.inference.profile import (
    MAX_NAMED,
    SCRIPTS,
    Histograms,
    choose_bins,
    find_script,
    make_profile,
)
from handler.inference.tasks import SingleLabel
from tests.helpers.multi_label import copy_bundle
from tests.helpers.number_bundles import write_ordinal, write_regression
from tests.helpers.profiles import TEXTS, write_profiled_bundle


def name_counts(profile):
    """Return of each feature the bins that hold any text."""
    return {
        feature: {
            name: count
            for name, count in zip(bins.describe(), profile.counts[feature], strict=True)
            if count
        }
        for feature, bins in profile.bins.items()
    }


def take_profile(bundle, texts):
    classifier = load_classifier(bundle)
    return name_counts(make_profile(classifier.task, texts, classifier.predict(texts)))


def test_texts_and_answers_are_counted_by_bin(tiny_bundle):
    texts = [
        "good film",
        "good xyzzy",
        "bad",
        "",
        "good bad film good bad film good bad film",
        "дом",
    ]

    assert take_profile(tiny_bundle, texts) == {
        "label": {"pos": 5, "neg": 1},
        "score": {"0.4 to 0.5": 3, "0.8 to 0.9": 3},
        "length": {"0": 1, "0 to 1": 2, "1 to 2": 2, "6 to 8": 1},
        "unknown": {"0": 4, "0.4 to 0.5": 1, "over 0.7": 1},
        "truncated": {"no": 5, "yes": 1},
        "script": {"latin": 4, "cyrillic": 1, "no letters": 1},
    }


def test_an_answer_that_is_withheld_is_none(selective_bundle):
    found = take_profile(selective_bundle, ["good good good", "good", "film"])

    assert found["label"] == {"pos": 1, "(none)": 2}
    # Of the outputs alone: behind them stands the distance from the scope, 4 and more.
    assert found["score"] == {"0.4 to 0.5": 1, "0.8 to 0.9": 1, "0.995 to 0.999": 1}


def test_several_labels_have_a_first_one_and_a_number(tiny_bundle, tmp_path):
    found = take_profile(
        copy_bundle(tiny_bundle, tmp_path / "bundle"), ["good film", "bad", "film"]
    )

    assert found["label"] == {"pos": 2, "neg": 1}
    assert found["labels"] == {"0 to 1": 1, "1 to 2": 2}


def test_a_number_is_told_in_standard_deviations(tmp_path):
    found = take_profile(write_regression(tmp_path / "bundle"), ["good", "bad", "film"])

    # 2, -2 and 0, of a mean of 0.5 and a standard deviation of 2
    assert found["value"] == {"0.5 to 1": 1, "-1.5 to -1": 1, "-0.5 to 0": 1}
    assert not {"label", "score"} & found.keys()


def test_ordered_labels_are_labels(tmp_path):
    found = take_profile(write_ordinal(tmp_path / "bundle"), ["good", "bad"])

    assert found["label"] == {"1": 1, "2": 1}


def test_rare_labels_share_a_bin():
    task = SingleLabel([f"label {number}" for number in range(MAX_NAMED + 5)])
    rows = [
        ([float(column == label) for column in range(MAX_NAMED + 5)], False, 1, 1)
        for label in range(MAX_NAMED + 5)
        for _ in range(100 - label)
    ]

    profile = make_profile(task, ["a"] * len(rows), rows)

    assert len(profile.bins["label"].names) == MAX_NAMED
    assert name_counts(profile)["label"]["(other)"] == sum(100 - MAX_NAMED - i for i in range(5))
    assert len(json.dumps(profile.describe())) < 2_500


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("", "no letters"),
        ("12 + 3 = 15!", "no letters"),
        ("Good film", "latin"),
        ("“Très bien,” dit-il – déjà vu", "latin"),
        ("Ελληνικά", "greek"),
        ("Хороший фильм", "cyrillic"),
        ("סרט טוב", "hebrew"),
        ("فيلم جيد", "arabic"),
        ("अच्छी फिल्म", "indic"),
        ("หนังดี", "thai"),
        ("좋은 영화", "hangul"),
        ("いいえいがです", "kana"),
        ("好电影", "han"),
        ("კარგი ფილმი", "other"),
        ("👍👍👍", "no letters"),
        ("Хороший фильм, HD", "cyrillic"),
        ("x" * 100_000 + "я", "latin"),
    ],
    ids=lambda value: value[:12] if value in SCRIPTS else "",
)
def test_the_script_of_most_letters_is_found(text, script):
    assert SCRIPTS[find_script(text)] == script


def test_histograms_do_not_grow_and_begin_anew(tiny_classifier):
    texts = ["good film", "bad"]
    histograms = Histograms(tiny_classifier.task, choose_bins(tiny_classifier.task, ["pos", "neg"]))
    sizes = {name: len(counts) for name, counts in histograms.counts.items()}
    said = [(find_script(text), tiny_classifier.predict([text])[0]) for text in texts]

    for _ in range(3):
        histograms.count(said)
    taken = histograms.take()

    assert {name: len(counts) for name, counts in taken.items()} == sizes
    assert {sum(counts) for counts in taken.values()} == {6}
    assert {sum(counts) for counts in histograms.counts.values()} == {0}


@pytest.fixture
def profiled(tiny_bundle, tmp_path):
    return write_profiled_bundle(tiny_bundle, tmp_path / "bundle")


def test_a_manifest_keeps_a_profile(profiled):
    manifest = read_bundle(profiled).manifest

    assert manifest.profile.rows == len(TEXTS)
    assert json.loads((profiled / "manifest.json").read_text())["profile"] == (
        manifest.profile.describe()
    )


def test_a_manifest_without_a_profile_serves(tiny_bundle):
    assert read_bundle(tiny_bundle).manifest.profile is None


CHANGES = {
    "no rows": (("rows",), 0, "profile.rows is 0, wanted a whole number from 1"),
    "another sum": (("rows",), 7, "sum to 1000, wanted .* that sum to 7"),
    "a count below 0": (("histograms", "length", "counts", 0), -1, r"counts\[0\] is -1"),
    "too few counts": (("histograms", "score", "counts"), [1000], "are 1 numbers that sum to 1000"),
    "edges that do not ascend": (("histograms", "unknown", "edges", 1), 0, "edges do not ascend"),
    "other scripts": (("histograms", "script", "names", 1), "roman", "bins of another feature"),
    "an unknown field": (("histograms", "score", "mean"), 1, "has the field 'mean'"),
    "a histogram of another task": (("histograms", "value"), None, "has label, score"),
    "no object": ((), [], "profile is an array of 0, wanted an object of rows, histograms"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_profile_that_cannot_be_one_is_refused(profiled, change):
    places, value, message = CHANGES[change]
    path = profiled / "manifest.json"
    document = json.loads(path.read_text())
    if value is None:
        value = document["profile"]["histograms"]["length"]
    part, places = document, ("profile", *places)
    for place in places[:-1]:
        part = part[place]
    part[places[-1]] = value
    path.write_text(json.dumps(document))

    with pytest.raises(ArtefactError, match=message):
        read_bundle(profiled)
