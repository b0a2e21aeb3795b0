"""The rows that a model did not answer, taken out of a scored file into one of their own.

They are read from the finished result, so that a run which was stopped and went on has all of them.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import BinaryIO

from handler.inference.tasks import Task
from handler.rows.formats import Format, compress
from handler.rows.options import ReadOptions
from handler.rows.reader import open_rows
from handler.rows.rows import Row

ABSTAINED = "abstained"
BLOCK_ROWS = 1024


def write_review(
    scored: Path,
    review: Path,
    file_format: Format,
    options: ReadOptions,
    task: Task,
    version: str,
) -> int:
    """Write the rows of a scored file that were not answered; return how many they are.

    Args:
        scored: As `FileJob` writes it.
        review: Made or replaced; in the same format, with the same columns.
        options: How the input was read.
        task: Whose cells the file has; it may abstain.
        version: The model's version.
    """
    with scored.open("rb") as stream, review.open("wb") as output:
        if file_format.kind == "parquet":
            return _join_rows(stream, output, file_format, version)
        rows = open_rows(stream, file_format, [ABSTAINED], options=options)
        if rows.header:
            output.write(compress(rows.header, file_format.compression))
        place = list(task.columns).index(ABSTAINED)
        is_lines = file_format.kind == "lines"
        withheld = (row for row in rows if _is_withheld(row, place if is_lines else None))
        num_rows = 0
        while block := list(islice(withheld, BLOCK_ROWS)):
            num_rows += len(block)
            if is_lines:  # cells, version and text: the whole line is what was read
                content = b"".join(row.fields + b"\n" for row in block)
            else:
                content = rows.encode(block, [()] * len(block), version)
            output.write(compress(content, file_format.compression))
        return num_rows


def _is_withheld(row: Row, place: int | None) -> bool:
    value = row.values[0]
    if place is not None:
        value = str(value).split("\t")[place]
    return bool(value)


def _join_rows(stream: BinaryIO, output: BinaryIO, file_format: Format, version: str) -> int:
    from handler.rows.parquet import join_cells

    rows = open_rows(stream, file_format, [ABSTAINED])
    numbers = [row.number for row in rows if _is_withheld(row, None)]

    stream.seek(0)
    join_cells(stream, (f"{number}\n".encode() for number in numbers), output, {}, version)
    return len(numbers)
