"""What a model reads of all rows, on disk, in blocks that are read in any order.

rows.bin     token ids, and letters of unknown words where the model reads them, row after row
lengths.bin  int32, numbers of each row
labels.bin   int32, the label of each row, by its place among all labels

Ids are uint16 where they fit, else int32. Files are read, not mapped: mapped pages count as the
process's own memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.files import holding
from training.errors import RunError
from training.output_folders import Kind, find_problem
from training.run_folder import DEV, SAMPLE

ROWS, LENGTHS, LABELS = "rows.bin", "lengths.bin", "labels.bin"
CACHE = Kind("a cache of rows", (ROWS, LENGTHS, LABELS, SAMPLE, DEV))
BLOCK_ROWS = 1024

Block = tuple[list[list[int]], NDArray[np.int32]]  # what the model reads of each row, labels


class Cache:
    """Rows that were written once.

    Args:
        folder: Exists already.
        is_narrow: All numbers of a row are from 0 to 65,535.
    """

    def __init__(self, folder: Path, is_narrow: bool) -> None:
        self._files = [(folder / name).open("w+b") for name in (ROWS, LENGTHS, LABELS)]
        self._type: Any = np.dtype(np.uint16 if is_narrow else np.int32)
        self._starts: list[tuple[int, int]] = []  # of each block: numbers and rows before it
        self._numbers = self._rows = 0

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files:
            file.close()

    def __len__(self) -> int:
        return self._rows

    @property
    def num_blocks(self) -> int:
        return len(self._starts)

    def write(self, rows: Sequence[Sequence[int]], labels: Sequence[int]) -> None:
        """Add a block."""
        lengths = np.array([len(row) for row in rows], np.int32)
        flat = np.fromiter((id_ for row in rows for id_ in row), self._type, int(lengths.sum()))
        parts = (flat, lengths, np.array(labels, np.int32))
        for file, part in zip(self._files, parts, strict=True):
            file.write(part.tobytes())
        self._starts.append((self._numbers, self._rows))
        self._numbers += len(flat)
        self._rows += len(rows)

    def read(self, number: int) -> Block:
        """Return the block of that number, from 0 on."""
        first = self._starts[number]
        last = [*self._starts, (self._numbers, self._rows)][number + 1]
        flat = self._read_part(0, self._type, first[0], last[0])
        lengths = self._read_part(1, np.dtype(np.int32), first[1], last[1])
        labels = self._read_part(2, np.dtype(np.int32), first[1], last[1])
        ends = np.cumsum(lengths)[:-1]
        return [row.tolist() for row in np.split(flat, ends)], labels

    def _read_part(self, file: int, kind: Any, first: int, last: int) -> NDArray[Any]:
        self._files[file].seek(first * kind.itemsize)
        return np.frombuffer(self._files[file].read((last - first) * kind.itemsize), kind)


def cut_batches(cache: Cache, batch_size: int, seed: int, pool_blocks: int) -> Iterator[Block]:
    """Yield batches of similar length, over and over all rows, each pass in another order.

    Batches are cut from pools of blocks that are drawn by chance. All have `batch_size` rows: what
    is left of a pool goes into the next.
    """
    order = np.random.default_rng(seed)
    rows: list[list[int]] = []
    labels: list[int] = []
    while True:
        blocks = order.permutation(cache.num_blocks)
        for start in range(0, len(blocks), pool_blocks):
            for number in blocks[start : start + pool_blocks].tolist():
                found, found_labels = cache.read(number)
                rows += found
                labels += found_labels.tolist()
            num_batches = len(rows) // batch_size
            mixed = order.permutation(len(rows)).tolist()
            used = sorted(mixed[: num_batches * batch_size], key=lambda row: len(rows[row]))
            for batch in order.permutation(num_batches).tolist():
                chosen = used[batch * batch_size : (batch + 1) * batch_size]
                yield [rows[row] for row in chosen], np.array([labels[row] for row in chosen])
            left = mixed[num_batches * batch_size :]
            rows, labels = [rows[row] for row in left], [labels[row] for row in left]


@contextmanager
def cache_folder(out: Path, worker: int) -> Iterator[Path]:
    """Yield an empty folder beside `out` for the cache of a worker, which is gone afterwards.

    Raises:
        OSError: Another process holds it.
        RunError: A folder of that name holds what is not Minnow's.
    """
    folder = out.with_name(f"{out.name}.cache-{worker}")
    if folder.exists() and (problem := find_problem(folder, CACHE)):
        raise RunError(
            f"{folder}: is not {CACHE.title} ({problem}), and work in progress would stand there. "
            "Move it away, or give another --out."
        )
    with holding(folder, out):
        try:
            _remove(folder)
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    for name in CACHE.files:
        (folder / name).unlink(missing_ok=True)
