"""Scoring a file in blocks: read, check, predict, encode. Memory is that of a block or two.

Blocks are cut by what was read alone, so that any process that begins at a block's end computes
the same blocks, and so the same bytes: int8 activations are quantized over a whole batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.inference.classifier import Classifier
from handler.inference.requests import check_text
from handler.rows.formats import Format, decompress
from handler.rows.rows import Label, Position, Row, Rows
from handler.rows.text import CsvRows, JsonRows, LineRows, Lines
from handler.settings import Limits

# Enough rows to sort by length; at IMDB's 1,300 characters a block is 1.3 MB.
BLOCK_ROWS = 1024
BLOCK_CHARACTERS = 4 << 20


@dataclass(frozen=True)
class Block:
    """Rows that can be scored, with their texts, and what is wrong with the others."""

    rows: list[Row]
    texts: list[str]
    rejected: list[tuple[int, str]]
    end: Position


def open_rows(stream: BinaryIO, file_format: Format, column: str, start: Position) -> Rows:
    """Return the rows of a file from `start` on.

    Raises:
        InvalidInput: The file as a whole cannot be read, or has no such column.
    """
    if file_format.kind == "parquet":
        from handler.rows.parquet import ParquetRows

        return ParquetRows(stream, start, column)
    lines = Lines(decompress(stream, file_format.compression), column)
    if file_format.kind == "jsonl":
        return JsonRows(lines, start)
    if file_format.kind == "lines":
        return LineRows(lines, start)
    return CsvRows(lines, start, "\t" if file_format.kind == "tsv" else ",")


def read_blocks(rows: Rows, limits: Limits) -> Iterator[Block]:
    """Yield checked blocks until the file ends."""
    block = _new_block(rows.position)
    characters = 0
    for row in rows:
        problem = row.problem
        if not problem:
            try:
                block.texts.append(check_text(row.text, "text", limits))
                block.rows.append(row)
                characters += len(block.texts[-1])
            except InvalidInput as error:
                problem = error.detail
        if problem:
            block.rejected.append((row.number, problem))
        size = len(block.rows) + len(block.rejected)
        if size >= BLOCK_ROWS or characters >= BLOCK_CHARACTERS:
            yield Block(block.rows, block.texts, block.rejected, rows.position)
            block, characters = _new_block(rows.position), 0
    if block.rows or block.rejected:
        yield Block(block.rows, block.texts, block.rejected, rows.position)


def label_texts(classifier: Classifier, texts: Sequence[str]) -> list[Any | None]:
    """Return label and score of each text; None for one that the model fails on."""
    if not texts:
        return []
    try:
        predictions = classifier.predict(texts)
    except Exception:  # one row must not lose the block: find it by running each alone
        if len(texts) == 1:
            return [None]
        return [label for text in texts for label in label_texts(classifier, [text])]
    return [classifier.task.cells(prediction.outputs) for prediction in predictions]


def encode_block(
    rows: Rows, block: Block, labels: Iterable[Label | None], version: str
) -> tuple[bytes, bytes]:
    """Return the output of a block, not compressed, and its lines of the `.rejected` file."""
    rejected = list(block.rejected)
    scored: list[tuple[Row, Label]] = []
    for row, label in zip(block.rows, labels, strict=True):
        if label is None:
            rejected.append((row.number, "the model failed on it"))
        else:
            scored.append((row, label))
    output = rows.encode([row for row, _ in scored], [label for _, label in scored], version)
    lines = [
        json.dumps({"row": number, "reason": reason}) + "\n" for number, reason in sorted(rejected)
    ]
    return output, "".join(lines).encode()


def _new_block(position: Position) -> Block:
    return Block([], [], [], position)
