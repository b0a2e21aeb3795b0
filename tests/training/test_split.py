import dataclasses
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import DataError
from training.rows.data import Sources, read_sources
from training.rows.readers import Dataset
from training.rows.split import fold_rows, split_rows

WORDS = [f"w{number}" for number in range(1000, 6000)]


def make_dataset(labels: list[str], groups=None, texts=None) -> Dataset:
    texts = texts or [f"text {row}" for row in range(len(labels))]
    return Dataset(texts, labels, groups, Path("rows.csv"), "")


def test_every_row_stands_on_one_side():
    dataset = make_dataset(["pos", "neg"] * 50)

    train, dev = split_rows(dataset, dataset.labels, 0.1, seed=0)

    assert sorted(train + dev) == list(range(100))
    assert (train, dev) == (sorted(train), sorted(dev))


@pytest.mark.parametrize("seed", range(5))
def test_every_stratum_has_its_share_on_both_sides(seed):
    labels = ["pos"] * 100 + ["neg"] * 40 + ["mixed"] * 2
    random.Random(seed).shuffle(labels)

    train, dev = split_rows(make_dataset(labels), labels, 0.1, seed)

    counts = {label: [labels[row] for row in dev].count(label) for label in set(labels)}
    assert counts == {"pos": 10, "neg": 4, "mixed": 1}
    assert {labels[row] for row in train} == {"pos", "neg", "mixed"}


def test_two_rows_a_label_are_split_one_and_one():
    dataset = make_dataset(["pos", "pos", "neg", "neg"])

    train, dev = split_rows(dataset, dataset.labels, 0.9, seed=3)

    assert (len(train), len(dev)) == (2, 2)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed):
    groups = [f"film {row // 4}" for row in range(200)]
    dataset = make_dataset(["pos", "neg"] * 100, groups)

    train, dev = split_rows(dataset, dataset.labels, 0.2, seed)

    assert {groups[row] for row in train} & {groups[row] for row in dev} == set()
    assert len(dev) == 40


@pytest.mark.parametrize("seed", range(5))
def test_equal_texts_stay_together(seed):
    texts = [f"text {row % 30}" for row in range(90)]
    dataset = make_dataset([("pos", "neg")[row % 2] for row in range(90)], texts=texts)

    train, dev = split_rows(dataset, dataset.labels, 0.3, seed)

    assert dev
    assert {texts[row] for row in train} & {texts[row] for row in dev} == set()


