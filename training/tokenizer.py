"""Training the tokenizer: choosing its words. How texts are split stands in the handler."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from handler.errors import ArtefactError
from handler.inference.checks import array, one_of, parse_json, record
from handler.inference.manifest import MAX_WORDS
from handler.inference.tokenizer import MAX_WORD_LETTERS, PAD, RULES, UNKNOWN, Tokenizer
from handler.inference.tokenizer_file import read_characters, read_rules
from training.unicode_kinds import read_kinds

PAD_ID = 0
UNKNOWN_ID = 1
CONSTANTS = {"tokenizer_rules": RULES}


def train_tokenizer(texts: Iterable[str], vocab_size: int, max_length: int) -> Tokenizer:
    """Return a tokenizer with the most frequent words of `texts`.

    "A GREAT film.<br />好看" -> ["a", "great", "film", ".", "好", "看"]

    Ids follow the alphabet, which a bundle stores in far fewer bytes than the order of frequency
    (39 KB instead of 69 KB for 20,000 words of IMDB).

    Args:
        vocab_size: Words at most, [PAD] (id 0) and [UNK] (id 1) included.
        max_length: Tokens that are read of a text, and counted.
    """
    words = sorted(rank_words(texts, max_length)[: vocab_size - 2])
    return make_tokenizer([PAD, UNKNOWN, *words], max_length)


def rank_words(texts: Iterable[str], max_length: int, min_count: int = 1) -> list[str]:
    """Return the words that stand in `texts` so often or more, the most frequent first.

    Args:
        max_length: Tokens that are counted of a text.
    """
    splitter = make_tokenizer([PAD, UNKNOWN], max_length)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(splitter.split(text)[0])
    return order_words(counts, min_count)


def order_words(counts: Mapping[str, int], min_count: int = 1) -> list[str]:
    """Return the words that were counted so often or more, the most frequent first."""
    words = [word for word, n in counts.items() if n >= min_count and len(word) <= MAX_WORD_LETTERS]
    return sorted(words, key=lambda word: (-counts[word], word))


def make_tokenizer(
    words: Sequence[str],
    max_length: int,
    characters: dict[str, str] | None = None,
    reads_letters: bool = False,
) -> Tokenizer:
    """Return the tokenizer of these words, whose ids are their places.

    Args:
        words: [PAD] and [UNK] first.
        characters: What each character is, as an artefact tells; None: as this build has it.
        reads_letters: Unknown words are spelled for the model.
    """
    ids = {word: word_id for word_id, word in enumerate(words)}
    kinds = read_characters(characters or read_kinds(), "characters")
    return Tokenizer(kinds, ids, UNKNOWN_ID, max_length, reads_letters)


def add_words(tokenizer: Tokenizer, words: Iterable[str]) -> Tokenizer:
    """Return a tokenizer of those words too; `MAX_WORDS` at most."""
    own = [word for word in tokenizer.word_ids if word not in (PAD, UNKNOWN)]
    others = [word for word in words if word not in tokenizer.word_ids]
    room = MAX_WORDS - len(tokenizer.word_ids)
    words = [PAD, UNKNOWN, *sorted(own + others[:room])]
    return make_tokenizer(words, tokenizer.max_length)


def encode_texts(tokenizer: Tokenizer, texts: Iterable[str]) -> list[list[int]]:
    """Return what a model reads of each text: ids, and the letters of unknown words."""
    return [tokenizer.encode(text).row for text in texts]


def format_tokenizer(tokenizer: Tokenizer) -> bytes:
    """Return the content of a run's `tokenizer.json`, of a tokenizer that was made here."""
    document = {
        "rules": RULES,
        "letters": tokenizer.reads_letters,
        "characters": read_kinds(),
        "words": list(tokenizer.word_ids),
    }
    return json.dumps(document, ensure_ascii=False, indent=0).encode()


def parse_document(content: bytes) -> dict[str, Any]:
    """Return the fields of a run's `tokenizer.json`.

    Raises:
        ArtefactError: It has rules that this build does not know, or is not what it should be.
    """
    document: dict[str, Any] = _read_document(parse_json(content), "")
    words = document["words"]
    if words[:2] != [PAD, UNKNOWN] or len(set(words)) < len(words):
        raise ArtefactError(f"words do not begin with {PAD} and {UNKNOWN}, or hold one twice")
    return document


def parse_tokenizer(content: bytes, max_length: int) -> Tokenizer:
    """Return the tokenizer in a run's `tokenizer.json`; raises as `parse_document` does.

    Args:
        max_length: Tokens that are read of a text.
    """
    document = parse_document(content)
    return make_tokenizer(
        document["words"], max_length, document["characters"], document["letters"]
    )


def _check_characters(value: Any, field: str) -> Any:
    read_characters(value, field)
    return value


def _check_word(value: Any, field: str) -> str:
    if not isinstance(value, str) or value.split() != [value]:
        raise ArtefactError(f"{field} is no text, empty, or has white space in it")
    return value


_read_document = record(
    {
        "rules": read_rules,
        "letters": one_of(True, False),
        "characters": _check_characters,
        "words": array(_check_word, MAX_WORDS, 2),
    }
)
