"""What people use instead of Minnow: each fitted on texts that are words joined by spaces.

Every baseline gets the words that Minnow's tokenizer sees (`split_words`), and chooses its own
settings on development rows cut from the training rows.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import fasttext
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from handler.inference.manifest import MAX_LENGTH
from handler.inference.tokenizer import PAD, UNKNOWN, Tokenizer
from training.linear.weights import log_count_ratios
from training.tokenizer import make_tokenizer

INVERSE_PENALTIES = (1.0, 4.0, 16.0, 64.0)
# Epochs, learning rate.
FASTTEXT_SCHEDULES = ((5, 0.5), (25, 0.5), (10, 0.1), (25, 0.1))
FASTTEXT_CUTOFF = 100_000  # features that a quantized fastText model keeps


class Baseline(Protocol):
    """A fitted classifier: probabilities (number of texts, num_classes), and its size on disk."""

    def predict(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]: ...

    @property
    def size_bytes(self) -> int: ...


@dataclass(frozen=True)
class TrainingRows:
    """Texts of words joined by spaces, and the label id of each."""

    texts: Sequence[str]
    label_ids: NDArray[np.integer]
    num_classes: int


Fit = Callable[[TrainingRows, Any, int], Baseline]


def split_words(texts: Sequence[str]) -> list[str]:
    """Return each text as Minnow's tokenizer splits it: lower case, CJK characters one by one."""
    tokenizer = _find_tokenizer()
    return [" ".join(tokenizer.split(text)[0]) for text in texts]


@cache
def _find_tokenizer() -> Tokenizer:
    return make_tokenizer([PAD, UNKNOWN], MAX_LENGTH)


def stratify(rows: TrainingRows, share: float, seed: int) -> tuple[TrainingRows, TrainingRows]:
    """Return (rows to train on, `share` of the rows to compare with), each label in both; of a
    label with one row, that is trained on."""
    chance = np.random.default_rng(seed)
    is_dev = np.zeros(len(rows.texts), bool)
    for label_id in range(rows.num_classes):
        members = chance.permutation(np.flatnonzero(rows.label_ids == label_id))
        is_dev[members[: min(len(members) - 1, max(1, round(share * len(members))))]] = True
    train, dev = (
        TrainingRows([rows.texts[row] for row in part], rows.label_ids[part], rows.num_classes)
        for part in (np.flatnonzero(~is_dev), np.flatnonzero(is_dev))
    )
    return train, dev


