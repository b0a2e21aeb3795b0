"""Reading labelled texts: CSV, TSV, JSON Lines, Parquet (each also .gz or .zst), or a folder.

A folder holds one subfolder a label, one UTF-8 `.txt` file a text, as aclImdb has.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from training.errors import DataError

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
COMPRESSIONS = (".gz", ".zst")
# The reviews of aclImdb without a label stand in a folder of this name beside pos and neg.
UNLABELLED_FOLDER = "unsup"


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; `group` is optional."""

    text: str = "text"
    label: str = "label"
    group: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Labelled texts in file order; `groups` is None without a group column."""

    texts: list[str]
    labels: list[str]
    groups: list[str] | None
    path: Path
    sha256: str

    def __len__(self) -> int:
        return len(self.texts)


def read_dataset(path: Path, columns: Columns | None = None) -> Dataset:
    """Return every row of `path`.

    Raises:
        DataError: Unknown format, missing column, null cell, not UTF-8, or no row at all; the
            message holds the file, the row (1 is the first after the header) and what to do.
    """
    columns = columns or Columns()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    digest = hashlib.sha256()
    rows = _read_folder(path, columns) if path.is_dir() else _read_rows(path, columns)
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        text = row.get(columns.text)
        if not isinstance(text, str):
            found = "null" if text is None else type(text).__name__
            raise DataError(
                f"{where}: column {columns.text!r} is {found}, wanted a text. "
                "Remove the row or give it a text."
            )
        label = _cell(row.get(columns.label), columns.label, where)
        texts.append(text)
        labels.append(label)
        if columns.group is not None:
            groups.append(_cell(row.get(columns.group), columns.group, where))
        digest.update(json.dumps([text, label]).encode())
    if not texts:
        raise DataError(f"{path}: holds no rows, wanted labelled texts")
    return Dataset(texts, labels, groups or None, path, digest.hexdigest())


def check_trainable(dataset: Dataset) -> None:
    """Raise DataError unless there are two labels or more, with two rows or more each."""
    counts = Counter(dataset.labels)
    if len(counts) < 2:
        raise DataError(
            f"{dataset.path}: every row has the label {dataset.labels[0]!r}, wanted two labels or "
            "more. Is this the right --label-column?"
        )
    rare = sorted(label for label, count in counts.items() if count < 2)
    if rare:
        names = ", ".join(repr(label) for label in rare[:5]) + (" …" if len(rare) > 5 else "")
        raise DataError(
            f"{dataset.path}: {len(rare)} of {len(counts)} labels have one row only ({names}), "
            "wanted two or more: one to learn from, one to check. Add rows, or merge the labels; "
            "with this many labels, is this the right --label-column?"
        )


def _cell(value: Any, column: str, where: str) -> str:
    if value is None or value == "":
        raise DataError(f"{where}: column {column!r} is empty. Remove the row or fill the cell.")
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _read_folder(path: Path, columns: Columns) -> Iterator[dict[str, str]]:
    folders = sorted(
        folder for folder in path.iterdir() if folder.is_dir() and folder.name != UNLABELLED_FOLDER
    )
    if not folders:
        raise DataError(f"{path}: no subfolder found, wanted one for each label")
    for folder in folders:
        for file in sorted(folder.glob("*.txt")):
            try:
                text = file.read_text(encoding="utf-8")
                yield {columns.text: text, columns.label: folder.name}
            except UnicodeDecodeError as error:
                raise DataError(f"{file}: not UTF-8 at byte {error.start}. Convert it.") from None


def _read_rows(path: Path, columns: Columns) -> Iterator[Mapping[str, Any]]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    kind = suffixes[-1] if suffixes else ""
    if kind not in FORMATS:
        raise DataError(
            f"{path}: unknown format, wanted a name that ends in {', '.join(FORMATS)} "
            f"(each also with {' or '.join(COMPRESSIONS)}), or a folder with a subfolder a label"
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty, wanted labelled texts")
    rows = 0
    try:
        with _open(path, compression) as stream:
            for row in _PARSERS[kind](stream, path, columns):
                yield row
                rows += 1
    except UnicodeDecodeError:
        raise DataError(
            f"{path}: not UTF-8 after row {rows}. Convert it, for example: "
            "iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
        ) from None
    except (csv.Error, EOFError, OSError, zlib.error) as error:  # zstd's errors are OSErrors
        raise DataError(f"{path}: cannot be read after row {rows}: {error}") from error


def _open(path: Path, compression: str) -> IO[bytes]:
    if compression == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if compression == ".zst":
        import pyarrow

        return cast(IO[bytes], pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd"))
    return path.open("rb")


def _text_lines(stream: IO[bytes], newline: str) -> io.TextIOWrapper:
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of a column's name.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline=newline)


def _parse_delimited(delimiter: str) -> Any:
    def parse(stream: IO[bytes], path: Path, columns: Columns) -> Iterator[Mapping[str, Any]]:
        csv.field_size_limit(sys.maxsize)  # the default of 128 KB is shorter than some documents
        with _text_lines(stream, newline="") as lines:
            reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
            _check_columns(path, reader.fieldnames or [], columns)
            yield from reader

    return parse


def _parse_json_lines(
    stream: IO[bytes], path: Path, columns: Columns
) -> Iterator[Mapping[str, Any]]:
    is_first = True
    with _text_lines(stream, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                position = getattr(error, "colno", 0)
                raise DataError(f"{path}: line {number} is not JSON (column {position})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number} is {type(row).__name__}, wanted an object")
            if is_first:
                _check_columns(path, row, columns)
                is_first = False
            yield row


def _parse_parquet(stream: IO[bytes], path: Path, columns: Columns) -> Iterator[Mapping[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        # Parquet is read from its end, which a compressed stream cannot seek to.
        source = stream if stream.seekable() else pyarrow.BufferReader(stream.read())
        file = parquet.ParquetFile(source)
        _check_columns(path, file.schema_arrow.names, columns)
        wanted = [name for name in (columns.text, columns.label, columns.group) if name]
        for batch in file.iter_batches(columns=wanted):
            yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from error


def _check_columns(path: Path, found: Iterable[str], columns: Columns) -> None:
    names = list(found)
    flags = {"--text-column": columns.text, "--label-column": columns.label}
    if columns.group is not None:
        flags["--group-column"] = columns.group
    for flag, wanted in flags.items():
        if wanted not in names:
            listed = ", ".join(repr(name) for name in names) or "none"
            raise DataError(
                f"{path}: no column {wanted!r}; the columns are {listed}. Name it with {flag}."
            )
        if names.count(wanted) > 1:
            raise DataError(f"{path}: column {wanted!r} stands there twice. Rename one.")


_PARSERS = {
    ".csv": _parse_delimited(","),
    ".tsv": _parse_delimited("\t"),
    ".jsonl": _parse_json_lines,
    ".ndjson": _parse_json_lines,
    ".parquet": _parse_parquet,
}
