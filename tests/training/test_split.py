import dataclasses
import random
from pathlib import Path

import pytest

from training.errors import DataError
from training.readers import Dataset
from training.split import split_rows


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