class Majority:
    """Always the shares of the labels in the training rows."""

    size_bytes = 0

    def __init__(self, rows: TrainingRows, setting: None, seed: int) -> None:
        counts = np.bincount(rows.label_ids, minlength=rows.num_classes)
        self.shares = counts / counts.sum()

    def predict(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        return np.tile(self.shares, (len(texts), 1))


class TfidfRegression:
    """TF-IDF (sublinear), logistic regression; without other features of words and pairs, from two
    texts on.

    Args:
        vectorizers: Whose features stand side by side, each of length 1.
        class_weight: "balanced", or None: all rows count the same.
    """

    def __init__(
        self,
        rows: TrainingRows,
        inverse_penalty: float,
        seed: int,
        vectorizers: Sequence[TfidfVectorizer] = (),
        class_weight: str | None = None,
    ) -> None:
        self.vectorizers = vectorizers or [make_words_vectorizer()]
        features = [one.fit_transform(rows.texts) for one in self.vectorizers]
        self.model = LogisticRegression(C=inverse_penalty, max_iter=1000, class_weight=class_weight)
        self.model.fit(sparse.hstack(features, format="csr"), rows.label_ids)

    def predict(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        features = [one.transform(texts) for one in self.vectorizers]
        found: NDArray[np.floating[Any]] = self.model.predict_proba(
            sparse.hstack(features, format="csr")
        )
        return found

    @property
    def size_bytes(self) -> int:
        tables = [(one.vocabulary_, one.idf_) for one in self.vectorizers]
        return sum(map(len, map(pickle.dumps, tables))) + 4 * int(self.model.coef_.size)


def make_words_vectorizer() -> TfidfVectorizer:
    """Return TF-IDF of the words, and pairs, of texts that are split already."""
    return TfidfVectorizer(
        tokenizer=str.split,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, 2),
        min_df=2,
        sublinear_tf=True,
        dtype=np.float32,
    )


class NaiveBayesRegression:
    """NBSVM with words, pairs and triples, logistic loss (Wang & Manning 2012, eq. 2; Mesnil et al.
    2014, who give 91.87 % for IMDB with triples)."""

    def __init__(self, rows: TrainingRows, inverse_penalty: float, seed: int) -> None:
        self.vectorizer = CountVectorizer(
            tokenizer=str.split,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, 3),
            binary=True,
            dtype=np.float32,
        )
        features = self.vectorizer.fit_transform(rows.texts)
        classes = range(rows.num_classes) if rows.num_classes > 2 else (1,)
        columns = [
            self._fit_column(features, rows.label_ids == label_id, inverse_penalty, seed)
            for label_id in classes
        ]
        self.weights = np.stack([weights for weights, _ in columns], axis=1)
        self.bias = np.array([bias for _, bias in columns])

    def _fit_column(
        self, features: Any, target: NDArray[np.bool_], inverse_penalty: float, seed: int
    ) -> tuple[NDArray[np.float32], float]:
        ratios = log_count_ratios(features, target)
        # liblinear's own tolerance for this solver is 0.1; at scikit-learn's 0.0001 a weak penalty
        # takes many times as long on IMDB's triples.
        model = LogisticRegression(
            C=inverse_penalty,
            solver="liblinear",
            dual=True,
            tol=0.01,
            max_iter=1000,
            random_state=seed,
        )
        model.fit(sparse.csr_matrix(features @ sparse.diags_array(ratios)), target)
        return (model.coef_[0] * ratios).astype(np.float32), float(model.intercept_[0])

    def predict(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        logits = self.vectorizer.transform(texts) @ self.weights + self.bias
        positive = 1 / (1 + np.exp(-logits))
        if positive.shape[1] == 1:
            return np.hstack([1 - positive, positive])
        return positive / positive.sum(axis=1, keepdims=True)

    @property
    def size_bytes(self) -> int:
        return len(pickle.dumps(self.vectorizer.vocabulary_)) + self.weights.nbytes


class FastText:
    """fastText of words and pairs."""

    def __init__(self, rows: TrainingRows, schedule: tuple[int, float], seed: int) -> None:
        epochs, learning_rate = schedule
        self.num_classes = rows.num_classes
        with fasttext_file(rows) as path:
            self.model = fasttext.train_supervised(
                str(path),
                wordNgrams=2,
                epoch=epochs,
                lr=learning_rate,
                seed=seed,
                thread=2,
                verbose=0,
            )

    def predict(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        found = np.zeros((len(texts), self.num_classes))
        for row, (names, shares) in enumerate(
            zip(
                *self.model.f.multilinePredict(list(texts), self.num_classes, 0.0, "strict"),
                strict=True,
            )
        ):
            for name, share in zip(names, shares, strict=True):
                found[row, int(name.removeprefix("__label__"))] = share
        return np.maximum(found, 1e-9)

    @property
    def size_bytes(self) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.bin"
            self.model.save_model(str(path))
            return path.stat().st_size


class QuantizedFastText(FastText):
    """The same, product-quantized, its most important 100,000 features kept and retrained."""

    def __init__(self, rows: TrainingRows, schedule: tuple[int, float], seed: int) -> None:
        super().__init__(rows, schedule, seed)
        with fasttext_file(rows) as path:
            self.model.quantize(
                input=str(path), cutoff=FASTTEXT_CUTOFF, retrain=True, qnorm=True, thread=2
            )


@contextmanager
def fasttext_file(rows: TrainingRows) -> Iterator[Path]:
    """Give the rows as fastText reads them, in a file that is gone afterwards.

    In a random order: fastText learns them as they come, and some sets are sorted by label.
    """
    order = np.random.default_rng(0).permutation(len(rows.texts))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.txt"
        with path.open("w", encoding="utf-8") as file:
            for row in order:
                file.write(f"__label__{rows.label_ids[row]} {rows.texts[row]}\n")
        yield path
