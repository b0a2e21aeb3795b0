"""The tokenizer's file in a bundle; `handler/inference/tokenizer_file.py` reads it."""

from __future__ import annotations

import json
import os
import zlib

import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer_file import GZIP, MAX_SHARED, NO_LETTER
from training.tokenizer import UNKNOWN_ID, parse_document


def pack_tokenizer(content: bytes) -> bytes:
    """Return what `handler.inference.tokenizer_file.unpack_tokenizer` reads.

    The same words give the same bytes.

    Args:
        content: Of a run's `tokenizer.json`; raises ArtefactError where it is none.
    """
    document = parse_document(content)
    shared, endings, previous = "", [], ""
    for word in document["words"]:
        letters = min(len(os.path.commonprefix([previous, word])), MAX_SHARED)
        shared += chr(NO_LETTER + letters)
        endings.append(word[letters:])
        previous = word
    packed = {
        **document,
        "words": {"shared": shared, "endings": " ".join(endings)},
    }
    return zlib.compress(_format(packed, separators=(",", ":")), 9, GZIP)


def keep_words(content: bytes, kept_ids: NDArray[np.int64]) -> bytes:
    """Return a `tokenizer.json` of the words in `kept_ids`, numbered in that order.

    Args:
        kept_ids: Shape (words that stay,), int64, sorted.
    """
    document = parse_document(content)
    words = document["words"]
    return _format({**document, "words": [words[word_id] for word_id in kept_ids.tolist()]})


def map_words(old: bytes, new: bytes) -> NDArray[np.int32]:
    """Return old id -> new id of the same word, the unknown word's for one that is gone.

    Shape (old vocab_size,), int32.
    """
    ids = {word: word_id for word_id, word in enumerate(read_words(new))}
    return np.array([ids.get(word, UNKNOWN_ID) for word in read_words(old)], np.int32)


def read_words(content: bytes) -> list[str]:
    """Return the words of a run's `tokenizer.json` in the order of their ids."""
    words: list[str] = parse_document(content)["words"]
    return words


def _format(document: object, separators: tuple[str, str] | None = None) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=separators).encode()
