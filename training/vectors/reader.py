"""Word vectors that a user has, in whichever format: told by what a file holds, not by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.vectors.array_file import MAGIC as ARRAY_MAGIC
from training.vectors.array_file import read_array_file
from training.vectors.binary import read_binary
from training.vectors.header import parse_header
from training.vectors.safetensors import is_safetensors
from training.vectors.selection import Selection, WordVectors
from training.vectors.source import FETCH_AGAIN, HEAD_BYTES, open_blocks, read_head
from training.vectors.static_model import find_model, read_static_model
from training.vectors.text import NUMBER, read_text

# Files that hold word vectors in a way that is not read, and what to do.
FOREIGN = {
    b"\xba\x16\x4f\x2f": "a model of fastText (.bin): give its .vec",
    b"\x80": "a pickle, as gensim saves, which could run any program: save it in word2vec's format",
    b"\x89HDF": "HDF5: save it as .npy with a vocabulary",
    b"BZh": "compressed by bzip2: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first",
    b"GGUF": "a language model (GGUF), which has no word vectors",
}
# Below the signs of text stand the control characters that no text has: not tab, CR and LF.
CONTROLS = bytes(set(range(32)) - {9, 10, 13})
MIN_NUMBER_BYTES = 3  # a shorter one comes about between bytes of floats


def read_word_vectors(path: Path, is_wanted: Callable[[str], bool], max_words: int) -> WordVectors:
    """Return the first words of a file that are wanted, most frequent first as such files are.

    GloVe's and word2vec's text, word2vec's binary (each also packed by gzip or zstd, or in a zip),
    .npy with a vocabulary beside it, a static embedding model in safetensors. Memory is taken for
    what is kept and a few blocks, whatever the size of the file; reading ends with the last word
    that is kept.

    Args:
        path: A file, or the folder of a static embedding model.
        is_wanted: Gets words as the tokenizer makes them, each at most once where it says yes.
        max_words: Words at most, over 0.

    Returns:
        Words that the tokenizer makes as one token, of each the first row: of `The`, `the` and
        `THE` that which stands first.

    Raises:
        DataError: The file is of no such format, damaged, cut short, or holds no wanted word; the
            message names the place.
    """
    selection = Selection(is_wanted, max_words)
    if path.is_dir():
        vectors = read_static_model(find_model(path), selection)
    else:
        vectors = _read_file(path, selection)
    if not selection.words:
        raise DataError(
            f"{path}: holds no wanted word among {selection.num_rows:,}: wanted vectors for words "
            "of the language of the texts"
        )
    return WordVectors(selection.words, vectors)


def _read_file(path: Path, selection: Selection) -> NDArray[np.float32]:
    head = read_head(path)
    if head.startswith(ARRAY_MAGIC):
        return read_array_file(path, selection)
    if is_safetensors(head):
        return read_static_model(path, selection)
    with open_blocks(path, head) as blocks:
        return _read_stream(path, blocks, selection)


def _read_stream(path: Path, blocks: Iterator[bytes], selection: Selection) -> NDArray[np.float32]:
    head = next(blocks, b"")
    if not head:
        raise DataError(f"{path}: holds nothing, wanted word vectors. {FETCH_AGAIN}")
    if head.startswith(ARRAY_MAGIC) or is_safetensors(head):
        raise DataError(
            f"{path}: holds .npy or safetensors, whose words stand in another file: unpack it"
        )
    for first, kind in FOREIGN.items():
        if head.startswith(first):
            raise DataError(f"{path}: is {kind}")
    read = read_binary if _is_binary(head, path) else read_text
    return read(chain([head], blocks), selection, path)


def _is_binary(head: bytes, path: Path) -> bool:
    """Say whether a header of word2vec has values behind it that are no text."""
    line, _, rows = head.partition(b"\n")
    if parse_header(line, path) is None:
        return False
    numbers = rows.partition(b"\n")[0].split()[1:]
    if any(len(number) >= MIN_NUMBER_BYTES and NUMBER.fullmatch(number) for number in numbers):
        return False
    if len(rows.translate(None, CONTROLS)) < len(rows):
        return True
    try:
        rows[: HEAD_BYTES - 4].decode()
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"
    return False
