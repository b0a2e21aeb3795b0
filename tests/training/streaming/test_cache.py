from itertools import islice

import numpy as np
import pytest

from training.errors import RunError
from training.streaming.cache import Cache, cache_folder, cut_batches


def make_rows(num_rows, seed=0):
    order = np.random.default_rng(seed)
    return [order.integers(0, 60_000, order.integers(0, 9)).tolist() for _ in range(num_rows)]


@pytest.mark.parametrize("is_narrow", [True, False])
def test_blocks_are_read_as_they_were_written(is_narrow, tmp_path):
    rows = make_rows(25)
    if not is_narrow:
        rows[3] = [70_000, -1, -104, -1]  # a large id, and letters

    with Cache(tmp_path, is_narrow) as cache:
        for start in (0, 10, 20):
            cache.write(rows[start : start + 10], list(range(start, min(25, start + 10))))
        found = [cache.read(number) for number in (2, 0, 1)]

    assert (len(cache), cache.num_blocks) == (25, 3)
    assert [block[0] for block in found] == [rows[20:], rows[:10], rows[10:20]]
    assert [block[1].tolist() for block in found[:2]] == [list(range(20, 25)), list(range(10))]


@pytest.mark.parametrize("batch_size", [4, 7, 25])
def test_batches_are_of_one_size_and_each_pass_has_all_rows(batch_size, tmp_path):
    rows = make_rows(24)
    with Cache(tmp_path, True) as cache:
        for start in (0, 10, 20):
            cache.write(rows[start : start + 10], list(range(start, min(24, start + 10))))
        read = list(islice(cut_batches(cache, batch_size, 1, 2), 24 * batch_size // batch_size))

    assert {len(batch) for batch, _ in read} == {batch_size}
    numbers = np.concatenate([labels for _, labels in read]).tolist()
    assert [rows[number] for number in numbers] == [row for batch, _ in read for row in batch]
    counts = np.bincount(numbers, minlength=24)
    assert counts.max() - counts.min() <= 2  # what is left of a pool goes into the next
    assert numbers[:24] != numbers[24:48]


def test_one_seed_gives_one_order(tmp_path):
    with Cache(tmp_path, True) as cache:
        cache.write(make_rows(20), range(20))
        orders = [
            [labels.tolist() for _, labels in islice(cut_batches(cache, 5, seed, 4), 4)]
            for seed in (1, 1, 2)
        ]

    assert orders[0] == orders[1] != orders[2]


def test_the_folder_of_a_cache_is_gone_afterwards_and_what_a_kill_left_is_removed(tmp_path):
    left = tmp_path / "run.cache-1"
    left.mkdir()
    (left / "rows.bin").write_bytes(b"of a worker that was killed")

    with cache_folder(tmp_path / "run", 1) as folder:
        assert (folder, list(folder.iterdir())) == (left, [])
        (folder / "labels.bin").touch()

    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_others_is_never_emptied(tmp_path):
    folder = tmp_path / "run.cache-0"
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")

    with (
        pytest.raises(RunError, match=r"is not a cache of rows \(diary.txt is no part of it\)"),
        cache_folder(tmp_path / "run", 0),
    ):
        pass

    assert (folder / "diary.txt").read_text() == "mine"
