"""Every format gives the same words and vectors, told by its content; what is none is refused."""

import gzip
import io
import os
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard

from tests.helpers.vector_files import (
    VECTORS,
    WORDS,
    format_binary,
    format_tensors,
    format_text,
    write_static_model,
)
from training.errors import DataError
from training.vectors.reader import read_word_vectors
from training.vectors.selection import WordVectors

HEADER = f"{len(WORDS)} 4"
ROW_OF_TEXT = {
    "glove": format_text(),
    "word2vec text": format_text(header=HEADER),
    "word2vec text with blanks at its ends": format_text(header=HEADER).replace(b"\n", b" \n"),
    "binary": format_binary(),
    "binary without line ends": format_binary(end=b""),
    "tabs": format_text(separator="\t"),
    "CR LF": format_text().replace(b"\n", b"\r\n"),
    "byte order mark": b"\xef\xbb\xbf" + format_text(),
    "no line end at the end": format_text()[:-1],
    "blank lines": format_text().replace(b"\n", b"\n\n"),
}


def pack_zip(content: bytes, name: str = "vectors.txt") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small.txt", "the 1.5 2.5\n")
        archive.writestr(f"__MACOSX/{name}", bytes(10_000))
        archive.writestr(name, content)
    return buffer.getvalue()


PACK = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "zip": pack_zip,
    "two gzip members": lambda content: (
        gzip.compress(content[:50], mtime=0) + gzip.compress(content[50:], mtime=0)
    ),
}


def read(path: Path, max_words: int = 100) -> WordVectors:
    return read_word_vectors(path, lambda word: True, max_words)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
@pytest.mark.parametrize("content", ROW_OF_TEXT.values(), ids=ROW_OF_TEXT)
def test_every_form_of_a_stream_is_read_whatever_its_name(tmp_path, content, pack):
    path = write(tmp_path / "vectors.bin.csv", pack(content))

    read_words = read(path)

    assert read_words.words == list(WORDS)
    np.testing.assert_array_equal(read_words.vectors, VECTORS)
    assert read_words.vectors.dtype == np.float32


def test_words_are_the_tokenizers_and_the_first_wins(tmp_path):
    words = [
        "The",
        "the",
        "THE",
        "New York",
        "new_york",
        "ﬁlm",
        "it's",
        "'s",
        "<br/>",
        "😍",
        "é",
        "é",
    ]
    vectors = np.arange(2 * len(words), dtype=np.float32).reshape(-1, 2) / 2
    path = write(tmp_path / "a", format_text(words, vectors))

    found = read(path)

    assert found.words == ["the", "film", "'s", "😍", "é"]
    np.testing.assert_array_equal(found.vectors, vectors[[0, 5, 7, 9, 10]])


def test_only_wanted_words_are_kept_and_no_more_than_asked(tmp_path):
    path = write(tmp_path / "a", format_text())

    found = read_word_vectors(path, {"a", "film", "2009"}.__contains__, 2)

    assert found.words == ["a", "film"]
    np.testing.assert_array_equal(found.vectors, VECTORS[1:3])


def test_nothing_is_read_behind_the_last_word(tmp_path):
    path = write(tmp_path / "a", format_text() + b"ragged 1.0\n" * 100)

    assert read(path, 3).words == list(WORDS[:3])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (gzip.compress(b"", mtime=0), "holds nothing"),
        (gzip.compress(format_text(), mtime=0)[:-9], "broken or cut off behind byte 0"),
        (zstandard.compress(format_text())[:-3], "broken or cut off behind byte 0"),
        (pack_zip(format_text())[:-30], "the zip is broken"),
        (b"PK\x03\x04", "the zip is broken"),
        (b"\x80\x04\x95\x00", "is a pickle"),
        (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", r"is a model of fastText \(\.bin\): give its \.vec"),
        (b"\x89HDF\r\n", "is HDF5"),
        (gzip.compress(b"\x93NUMPY\x01\x00", mtime=0), "unpack it"),
        (gzip.compress(format_tensors({}), mtime=0), "unpack it"),
        (b"Once upon a time\nthere was\n", "line 1 holds no word with numbers behind it"),
        (b"the 1061396\nof 593677\n", "line 1 says 1 dimensions"),
        (b"\n\n", "line 1 holds no word"),
        (os.urandom(1 << 10).replace(b"\n", b"")[:1000].join([b"\xff", b"\n"]), "line 1 holds no"),
        (format_text(["New York", "in_it"], VECTORS[:2]), "holds no wanted word among 2"),
        (b"\xff\xfet\x00h\x00e\x00 \x001\x00", "line 1 holds no word"),
    ],
)
def test_what_is_no_file_of_word_vectors_is_refused_in_one_line(tmp_path, content, message):
    path = write(tmp_path / "file", content)

    with pytest.raises(DataError, match=message) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_broken_zip_member_is_refused(tmp_path):
    content = bytearray(pack_zip(os.urandom(20_000).hex().encode()))
    content[15_000] ^= 255

    with pytest.raises(DataError, match="broken or cut off"):
        read(write(tmp_path / "a.zip", bytes(content)))


