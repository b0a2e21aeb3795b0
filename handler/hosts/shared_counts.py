"""Counters of several processes in memory that they share: each adds to its own, all are read.

A worker writes only in its own region, so there is nothing to lock. A region is a list of records,
and outlives its worker: whoever takes that place goes on from there.

    8 bytes      how many bytes of records there are
    a record     8 bytes the number, float64; 8 bytes the length of the key; the key, as JSON, and
                 blanks up to a multiple of 8 bytes
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence

from handler.inference.prometheus import Key

NUMBER, LENGTH = struct.Struct("=d"), struct.Struct("=q")
RECORD_BYTES = 16  # without the key
# Of all keys but those of labels: 30 operations with 25 statuses and 12 durations take 70 KB.
REGION_BYTES = 262_144


def make_regions(number: int, labels: Mapping[str, Sequence[str]]) -> list[mmap.mmap]:
    """Return memory for the counters of so many processes, which are forked afterwards.

    Args:
        labels: Of each model, by its name.
    """
    num_bytes = REGION_BYTES + sum(
        RECORD_BYTES + 8 + len(_encode(("labels", name, label)))
        for name, of_model in labels.items()
        for label in of_model
    )
    return [mmap.mmap(-1, num_bytes) for _ in range(number)]


class SharedCounts:
    """Adds to the numbers of one process, and reads those of all.

    Args:
        regions: Of `make_regions`.
        own: Index of the region of this process.
    """

    def __init__(self, regions: Sequence[mmap.mmap], own: int) -> None:
        self._regions = regions
        self._own = regions[own]
        self._offsets = {key: offset for key, offset, _ in _read_region(self._own)}

    def add(self, key: Key, amount: float) -> None:
        """Add to one number."""
        offset = self._offsets.get(key)
        if offset is None:
            offset = self._append(key)
        (number,) = NUMBER.unpack_from(self._own, offset)
        NUMBER.pack_into(self._own, offset, number + amount)

    def read(self) -> Mapping[Key, float]:
        """Return all numbers, each the sum over the processes."""
        sums: dict[Key, float] = {}
        for region in self._regions:
            for key, _, number in _read_region(region):
                sums[key] = sums.get(key, 0) + number
        return sums

    def _append(self, key: Key) -> int:
        encoded = _encode(key)
        encoded += b" " * (-len(encoded) % 8)
        (used,) = LENGTH.unpack_from(self._own, 0)
        offset: int = LENGTH.size + used
        end = offset + RECORD_BYTES + len(encoded)
        NUMBER.pack_into(self._own, offset, 0)
        LENGTH.pack_into(self._own, offset + NUMBER.size, len(encoded))
        self._own[offset + RECORD_BYTES : end] = encoded
        LENGTH.pack_into(self._own, 0, end - LENGTH.size)  # last: others may read at any time
        self._offsets[key] = offset
        return offset


def _encode(key: Key) -> bytes:
    return json.dumps(key).encode()


def _read_region(region: mmap.mmap) -> Iterator[tuple[Key, int, float]]:
    """Yield (key, offset of its number, number)."""
    (used,) = LENGTH.unpack_from(region, 0)
    offset = LENGTH.size
    while offset < LENGTH.size + used:
        (number,) = NUMBER.unpack_from(region, offset)
        (length,) = LENGTH.unpack_from(region, offset + NUMBER.size)
        start = offset + RECORD_BYTES
        yield tuple(json.loads(region[start : start + length])), offset, number
        offset = start + length
