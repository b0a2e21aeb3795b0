"""`minnow score --review`: the rows that the model does not answer, in a file of their own."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from handler.errors import InvalidInput
from handler.hosts.bulk import score_files
from handler.hosts.score_state import Work
from handler.rows.formats import detect_format
from handler.rows.reader import open_rows

# The first is answered, the second is uncertain, the third is out of scope.
TEXTS = ["good good", "good film", "unknown words of no other text"]
ROWS = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS * 2)]


def write_rows(path: Path) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
        return path
    table = io.StringIO(newline="")
    csv.DictWriter(table, ["id", "text"], delimiter=";").writeheader()
    csv.DictWriter(table, ["id", "text"], delimiter=";").writerows(ROWS)
    texts = {
        ".txt": "".join(f"{row['text']}\n" for row in ROWS),
        ".jsonl": "".join(f"{json.dumps(row)}\n" for row in ROWS),
    }
    content = texts.get(path.suffix, table.getvalue())
    is_utf16 = "utf16" in path.name
    raw = content.encode("utf-16" if is_utf16 else "utf-8")
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def read_rows(path: Path) -> list[Any]:
    if path.suffix == ".parquet":
        return list(parquet.read_table(path).to_pylist())
    with path.open("rb") as stream:
        columns = ["text"] if path.suffix == ".txt" else ["id", "predicted_label", "abstained"]
        return [row.values for row in open_rows(stream, detect_format(path.name), columns)]


def is_withheld(row: Any) -> bool:
    if isinstance(row, dict):
        return bool(row["abstained"])
    return bool(row[-1] if len(row) > 1 else row[0].split("\t")[2])


@pytest.mark.parametrize(
    "name", ["a.csv", "a.csv.gz", "utf16.csv", "a.jsonl", "a.txt", "a.parquet"]
)
def test_the_rows_that_are_not_answered_stand_in_a_file_of_their_own(
    name: str, tmp_path: Path, selective_bundle: Path
) -> None:
    source, out, review = write_rows(tmp_path / name), tmp_path / "out", tmp_path / "deep/review"
    out.mkdir()

    (summary,) = score_files(selective_bundle, [str(source)], f"{out}/", review=f"{review}/")

    scored, found = read_rows(out / name), read_rows(review / name)
    assert len(scored) == 6
    assert found == [row for row in scored if is_withheld(row)]
    assert len(found) == summary.unanswered == 4
    assert summary.review == str(review / name)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [name] * 3


def test_none_that_is_not_answered_is_a_file_without_rows(
    tmp_path: Path, selective_bundle: Path
) -> None:
    (tmp_path / "a.csv").write_text("text\ngood good\n")

    (summary,) = score_files(
        *(selective_bundle, [str(tmp_path / "a.csv")], str(tmp_path / "b.csv")),
        review=str(tmp_path / "c.csv"),
    )

    assert summary.unanswered == 0
    header = "text,predicted_label,predicted_score,abstained,best_label,model_version\n"
    assert (tmp_path / "c.csv").read_text() == header


def test_a_run_that_was_stopped_before_the_end_has_all_of_them(
    tmp_path: Path, selective_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "a.csv")
    command = (selective_bundle, [str(source)], str(tmp_path / "b.csv"))
    for step in ("put_review_in_place", "put_in_place"):
        with monkeypatch.context() as patch:
            patch.setattr(Work, step, lambda work: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                score_files(*command, review=str(tmp_path / "c.csv"))
        assert not (tmp_path / "b.csv").exists()

    (summary,) = score_files(*command, review=str(tmp_path / "c.csv"))

    assert summary.unanswered == len(read_rows(tmp_path / "c.csv")) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "c.csv"]


def test_a_file_that_stands_is_not_replaced(tmp_path: Path, selective_bundle: Path) -> None:
    source, review = write_rows(tmp_path / "a.csv"), tmp_path / "c.csv"
    review.write_text("mine")
    command = (selective_bundle, [str(source)], str(tmp_path / "b.csv"))

    with pytest.raises(InvalidInput, match=r"c\.csv: exists already"):
        score_files(*command, review=str(review))
    assert review.read_text() == "mine"
    assert not (tmp_path / "b.csv").exists()
    score_files(*command, review=str(review), force=True)
    assert len(read_rows(review)) == 4


@pytest.mark.parametrize(
    ("review", "message"),
    [
        ("b.csv", "--review and --out name the same file"),
        ("a.csv", "the output would overwrite the input"),
        ("c.jsonl", "the output has the same format"),
        ("s3://bucket/c.csv", "wanted a file or a folder of this machine"),
    ],
)
def test_a_review_that_cannot_be_is_refused(
    review: str,
    message: str,
    tmp_path: Path,
    selective_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(Path("a.csv"))

    with pytest.raises(InvalidInput, match=message):
        score_files(selective_bundle, ["a.csv"], "b.csv", review=review)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_model_that_answers_everything_has_none(tmp_path: Path, tiny_bundle: Path) -> None:
    source = write_rows(tmp_path / "a.csv")

    with pytest.raises(InvalidInput, match="this model answers every text"):
        score_files(tiny_bundle, [str(source)], str(tmp_path / "b.csv"), review="c.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
