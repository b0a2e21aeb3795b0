"""Which rows are chosen: the unsure ones, each unlike the others."""

import numpy as np
import pytest
from scipy import sparse

from training.curation.selection import measure_margins, reduce_words, select_unsure


def test_a_margin_is_the_lead_of_the_most_probable_label():
    found = measure_margins(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.0, 0.0, 1.0]]))

    np.testing.assert_allclose(found, [0.2, 0.0, 1.0], rtol=0, atol=1e-12)


def test_unsure_rows_of_all_places_are_chosen():
    # Three places; of each, rows from unsure to certain.
    places = np.repeat(np.eye(3), 100, axis=0)
    margins = np.tile(np.linspace(0, 1, 100), 3)
    margins[:100] /= 100  # all of the first place are less sure than those of the others

    chosen = select_unsure(margins, np.arange(300), places, 6, 0)

    assert len(chosen) == 6
    assert chosen.tolist() == sorted(chosen.tolist(), key=lambda row: margins[row])
    assert margins[chosen].max() < 0.5


def test_one_row_of_a_group_is_chosen_the_least_sure():
    margins = np.array([0.3, 0.1, 0.2, 0.9])
    groups = np.array([0, 0, 0, 1])

    assert select_unsure(margins, groups, np.eye(4), 3, 0).tolist() == [1, 3]


@pytest.mark.parametrize("num_rows", [1, 2, 50, 500])
def test_as_many_rows_as_are_wanted_are_chosen_also_where_all_are_equal(num_rows):
    margins, places = np.zeros(num_rows), np.ones((num_rows, 2))

    chosen = select_unsure(margins, np.arange(num_rows), places, 20, 0)

    assert len(set(chosen.tolist())) == min(20, num_rows)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 1), (1, 9)])
def test_few_texts_and_words_have_places_too(shape):
    found = reduce_words(sparse.csr_matrix(np.eye(*shape, dtype=np.float32)), 0)

    assert found.shape[0] == shape[0]
    assert np.isfinite(found).all()


def test_texts_without_words_have_no_place():
    found = reduce_words(sparse.csr_matrix((4, 9), dtype=np.float32), 0)

    assert not found.any()
