from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minnow.tune.folds import Step, make_folds, make_steps, order_rows, take_rows
from minnow.tune.held_out import TEST, TRAIN, hold_out
from training.errors import DataError
from training.rows.columns import Columns
from training.rows.data import Sources, read_sources
from training.rows.label_sets import LabelSet
from training.rows.soft_labels import SoftLabel


def write(path: Path, rows: list[tuple[str, ...]], names: str = "text,label") -> Path:
    path.write_text("\n".join([names, *(",".join(row) for row in rows)]) + "\n", "utf-8")
    return path


def words(row: int) -> str:
    return " ".join(f"w{(row * step) % 997}" for step in (1, 7, 31, 101, 211))


def test_few_rows_are_all_learned_from_at_once():
    assert make_steps(80, [20] * 5) == (Step(80, (0, 1, 2, 3, 4)),)
    assert make_steps(400, [100] * 5) == (
        Step(400, (0, 1)),
        Step(400, (0, 1, 2)),
        Step(400, (0, 1, 2, 3, 4)),
    )


def test_many_rows_are_learned_from_in_steps():
    assert make_steps(20_000, [5_000] * 5) == (
        Step(1_500, (0,)),
        Step(6_000, (0,)),
        Step(20_000, (0,)),
        Step(20_000, (0, 1, 2)),
        Step(20_000, (0, 1, 2, 3, 4)),
    )


def test_any_beginning_of_the_order_has_every_stratum():
    strata = [0] * 900 + [1] * 90 + [2] * 10

    order = order_rows(strata, seed=0)

    assert sorted(order.tolist()) == list(range(1000))
    counts = Counter(strata[row] for row in order[:100])
    assert counts[0] > 80
    assert 5 < counts[1] < 15
    assert counts[2] >= 2


def test_rows_of_several_labels_are_ordered_by_their_rarest():
    strata = [frozenset({0}), frozenset({0, 1}), frozenset()] * 10

    assert sorted(order_rows(strata, seed=0).tolist()) == list(range(30))


def test_no_trial_is_measured_on_rows_that_it_learned_from(tmp_path):
    rows = [(words(row), "ab"[row % 2]) for row in range(60)]
    path = write(tmp_path / "a.csv", rows + rows[:20])  # a fourth stands there twice
    data = read_sources(Sources(path))

    folds = make_folds(data, seed=0)

    for fold in range(5):
        learned = take_rows(data.train, folds.learned(1000, fold)).texts
        measured = take_rows(data.train, folds.measured(fold)).texts
        assert not set(learned) & set(measured)
        assert len(learned) + len(measured) == 80


def test_held_out_rows_repeat_none_that_are_learned_from(tmp_path):
    rows = [(words(row), "ab"[row % 2]) for row in range(60)]
    path = write(tmp_path / "a.csv", rows + rows[:20])
    sources = Sources(path)

    known = hold_out(read_sources(sources), sources, tmp_path / "rows", seed=0)

    data = read_sources(known)
    assert not set(data.train.texts) & set(data.test.texts)
    assert len(data.train) + len(data.test) == 80
    assert len(data.test) == pytest.approx(16, abs=4)


def test_test_rows_of_the_user_are_taken(tmp_path):
    path = write(tmp_path / "a.csv", [(words(row), "ab"[row % 2]) for row in range(20)])
    sources = Sources(path, test=path)

    assert hold_out(read_sources(sources), sources, tmp_path / "rows", seed=0) is sources
    assert not (tmp_path / "rows").exists()


def test_groups_and_weights_stay_with_their_rows(tmp_path):
    rows = [(words(row), "ab"[row % 2], f"g{row // 4}", str(1 + row % 3)) for row in range(60)]
    path = write(tmp_path / "a.csv", rows, "text,label,film,weight")
    sources = Sources(path, columns=Columns(group="film", weight="weight"))

    known = hold_out(read_sources(sources), sources, tmp_path / "rows", seed=0)

    data = read_sources(known)
    expected = {text: (label, group, float(weight)) for text, label, group, weight in rows}
    for part in (data.train, data.test):
        found = zip(part.labels, part.groups, part.weights, strict=True)
        assert dict(zip(part.texts, found, strict=True)) == {t: expected[t] for t in part.texts}
    assert not set(data.train.groups) & set(data.test.groups)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("single-label", ['{"a": 0.75, "b": 0.25}', '{"a": 0.25, "b": 0.75}', "a", "b"]),
        ("multi-label", ["a|b", "b", "a", ""]),
        ("regression", ["1.5", "2", "-3", "0.25"]),
        ("ordinal", ["1", "2", "10", "2"]),
    ],
)
def test_labels_of_every_task_are_the_same_once_held_out(tmp_path, kind, labels):
    rows = [(words(row), '"{}"'.format(labels[row % 4].replace('"', '""'))) for row in range(60)]
    path = write(tmp_path / "a.csv", rows)
    several = kind == "multi-label"
    sources = Sources(
        path, columns=Columns(separator="|" if several else None), task={"kind": kind}
    )
    given = read_sources(sources)

    known = hold_out(given, sources, tmp_path / "rows", seed=0)

    data = read_sources(known)
    expected = dict(zip(given.train.texts, given.train.labels, strict=True))
    for part in (data.train, data.test):
        for text, label in zip(part.texts, part.labels, strict=True):
            assert (label, type(label)) == (expected[text], type(expected[text]))
            if isinstance(label, SoftLabel | LabelSet):
                assert label.probabilities == expected[text].probabilities
    assert data.objective.task.kind == kind


def test_a_label_of_few_rows_keeps_two_to_learn_from(tmp_path):
    rows = [(words(row), "rare" if row < 2 else "ab"[row % 2]) for row in range(60)]
    sources = Sources(write(tmp_path / "a.csv", rows))

    known = hold_out(read_sources(sources), sources, tmp_path / "rows", seed=0)

    assert Counter(read_sources(known).train.labels)["rare"] == 2


def test_too_few_rows_ask_for_test_rows(tmp_path):
    rows = [("one", "a"), ("two", "a"), ("three", "b"), ("four", "b")]
    sources = Sources(write(tmp_path / "a.csv", rows))

    with pytest.raises(DataError, match="4 rows are too few to hold some out. .*--test FILE"):
        hold_out(read_sources(sources), sources, tmp_path / "rows", seed=0)


def test_rows_that_stand_there_already_are_not_written_again(tmp_path):
    sources = Sources(write(tmp_path / "a.csv", [(words(r), "ab"[r % 2]) for r in range(40)]))
    data = read_sources(sources)
    hold_out(data, sources, tmp_path / "rows", seed=0)
    before = {name: (tmp_path / "rows" / name).stat().st_mtime_ns for name in (TRAIN, TEST)}

    hold_out(data, sources, tmp_path / "rows", seed=0)

    after = {name: (tmp_path / "rows" / name).stat().st_mtime_ns for name in (TRAIN, TEST)}
    assert before == after
    assert np.all([path.suffix == ".gz" for path in (tmp_path / "rows").iterdir()])
