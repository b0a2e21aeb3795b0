import random

import pytest

from training.streaming.sampling import KEYS, Sample, hash_text


def make_rows(num_rows):
    texts = [f"text {number % 80}" for number in range(num_rows)]
    return [(hash_text(text, 0), text, "ab"[number % 2]) for number, text in enumerate(texts)]


@pytest.mark.parametrize(("most_rows", "most_characters"), [(30, 10_000), (1000, 200), (300, 9999)])
def test_a_sample_is_the_same_however_rows_are_shared_out(most_rows, most_characters):
    rows = make_rows(300)
    whole = Sample(most_rows, most_characters)
    whole.add_all(rows)
    random.Random(1).shuffle(rows)
    parts = [Sample(most_rows, most_characters) for _ in range(3)]
    for number, row in enumerate(rows):
        parts[number % 3].add(row)

    merged = Sample(most_rows, most_characters)
    for part in parts:
        merged.add_all(part.rows)

    expected = []
    for row in sorted(rows):
        if (
            len(expected) < most_rows
            and sum(len(r[1]) for r in [*expected, row]) <= most_characters
        ):
            expected.append(row)
        else:
            break
    assert merged.rows == whole.rows == expected


def test_no_more_than_twice_a_sample_is_in_memory():
    sample = Sample(10, 1000)

    for row in make_rows(500):
        sample.add(row)
        assert len(sample._rows) <= 20


def test_texts_that_differ_by_case_and_blanks_alone_have_one_key():
    keys = {hash_text(text, 5) for text in ("A  good\nFilm", "a good film ", "a good film")}

    assert len(keys) == 1
    assert 0 <= keys.pop() < KEYS
    assert hash_text("a good film", 5) != hash_text("a good film", 6)
