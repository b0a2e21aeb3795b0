"""How often words stand in more text than there is memory for its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

MOST_WORDS = 500_000  # in memory; about 100 bytes each


class WordCounts:
    """Counts of the most frequent words (Misra & Gries 1982): where there are more words than
    `most_words`, all counts are lowered until half of the words are gone.

    So no count is too high, and none is too low by more than `missed`. Two of them added to each
    other are counts of all their words, of the same bound (Agarwal et al., "Mergeable Summaries",
    2012).
    """

    def __init__(self, most_words: int = MOST_WORDS) -> None:
        self._most_words = most_words
        self.counts: Counter[str] = Counter()
        self.missed = 0

    def add(self, words: Iterable[str]) -> None:
        self.counts.update(words)
        self._lower()

    def merge(self, counts: Mapping[str, int], missed: int) -> None:
        """Add what another one has counted."""
        self.counts.update(counts)
        self.missed += missed
        self._lower()

    def _lower(self) -> None:
        if len(self.counts) <= self._most_words:
            return
        ordered = sorted(self.counts.values(), reverse=True)
        by = ordered[self._most_words // 2]
        self.counts = Counter({word: n - by for word, n in self.counts.items() if n > by})
        self.missed += by
