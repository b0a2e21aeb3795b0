"""Text that is damaged, cut short or lies."""

from pathlib import Path

import pytest

from tests.helpers.vector_files import VECTORS, WORDS, format_text
from training.errors import DataError
from training.vectors.reader import read_word_vectors
from training.vectors.selection import WordVectors
from training.vectors.text import MAX_LINE_BYTES

GOOD = "the 0.1 0.2 0.3\n"


def read(path: Path, content: str | bytes) -> WordVectors:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_word_vectors(path, lambda word: True, 100)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD + "a 0.1 0.2\n", "line 2 has 2 numbers, line 1 has 3"),
        (GOOD + "a 0.1 0.2 0.3 0.4\n", "line 2 has 4 numbers, line 1 has 3"),
        (GOOD + "a\n", "line 2 has 0 numbers"),
        (GOOD + "a  0.1 0.2\n", "line 2 has 2 numbers, wanted 3"),
        (GOOD + "\n\na 0.1 x 0.3\n", "line 4: field 3 is no number"),
        (GOOD + "a 0.1 0x1 0.3\n", "line 2: field 3 is no number"),
        (GOOD + "a 0.1 1_0 0.3\n", "line 2: field 3 is no number"),
        (GOOD + "a 0.1 0,2 0.3\n", "line 2: field 3 is no number"),
        (GOOD + "a 0.1 0.2\0 0.3\n", "line 2: field 3 is no number"),
        (GOOD + "a 0.1 nan 0.3\n", "line 2: field 3 is not finite"),
        (GOOD + "a 0.1 0.2 -inf\n", "line 2: field 4 is not finite"),
        (GOOD + "a 0.1 1e39 0.3\n", "line 2: field 3 is not finite"),
        (GOOD + "a 1e999 0.2 0.3\n", "line 2: field 2 is not finite"),
        ("2 4\n" + GOOD, "line 2 has 3 numbers, the header says 4"),
        ("2 3\n" + GOOD, "line 1 says 2 words, 1 follow: the file was cut short"),
        ("1 3\n" + GOOD + "a 0.1 0.2 0.3\n", "line 1 says 1 words, 2 follow"),
        (f"{2**60} 3\n" + GOOD, "1,152,921,504,606,846,976 words, 1 follow"),
        (f"3 {2**60}\n" + GOOD, "line 1 says 1152921504606846976 dimensions"),
        ("3 0\n" + GOOD, "line 1 says 0 dimensions"),
        (f"{'9' * 50} 3\n" + GOOD, "line 2 has 3 numbers, line 1 has 1|line 1 says 1 dimensions"),
        ("a" + " 0.1" * 16_385 + "\n", "line 1 says 16385 dimensions"),
        (GOOD + "a" * (MAX_LINE_BYTES + (8 << 20)), "line 2 has over"),
        ("a" * (MAX_LINE_BYTES + (8 << 20)), "line 1 has over"),
    ],
)
def test_the_message_names_the_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / "vectors.txt", content)

    assert str(caught.value).startswith(f"{tmp_path / 'vectors.txt'}: ")


def test_a_file_cut_within_a_row_is_refused(tmp_path):
    with pytest.raises(DataError, match=f"line {len(WORDS)} has 3 numbers, line 1 has 4"):
        read(tmp_path / "a", format_text().rpartition(b" ")[0])


def test_a_message_holds_nothing_of_a_damaged_line(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a", GOOD + "secret 0.1 secret 0.3\n")

    assert "secret" not in str(caught.value)


def test_words_with_blanks_are_passed_over_as_in_glove_840b(tmp_path):
    rows = "at name@domain.com 0.1 0.2 0.3\n. . . 0.1 0.2 0.3\n 0.1 0.2 0.3\na 1 2 3\n"

    assert read(tmp_path / "a", GOOD + rows).words == ["the", "a"]


def test_other_line_ends_and_blanks_of_unicode_are_parts_of_words(tmp_path):
    rows = "".join(f"x{sign}y 0.1 0.2 0.3\n" for sign in "\x85\u2028\xa0\u3000")

    assert read(tmp_path / "a", GOOD + rows + "a 1 2 3\n").words == ["the", "a"]


def test_a_word_that_is_not_utf8_is_passed_over(tmp_path):
    content = format_text(header="7 4") + b"caf\xe9 0.1 0.2 0.3 0.4\n"

    assert read(tmp_path / "a", content).words == list(WORDS)


def test_a_row_across_blocks_is_read(tmp_path):
    words = [f"w{number}" for number in range(2500)]
    content = format_text(words, VECTORS[[0] * len(words)])
    path = tmp_path / "a"
    path.write_bytes(content)

    found = read_word_vectors(path, lambda word: True, 10_000)

    assert found.words == words
    assert (found.vectors == VECTORS[0]).all()


def test_a_first_row_longer_than_the_first_block_is_read(tmp_path):
    row = "the" + " 0.25" * 16_000

    assert read(tmp_path / "a", f"{row}\na{row[3:]}").vectors.shape == (2, 16_000)


def test_a_header_of_a_file_that_is_read_in_part_is_not_held_against_it(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(format_text(header="400000 4"))

    assert read_word_vectors(path, lambda word: True, 2).words == list(WORDS[:2])