def test_a_zip_without_names_or_with_folders_alone_is_refused_or_read(tmp_path):
    content = pack_zip(format_text())
    nameless = content.replace(b"small.txt", b"\0" * 9)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.mkdir("folder")

    assert read(write(tmp_path / "a.zip", nameless)).words == list(WORDS)
    with pytest.raises(DataError, match="holds no file"):
        read(tmp_path / "b.zip")


def test_a_zip_with_a_password_is_refused(tmp_path):
    content = bytearray(pack_zip(format_text()))
    places = [place for place in range(len(content)) if content.startswith(b"PK\x01\x02", place)]
    for place in places:
        content[place + 8] |= 1  # what the directory says of each file: it is encrypted

    with pytest.raises(DataError, match="has a password|zip is broken"):
        read(write(tmp_path / "a.zip", bytes(content)))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="a.txt: cannot be read: No such file"):
        read(tmp_path / "a.txt")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(DataError, match="is no file of a disk"):
        read(tmp_path / "pipe")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no model\.safetensors"):
        read(tmp_path)


def test_a_file_of_tensors_and_its_folder_are_the_same(tmp_path):
    words = {"[PAD]": 0} | {word: row for row, word in enumerate(WORDS, start=1)}
    table = np.concatenate([VECTORS[:1], VECTORS])
    tensors = {"embeddings": ("F32", table)}
    folder = write_static_model(tmp_path / "m", words, tensors, type="WordLevel")

    for path in (folder, folder / "model.safetensors"):
        assert read(path).words == list(WORDS)
        np.testing.assert_array_equal(read(path).vectors, VECTORS)


@pytest.mark.slow
def test_memory_is_taken_for_what_is_kept_alone(tmp_path):
    path = tmp_path / "large.gz"
    numbers = b" 0.125" * 300
    with gzip.open(path, "wb", 1) as file:
        for number in range(1, 40_001):  # 72 MB
            file.write(b"w%d%s\n" % (number, numbers))

    tracemalloc.start()
    found = read_word_vectors(path, lambda word: word.endswith("000"), 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(found.words) == 40
    assert peak < 32 << 20  # of 72 MB: what unpacks from 32 KiB, and blocks of 1 MiB


def mutate(content: bytes, random: random.Random) -> bytes:
    """Return the content with some bytes changed, cut out, or put in twice."""
    damaged = bytearray(content)
    for _ in range(random.randint(1, 4)):
        begin = random.randrange(len(damaged) + 1)
        end = min(len(damaged), begin + random.choice((0, 1, 1, 4, 40)))
        if random.random() < 0.7:
            put = random.choice(
                (b"", random.randbytes(1), b" ", b"\n", b"9", damaged[begin:end] * 2)
            )
            damaged[begin:end] = put
        else:
            del damaged[begin:]
    return bytes(damaged)


@pytest.mark.parametrize("kind", ["text", "word2vec", "binary", "zip", "gzip", "npy", "tensors"])
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path, kind):
    words = {word: row for row, word in enumerate(WORDS)}
    folder = write_static_model(tmp_path, words, {"embeddings": ("F32", VECTORS)})
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    buffer = io.BytesIO()
    np.save(buffer, VECTORS)
    content = {
        "text": format_text(),
        "word2vec": format_text(header=HEADER),
        "binary": format_binary(),
        "zip": pack_zip(format_text()),
        "gzip": gzip.compress(format_text(), mtime=0),
        "npy": buffer.getvalue(),
        "tensors": (folder / "model.safetensors").read_bytes(),
    }[kind]
    errors, seed = [], random.Random(0)
    for _ in range(100):
        path = write(tmp_path / "damaged", mutate(content, seed))
        try:
            found = read(path)
        except DataError as error:
            errors.append(str(error))
        else:
            assert np.isfinite(found.vectors).all()
            assert len(found.vectors) == len(found.words) > 0

    assert len(errors) > 10
    assert [error for error in errors if not error.startswith(f"{tmp_path}/")] == []
