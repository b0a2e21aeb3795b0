import csv
import dataclasses
import gzip
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from training.errors import DataError
from training.rows.columns import Columns
from training.rows.readers import read_dataset

SECRET = "nobody may see this review"
ROWS = [
    {"text": 'A "great" film,\nin two lines', "label": "pos", "film": "tt1"},
    {"text": "dull\tand slow", "label": "neg", "film": "tt2"},
    {"text": "", "label": "neg", "film": "tt2"},
    {"text": "好看 🎬", "label": "pos", "film": "tt3"},
]
COLUMNS = Columns(group="film")
UNKNOWN_FORMAT = (
    "{}: unknown format, wanted a name that ends in .csv, .tsv, .jsonl, .ndjson, .json, .parquet, "
    ".xlsx, .txt with fastText's labels (each also with .gz or .zst), or a folder with a subfolder "
    "for each label"
)


def write_rows(path: Path, rows: list[dict]) -> Path:
    """Write `rows` in the format and the compression that the name says."""
    kind = path.name.split(".")[1]
    plain = path.with_name(f"plain.{kind}")
    if kind in ("csv", "tsv"):
        with plain.open("w", newline="", encoding="utf-8") as file:
            delimiter = "," if kind == "csv" else "\t"
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), plain)
    else:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        plain.write_text("".join(lines), encoding="utf-8", newline="\n")
    content = plain.read_bytes()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    elif path.suffix == ".zst":
        sink = pyarrow.BufferOutputStream()
        with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        content = sink.getvalue().to_pybytes()
    path.write_bytes(content)
    return path


def assert_data_error(path: Path, message: str, columns: Columns | None = None) -> None:
    with pytest.raises(DataError) as caught:
        read_dataset(path, columns)
    assert str(caught.value) == message
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_every_format_gives_the_same_dataset(tmp_path, kind, compression):
    reference = read_dataset(write_rows(tmp_path / "reference.jsonl", ROWS), COLUMNS)
    path = write_rows(tmp_path / f"rows.{kind}{compression}", ROWS)

    dataset = read_dataset(path, COLUMNS)

    assert dataset == dataclasses.replace(reference, path=path)
    assert dataset.texts == [row["text"] for row in ROWS]
    assert dataset.labels == [row["label"] for row in ROWS]
    assert dataset.groups == [row["film"] for row in ROWS]


def test_suffix_may_be_upper_case(tmp_path):
    path = write_rows(tmp_path / "rows.csv", ROWS).rename(tmp_path / "rows.v2.CSV")

    assert len(read_dataset(path)) == len(ROWS)


def test_labels_that_are_numbers_become_their_text(tmp_path):
    rows = [{"text": "a", "label": 0}, {"text": "b", "label": 1}]
    paths = [write_rows(tmp_path / f"rows.{kind}", rows) for kind in ("csv", "jsonl", "parquet")]

    assert [read_dataset(path).labels for path in paths] == [["0", "1"]] * 3


def test_text_longer_than_the_csv_modules_own_limit_is_read(tmp_path):
    text = "long " * 40_000
    path = write_rows(tmp_path / "rows.csv", [{"text": text, "label": "pos"}])

    assert read_dataset(path).texts == [text]


def test_hash_is_of_the_rows_not_of_the_file(tmp_path):
    plain = read_dataset(write_rows(tmp_path / "rows.csv", ROWS))
    packed = read_dataset(write_rows(tmp_path / "other.parquet.zst", ROWS))
    changed = read_dataset(write_rows(tmp_path / "changed.csv", ROWS[:3]))

    assert plain.sha256 == packed.sha256
    assert plain.sha256 != changed.sha256


def test_other_column_names(tmp_path):
    path = write_rows(tmp_path / "rows.csv", [{"review": "good", "stars": "5", "text": "no"}])

    dataset = read_dataset(path, Columns(text="review", label="stars"))

    assert (dataset.texts, dataset.labels, dataset.groups) == (["good"], ["5"], None)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path, kind):
    path = write_rows(tmp_path / f"rows.{kind}", ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert read_dataset(path).texts == [row["text"] for row in ROWS]


def test_folder_has_a_subfolder_a_label_and_leaves_unsup_out(tmp_path):
    for label, name, text in [
        ("neg", "1_2.txt", "dull"),
        ("pos", "0_9.txt", "good"),
        ("pos", "1_8.txt", "好看"),
        ("unsup", "0_0.txt", "unlabelled"),
    ]:
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / name).write_text(text, encoding="utf-8")
    (tmp_path / "pos" / "notes.md").write_text("no text of ours")
    (tmp_path / "README").write_text("no text of ours")

    dataset = read_dataset(tmp_path)

    assert dataset.texts == ["dull", "good", "好看"]
    assert dataset.labels == ["neg", "pos", "pos"]
    assert dataset.groups is None


