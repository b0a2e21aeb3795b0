"""Choosing words: those that the tokenizer makes of a text, in the form in which it makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer import MAX_WORD_LETTERS, PAD, UNKNOWN
from training.tokenizer import make_tokenizer

# No more bytes than this make a word that the tokenizer knows: 4 for each letter in UTF-8, and 4
# for each mark that NFKC puts into a letter.
MAX_WORD_BYTES = 16 * MAX_WORD_LETTERS


@dataclass(frozen=True)
class WordVectors:
    """Words and what a file says of each.

    Args:
        words: As the tokenizer makes them, each once, in the file's order.
        vectors: Shape (words, dim), finite.
    """

    words: list[str]
    vectors: NDArray[np.float32]


class Selection:
    """The words that are kept of a file, and how many rows were looked at.

    Args:
        is_wanted: Says whether a word, folded as the tokenizer does, is kept.
        max_words: Words at most.
    """

    def __init__(self, is_wanted: Callable[[str], bool], max_words: int) -> None:
        self.words: list[str] = []
        self.num_rows = 0
        self._kept: set[str] = set()
        self._is_wanted = is_wanted
        self._max_words = max_words
        self._split = make_tokenizer([PAD, UNKNOWN], max_length=1).split

    @property
    def is_full(self) -> bool:
        """No further word will be kept."""
        return len(self.words) >= self._max_words

    def take(self, written: bytes) -> bool:
        """Count a row and say whether its vector is kept; then its word is the last of `words`.

        "The" -> "the", unless it is there already; "New York", half a word and what is not UTF-8
        are no token of any text, so they are passed over.
        """
        self.num_rows += 1
        if len(written) > MAX_WORD_BYTES or self.is_full:
            return False
        try:
            tokens, has_more = self._split(written.decode())
        except UnicodeDecodeError:
            return False
        if has_more or not tokens or len(tokens[0]) > MAX_WORD_LETTERS:
            return False
        (word,) = tokens
        if word in self._kept or not self._is_wanted(word):
            return False
        self._kept.add(word)
        self.words.append(word)
        return True
