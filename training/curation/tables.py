"""Tables for people and programs: CSV, TSV or JSON Lines, by the name of the file, also packed."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from handler.errors import InvalidInput
from handler.files import replacing
from handler.rows.delimited import DEFAULT_DELIMITERS
from handler.rows.formats import Format, compress, detect_format
from training.errors import CurationError

WRITTEN = ".csv, .tsv or .jsonl, also with .gz or .zst"


def check_output(out: Path, force: bool, sources: Iterable[Path]) -> Format:
    """Return the format of a table that may be written.

    Raises:
        CurationError: Its name says none, it stands already, without `force`, or is an input.
    """
    try:
        found = detect_format(out.name)
    except InvalidInput:
        found = None
    if found is None or found.kind not in (*DEFAULT_DELIMITERS, "jsonl"):
        raise CurationError(f"{out}: its name says no format, wanted one that ends in {WRITTEN}.")
    if any(out.resolve() == source.resolve() for source in sources):
        raise CurationError(f"{out}: the output would overwrite the input. Name another --out.")
    if out.is_dir():
        raise CurationError(f"{out}: is a folder, wanted a file to write. Name another --out.")
    if os.path.lexists(out) and not force:
        raise CurationError(f"{out}: exists already. Name another --out; --force replaces it.")
    return found


def write_table(
    out: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], force: bool
) -> None:
    """Write rows below their columns; the file is there whole or not at all.

    Args:
        columns: Of CSV and TSV; the objects of JSON Lines have their own.
        force: Replace what stands there.

    Raises:
        CurationError: The file has come to be there meanwhile, without `force`.
    """
    file_format = check_output(out, force, ())
    if file_format.kind == "jsonl":
        lines = (json.dumps(row, ensure_ascii=False, default=str) for row in rows)
        text = "".join(f"{line}\n" for line in lines)
    else:
        buffer = io.StringIO(newline="")
        delimiter = DEFAULT_DELIMITERS[file_format.kind]
        writer = csv.DictWriter(
            buffer, columns, delimiter=delimiter, lineterminator="\n", extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows(rows)
        text = buffer.getvalue()
    with replacing(out) as temporary:
        temporary.write_bytes(compress(text.encode(), file_format.compression))
        check_output(out, force, ())  # again: another process may have written it