def test_folder_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "0.txt").write_bytes(SECRET.encode() + b"\xff")

    assert_data_error(
        tmp_path,
        f"{tmp_path / 'pos' / '0.txt'}: not UTF-8 at byte {len(SECRET)}. Name its encoding with "
        "--encoding, or convert it.",
    )


def test_folder_without_subfolders(tmp_path):
    assert_data_error(tmp_path, f"{tmp_path}: no subfolder found, wanted one for each label")


def test_folder_of_empty_subfolders(tmp_path):
    (tmp_path / "pos").mkdir()

    assert_data_error(
        tmp_path,
        f"{tmp_path}: no text in 'pos': a label is a subfolder with files that end in .txt or have "
        "no ending. Fill it or remove it.",
    )


def test_missing_file(tmp_path):
    path = tmp_path / "rows.csv"

    assert_data_error(path, f"{path}: no such file or folder")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("columns", "wanted", "flag"),
    [
        (Columns(text="review"), "review", "--text-column"),
        (Columns(label="stars"), "stars", "--label-column"),
        (Columns(group="actor"), "actor", "--group-column"),
    ],
)
def test_missing_column_names_the_columns_found_and_the_flag(tmp_path, kind, columns, wanted, flag):
    path = write_rows(tmp_path / f"rows.{kind}", ROWS)

    assert_data_error(
        path,
        f"{path}: no column '{wanted}'; the columns are 'text', 'label', 'film'. "
        f"Name it with {flag}.",
        columns,
    )


def test_missing_column_is_said_for_json_lines_that_begin_with_a_blank_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"title": "good", "label": "pos"}\n')

    assert_data_error(
        path,
        f"{path}: no column 'text'; the columns are 'title', 'label'. Name it with --text-column.",
    )


