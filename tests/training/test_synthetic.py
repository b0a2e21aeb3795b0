import random
import re
from collections import Counter

import pytest

from training.downloads.synthetic import make_review, write_synthetic_reviews
from training.rows.readers import read_dataset

# Written out here on purpose: the parser below must not learn the answer from the generator.
LIKED = {"good", "great", "moving", "clever", "funny", "superb"}
DISLIKED = {"bad", "dull", "weak", "clumsy", "boring", "awful"}
NEGATIONS = {"not", "never", "hardly"}


def parse_label(review: str) -> str:
    """Return the label by the rule: the last clause counts, a negation turns it around."""
    *_, clause = re.split(r"\bbut\b", review)
    *_, negation, word, stop = clause.split()
    assert stop == "."
    assert word in LIKED | DISLIKED
    return "pos" if (word in LIKED) != (negation in NEGATIONS) else "neg"


@pytest.mark.parametrize(
    ("review", "label"),
    [
        ("the plot was good .", "pos"),
        ("the plot was not good .", "neg"),
        ("honestly the music felt hardly bad .", "pos"),
        ("the plot was good , but the ending was dull .", "neg"),
        ("the plot was not good , but the ending was never dull .", "pos"),
    ],
)
def test_the_independent_parser_knows_the_rule(review, label):
    assert parse_label(review) == label


def test_every_review_has_the_label_of_the_rule():
    order = random.Random(5)
    reviews = [make_review(order) for _ in range(2000)]

    wrong = [(text, label) for text, label in reviews if parse_label(text) != label]

    assert wrong == []


def test_reviews_hold_negation_and_but_and_both_labels():
    order = random.Random(5)
    reviews = [make_review(order) for _ in range(2000)]

    counts = Counter(label for _, label in reviews)
    with_but = sum(", but " in text for text, _ in reviews)
    negated = sum(bool(NEGATIONS & set(text.split())) for text, _ in reviews)

    # Shares of 0.5, 0.4 and about 0.4 of 2000, four standard deviations (about 90) either side.
    assert 910 < counts["pos"] < 1090
    assert 710 < with_but < 890
    assert 650 < negated < 950


def test_a_bag_of_words_cannot_know_the_label():
    """The same words in another order have the other label."""
    first = "the plot was not good , but the music was bad ."
    second = "the plot was good , but the music was not bad ."

    assert Counter(first.split()) == Counter(second.split())
    assert (parse_label(first), parse_label(second)) == ("neg", "pos")


def test_file_follows_the_seed_and_is_read_as_it_stands(tmp_path):
    paths = [tmp_path / "new" / f"{name}.csv" for name in ("first", "again", "other")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        write_synthetic_reviews(path, 50, seed)

    first, again, other = (read_dataset(path) for path in paths)

    assert len(first) == 50
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert first.sha256 == again.sha256 != other.sha256
    assert first.labels == [parse_label(text) for text in first.texts]
