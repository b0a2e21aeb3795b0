"""word2vec's binary file, cut at every byte and damaged."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.vector_files import VECTORS, WORDS, format_binary
from training.errors import DataError
from training.vectors.reader import read_word_vectors
from training.vectors.selection import WordVectors

ROW_BYTES = VECTORS.shape[1] * 4


def read(path: Path, content: bytes, max_words: int = 100_000) -> WordVectors:
    path.write_bytes(content)
    return read_word_vectors(path, lambda word: True, max_words)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    content = format_binary(end=b"")

    for size in range(len(content)):
        with pytest.raises(DataError):
            read(tmp_path / "a", content[:size])
    with pytest.raises(DataError, match="ends at byte 1[0-9]{2}, within word 6 of 6"):
        read(tmp_path / "a", content[:-5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (format_binary(header=f"{2**60} 4"), "within word 7 of 1,152,921,504,606,846,976"),
        (format_binary(header=f"6 {2**60}"), "line 1 says 1152921504606846976 dimensions"),
        (format_binary(header="5 4"), "line 1 says 5 words, and more follows them"),
        (format_binary(header="6 5"), "within word|should begin a word"),
        (format_binary(header="6 16384"), "within word 1 of 6"),
        (format_binary() + bytes(10), "and more follows them"),
        (b"6 4\n" + bytes(100_000), "byte 4 should begin a word, and no blank follows"),
        (b"6 4\nthe " + bytes(100_000), "byte 24 should begin a word, and no blank follows"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a", content)


def test_white_space_at_the_end_is_none_of_it(tmp_path):
    assert read(tmp_path / "a", format_binary() + b"\n \n").words == list(WORDS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_byte(tmp_path, value):
    vectors = VECTORS.copy()
    vectors[1, 2] = value
    content = format_binary(vectors=vectors)

    with pytest.raises(DataError, match=f"vector at byte {content.index(b'a ') + 2} has"):
        read(tmp_path / "a", content)


def test_words_are_folded_and_phrases_passed_over(tmp_path):
    words = ["The", "New_York", "the", "Film", "x" * 65]

    found = read(tmp_path / "a", format_binary(words, VECTORS[:5]))

    assert found.words == ["the", "film"]
    np.testing.assert_array_equal(found.vectors, VECTORS[[0, 3]])


def test_rows_across_blocks_are_read(tmp_path):
    words = [f"w{number}" for number in range(20_000)]
    vectors = np.random.default_rng(1).normal(size=(len(words), 100)).astype(np.float32)

    found = read(tmp_path / "a", format_binary(words, vectors))

    assert found.words == words
    np.testing.assert_array_equal(found.vectors, vectors)


def test_a_word_that_is_not_utf8_is_passed_over(tmp_path):
    content = format_binary(header="7 4") + b"caf\xe9 " + bytes(ROW_BYTES) + b"\n"

    assert read(tmp_path / "a", content).words == list(WORDS)