def test_same_seed_gives_the_same_split_and_another_seed_another():
    dataset = make_dataset(["pos", "neg"] * 50)

    first, again, other = (split_rows(dataset, dataset.labels, 0.1, seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_one_group_cannot_be_split():
    dataset = make_dataset(["pos", "neg"] * 5, ["film"] * 10)

    with pytest.raises(DataError) as caught:
        split_rows(dataset, dataset.labels, 0.1, seed=0)

    assert str(caught.value) == (
        "rows.csv: 1 group cannot be split into train and development rows. "
        "Give development data with --dev FILE, or a finer --group-column."
    )


def test_groups_that_are_the_labels_cannot_be_split():
    labels = ["pos", "neg"] * 5

    with pytest.raises(DataError, match="^rows.csv: 2 groups cannot be split"):
        split_rows(make_dataset(labels, labels), labels, 0.1, seed=0)


def test_few_texts_without_groups_are_called_texts():
    dataset = dataclasses.replace(make_dataset(["pos", "neg"] * 5), texts=["a", "b"] * 5)

    with pytest.raises(DataError, match="^rows.csv: only 2 different texts, which cannot be split"):
        split_rows(dataset, dataset.labels, 0.1, seed=0)


def test_what_nearly_repeats_or_is_a_part_stays_on_one_side():
    order = random.Random(0)
    sentences = [" ".join(order.choices(WORDS, k=20)) for _ in range(40)]
    texts = [
        text
        for sentence in sentences
        for text in (sentence, sentence[6:59], sentence[:41], f"{sentence} end")
    ]
    dataset = make_dataset([("pos", "neg")[row // 4 % 2] for row in range(160)], texts=texts)

    train, dev = split_rows(dataset, dataset.labels, 0.2, seed=0)

    assert {row // 4 for row in train} & {row // 4 for row in dev} == set()
    assert len(dev) == 32


def test_where_parts_leave_no_development_row_equal_texts_alone_are_kept_together():
    order = random.Random(0)
    sentences = [order.choices(WORDS, k=10) for _ in range(4)]
    texts = [" ".join(words[:end]) for words in sentences for end in range(10, 0, -1)]
    texts[1] = texts[0]
    labels = [("pos", "neg")[row // 10 % 2] for row in range(40)]
    dataset = make_dataset(labels, texts=texts)

    train, dev = split_rows(dataset, labels, 0.1, seed=0)

    assert dataset.overlaps.groups.tolist() == [row // 10 for row in range(40)]
    assert len(dev) == 4
    assert (0 in train) == (1 in train)


@pytest.mark.parametrize("seed", range(5))
def test_folds_keep_groups_whole_and_strata_in_equal_shares(seed):
    order = random.Random(seed)
    groups = np.array([order.randrange(150) for _ in range(1000)])
    strata = order.choices(["pos", "neg", "mixed"], weights=[6, 3, 1], k=1000)

    folds = fold_rows(groups, strata, 5, seed)

    assert len({(group, fold) for group, fold in zip(groups, folds, strict=True)}) == len(
        set(groups.tolist())
    )
    for stratum, total in Counter(strata).items():
        there = [
            sum(
                strata[row] == stratum and folds[row] == fold  # of this stratum, in this fold
                for row in range(1000)
            )
            for fold in range(5)
        ]
        assert max(there) - min(there) <= max(4, 0.05 * total)


def test_folds_of_one_seed_are_the_same_and_of_another_others():
    strata = ["pos", "neg"] * 20

    first, again, other = (fold_rows(np.arange(40), strata, 4, seed).tolist() for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize("num_folds", [2, 5, 10, 20])
def test_ten_rows_can_be_folded(num_folds):
    strata = ["pos"] * 7 + ["neg"] * 3

    folds = fold_rows(np.arange(10), strata, num_folds, seed=0)

    assert sorted(set(folds.tolist())) == list(range(min(num_folds, 10)))
    assert len(set(folds[:7].tolist())) > 1
    assert len(set(folds[7:].tolist())) == min(num_folds, 3)


ROWS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=1, max_size=60)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(2, 8), st.integers(0, 100))
def test_no_fold_is_empty_and_none_has_all_groups_of_a_stratum(rows, num_folds, seed):
    groups = np.array([group for group, _ in rows])
    strata = [("abcd"[group % 4]) for group in groups]  # groups are of one stratum each

    folds = fold_rows(groups, strata, num_folds, seed)

    num_groups = len(set(groups.tolist()))
    assert sorted(set(folds.tolist())) == list(range(min(num_folds, num_groups)))
    for stratum in set(strata):
        own = [row for row, other in enumerate(strata) if other == stratum]
        if len({groups[row] for row in own}) > 1:
            assert len({folds[row] for row in own}) > 1
    for group in set(groups.tolist()):
        assert len(set(folds[groups == group].tolist())) == 1


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(2, 8))
def test_groups_of_several_strata_stay_whole_too(rows, num_folds):
    groups = np.array([group for group, _ in rows])

    folds = fold_rows(groups, [label for _, label in rows], num_folds, seed=0)

    assert len(set(folds.tolist())) == min(num_folds, len(set(groups.tolist())))
    for group in set(groups.tolist()):
        assert len(set(folds[groups == group].tolist())) == 1


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(ValueError, match="^num_folds is 1, wanted 2 or more$"):
        fold_rows(np.arange(3), ["a"] * 3, 1, seed=0)
    with pytest.raises(ValueError, match="^3 rows have groups, 2 have strata$"):
        fold_rows(np.arange(3), ["a"] * 2, 2, seed=0)


def write_phrases(path: Path, num_sentences: int, num_parts: int) -> Path:
    order = random.Random(0)
    lines = ["text,label"]
    for sentence in range(num_sentences):
        words = order.choices(WORDS, k=num_parts)
        lines += [
            f"{' '.join(words[: part + 1])},{('pos', 'neg')[sentence % 2]}"
            for part in range(num_parts)
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_parts_of_a_run_know_the_groups_of_their_rows(tmp_path):
    path = write_phrases(tmp_path / "rows.csv", 40, 5)
    data = read_sources(Sources(path))

    train, dev = data.split(0.1, seed=0)

    for part in (train, dev):
        assert part.groups.tolist() == [(row - 1) // 5 for row in part.rows]
    assert len(dev.rows) == 20
    assert not data.is_torn(train, dev)


def test_rows_of_a_file_of_their_own_are_never_torn_apart(tmp_path):
    path = write_phrases(tmp_path / "rows.csv", 40, 5)
    data = read_sources(Sources(path, dev=path))

    train, dev = data.split(0.1, seed=0)

    assert train.groups.tolist() == [row // 5 for row in range(200)]
    assert not data.is_torn(train, dev)


def test_a_split_that_tears_groups_is_known_as_such(tmp_path):
    data = read_sources(Sources(write_phrases(tmp_path / "rows.csv", 4, 10)))

    train, dev = data.split(0.1, seed=0)

    assert len(dev.rows) == 4
    assert data.is_torn(train, dev)
