"""What is found in a file where nothing is said: delimiter, encoding, columns, and its words."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from handler.rows.options import ReadOptions
from training.errors import DataError
from training.rows.columns import Columns
from training.rows.data import Sources, read_again, read_sources
from training.rows.readers import read_dataset

PAIRS = [("good, really", "pos"), ("bad", "neg")]


def read(tmp_path: Path, name: str, content: str | bytes, columns: Columns | None = None):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_dataset(path, columns)


def read_refusal(tmp_path: Path, name: str, content: str | bytes, columns: Columns | None = None):
    with pytest.raises(DataError) as caught:
        read(tmp_path, name, content, columns)
    return str(caught.value).removeprefix(f"{tmp_path / name}: ")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("before", ["", "\ufeff", "sep={}\r\n"])
def test_the_delimiter_is_found(tmp_path, delimiter, name, before):
    rows = [("text", "label"), *PAIRS]
    content = before.format(delimiter) + "".join(f"{delimiter.join(row)}\r\n" for row in rows)

    dataset = read(tmp_path, name, content)

    assert list(zip(dataset.texts, dataset.labels, strict=True)) == PAIRS
    assert dataset.found.delimiter == delimiter


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16-le"),
        ("utf-32", "utf-32-le"),
        ("cp1252", "windows-1252"),
    ],
)
def test_the_encoding_is_found(tmp_path, encoding, found):
    content = "text,label\nun café très fréquenté – “bon”,pos\nbad film,neg\n".encode(encoding)

    dataset = read(tmp_path, "a.csv", content)

    assert dataset.texts == ["un café très fréquenté – “bon”", "bad film"]
    assert dataset.found.describe() == (
        f"{found}, commas between fields, column 'text', column 'label'"
    )


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Очень хороший фильм", "windows-1251"),
        ("とても良い映画です", "shift_jis"),
        ("非常好的电影", "gb18030"),
        ("πολύ καλή ταινία", "iso8859-7"),
    ],
)
def test_another_encoding_is_not_guessed_but_can_be_named(tmp_path, text, encoding):
    content = f"text,label\n{text},pos\nbad film,neg\n".encode(encoding)
    named = Columns(options=ReadOptions(encoding=encoding))

    assert "is not UTF-8 at character 0. Name its encoding with --encoding" in read_refusal(
        tmp_path, "a.csv", content
    )
    assert read(tmp_path, "a.csv", content, named).texts == [text, "bad film"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(delimiter="ab"), "the delimiter 'ab' cannot be used"),
        (ReadOptions(encoding="klingon"), "the encoding 'klingon' is not known"),
        (ReadOptions(encoding="hex"), "the encoding 'hex' is not known"),
        (ReadOptions(quoting="some"), "quoting is 'some', wanted standard or none"),
    ],
)
def test_an_option_that_is_none_is_refused(tmp_path, options, message):
    assert message in read_refusal(tmp_path, "a.csv", "text,label\n", Columns(options=options))


def test_what_is_named_is_not_looked_for(tmp_path):
    options = ReadOptions(delimiter="tab", encoding="latin-1", quoting="none")

    dataset = read(
        tmp_path, "a.csv", 'text\tlabel\n"a;b\tp\xe9\n'.encode("latin-1"), Columns(options=options)
    )

    assert (dataset.texts, dataset.labels) == (['"a;b'], ["pé"])


def test_a_comma_in_one_of_two_columns_is_text_if_asked_for(tmp_path):
    options = ReadOptions(join_surplus=True)
    last = read(tmp_path, "a.csv", "label,text\npos,a, b,c\n", Columns(options=options))
    first = read(tmp_path, "a.csv", "text,label\na, b,c,pos\n", Columns(options=options))

    assert (last.texts, last.labels) == (["a, b,c"], ["pos"])
    assert (first.texts, first.labels) == (["a, b,c"], ["pos"])


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("review,stars", ("review", "stars")),
        ("Body,Intent", ("Body", "Intent")),
        (" Text , Label", (" Text ", " Label")),
        ("id,sentence,Text,label", ("Text", "label")),
    ],
)
def test_evident_columns_are_found_and_said(tmp_path, header, found):
    row = ",".join("x" for _ in header.split(","))

    dataset = read(tmp_path, "a.csv", f"{header}\n{row}\n")

    assert (dataset.columns.text, dataset.columns.label) == found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "review,body,label\na,b,c\n",
            "several columns could be 'text': 'review', 'body'. Name it with --text-column.",
        ),
        (
            "title,author\na,b\n",
            "no column 'text' and no column 'label'; the columns are 'title', 'author'. Name them "
            "with --text-column and --label-column.",
        ),
        (
            "pos,a good film\nneg,bad\n",
            "the file has no header: its first line, of 2 fields, looks like a row of data. Put a "
            "line that names the columns before it, such as 'text,label'; if it does name them, "
            "say which by --text-column.",
        ),
    ],
)
def test_what_is_not_evident_is_refused(tmp_path, content, message):
    assert read_refusal(tmp_path, "a.csv", content) == message


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_columns_are_joined(tmp_path, name):
    csv = "title,body,label\nGood,film,pos\nBad,,neg\n"
    jsonl = (
        '{"title": "Good", "body": "film", "label": "pos"}\n'
        '{"title": "Bad", "body": null, "label": "neg"}\n'
    )

    dataset = read(tmp_path, name, csv if name == "a.csv" else jsonl, Columns("title,body"))

    assert dataset.texts == ["Good\nfilm", "Bad"]
    assert dataset.columns.text == "title,body"


@pytest.mark.parametrize(
    "content",
    [
        '{"data": {"text": "a"}, "label": 1.5}\n{"data": {"text": "b"}, "label": true}\n',
        '[{"data": {"text": "a"}, "label": 1.5},\n\n {"data": {"text": "b"}, "label": true}]',
        '\ufeff[\r\n{"data":{"text":"a"},"label":1.5},{"data":{"text":"b"},"label":true}\r\n]\r\n',
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_lines_and_arrays_with_objects_inside(tmp_path, name, content):
    dataset = read(tmp_path, name, content, Columns("data.text"))

    assert (dataset.texts, dataset.labels) == (["a", "b"], ["1.5", "true"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a", "label": "x"},', "is cut off: its closing bracket is missing"),
        ('[{"text": "a", "label": "x"}] 1', "there is more behind the JSON array"),
        ('{\n "text": "a"\n}', "the file is one JSON object over several lines"),
        ("[]", "holds no rows"),
    ],
)
def test_json_that_is_not_whole_is_refused(tmp_path, content, message):
    assert message in read_refusal(tmp_path, "a.json", content)


def test_fasttexts_lines_are_labelled_texts(tmp_path):
    dataset = read(tmp_path, "a.txt", "__label__pos a good film\n\n__label__neg bad\n")

    assert (dataset.texts, dataset.labels) == (["a good film", "bad"], ["pos", "neg"])


def test_a_line_of_fasttext_without_a_label_is_refused(tmp_path):
    found = read_refusal(tmp_path, "a.txt", "__label__pos good\nfilm\n")

    assert found.startswith("row 2: it does not begin with __label__NAME.")


def make_sheet(rows: str) -> bytes:
    """Return a workbook of one sheet."""
    buffer = io.BytesIO()
    namespace = "http://schemas.openxmlformats.org"
    relation = f"{namespace}/officeDocument/2006/relationships"
    main, package = f"{namespace}/spreadsheetml/2006/main", f"{namespace}/package/2006"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relation}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relation}"><sheets>'
        '<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relation}/worksheet" Target="worksheets/a.xml"/>'
        "</Relationships>",
        "xl/worksheets/a.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
    }
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_spreadsheet_is_read_as_its_first_sheet(tmp_path):
    cell = '<c r="{}" t="inlineStr"><is><t>{}</t></is></c>'
    rows = [
        cell.format("A1", "review") + cell.format("B1", "stars"),
        cell.format("A2", 'so, "good"\nfilm') + '<c r="B2"><v>5</v></c>',
        cell.format("A4", "bad") + '<c r="B4"><v>1.5</v></c>',
    ]
    sheet = "".join(f'<row r="{n}">{r}</row>' for n, r in zip((1, 2, 4), rows, strict=True))

    dataset = read(tmp_path, "a.xlsx", make_sheet(sheet))

    assert (dataset.texts, dataset.labels) == (['so, "good"\nfilm', "bad"], ["5", "1.5"])


def test_the_rows_of_a_run_are_read_again_as_they_were(tmp_path):
    import dataclasses

    path = tmp_path / "a.csv"
    path.write_text("review;stars\n" + "good;1.0\nbad;0\n" * 2)
    options = ReadOptions(delimiter=";")
    data = read_sources(Sources(path, columns=Columns(options=options, normalize_labels=True)))
    metadata = {"columns": dataclasses.asdict(data.columns), "data": data.describe()}

    again = read_again(metadata, data.objective, tmp_path)

    assert again.train == data.train
    assert (
        again.columns
        == data.columns
        == Columns("review", "stars", options=options, normalize_labels=True)
    )
