"""The sets that are drawn from: a folder of `NAME/train.csv.gz` and `NAME/test.csv.gz`."""

from __future__ import annotations

import hashlib
import random
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.errors import DataError
from training.rows.readers import read_dataset
from training.tasks import find_task, make_objective

# Of each set the first that stands there is drawn from: the other holds texts of its test rows.
TRAIN_FILES = ("train_no_leak.csv.gz", "train.csv.gz")
TEST_FILE = "test.csv.gz"
SIZES = ("50", "100", "500", "2000")
# Of a set with so many labels that fifty rows do not name them all.
MANY_LABELS = 10
SIZES_OF_MANY = ("5x", "10x", "all")
FEWEST = 2  # rows of a label: Minnow wants one to learn from and one to check
# A test set of over 10,000 rows is cut to 5,000: beyond, the draws differ by more than its error.
LARGE_TEST, TEST_ROWS = 10_000, 5_000
MOST_OTHERS = 20_000  # texts without labels beside a sample
SIZE = re.compile(r"all|[1-9][0-9]*x?")


@dataclass(frozen=True)
class Rows:
    """Texts, and the label of each.

    Args:
        others: Texts without labels.
    """

    texts: list[str]
    labels: list[str]
    others: Sequence[str] = ()

    def take(self, rows: Collection[int]) -> Rows:
        return Rows([self.texts[row] for row in rows], [self.labels[row] for row in rows])


@dataclass(frozen=True)
class LabelledSet:
    """One set.

    Args:
        train: Rows to draw from: without texts of test rows, each text once.
        test: Rows that are measured.
        num_test_rows: Rows of the test file.
        data: Of both files and of how they were cut, so that results of other data are not taken.
    """

    name: str
    train: Rows
    test: Rows
    num_test_rows: int
    data: str

    @property
    def labels(self) -> list[str]:
        return sorted(set(self.train.labels))


def normalize(text: str) -> str:
    """Return what equal texts share: "A  film" -> "a film"."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def find_sets(folder: Path, names: Collection[str]) -> Iterator[LabelledSet]:
    """Give every set of a single label in `folder`, or those of `names`.

    A set of another kind is told and left out, unless it was named.

    Raises:
        DataError: No such set, or one of `names` that cannot be drawn from.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{TEST_FILE}"))
    found = [path for path in found if any((path / name).exists() for name in TRAIN_FILES)]
    if missing := sorted(set(names) - {path.name for path in found}):
        raise DataError(f"{folder}: has no set {missing[0]!r} with {TRAIN_FILES[1]}, {TEST_FILE}")
    if not found:
        raise DataError(f"{folder}: has no set, wanted folders with {TRAIN_FILES[1]}, {TEST_FILE}")
    for path in found:
        if names and path.name not in names:
            continue
        try:
            yield read_set(path)
        except DataError as error:
            if names:
                raise
            print(f"{path.name}: left out: {error}", file=sys.stderr, flush=True)


def find_train_file(folder: Path) -> Path:
    """Return the file of a set that is drawn from."""
    return next(folder / name for name in TRAIN_FILES if (folder / name).exists())


def read_set(folder: Path) -> LabelledSet:
    """Return the set in `folder`.

    Raises:
        DataError: Files that cannot be read, or labels that are not one a text.
    """
    train, test = read_dataset(find_train_file(folder)), read_dataset(folder / TEST_FILE)
    make_objective(find_task(train.labels)).check(train, test)
    test_rows = list(range(len(test)))
    if len(test) > LARGE_TEST:
        test_rows = sorted(random.Random(0).sample(test_rows, TEST_ROWS))
    seen = {normalize(text) for text in test.texts}
    train_rows = []
    for row, text in enumerate(train.texts):
        if (known := normalize(text)) not in seen:
            seen.add(known)
            train_rows.append(row)
    hashed = f"{train.sha256} {test.sha256} {len(test_rows)}"
    return LabelledSet(
        folder.name,
        Rows(train.texts, train.labels).take(train_rows),
        Rows(test.texts, test.labels).take(test_rows),
        len(test),
        hashlib.sha256(hashed.encode()).hexdigest()[:12],
    )


def list_sizes(labelled: LabelledSet, wanted: Collection[str]) -> list[str]:
    """Return the sizes that are drawn: `wanted`, or those that suit the number of labels.

    "100" is a number of rows, "5x" of rows a label, "all" what there is.
    """
    sizes = wanted or (SIZES if len(labelled.labels) <= MANY_LABELS else SIZES_OF_MANY)
    return [size for size in sizes if size == "all" or is_enough(labelled, size)]


def is_enough(labelled: LabelledSet, size: str) -> bool:
    """Whether the set has more rows than that, and that is enough for its labels."""
    count = count_rows(labelled, size)
    return FEWEST * len(labelled.labels) <= count < len(labelled.train.texts)


def count_rows(labelled: LabelledSet, size: str) -> int:
    if size == "all":
        return len(labelled.train.texts)
    return len(labelled.labels) * int(size[:-1]) if size.endswith("x") else int(size)


def draw(labelled: LabelledSet, size: str, seed: int) -> Rows:
    """Return a sample of the training rows, in random order; a larger one of a seed holds it.

    The shares of the labels are those of the training rows, with two rows of a label at least;
    by "5x" each label has as many. The texts of the others stand beside it without labels.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labelled.train.labels):
        members[label].append(row)
    chance = random.Random(seed)
    for label in sorted(members):
        chance.shuffle(members[label])
    counts = share_rows(
        {label: len(rows) for label, rows in members.items()},
        count_rows(labelled, size),
        is_equal=size.endswith("x"),
    )
    rows = [row for label in sorted(members) for row in members[label][: counts[label]]]
    chance.shuffle(rows)
    others = sorted(set(range(len(labelled.train.texts))) - set(rows))
    chance.shuffle(others)
    texts = [labelled.train.texts[row] for row in others[:MOST_OTHERS]]
    return replace(labelled.train.take(rows), others=texts)


def share_rows(there: dict[str, int], num_rows: int, is_equal: bool) -> dict[str, int]:
    """Return how many rows of each label are drawn: ({a: 9, b: 1}, 5) -> {a: 4, b: 1}."""
    if is_equal:
        return {label: min(count, num_rows // len(there)) for label, count in there.items()}
    total = sum(there.values())
    given = Counter({label: min(FEWEST, count) for label, count in there.items()})
    for _ in range(num_rows - sum(given.values())):
        room = [label for label in there if given[label] < there[label]]
        given[max(room, key=lambda one: num_rows * there[one] / total - given[one])] += 1
    return dict(given)
