"""Files of rows, written and read back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from pyarrow import parquet


def write_rows(path: Path, num_rows: int) -> Path:
    """Write rows of which some are rejected, and some hold a line's end; return the file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        for number in range(num_rows):
            text = ["good", "bad\nfilm", "film, bad", "naïve good"][number % 4]
            writer.writerow([number, text if number % 500 else "long " * 4001])
    return path


def read_csv(content: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), delimiter=delimiter))


def read_jsonl(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def read_parquet(content: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(content)).to_pylist()
    return rows
