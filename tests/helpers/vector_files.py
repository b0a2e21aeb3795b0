"""Small files of word vectors in each format."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = ("the", "a", "film", "n't", "2009", "好")
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)


def format_text(
    words: Sequence[str] = WORDS,
    vectors: NDArray[Any] = VECTORS,
    header: str = "",
    separator: str = " ",
) -> bytes:
    """Return rows of text; `header` is a first line."""
    rows = [
        separator.join([word, *(repr(float(value)) for value in vector)])
        for word, vector in zip(words, vectors, strict=True)
    ]
    return "".join(f"{row}\n" for row in ([header] if header else []) + rows).encode()


def format_binary(
    words: Sequence[str] = WORDS,
    vectors: NDArray[Any] = VECTORS,
    header: str | None = None,
    end: bytes = b"\n",
) -> bytes:
    """Return word2vec's binary file; `end` stands behind each row, where some writers set none."""
    header = header if header is not None else f"{len(words)} {vectors.shape[1]}"
    rows = [
        word.encode() + b" " + vector.astype("<f4").tobytes() + end
        for word, vector in zip(words, vectors, strict=True)
    ]
    return header.encode() + b"\n" + b"".join(rows)


def format_tensors(tensors: Mapping[str, tuple[str, NDArray[Any]]]) -> bytes:
    """Return a safetensors file of name -> type as the format calls it, values."""
    header, content = {}, b""
    for name, (kind, values) in tensors.items():
        packed = values.tobytes()
        places = [len(content), len(content) + len(packed)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": places}
        content += packed
    text = json.dumps({"__metadata__": {"format": "np"}} | header).encode()
    return len(text).to_bytes(8, "little") + text + content


def write_static_model(
    folder: Path,
    vocabulary: Any,
    tensors: Mapping[str, tuple[str, NDArray[Any]]],
    **model: Any,
) -> Path:
    """Write a folder as model2vec's; `model` are further fields of the tokenizer's model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(format_tensors(tensors))
    document = {
        "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
        "model": {"vocab": vocabulary, **model},
    }
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return folder
