"""`.npy` with a vocabulary beside it."""

import io
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.vector_files import VECTORS, WORDS
from training.errors import DataError
from training.vectors.reader import read_word_vectors
from training.vectors.selection import WordVectors

VOCABULARY = "".join(f"{word}\n" for word in WORDS)


def read(path: Path) -> WordVectors:
    return read_word_vectors(path, lambda word: True, 100)


def pack(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def write(folder: Path, content: bytes, vocabulary: str = VOCABULARY) -> Path:
    (folder / "v.vocab").write_text(vocabulary, "utf-8")
    (folder / "v.npy").write_bytes(content)
    return folder / "v.npy"


@pytest.mark.parametrize("name", ["v.vocab", "v.txt", "vocab.txt"])
def test_words_stand_in_one_of_three_files(tmp_path, name):
    (tmp_path / name).write_text(VOCABULARY.replace("\n", "\r\n"), "utf-8")
    (tmp_path / "v.npy").write_bytes(pack(VECTORS))

    found = read(tmp_path / "v.npy")

    assert found.words == list(WORDS)
    np.testing.assert_array_equal(found.vectors, VECTORS)


def test_counts_behind_words_are_passed_over(tmp_path):
    path = write(tmp_path, pack(VECTORS[:3]), "the 1061396\na 3\n好 1\n")

    assert read(path).words == ["the", "a", "好"]


@pytest.mark.parametrize(
    "array",
    [
        VECTORS.astype(np.float64),
        VECTORS.astype(">f4"),
        np.asfortranarray(VECTORS),
        (VECTORS * 10).astype(np.int8),
        VECTORS.astype(np.float16),
    ],
    ids=["float64", "big-endian", "by column", "int8", "float16"],
)
def test_every_kind_of_number_is_read(tmp_path, array):
    np.testing.assert_array_equal(
        read(write(tmp_path, pack(array))).vectors, array.astype(np.float32)
    )


def test_only_first_words_that_are_wanted_are_read(tmp_path):
    path = write(tmp_path, pack(VECTORS))

    found = read_word_vectors(path, lambda word: word != "a", 2)

    assert found.words == ["the", "film"]
    np.testing.assert_array_equal(found.vectors, VECTORS[[0, 2]])


GOOD = pack(VECTORS)
TOO_LARGE = VECTORS.astype(np.float64)
TOO_LARGE[3, 1] = 1e39


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD[:-1], r"has 223 bytes, 224 are wanted for shape \(6, 4\): it was cut short"),
        (GOOD.replace(b"(6, 4)", b"(1152921504606846976, 4)"), "damaged|cut short"),
        (
            GOOD.replace(b"(6, 4), }            ", f"({2**60}, 4), }}".encode().ljust(21)),
            "damaged|cut short",
        ),
        (GOOD.replace(b"(6, 4)", b"(-6,4)"), "cut short"),
        (GOOD.replace(b"(6, 4)", b"(0, 4)"), "cut short"),
        (GOOD.replace(b"(6, 4)", b"(24,) "), "wanted numbers of shape"),
        (GOOD.replace(b"(6, 4)", b"(24,1)"), "says 1 dimensions"),
        (GOOD.replace(b"(6, 4)", b"[6, 4]"), "header of .npy is damaged"),
        (GOOD.replace(b"'<f4'", b"'|S4'"), "wanted numbers of shape"),
        (GOOD.replace(b"'<f4'", b"'<xx'"), "header of .npy is damaged"),
        (GOOD.replace(b"{", b"("), "header of .npy is damaged"),
        (GOOD.replace(b"\x01\x00v", b"\x09\x00v"), "header of .npy is damaged"),
        (GOOD[:20], "header of .npy is damaged"),
        (b"\x93NUMPY", "header of .npy is damaged"),
        (pack(np.array([["a", "b"]], object)), "wanted numbers of shape"),
        (
            pack(np.where(VECTORS == VECTORS[2, 1], np.nan, VECTORS)),
            "row 2 has values that are not",
        ),
        (pack(TOO_LARGE), "row 3 has values that are not finite"),
    ],
)
def test_a_damaged_matrix_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, content))


@pytest.mark.parametrize("num_words", [5, 7])
def test_words_of_another_matrix_are_refused(tmp_path, num_words):
    path = write(tmp_path, pack(VECTORS), "a\n" * num_words)

    with pytest.raises(DataError, match=f"has 6 rows, v.vocab has {num_words} words"):
        read(path)


def test_missing_words_are_told_with_their_names(tmp_path):
    (tmp_path / "v.npy").write_bytes(GOOD)

    with pytest.raises(DataError, match=r"one a line in v\.vocab, v\.txt or vocab\.txt beside it"):
        read(tmp_path / "v.npy")


def test_a_vocabulary_without_lines_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"v\.vocab: line 1 has over 65,536 bytes"):
        read(write(tmp_path, GOOD, "a" * (1 << 20)))
