"""A static embedding model, as model2vec and Sentence Transformers write it: a folder with
`model.safetensors` and `tokenizer.json`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.vectors.header import check_dim
from training.vectors.pieces import read_whole_words
from training.vectors.safetensors import TensorFile
from training.vectors.selection import Selection
from training.vectors.source import FETCH_AGAIN

MODEL, TOKENIZER = "model.safetensors", "tokenizer.json"
STATIC_FOLDER = "0_StaticEmbedding"  # where Sentence Transformers puts both
TABLES = ("embeddings", "embedding.weight")  # model2vec's name, Sentence Transformers'
# model2vec with a vocabulary in clusters: the row of each piece, and how much each piece weighs.
MAPPING, WEIGHTS = "mapping", "weights"


def find_model(folder: Path) -> Path:
    """Return the file of tensors in a folder.

    Raises:
        DataError: There is none.
    """
    for path in (folder / MODEL, folder / STATIC_FOLDER / MODEL):
        if path.is_file():
            return path
    raise DataError(
        f"{folder}: holds no {MODEL}, wanted the folder of a static embedding model, or a file of "
        "word vectors"
    )


def read_static_model(path: Path, selection: Selection) -> NDArray[np.float32]:
    """Return the vectors of the words that `selection` takes, shape (words, dim).

    int8 values are whole steps of a scale that the file does not hold, as model2vec writes them.

    Args:
        path: The file of tensors; `tokenizer.json` stands beside it.

    Raises:
        DataError: Either file is broken, they do not belong together, or a value is not finite.
    """
    tensors = TensorFile(path)
    table = next((name for name in TABLES if name in tensors.names), None)
    if table is None:
        raise DataError(
            f"{path}: holds no tensor {' or '.join(TABLES)}: it is no static embedding model, and "
            "the vectors of other models depend on the text around a word"
        )
    num_rows, dim = tensors.open_matrix(table).shape
    check_dim(dim, path, f"tensor {table!r}")
    tokenizer = path.with_name(TOKENIZER)
    ids = _choose_ids(tokenizer, selection)
    rows = _find_rows(tensors, ids, num_rows, tokenizer)
    vectors = tensors.read_rows(table, rows)
    if WEIGHTS in tensors.names:
        vectors *= _read_weights(tensors, ids, tokenizer)[:, np.newaxis]
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(rows[np.argmin(finite)])
        raise DataError(f"{path}: row {row:,} has values that are not finite. {FETCH_AGAIN}")
    return vectors


def _choose_ids(tokenizer: Path, selection: Selection) -> NDArray[np.int64]:
    ids = []
    for piece_id, word in read_whole_words(tokenizer):
        if selection.take(word):
            ids.append(min(piece_id, np.iinfo(np.int64).max))
        if selection.is_full:
            break
    return np.array(ids, np.int64)


def _find_rows(
    tensors: TensorFile, ids: NDArray[np.int64], num_rows: int, tokenizer: Path
) -> NDArray[np.int64]:
    """Return the row of each piece."""
    rows = ids
    if MAPPING in tensors.names:
        mapping = tensors.open_tensor(MAPPING).ravel()
        _check_ids(ids, len(mapping), tensors.path, tokenizer)
        rows = mapping[ids].astype(np.int64)
    _check_ids(rows, num_rows, tensors.path, tokenizer)
    return rows


def _read_weights(
    tensors: TensorFile, ids: NDArray[np.int64], tokenizer: Path
) -> NDArray[np.float32]:
    weights = tensors.open_tensor(WEIGHTS).ravel()
    _check_ids(ids, len(weights), tensors.path, tokenizer)
    return weights[ids].astype(np.float32)


def _check_ids(ids: NDArray[np.int64], num_rows: int, path: Path, tokenizer: Path) -> None:
    if ids.size and not 0 <= ids.min() <= ids.max() < num_rows:
        raise DataError(
            f"{path}: has {num_rows:,} rows, and {tokenizer.name} beside it points at row "
            f"{int(ids.max()):,}: they are not of one model. Fetch both again."
        )
