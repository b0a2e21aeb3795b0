"""The tokenizer's file in a bundle; `handler/inference/tokenizer.py` reads it."""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from handler.inference.tokenizer import GZIP, MAX_SHARED, NO_LETTER


def pack_tokenizer(tokenizer_json: bytes) -> bytes:
    """Return what `handler.inference.tokenizer.unpack_tokenizer` reads.

    The same words give the same bytes.

    Raises:
        ExportError: Not a word-level tokenizer, or a word with a space in it.
    """
    document = json.loads(tokenizer_json)
    vocab: dict[str, int] = read_vocab(document)
    words = sorted(vocab, key=vocab.__getitem__)
    shared, endings, previous = "", [], ""
    for word in words:
        letters = min(len(os.path.commonprefix([previous, word])), MAX_SHARED)
        shared += chr(NO_LETTER + letters)
        endings.append(word[letters:])
        previous = word
    added = {token["content"]: token["id"] for token in document["added_tokens"]}
    document["model"]["vocab"] = added
    packed = {
        "tokenizer": document,
        "words": {"shared": shared, "endings": " ".join(endings)},
    }
    content = json.dumps(packed, ensure_ascii=False, separators=(",", ":")).encode()
    return zlib.compress(content, 9, GZIP)


def keep_words(tokenizer_json: bytes, kept_ids: NDArray[np.int64]) -> bytes:
    """Return a `tokenizer.json` of the words in `kept_ids`, numbered in that order.

    Args:
        kept_ids: Shape (words that stay,), int64, sorted.
    """
    document = json.loads(tokenizer_json)
    vocab = read_vocab(document)
    words = sorted(vocab, key=vocab.__getitem__)
    document["model"]["vocab"] = {
        words[old_id]: new_id for new_id, old_id in enumerate(kept_ids.tolist())
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def map_words(old_json: bytes, new_json: bytes, unknown_id: int) -> NDArray[np.int32]:
    """Return old id -> new id of the same word, `unknown_id` for a word that is gone.

    Shape (old vocab_size,), int32.
    """
    old, new = read_vocab(json.loads(old_json)), read_vocab(json.loads(new_json))
    words = sorted(old, key=old.__getitem__)
    return np.array([new.get(word, unknown_id) for word in words], np.int32)


def read_vocab(document: dict[str, Any]) -> dict[str, int]:
    """Return word -> id of a parsed `tokenizer.json`; raises ExportError as `pack_tokenizer`."""
    model = document["model"]
    if model["type"] != "WordLevel":
        raise ExportError(
            f"tokenizer.json: its model is {model['type']}, wanted WordLevel, which "
            "`minnow train` makes."
        )
    vocab: dict[str, int] = model["vocab"]
    spaced = sum(" " in word for word in vocab)
    gaps = len(set(range(len(vocab))) - set(vocab.values()))
    if spaced or gaps:
        raise ExportError(
            f"tokenizer.json: {spaced} words hold a space and {gaps} ids are missing; wanted words "
            "without spaces and ids from 0 on. Train again."
        )
    return vocab
