"""The tokenizer: text -> token ids, for training and serving alike.

    "Don't miss it 😍!<br />好看 吧" -> do, n't, miss, it, 😍, !, 好, 看, ␣, 吧

Compatible forms and case are folded (NFKC). Words are letters and digits, English contractions cut
as the Penn Treebank does; any other sign is a token, an emoji whole; scripts without spaces are
read character by character, and a blank between two of their characters is a token. All is done by
replacing fixed strings and a table of characters, in a time that is linear in what is read of a
text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import NamedTuple

from handler.inference.characters import (
    BORDER,
    CLOSING,
    EDGE,
    FLAGS,
    NUM_FLAG_LETTERS,
    Characters,
    pair_flags,
)
from handler.inference.letters import join_row

RULES = "words-2"  # their name in artefacts; other tokens of any text need another one
PAD, UNKNOWN = "[PAD]", "[UNK]"  # words that no text has
# White space, however much, between two characters that are read one by one: between words of
# names, at ends of sentences in Thai. By kind, 500 rows: Japanese names +8.5 points, Thai +0.1;
# Japanese and Chinese texts -0.1. Behind a sign too: Chinese -0.3.
BLANK = "␣"
MAX_WORD_LETTERS = 64  # a longer one is unknown: nobody's language has it
MAX_DECOMPOSED = 4 * MAX_WORD_LETTERS  # characters of such a word: no letter has more parts
# A text is first read so far as so many characters for each token that the model takes, and four
# times further where that is too little: words and what is between them have six on average.
CUT_CHARACTERS = 8
# Where a text is cut, its last tokens may not be those of the whole text: half a word, or an HTML
# break that did not end, which is three.
SPARE_TOKENS = 8
FURTHER = 4
# Of unknown words the first are spelled, up to so many letters for each token that the model takes:
# a text of nothing else would take twenty times the memory of any other.
SPELLED_LETTERS = 8
JOINER, GLUE = "\u200d", "\x1c"  # glue stands for a joiner that stays
# Replacements behind the table, each made where its first character is found.
JOIN_MARKS = ((EDGE + CLOSING, ""), (CLOSING, ""))
JOIN_EMOJI = ((EDGE + JOINER + EDGE, GLUE), (JOINER, ""), (GLUE, JOINER))
AT_BORDER, SHOWN_AT_BORDER = f" {BORDER}", BLANK + BORDER
SPACES = ((EDGE, " "), (BORDER, " "))
# What stands behind the apostrophe of an English contraction, beside the "t" of "n't". Any other
# apostrophe is a token: what it joins in French or Italian are two words. Against all as tokens, by
# folds of train, of the phrases alone: IMDB +0.08 points and 2 % fewer tokens, airline +0.18, TREC
# +0.11. Of no use: URLs, numbers by their length or as one, hyphens in words, entities.
ENDINGS = frozenset(("s", "m", "re", "ve", "ll", "d"))
# Lower case, and breaks for control characters.
ASCII = {code: " " for code in (*range(33), 127)} | {
    code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)
}
SIGNS = tuple((sign, f" {sign} ") for sign in '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~')


class Encoding(NamedTuple):
    """What the model reads of a text.

    Args:
        ids: Of the tokens, at most as many as the model reads.
        is_truncated: The text has more tokens.
        unknown: The words that have no id, in order, where the model reads their letters.
    """

    ids: list[int]
    is_truncated: bool
    unknown: Sequence[str] = ()

    @property
    def row(self) -> list[int]:
        """What the model reads: the ids, and behind them the letters of unknown words."""
        return join_row(self.ids, self.unknown)


class Located(NamedTuple):
    """What the model reads of a text, and where it stands.

    Args:
        ids: As in the encoding.
        offsets: (start, end) of each token in the text, in characters.
        unknown: As in the encoding.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    unknown: Sequence[str] = ()


