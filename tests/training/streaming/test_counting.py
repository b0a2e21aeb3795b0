import pytest

from tests.helpers.parquet_rows import make_texts
from training.errors import DataError
from training.streaming import counting
from training.streaming.counting import Counted, choose_sides, count_rows
from training.streaming.sampling import Sample

ROWS = [*make_texts(300), *((f"rare thing{number}", "rare") for number in range(4))]


def count(rows, sample_rows=50):
    sides = choose_sides(len(ROWS), 0.2, seed=3)
    return count_rows(rows, sides, sample_rows, 16)


def test_two_workers_find_what_one_finds():
    whole = count(ROWS)
    parts = [count(ROWS[0::2]), count(ROWS[1::2])]

    merged = Counted(Sample(50, counting.SAMPLE_CHARACTERS))
    for part in parts:
        merged.merge(part.to_bytes())

    assert merged.labels == whole.labels
    assert merged.words.counts == whole.words.counts
    assert merged.list_sample() == whole.list_sample()
    assert merged.held_out.rows == whole.held_out.rows


def test_equal_texts_are_on_one_side_and_every_row_is_on_one():
    doubled = [*ROWS, *((text.upper(), label) for text, label in ROWS)]
    counted = count(doubled, 10_000)

    held_out = counted.held_out.rows
    keys = [{row[0] for row in rows} for rows in (held_out, counted.list_sample())]
    assert keys[0].isdisjoint(keys[1])
    assert counted.labels.total() + len(held_out) == len(doubled)
    assert 0.1 < len(held_out) / len(doubled) < 0.3


def test_a_rare_label_is_in_the_sample_as_far_as_it_has_rows():
    counted = count(ROWS, 5)

    sample = counted.list_sample()
    labels = [label for _, _, label in sample]
    assert labels.count("rare") == counted.labels["rare"]
    assert labels.count("good") == labels.count("bad") == counting.LABEL_ROWS
    assert sample[:5] == counted.sample.rows


def test_more_labels_than_a_model_has_are_refused(monkeypatch):
    monkeypatch.setattr(counting, "MAX_LABELS", 5)

    with pytest.raises(DataError, match="there are more than 5 labels, the most that a model has"):
        count([(f"text {number}", f"label {number}") for number in range(30)])


def test_of_many_rows_fewer_are_held_out():
    many = choose_sides(10_000_000, 0.05, 0)

    assert many.dev_limit / counting.KEYS == pytest.approx(counting.DEV_ROWS / 10_000_000)
