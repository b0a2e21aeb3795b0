"""A user's own texts without labels, of which a model learns what words mean.

They are read from a file of any format that labelled texts have, or from a folder of text files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.inference.tokenizer import Tokenizer
from training.errors import DataError
from training.rows.columns import Columns
from training.rows.folders import list_texts, read_text
from training.rows.readers import read_texts
from training.tokenizer import rank_words

MIN_COUNT = 5  # of a word, whose company tells what it means


@dataclass(frozen=True)
class Unlabelled:
    """Texts without labels, each once, in file order.

    Args:
        rows: Texts that were read.
        empty: Of them, those that were left out because there is nothing in them.
        labelled: Those left out because they stand among the labelled texts.
        sha256: Of all texts that were read.
    """

    path: Path
    texts: list[str]
    rows: int
    empty: int
    labelled: int
    sha256: str

    def describe(self) -> dict[str, Any]:
        """Return path, rows and hash, as `metadata.json` keeps them."""
        return {"path": str(self.path), "rows": self.rows, "sha256": self.sha256}

    def format(self) -> str:
        """Return one line for people: how many texts there are, and what was left out."""
        same = self.rows - self.empty - self.labelled - len(self.texts)
        left_out = (
            (self.empty, "empty"),
            (self.labelled, "among the labelled texts"),
            (same, "repeated"),
        )
        kinds = "".join(f", {count:,} {kind}" for count, kind in left_out if count)
        return f"unlabelled: {self.path}, {len(self.texts):,} of {self.rows:,} texts{kinds}"


def read_unlabelled(path: Path, columns: Columns, labelled: Collection[str]) -> Unlabelled:
    """Return the texts of a file or folder that can be learned from.

    Args:
        columns: As of the labelled texts; only that of the text is looked for.
        labelled: Texts whose labels are known, which are left out.

    Raises:
        DataError: It cannot be read, has no such column, or no text that is left.
    """
    seen, texts = set(labelled), []
    rows = empty = same = 0
    digest = hashlib.sha256()
    for text in _read(path, columns):
        rows += 1
        digest.update(json.dumps(text).encode())
        if not text.strip():
            empty += 1
        elif text in labelled:
            same += 1
        elif text not in seen:
            seen.add(text)
            texts.append(text)
    if not texts:
        raise DataError(
            f"{path}: holds no text that is not labelled already, of {rows:,}. Leave --unlabelled "
            "out, or name a file of other texts."
        )
    return Unlabelled(path, texts, rows, empty, same, digest.hexdigest())


def find_words(texts: Iterable[str], tokenizer: Tokenizer, most: int) -> list[str]:
    """Return the most frequent words of texts that a tokenizer does not know."""
    words = rank_words(texts, tokenizer.max_length, MIN_COUNT)
    return [word for word in words if word not in tokenizer.word_ids][:most]


def _read(path: Path, columns: Columns) -> Iterator[str]:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if not path.is_dir():
        yield from read_texts(path, columns)
        return
    folders = [path, *sorted(inner for inner in path.iterdir() if inner.is_dir())]
    files = [file for folder in folders for file in list_texts(folder)]
    if not files:
        raise DataError(
            f"{path}: no text in this folder, wanted files that end in .txt or have no ending, "
            "a text each, or name one file of texts"
        )
    for file in files:
        yield read_text(file, columns.options.encoding)