class Tokenizer:
    """Splits texts and numbers their words; used by any number of threads.

    Args:
        characters: What each character is.
        word_ids: Word -> id.
        unknown_id: Of a word that has none.
        max_length: Tokens that are read of a text.
        reads_letters: Unknown words are spelled for the model.
    """

    def __init__(
        self,
        characters: Characters,
        word_ids: Mapping[str, int],
        unknown_id: int,
        max_length: int,
        reads_letters: bool = False,
    ) -> None:
        self.word_ids = word_ids
        self.max_length = max_length
        self.reads_letters = reads_letters
        self._characters = characters
        self._unknown_id = unknown_id

    def encode(self, text: str) -> Encoding:
        """Return the ids of a text; what the model does not read of it costs nothing."""
        words, is_truncated = self.split(text)
        find, unknown_id = self.word_ids.get, self._unknown_id
        ids = [find(word, unknown_id) for word in words]
        return Encoding(ids, is_truncated, self._find_unknown(words, ids))

    def split(self, text: str) -> tuple[list[str], bool]:
        """Return the tokens that are read of a text, and whether it has more."""
        _, words = self._read(text)
        return words[: self.max_length], len(words) > self.max_length

    def locate(self, text: str) -> Located:
        """Return the ids of a text and their places, at ten times the price of `encode`."""
        from handler.inference.places import Places  # explanations alone need them

        cut, _ = self._read(text)
        cut = _line_break().sub(lambda found: " " * len(found[0]), cut)
        places = Places(_pair_flags(cut), self._characters)
        places.replace(JOIN_MARKS)
        places.replace(JOIN_EMOJI)
        places.text = _show_blanks(places.text)
        places.replace(SPACES)
        places.set_apart(_cut_contractions(places.text))
        find, unknown_id = self.word_ids.get, self._unknown_id
        located = places.find_words()[: self.max_length]
        words = _compose([word for word, _ in located], places.text)
        ids = [find(word, unknown_id) for word in words]
        offsets = [offsets for _, offsets in located]
        return Located(ids, offsets, self._find_unknown(words, ids))

    def _find_unknown(self, words: Sequence[str], ids: Sequence[int]) -> Sequence[str]:
        unknown_id = self._unknown_id
        if not self.reads_letters or unknown_id not in ids:
            return ()
        unknown = [
            word[:MAX_WORD_LETTERS]
            for word, id_ in zip(words, ids, strict=True)
            if id_ == unknown_id
        ]
        room = SPELLED_LETTERS * self.max_length
        if len(unknown) * (MAX_WORD_LETTERS + 1) > room:
            ends = accumulate(len(word) + 1 for word in unknown)
            unknown = [word for word, end in zip(unknown, ends, strict=True) if end <= room]
        return unknown

    def _read(self, text: str) -> tuple[str, list[str]]:
        """Return so much of the text as has all tokens that are read and some to spare, and those
        tokens; of more the rest is one more."""
        wanted = self.max_length + SPARE_TOKENS
        room = CUT_CHARACTERS * wanted
        while room < len(text):
            words = self._split(text[:room], wanted)
            if len(words) > wanted:
                return text[:room], words
            room *= FURTHER
        return text, self._split(text, wanted)

    def _split(self, text: str, limit: int) -> list[str]:
        """Return the tokens of a text; of more than `limit` the rest is one more."""
        if text.isascii():
            if "<" in text:
                text = _line_break().sub(" ", text)
            text = text.lower() if text.isprintable() else text.translate(ASCII)
            for sign, apart in SIGNS:
                if sign in text:
                    text = text.replace(sign, apart)
            if "'" in text:
                text = _cut_contractions(text)
            return text.split(None, limit)
        if "<" in text:
            text = _line_break().sub(" ", text)
        text = _pair_flags(text).translate(self._characters)
        if CLOSING in text:
            text = _replace(text, JOIN_MARKS)
        if JOINER in text:
            text = _replace(text, JOIN_EMOJI)
        if AT_BORDER in text:
            text = _show_blanks(text)
        if "'" in text:
            text = _cut_contractions(_replace(text, SPACES))
        return _compose(text.split(None, limit), text)  # edges are white space


# Compiled at their first use: that takes longer than anything else that importing this does.
@cache
def _line_break() -> re.Pattern[str]:
    return re.compile(r"<br\s{0,8}/?>", re.ASCII | re.IGNORECASE)


@cache
def _flag() -> re.Pattern[str]:
    return re.compile(f"[{chr(FLAGS)}-{chr(FLAGS + NUM_FLAG_LETTERS - 1)}]{{2}}")


def _pair_flags(text: str) -> str:
    """Return as many characters, of which each flag is one and a filler."""
    return _flag().sub(lambda found: pair_flags(found[0]), text)


def _cut_contractions(text: str) -> str:
    """Return the text with a space before contractions, and around any other apostrophe."""
    first, *others = text.split("'")
    parts = [first]
    for part in others:
        ending, _, _ = part.partition(" ")
        if ending in ENDINGS:
            parts.append(f" '{part}")
        elif ending == "t" and parts[-1].endswith("n"):
            parts[-1] = parts[-1][:-1]
            parts.append(f" n'{part}")
        else:
            parts.append(f" ' {part}")
    return "".join(parts)


def _replace(text: str, pairs: Sequence[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def _show_blanks(text: str) -> str:
    """Return the text, as long as it is, with the last space shown where some are a token."""
    before, *parts = text.split(AT_BORDER)
    shown = [before]
    for part in parts:
        end = before.rstrip(" ")
        # A sign has an edge before it too, other characters a border, or here none any more.
        is_token = end.endswith(EDGE) and end.rfind(BORDER) >= end.rfind(EDGE, 0, -1)
        shown += (SHOWN_AT_BORDER if is_token else AT_BORDER, part)
        before = part
    return "".join(shown)


def _compose(words: list[str], text: str) -> list[str]:
    """Return the words of a text with each accent in its letter; a longer one is unknown anyway."""
    import unicodedata  # a library of its own, which texts in ASCII do not need

    if len(text) < MAX_WORD_LETTERS * len(words) and unicodedata.is_normalized("NFC", text):
        return words
    return [
        word if word.isascii() or len(word) > MAX_DECOMPOSED else unicodedata.normalize("NFC", word)
        for word in words
    ]