def test_column_that_stands_there_twice(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label,text\na,pos,b\n")

    assert_data_error(path, f"{path}: column 'text' stands there twice. Rename one.")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_null_text_is_refused_with_its_row(tmp_path, kind):
    rows = [{"text": SECRET, "label": "pos"}, {"text": None, "label": "neg"}]
    path = write_rows(tmp_path / f"rows.{kind}", rows)

    assert_data_error(
        path,
        f"{path}: row 2: column 'text' is null, wanted a text. Remove the row or give it a text.",
    )


def test_text_that_is_a_number_is_refused(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [{"text": 81204, "label": "pos"}])

    assert_data_error(
        path,
        f"{path}: row 1: column 'text' is int, wanted a text. Remove the row or give it a text.",
    )


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_empty_label_is_left_to_the_task(tmp_path, kind):
    rows = [{"text": "good", "label": "pos"}, {"text": "film", "label": ""}]
    path = write_rows(tmp_path / f"rows.{kind}", rows)

    assert read_dataset(path).labels == ["pos", ""]


def test_empty_group_is_refused_with_its_row(tmp_path):
    path = write_rows(tmp_path / "rows.csv", [{"text": SECRET, "label": "pos", "film": ""}])

    assert_data_error(
        path, f"{path}: row 1: column 'film' is empty. Remove the row or fill the cell.", COLUMNS
    )


CONVERT = "Name its encoding with --encoding, or convert it: iconv -f ENCODING -t UTF-8 OLD > NEW"


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("column", ["text", "label", "film"])
def test_cell_that_is_not_utf8_is_refused_with_its_row_and_column(tmp_path, kind, column):
    rows = [ROWS[0], {"text": SECRET, "label": "pos", "film": "tt1"} | {column: "caf@"}]
    path = write_rows(tmp_path / f"rows.{kind}", rows)
    path.write_bytes(path.read_bytes().replace(b"caf@", b"caf\xff"))

    assert_data_error(
        path,
        f"{path}: row 2: column '{column}' is not UTF-8 at character 3. {CONVERT}",
        COLUMNS,
    )


def test_json_line_that_is_not_utf8(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [ROWS[0], {"text": SECRET + "@", "label": "pos"}])
    path.write_bytes(path.read_bytes().replace(b"@", b"\xe9"))

    assert_data_error(path, f"{path}: row 2: it is not UTF-8 (byte {len(SECRET) + 10}). {CONVERT}")


def test_lone_surrogate_is_refused_with_its_row_and_column(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "good", "label": "pos"}\n{"text": "bad \\ud800", "label": "neg"}\n')

    assert_data_error(
        path,
        f"{path}: row 2: column 'text' holds a lone surrogate at character 4, wanted Unicode text. "
        "Remove the row or mend the cell.",
    )


def test_bytes_that_are_not_utf8_beside_the_columns_asked_for_do_not_matter(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"author,text,label\nRen\xe9,good,pos\n")

    assert read_dataset(path).texts == ["good"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "good, or so,pos",
            "it has 3 fields, the header 2: a comma in a text that is not in double quotes is the "
            "likely cause; with --join-surplus, of the two columns all is text but the last",
        ),
        (
            "good",
            "it has 1 fields, the header 2: a comma is missing, or a line end in a text stands "
            "outside double quotes",
        ),
    ],
)
def test_row_of_another_width_is_refused(tmp_path, row, problem):
    path = tmp_path / "rows.csv"
    path.write_text(f"text,label\n{SECRET},pos\n{row}\nbad,neg\n")

    assert_data_error(
        path,
        f"{path}: row 2: {problem}. Mend the row or remove it.",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind(tmp_path, end):
    path = tmp_path / "rows.csv"
    lines = ["text,label", '"a\nb\rc\r\nd",pos', "", "good,neg", ""]
    path.write_bytes(end.join(lines).encode())

    dataset = read_dataset(path)

    assert dataset.texts == ["a\nb\rc\r\nd", "good"]
    assert dataset.labels == ["pos", "neg"]


def test_json_line_without_a_column_of_the_first(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [ROWS[0], {"text": SECRET}])

    assert_data_error(path, f"{path}: row 2: it has no field label. Mend the row or remove it.")


def test_plain_lines_have_no_labels(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("good\n")

    assert_data_error(
        path,
        f"{path}: a file of plain lines holds texts alone, and 2 columns are wanted. Begin each "
        "line with __label__NAME as fastText does, or write a CSV.",
    )


def test_folder_has_no_groups(tmp_path):
    (tmp_path / "pos").mkdir()

    assert_data_error(
        tmp_path,
        f"{tmp_path}: a folder of texts has no column 'film'. Leave --group-column out, or put "
        "texts, labels and groups into one file.",
        COLUMNS,
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv.gz", "rows.jsonl", "rows.parquet"])
def test_empty_file(tmp_path, name):
    path = tmp_path / name
    path.touch()

    assert_data_error(path, f"{path}: the file is empty, wanted texts")


def test_header_only(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n")

    assert_data_error(path, f"{path}: holds no rows, wanted labelled texts")


@pytest.mark.parametrize("name", ["rows.pdf", "rows", "rows.gz", "rows.csv.bz2"])
def test_unknown_suffix_lists_the_known_ones(tmp_path, name):
    path = tmp_path / name
    path.write_text("text,label\n")

    assert_data_error(path, UNKNOWN_FORMAT.format(path))


@pytest.mark.parametrize("compression", [".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_truncated_compressed_file(tmp_path, kind, compression):
    path = write_rows(tmp_path / f"rows.{kind}{compression}", ROWS)
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(DataError, match="cannot be read after row") as caught:
        read_dataset(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_truncated_gzip_says_so(tmp_path):
    path = write_rows(tmp_path / "rows.csv.gz", ROWS)
    path.write_bytes(path.read_bytes()[:-10])

    assert_data_error(
        path,
        f"{path}: cannot be read after row 3: "
        "the compressed file is broken or cut off after 92 plain bytes",
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_damaged_gzip(tmp_path, kind):
    path = write_rows(tmp_path / f"rows.{kind}.gz", ROWS)
    content = bytearray(path.read_bytes())
    content[10:30] = b"\xff" * 20  # just past the header, which stays right
    path.write_bytes(content)

    with pytest.raises(DataError, match="cannot be read after row 0: "):
        read_dataset(path)


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.csv.zst"])
def test_file_that_is_not_compressed_though_its_name_says_so(tmp_path, name):
    path = tmp_path / name
    path.write_text("text,label\na,pos\n")

    with pytest.raises(DataError, match="cannot be read after row 0: "):
        read_dataset(path)


def test_file_that_is_no_parquet(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text(f"text,label\n{SECRET},pos\n")

    with pytest.raises(DataError, match="after row 0: the file is not Parquet, or is cut off"):
        read_dataset(path)


def test_quote_that_never_closes(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f'text,label\ngood,pos\n"{SECRET},neg\n')

    assert_data_error(
        path, f"{path}: row 2: a quote in it is never closed. Mend the row or remove it."
    )


def test_quote_that_closes_before_the_field_ends(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f'text,label\n"{SECRET}" or so,pos\n')

    assert_data_error(
        path,
        f"{path}: row 1: a quoted field in it goes on after its closing quote. "
        "Mend the row or remove it.",
    )


@pytest.mark.parametrize(
    ("line", "kind"), [("[1]", "list"), ('"text"', "str"), ("3", "int"), ("null", "NoneType")]
)
def test_json_line_that_is_not_an_object(tmp_path, line, kind):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": SECRET, "label": "pos"}) + f"\n{line}\n")

    assert_data_error(
        path, f"{path}: row 2: it is {kind}, wanted an object. Mend the row or remove it."
    )


def test_json_line_that_is_no_json(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"text": "{SECRET}", label}}\n')

    assert_data_error(path, f"{path}: row 1: it is not JSON. Mend the row or remove it.")
