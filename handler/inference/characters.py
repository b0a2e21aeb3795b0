"""What the tokenizer makes of each character: a part of a word, a token of its own, a break.

The kinds of all characters stand in the bundle, as runs of one kind: Unicode grows with every
Python, and a text must have the same tokens on each. Case and compatible forms are Python's own,
which Unicode never changes once a character is there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

WORD = "w"  # letters, marks and digits, which words are made of
SINGLE = "c"  # a letter of a script without spaces: with its marks, a token
MARK = "m"  # joins what stands before it, and ends it: Thai vowels, keycaps
SYMBOL = "s"  # a token: punctuation, signs, emoji
UNASSIGNED = "u"  # a token, as it is: what Unicode did not have yet, or leaves to others
BREAK = "b"  # white space and control characters
JOINER = "j"  # the zero width joiner, which makes one emoji of several
IGNORED = "i"  # what does not show: variation selectors, soft hyphens, skin tones
KINDS = WORD + SINGLE + MARK + SYMBOL + UNASSIGNED + BREAK + JOINER + IGNORED
NUM_CODES = 0x110000
# Set by the table into the text, in which control characters are breaks.
EDGE = "\x1f"  # between two tokens, which a joiner in the midst of two makes one
BORDER = "\x1d"  # before a letter that is a token: no joiner makes it part of another
CLOSING = "\x1e"  # before a mark that joins what stands before it
PIECES = {
    WORD: "{}",
    SINGLE: BORDER + "{}" + EDGE,
    MARK: CLOSING + "{}" + EDGE,
    SYMBOL: EDGE + "{}" + EDGE,
    UNASSIGNED: EDGE + "{}" + EDGE,
    BREAK: " ",
    JOINER: "{}",
    IGNORED: "",
}
# The typographer's quotation marks are the typewriter's, and so is the apostrophe of full width.
QUOTES = {0x2018: "'", 0x2019: "'", 0xFF07: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0x201F: '"'}
FLAGS, NUM_FLAG_LETTERS = 0x1F1E6, 26
SURROGATES = 0xD800  # no text has them: a pair of a flag's letters is looked up as one of them
MAX_CACHED = 16_384  # characters, of which each takes 150 bytes; a text in Chinese has some hundred


class Characters(dict[int, str]):
    """The table for `str.translate`, filled as characters come.

    Args:
        kinds: A letter of KINDS for each run of characters of one kind.
        lengths: Characters of each run; all together NUM_CODES.
    """

    def __init__(self, kinds: str, lengths: Sequence[int]) -> None:
        self._kinds = kinds
        self._ends = list(accumulate(lengths))

    def kind(self, code: int) -> str:
        """Return the kind of a character, one letter of KINDS."""
        return self._kinds[bisect_right(self._ends, code)]

    def __missing__(self, code: int) -> str:
        if len(self) >= MAX_CACHED:  # nobody's texts have so many; they go on at half the speed
            self.clear()
        pair = code - SURROGATES
        if 0 <= pair < NUM_FLAG_LETTERS**2:
            first, second = divmod(pair, NUM_FLAG_LETTERS)
            piece = EDGE + chr(FLAGS + first) + chr(FLAGS + second) + EDGE
        else:
            piece = "".join(
                PIECES[self.kind(ord(character))].format(character)
                for character in self._fold(code)
            )
            if self.kind(code) == SYMBOL and code not in QUOTES:  # "5㎏" -> 5, kg
                piece = f"{EDGE}{piece.strip(EDGE + BORDER)}{EDGE}"
        self[code] = piece
        return piece

    def _fold(self, code: int) -> str:
        """Return what stands for a character: "Ａ" -> "a", "…" -> "...", "ß" -> "ss"."""
        from unicodedata import normalize  # a library of its own, which texts in ASCII do not need

        character, kind = chr(code), self.kind(code)
        if code in QUOTES:
            return QUOTES[code]
        if kind not in (WORD, SINGLE, MARK, SYMBOL):
            return character
        folded = character
        for _ in range(2):  # what a compatible form is made of may have a case
            folded = normalize("NFKC", folded.casefold())
        # An accent by itself would be a space and a mark, which would join what stands behind it.
        return character if folded.startswith(" ") and kind == SYMBOL else folded


def pair_flags(letters: str) -> str:
    """Return two letters of a flag as the one character that the table has for it, and filler."""
    first, second = (ord(letter) - FLAGS for letter in letters)
    return chr(SURROGATES + NUM_FLAG_LETTERS * first + second) + "\u200c"
