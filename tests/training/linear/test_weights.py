"""What features weigh: fitted, kept in tables, folded into known words."""

import numpy as np
import pytest
from scipy import sparse

from tests.helpers.phrases import logits_of, make_rows
from training.blocks import letters, wide
from training.linear.features import find_features
from training.linear.logit import balance_labels
from training.linear.weights import (
    NAIVE_BAYES,
    Plan,
    choose_places,
    fit_linear,
    fit_tables,
    log_count_ratios,
    weigh_rare,
)

PLANS = [Plan(letters=0.0), Plan(NAIVE_BAYES, letters=0.0)]
WORDS = [f"w{number}" for number in range(40)]


def test_log_count_ratios_count_parts_and_weights_of_texts():
    counts = sparse.csr_matrix([[2.0, 0], [1, 1], [0, 3]])
    weights = np.array([2.0, 1, 1])

    ratios = log_count_ratios(counts, np.array([1.0, 0.75, 0]), weights)

    inside = np.array([1 + 2 * 2 + 0.75, 1 + 0.75])
    outside = np.array([1 + 0.25, 1 + 0.25 + 3])
    expected = np.log((inside / inside.sum()) / (outside / outside.sum()))
    np.testing.assert_allclose(ratios, expected, rtol=1e-6)


def test_text_of_one_side_alone_counts_by_its_weight():
    features = find_features([[2], [3]], [(), ()], list("abcd"), False)

    weights = fit_linear(features, np.ones((2, 1)), Plan(letters=0.0), 0, np.array([0.5, 2.5]))

    assert weights.bias == pytest.approx(np.log(4.0))  # a pseudo count, and 3, to one


def test_log_count_ratios_follow_the_paper():
    counts = sparse.csr_matrix([[1, 0, 1], [1, 1, 0], [0, 1, 0]])
    target = np.array([True, False, False])

    ratios = log_count_ratios(counts, target)

    p, q = np.array([1 + 1, 1 + 0, 1 + 1]), np.array([1 + 1, 1 + 2, 1 + 0])
    np.testing.assert_allclose(ratios, np.log((p / p.sum()) / (q / q.sum())), rtol=1e-6)


def test_rare_features_weigh_more():
    counts = sparse.csr_matrix([[2, 0], [1, 0], [1, 3]])

    np.testing.assert_allclose(weigh_rare(counts, 2.0), [1.0, (np.log(4 / 2) + 1) ** 2], rtol=1e-6)


def fit(texts, targets, plan, num_places=500, words=WORDS):
    unknown = [()] * len(texts)
    features = find_features(texts, unknown, words, plan.letters > 0)
    places = {"phrases": num_places, "letters": num_places}
    kept, tables, weights = fit_tables(
        features, texts, unknown, np.asarray(targets, float), plan, places, seed=0
    )
    return kept, tables, weights


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("num_labels", [2, 3])
def test_word_order_is_learned(num_labels, plan):
    texts, label_ids = make_rows(num_labels, num_rows=900)
    # Two labels need one logit, that of the second.
    targets = np.eye(num_labels)[label_ids][:, 1 if num_labels == 2 else 0 :]

    kept, tables, weights = fit(texts[:800], targets[:800], plan)

    held = wide.make_tables(weights, tables, {}, reads_tail=True)
    logits = logits_of(held, texts[800:], 40) + weights.bias
    np.testing.assert_allclose(
        logits_of(held, texts[:800], 40) + weights.bias, weights.logits(kept), atol=0.3
    )
    guesses = (logits[:, 0] > 0).astype(int) if len(weights.bias) == 1 else logits.argmax(axis=1)
    assert np.mean(guesses == label_ids[800:]) > 0.95


def test_full_table_keeps_what_weighs_most():
    texts, label_ids = make_rows(2)
    features = find_features(texts, [()] * len(texts), WORDS, False)
    weights = fit_linear(features, (label_ids == 1)[:, None].astype(float), Plan(), 0)

    (table,) = choose_places(features, weights, {"phrases": 7}).values()

    counts = np.asarray(features.blocks["phrases"].sum(axis=0)).ravel()
    importance = np.abs(weights.blocks["phrases"][:, 0]) * np.sqrt(counts)
    places, fingerprints = divmod(features.hashes["phrases"] % (7 * 256), 256)
    for place in range(7):
        mine = np.flatnonzero((places == place) & (fingerprints != 0))
        assert table[place] == fingerprints[mine[importance[mine].argmax()]]


def test_known_words_get_what_their_letters_weigh():
    words = ["[PAD]", "[UNK]", "football", "footage", "tennis", "tent"]
    texts, targets = [[2], [3], [4], [5]] * 5, [[1], [1], [0], [0]] * 5

    kept, tables, weights = fit(texts, targets, Plan(letters=1.0), words=words)

    held = wide.make_tables(weights, tables, kept.parts, reads_tail=True)
    runs = kept.parts["letters"] @ weights.blocks["letters"]
    expected = weights.blocks["words"] + runs
    expected[:2] = 0
    step = np.abs(held[wide.WEIGHTS]).max() / 127
    np.testing.assert_allclose(held[wide.WEIGHTS][:6, :1], expected, rtol=0, atol=step)
    # A word that nobody has seen is told by its letters.
    found = logits_of(held, [[1], [1]], 6, [["footer"], ["tents"]])
    assert found[0, 0] > 0 > found[1, 0]
    assert held[letters.WEIGHTS][0].tolist() == [0]


@pytest.mark.parametrize("plan", PLANS)
def test_texts_with_no_phrase_of_their_own_are_fitted(plan):
    texts = [[1, 2, 1], [1, 3, 1], [1, 2, 1], [1, 3, 1], [1]]  # begun and ended by unknown words
    kept, tables, weights = fit(texts * 4, [[0], [1], [0], [1], [0]] * 4, plan)

    assert np.count_nonzero(tables["phrases"]) == 1  # which every text has
    assert weights.logits(kept)[0] < 0 < weights.logits(kept)[1]


@pytest.mark.parametrize("plan", PLANS)
def test_rare_label_counts_as_much_as_the_others(plan):
    texts = [[2]] * 3 + [[3]] * 57  # a word for each label, one of them rare

    kept, _, weights = fit(texts, [[1]] * 3 + [[0]] * 57, plan)

    rare, frequent = weights.logits(kept)[[0, -1], 0]
    assert rare > 0.8 * -frequent > 1


def test_labels_are_balanced_by_what_their_texts_count():
    soft = [[1.0, 0, 0], [0.5, 0.5, 0], [0, 1.0, 0], [0, 1.0, 0]]

    found = balance_labels(np.array(soft), np.array([2.0, 1, 1, 1]))

    # The first label has 2.5 of the 5, as has the second; the third has none.
    np.testing.assert_allclose(found, [2.0, 1, 1, 1])
    np.testing.assert_allclose(balance_labels(np.array([[1.0], [0], [0], [0]])), [2, *[2 / 3] * 3])


@pytest.mark.parametrize("plan", PLANS)
def test_logit_that_all_texts_are_on_one_side_of_is_its_prior(plan):
    texts, label_ids = make_rows(2, num_rows=99)
    targets = np.stack([label_ids == 1, label_ids >= 0, label_ids < 0], axis=1)

    _, _, weights = fit(texts, targets, plan)

    weighs = (weights.blocks["words"] != 0).any(axis=0)
    assert weighs.tolist() == [True, False, False]
    np.testing.assert_allclose(weights.bias[1:], [np.log(100), -np.log(100)], rtol=1e-6)
