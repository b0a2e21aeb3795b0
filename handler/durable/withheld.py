"""Rows of a scored object that the model did not answer: taken out of it, and answered in it.

    s3://OUT/PREFIX/IN/reviews.csv -> JSON lines, one for each such row, for people
    people's labels                -> the same object, `predicted_label` of those rows filled in

Both are the same whenever they are done again. Of a filled-in row `abstained` still says why the
model gave no answer, so that a person's is told from its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

from handler.aws import error_code
from handler.errors import DeliveryError, InvalidInput
from handler.events.work import ObjectRef
from handler.inference.tasks import Cell
from handler.objects.admission import unpack_format
from handler.objects.source import ObjectChanged, ObjectFile, open_object
from handler.objects.upload import Upload, UploadGone
from handler.rows.columns import ColumnError
from handler.rows.formats import Format, compress, detect_format
from handler.rows.reader import open_rows
from handler.rows.rows import MODEL_VERSION, Position, Row, Rows

COLUMNS = ("predicted_label", "predicted_score", "abstained", "best_label")  # of Selective
LABEL, WHY = COLUMNS.index("predicted_label"), COLUMNS.index("abstained")
NUM_CELLS = len(COLUMNS) + 1  # with the version; of a plain line they stand before the text
BLOCK_ROWS = 1024
REVIEWED_BY = "minnow-review"  # metadata of an object that holds people's labels


def collect_rows(
    client: Any, result: ObjectRef, text_column: str, number: int, part: ObjectRef
) -> dict[str, Any]:
    """Write the rows of a result that have no answer, as JSON lines; nothing where there are none.

    `{"id": "3:17", "text", "best_label", "score", "abstained", "label": ""}` is row 17 of the
    result of object 3; rows are counted in the result, from 1.

    Args:
        client: boto3's S3 client.
        result: What scoring an object made.
        text_column: Column of the text, "title,body" for two that are joined.
        number: Of the object in its run.
        part: Where the lines go.

    Returns:
        `{"rows": 17, "etag": ...}`: how many they are, and the result's etag.

    Raises:
        InvalidInput: The result is Parquet, or cannot be read.
        ObjectChanged, DeliveryError: As of `open_object`.
    """
    file, found = open_object(client, result)
    num_rows = 0
    rows = _open_result(file, result.key, text_column)
    with _writing(Upload(client, part.bucket, part.key, {}, "")) as upload:
        for row in rows if rows is not None else ():
            text, _, *cells = _read_values(row)
            if cells[WHY] and not cells[LABEL]:
                num_rows += 1
                upload.append(_describe(number, row, text, cells))
        if num_rows:
            upload.finish()
    return {"rows": num_rows, "etag": found.etag}


def fill_in(
    client: Any, result: ObjectRef, text_column: str, labels: Mapping[int, str], run: str
) -> str:
    """Write people's labels into a result, in its place; return "merged" or "superseded".

    Nobody else's work is lost: it is written only while the result is the one that was read.

    Args:
        client: boto3's S3 client.
        result: With the etag that `collect_rows` gave.
        labels: Row of the result -> its label.
        run: Id of the run, which the result's metadata have from then on.

    Raises:
        InvalidInput: A row of the result cannot be read.
        DeliveryError: Something failed that may pass.
    """
    head = _read_head(client, result)
    if head is None:
        return "superseded"
    if head["Metadata"].get(REVIEWED_BY) == run:
        return "merged"  # by an attempt whose end was not written down
    try:
        file, found = open_object(client, result)
        metadata = {**head["Metadata"], REVIEWED_BY: run}
        encoding = file.content_encoding
        with _writing(
            Upload(client, result.bucket, result.key, metadata, "", encoding, found.etag)
        ) as upload:
            for content in _encode_filled(file, result.key, text_column, labels):
                upload.append(content)
            upload.finish()
    except (ObjectChanged, UploadGone):
        return _tell_end(client, result, run)
    return "merged"


def _tell_end(client: Any, result: ObjectRef, run: str) -> str:
    """Return what stands in the result's place: ours, where the answer to our own write was lost
    and it was sent again."""
    head = _read_head(client, result)
    if head is not None and head["Metadata"].get(REVIEWED_BY) == run:
        return "merged"
    if head is not None and head["ETag"].strip('"') == result.etag:
        raise DeliveryError("another process ended the upload: try again")
    return "superseded"


def _read_head(client: Any, result: ObjectRef) -> dict[str, Any] | None:
    """Return what S3 says of an object; None where there is none."""
    try:
        head: dict[str, Any] = client.head_object(Bucket=result.bucket, Key=result.key)
    except Exception as error:
        if error_code(error) in ("404", "NoSuchKey"):
            return None
        raise DeliveryError(f"head_object failed: {error_code(error)}") from error
    return head


@contextmanager
def _writing(upload: Upload) -> Iterator[Upload]:
    """Leave no parts of an object that is not finished, which would be paid for."""
    try:
        yield upload
    except Exception:
        upload.abort()
        raise


def _describe(number: int, row: Row, text: object, cells: list[object]) -> bytes:
    _, score, why, best = cells
    told = {"id": f"{number}:{row.number}", "text": text, "best_label": best}
    line = {**told, "score": float(str(score)), "abstained": why, "label": ""}
    return f"{json.dumps(line)}\n".encode()


def _open_result(
    file: ObjectFile, key: str, text_column: str, added: Sequence[str] = ()
) -> Rows | None:
    """Return the rows of a result, with text, version and COLUMNS as their values; None where no
    column says why there is no answer."""
    file_format = _find_format(file, key)
    stream: BinaryIO = io.BufferedReader(file, 1 << 17)
    if file_format.kind == "lines":
        return _Lines(open_rows(stream, file_format, ["text"]))
    try:
        return open_rows(stream, file_format, [text_column, MODEL_VERSION, *COLUMNS], added=added)
    except ColumnError as error:
        if set(error.columns) & set(COLUMNS):
            return None  # of a model that answers every text
        raise


def _find_format(file: ObjectFile, key: str) -> Format:
    file_format = unpack_format(detect_format(key), file.content_encoding)
    if file_format.kind == "parquet":
        raise InvalidInput(
            "the result is Parquet, into which no labels are filled: its rows without an answer "
            "have `abstained` beside them. Send .csv, .tsv, .jsonl or .txt for people's answers"
        )
    return file_format


def _encode_filled(
    file: ObjectFile, key: str, text_column: str, labels: Mapping[int, str]
) -> Iterator[bytes]:
    """Yield the result's content anew, with the labels, packed as it was."""
    rows = _open_result(file, key, text_column, COLUMNS)
    if rows is None:
        raise InvalidInput("the result has no column `abstained`, which it had when it was read")
    compression = _find_format(file, key).compression
    if rows.header:
        yield compress(rows.header, compression)
    walk = iter(rows)
    while block := list(islice(walk, BLOCK_ROWS)):
        values = [_read_values(row) for row in block]
        cells = [_fill(row.number, one[2:], labels) for row, one in zip(block, values, strict=True)]
        yield compress(rows.encode(block, cells, str(values[0][1])), compression)


def _read_values(row: Row) -> Sequence[Any]:
    if row.problem:
        raise InvalidInput(f"row {row.number} of the result cannot be read: {row.problem}")
    return row.values


def _fill(number: int, cells: Sequence[Any], labels: Mapping[int, str]) -> list[Any]:
    filled = [*cells]
    filled[LABEL] = labels.get(number, filled[LABEL])
    return filled


class _Lines:
    """A result of plain lines: cells, version and text, with tabs between."""

    names = None

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.header = rows.header
        self.found = rows.found

    @property
    def position(self) -> Position:
        return self.rows.position

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            parts = str(row.values[0]).split("\t", NUM_CELLS)
            if len(parts) <= NUM_CELLS:
                raise InvalidInput(f"line {row.number} of the result does not begin with its cells")
            *cells, version, text = parts
            written = row.fields.split(b"\t", NUM_CELLS)[-1]
            yield Row(row.number, (text, version, *cells), written, row.problem)

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        return self.rows.encode(rows, cells, version)
