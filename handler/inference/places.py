"""Where the tokens of a text stand in it."""

from __future__ import annotations

from collections.abc import Sequence

from handler.inference.characters import NUM_FLAG_LETTERS, SURROGATES, Characters


class Places:
    """A text behind the table, and the place in the text as it was of each of its characters."""

    def __init__(self, text: str, characters: Characters) -> None:
        parts: list[str] = []
        self.places: list[int] = []
        for place, character in enumerate(text):
            piece = characters[ord(character)]
            parts.append(piece)
            self.places += [place] * len(piece)
            if SURROGATES <= ord(character) < SURROGATES + NUM_FLAG_LETTERS**2:
                self.places[-2:] = [place + 1] * 2  # the flag's second letter
        self.text = "".join(parts)

    def set_apart(self, text: str) -> None:
        """Take a text that has more spaces, and is else the same."""
        places = iter([p for p, char in zip(self.places, self.text, strict=True) if char != " "])
        self.places = [-1 if character == " " else next(places) for character in text]
        self.text = text

    def replace(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Replace as `str.replace` does, each pair in turn."""
        for old, new in pairs:
            # Which character of the old ones a new one was; spaces are between words.
            sources = [max(0, old.find(character)) for character in new]
            parts, places, end = [], [], 0
            while (start := self.text.find(old, end)) >= 0:
                parts += [self.text[end:start], new]
                places += self.places[end:start]
                places += [self.places[start + source] for source in sources]
                end = start + len(old)
            self.text = "".join([*parts, self.text[end:]])
            self.places = places + self.places[end:]

    def find_words(self) -> list[tuple[str, tuple[int, int]]]:
        """Return each word and its start and end in the text as it was."""
        found, end = [], 0
        for word in self.text.split():
            start = self.text.index(word, end)
            end = start + len(word)
            found.append((word, (self.places[start], self.places[end - 1] + 1)))
        return found
