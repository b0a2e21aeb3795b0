"""Counters of several processes in memory that they share: each adds to its own, all are read.

A worker writes only in its own region, so there is nothing to lock. A region is a list of records,
and outlives its worker: whoever takes that place goes on from there.

    8 bytes      how many words of 8 bytes the records have
    a record     8 bytes the number, float64; 8 bytes how many words the key has; the key, as JSON,
                 and blanks up to the end of its last word
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping, Sequence

from handler.inference.prometheus import EXPECTED, SEEN, Key

WORD_BYTES = 8
RECORD_WORDS = 2  # without the key
# Of all keys but those of labels: 30 operations with 25 statuses and 12 durations take 70 KB.
REGION_WORDS = 32_768
# Of these, kept for them: what is counted of models grows with every one of a repository.
RESERVED_WORDS = 16_384
OF_MODELS = ("labels", "abstained", EXPECTED, SEEN)
# Of the bins of a model's profile, twice: expected and seen. 114 with usual names take 3,200 words.
PROFILE_WORDS = 8_192
STORED_WORDS = 262_144  # of labels of models that a repository will have; taken as they are used


class Region:
    """The memory of one process's counters.

    Numbers are written and read as whole words, which no other process sees half written: `struct`
    sets them to 0 first, and a counter that was seen at 0 seems to have begun anew.
    """

    def __init__(self, num_words: int) -> None:
        self.content = memoryview(mmap.mmap(-1, WORD_BYTES * num_words))
        self.numbers = self.content.cast("d")
        self.lengths = self.content.cast("q")


def make_regions(
    number: int, labels: Mapping[str, Sequence[str]], spare_words: int = 0
) -> list[Region]:
    """Return memory for the counters of so many processes, which are forked afterwards.

    Args:
        labels: Of each model, by its name.
        spare_words: For labels that are not known yet.
    """
    num_words = (
        REGION_WORDS
        + spare_words
        + PROFILE_WORDS * len(labels)
        + sum(
            RECORD_WORDS + len(_encode(("labels", name, label))) // WORD_BYTES
            for name, of_model in labels.items()
            for label in of_model
        )
    )
    return [Region(num_words) for _ in range(number)]


class SharedCounts:
    """Adds to the numbers of one process, and reads those of all.

    Args:
        regions: Of `make_regions`.
        own: Index of the region of this process.
    """

    def __init__(self, regions: Sequence[Region], own: int) -> None:
        self._regions = regions
        self._own = regions[own]
        self._places = dict(_read_places(self._own))

    def add(self, key: Key, amount: float) -> None:
        """Add to one number."""
        place = self._places.get(key)
        if place is None:
            place = self._append(key)
        if place is None:  # no room: labels and profiles of more models than were foreseen
            return
        self._own.numbers[place] += amount

    def read(self) -> Mapping[Key, float]:
        """Return all numbers, each the sum over the processes."""
        sums: dict[Key, float] = {}
        for region in self._regions:
            for key, place in _read_places(region):
                sums[key] = sums.get(key, 0) + region.numbers[place]
        return sums

    def _append(self, key: Key) -> int | None:
        own, encoded = self._own, _encode(key)
        place: int = 1 + own.lengths[0]
        start = place + RECORD_WORDS
        end = start + len(encoded) // WORD_BYTES
        room = len(own.numbers) - (RESERVED_WORDS if key[0] in OF_MODELS else 0)
        if end > room:
            return None
        own.content[WORD_BYTES * start : WORD_BYTES * end] = encoded
        own.numbers[place] = 0
        own.lengths[place + 1] = end - start
        own.lengths[0] = end - 1  # last: others may read at any time
        self._places[key] = place
        return place


def _encode(key: Key) -> bytes:
    encoded = json.dumps(key).encode()
    return encoded + b" " * (-len(encoded) % WORD_BYTES)


def _read_places(region: Region) -> Iterator[tuple[Key, int]]:
    """Yield each key and the place of its number."""
    place, end = 1, 1 + region.lengths[0]
    while place < end:
        start = place + RECORD_WORDS
        after = start + region.lengths[place + 1]
        key = json.loads(bytes(region.content[WORD_BYTES * start : WORD_BYTES * after]))
        yield tuple(key), place
        place = after
