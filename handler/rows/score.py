"""Scoring a file in blocks: read, check, predict, encode. Memory is that of a block or two.

Blocks are cut by what was read alone, so that any process that begins at a block's end computes
the same blocks, and so the same bytes: int8 activations are quantized over a whole batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handler.errors import InvalidInput
from handler.inference.classifier import Classifier, Prediction
from handler.inference.requests import check_text
from handler.inference.tasks import Cell, Task
from handler.rows.parts import STRIPE_ROWS, WHOLE, Part
from handler.rows.rows import Position, Row, Rows
from handler.settings import Limits

# Enough rows to sort by length; at IMDB's 1,300 characters a block is 1.3 MB.
BLOCK_ROWS = STRIPE_ROWS
BLOCK_CHARACTERS = 4 << 20
MODEL_FAILED = "the model failed on it"


@dataclass(frozen=True)
class Block:
    """Rows that can be scored, with their texts, and what is wrong with the others."""

    rows: list[Row]
    texts: list[str]
    rejected: list[tuple[int, str]]
    end: Position


def read_blocks(rows: Rows, limits: Limits, part: Part = WHOLE) -> Iterator[Block]:
    """Yield checked blocks of a part's rows until the file ends."""
    block = _new_block(rows.position)
    characters = 0
    own = rows if part.num_parts == 1 else (row for row in rows if part.has(row.number))
    for row in own:
        problem = row.problem
        if not problem:
            try:
                block.texts.append(check_text(row.values[0], "text", limits))
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


def predict_each(classifier: Classifier, texts: Sequence[str]) -> list[Prediction | None]:
    """Return the prediction of each text; None for one that the model fails on."""
    if not texts:
        return []
    try:
        return [*classifier.predict(texts)]
    except Exception:  # one row must not lose the block: find it by running each alone
        if len(texts) == 1:
            return [None]
        return [prediction for text in texts for prediction in predict_each(classifier, [text])]


def encode_block(
    rows: Rows, block: Block, predictions: Sequence[Prediction | None], task: Task, version: str
) -> tuple[bytes, bytes]:
    """Return the output of a block, not compressed, and its lines of the `.rejected` file.

    Args:
        rows: What the block was read from, opened with `added=task.columns`.
        block: From `read_blocks`.
        predictions: From `predict_each` for the block's texts.
        task: What the outputs mean.
        version: The model's version.
    """
    rejected = list(block.rejected)
    scored: list[Row] = []
    cells: list[Sequence[Cell]] = []
    for row, prediction in zip(block.rows, predictions, strict=True):
        if prediction is None:
            rejected.append((row.number, MODEL_FAILED))
        else:
            scored.append(row)
            cells.append(task.cells(prediction.outputs))
    output = rows.encode(scored, cells, version)
    lines = [
        json.dumps({"row": number, "reason": reason}) + "\n" for number, reason in sorted(rejected)
    ]
    return output, "".join(lines).encode()


def _new_block(position: Position) -> Block:
    return Block([], [], [], position)
