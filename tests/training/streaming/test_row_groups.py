import pytest

from tests.helpers.parquet_rows import make_texts, write_rows
from training.errors import DataError
from training.rows.columns import Columns
from training.streaming.row_groups import (
    RowGroup,
    list_row_groups,
    only_one_label,
    read_row_groups,
    share_out,
)

COLUMNS = only_one_label(Columns())


def test_all_row_groups_of_a_folder_are_listed_and_read_in_order(tmp_path):
    rows = make_texts(25)
    write_rows(tmp_path / "a.parquet", rows[:12], group_rows=5)
    write_rows(tmp_path / "b" / "c.PARQUET", rows[12:], group_rows=100)
    write_rows(tmp_path / "_temporary" / "d.parquet", rows)
    (tmp_path / "_SUCCESS").touch()

    groups = list_row_groups(tmp_path)

    assert [(group.path.name, group.first, group.rows) for group in groups] == [
        ("a.parquet", 0, 5),
        ("a.parquet", 5, 5),
        ("a.parquet", 10, 2),
        ("c.PARQUET", 0, 13),
    ]
    assert list(read_row_groups(groups, COLUMNS)) == rows
    assert list(read_row_groups(groups[1:2], COLUMNS)) == rows[5:10]


def test_one_file_is_a_data_set_too(tmp_path):
    path = write_rows(tmp_path / "a.parquet", make_texts(7))

    assert list_row_groups(path) == [RowGroup(path, 0, 7)]


def test_workers_get_about_as_many_rows_each_and_every_group_once(tmp_path):
    groups = [
        RowGroup(tmp_path / "a", first, rows) for first, rows in enumerate([90, 10, 50, 40, 5])
    ]

    shares = share_out(groups, 2)

    assert [sum(group.rows for group in share) for share in shares] == [100, 95]
    assert sorted(shares[0] + shares[1], key=lambda one: one.first) == groups


def test_fewer_row_groups_than_workers_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"has 1 row groups of Parquet for 2 workers, wanted one"):
        share_out([RowGroup(tmp_path / "a", 0, 9)], 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x")] * 2 + [(None, "x")], "row 3: column 'text' is null, wanted a text"),
        ([("a", "x"), ("a", "")], "row 2: column 'label' is empty"),
        ([("a", '{"x": 0.5, "y": 0.5}')], "row 1: column 'label' holds several labels or prob"),
    ],
)
def test_a_row_that_cannot_be_learned_from_is_named(rows, message, tmp_path):
    path = write_rows(tmp_path / "a.parquet", rows, group_rows=2)

    with pytest.raises(DataError, match=message) as caught:
        list(read_row_groups(list_row_groups(path), COLUMNS))

    assert str(caught.value).startswith(f"{path}: ")


def test_a_bracket_is_no_list_of_labels(tmp_path):
    path = write_rows(tmp_path / "a.parquet", [("a", '["x", "y"]')])

    assert list(read_row_groups(list_row_groups(path), COLUMNS)) == [("a", '["x", "y"]')]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,label\na,b\n", "holds no .parquet file, which --stream reads"),
        ("a.parquet", b"text,label\na,b\n", "a.parquet: cannot be read: the file is not Parquet"),
    ],
)
def test_what_is_no_parquet_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=message):
        list_row_groups(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="missing: no such file or folder, wanted .parquet"):
        list_row_groups(tmp_path / "missing")
