"""What is measured on a sample: Minnow by its commands, and what people use instead."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold

from benchmarks.accuracy import Predict
from benchmarks.baselines.autotune import AutotunedFastText
from benchmarks.baselines.classifiers import (
    INVERSE_PENALTIES,
    Baseline,
    NaiveBayesRegression,
    TfidfRegression,
    TrainingRows,
    split_words,
)
from benchmarks.baselines.encoder import INVERSE_PENALTIES as ENCODER_PENALTIES
from benchmarks.baselines.encoder import EncoderRegression, SentenceEncoder
from benchmarks.few.sets import Rows
from handler.inference.classifier import load_classifier
from handler.inference.tasks import Task
from training.errors import SettingsError
from training.run_folder import read_run

# Not tuned: what a first try has, and hard to beat on few rows (1 is worse on each of these sets).
TFIDF_INVERSE_PENALTY = 10.0
NUM_FOLDS = 5
# Written without spaces between words: each character is a word.
WORDLESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
WORDS = rf"[{WORDLESS}]|[^\W{WORDLESS}]+"
# Chinese, Japanese and Korean characters are syllables: shorter pieces of them.
SYLLABLES = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
MIN_ROWS_TWICE = 2_000  # rows from which on a feature must stand in two texts, else in one


@dataclass(frozen=True)
class Setup:
    """What the models of a run have in common.

    Args:
        seconds: How long fastText searches.
        options: More options of `minnow train`.
    """

    work: Path
    vectors: Path | None = None
    encoder: SentenceEncoder | None = None
    seconds: int = 0
    options: Sequence[str] = ()


@dataclass(frozen=True)
class Fitted:
    """A fitted model: how texts are predicted, columns in the order of the sorted labels.

    Args:
        seconds: Of training.
        predict_known: As `predict`, with what is known of texts that were asked before.
        task: Of Minnow, how its answers are chosen.
    """

    predict: Predict
    size_bytes: int
    seconds: float
    predict_known: Predict | None = None
    task: Task | None = None


Fit = Callable[[Rows, int, Setup], Fitted]


class CommandError(Exception):
    """A command of Minnow failed."""


def number_labels(rows: Rows) -> TrainingRows:
    labels, label_ids = np.unique(rows.labels, return_inverse=True)
    return TrainingRows(rows.texts, label_ids, len(labels))


def fit_minnow(rows: Rows, seed: int, setup: Setup, with_: str = "") -> Fitted:
    """Return the int8 bundle that `minnow train` and `minnow export` make of the rows.

    Args:
        with_: "vectors" or "unlabelled": what is known beside them.
    """
    setup.work.mkdir(parents=True, exist_ok=True)
    options = [*setup.options, "--seed", str(seed), "--quiet"]
    if with_ == "vectors":
        options += ["--word-vectors", str(setup.vectors)]
    with tempfile.TemporaryDirectory(dir=setup.work) as name:
        folder = Path(name)
        labelled = zip(rows.texts, rows.labels, strict=True)
        write_csv(folder / "rows.csv", [("text", "label"), *labelled])
        if with_ == "unlabelled" and rows.others:
            write_csv(folder / "others.csv", [("text",), *((text,) for text in rows.others)])
            options += ["--unlabelled", str(folder / "others.csv")]
        run, bundle = folder / "run", folder / "bundle"
        run_minnow("train", folder / "rows.csv", "--out", run, *options)
        run_minnow("export", run, "--out", bundle)
        classifier = load_classifier(bundle)
        seconds = read_run(run).metadata["seconds"]
    size_bytes = classifier.size_bytes
    return Fitted(classifier.predict_outputs, size_bytes, seconds, task=classifier.task)


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write the rows, the names of the columns among them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def run_minnow(*arguments: str | Path) -> None:
    """Run a command of Minnow.

    Raises:
        CommandError: It failed; holds its last line.
    """
    command = [sys.executable, "-m", "minnow", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CommandError(f"minnow {arguments[0]} ended with {done.returncode}: {last}")


def fit_tfidf(
    rows: Rows, seed: int, setup: Setup, parts: Sequence[str], class_weight: str | None = None
) -> Fitted:
    """Return TF-IDF with logistic regression, of `parts`: words, characters or both.

    Args:
        class_weight: As `TfidfRegression` has it.
    """
    min_df = 2 if len(rows.texts) >= MIN_ROWS_TWICE else 1
    shared: dict[str, Any] = {"sublinear_tf": True, "min_df": min_df, "dtype": np.float32}
    sizes = (1, 3) if is_of_syllables(rows.texts) else (2, 5)
    vectorizers = {
        "words": TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2), **shared),
        "characters": TfidfVectorizer(analyzer="char", ngram_range=sizes, **shared),
    }
    started = time.perf_counter()
    model = TfidfRegression(
        number_labels(rows),
        TFIDF_INVERSE_PENALTY,
        seed,
        [vectorizers[part] for part in parts],
        class_weight,
    )
    return Fitted(model.predict, model.size_bytes, time.perf_counter() - started)


def is_of_syllables(texts: Sequence[str]) -> bool:
    """Whether most letters of the texts are Chinese, Japanese or Korean."""
    text = "".join(texts)
    return 2 * len(SYLLABLES.findall(text)) > sum(map(str.isalpha, text))


def fit_naive_bayes(rows: Rows, seed: int, setup: Setup) -> Fitted:
    numbered = number_labels(Rows(split_words(rows.texts), rows.labels))
    started = time.perf_counter()
    penalty = choose_by_folds(
        lambda part, penalty: NaiveBayesRegression(part, penalty, seed).predict,
        INVERSE_PENALTIES,
        numbered,
    )
    model = NaiveBayesRegression(numbered, penalty, seed)
    return _reading_words(model, time.perf_counter() - started)


def fit_fasttext(rows: Rows, seed: int, setup: Setup) -> Fitted:
    numbered = number_labels(Rows(split_words(rows.texts), rows.labels))
    started = time.perf_counter()
    model = AutotunedFastText(numbered, setup.seconds, seed)
    return _reading_words(model, time.perf_counter() - started)


def _reading_words(model: Baseline, seconds: float) -> Fitted:
    """Return `model`, which reads words joined by spaces, as one that reads texts."""
    return Fitted(lambda texts: model.predict(split_words(texts)), model.size_bytes, seconds)


def fit_encoder(rows: Rows, seed: int, setup: Setup) -> Fitted:
    """Return logistic regression on the sentence encoder; its seconds are those of the regression
    alone where the texts were encoded before."""
    encoder = setup.encoder
    if encoder is None:
        raise ValueError("setup has no encoder")
    numbered = number_labels(rows)
    started = time.perf_counter()
    penalty = choose_by_folds(
        lambda part, penalty: EncoderRegression(part, penalty, encoder).predict_known,
        ENCODER_PENALTIES,
        numbered,
    )
    model = EncoderRegression(numbered, penalty, encoder)
    seconds = time.perf_counter() - started
    return Fitted(model.predict, model.size_bytes, seconds, model.predict_known)


def choose_by_folds(
    fit: Callable[[TrainingRows, float], Predict], penalties: Sequence[float], rows: TrainingRows
) -> float:
    """Return the inverse penalty that is most accurate by cross-validation; of equals the first.

    Labels with fewer rows than folds stand in some folds only.
    """
    rarest = min(Counter(rows.label_ids.tolist()).values())
    folds = StratifiedKFold(max(2, min(NUM_FOLDS, rarest)), shuffle=True, random_state=0)
    right = dict.fromkeys(penalties, 0)
    for train, held in folds.split(rows.label_ids, rows.label_ids):
        part = TrainingRows(
            [rows.texts[row] for row in train], rows.label_ids[train], rows.num_classes
        )
        texts = [rows.texts[row] for row in held]
        for penalty in penalties:
            predicted = fit(part, penalty)(texts).argmax(axis=1)
            right[penalty] += int(np.sum(predicted == rows.label_ids[held]))
    return max(penalties, key=lambda penalty: right[penalty])


# In the order in which they are measured and shown: fastText searches for as long as Minnow took.
MODELS: dict[str, tuple[str, Fit]] = {
    "minnow": ("Minnow", fit_minnow),
    "minnow-vectors": ("Minnow with word vectors", partial(fit_minnow, with_="vectors")),
    "minnow-unlabelled": (
        "Minnow with the other rows' texts",
        partial(fit_minnow, with_="unlabelled"),
    ),
    "words": ("TF-IDF, words 1-2", partial(fit_tfidf, parts=("words",))),
    "characters": ("TF-IDF, characters", partial(fit_tfidf, parts=("characters",))),
    "both": ("TF-IDF, both", partial(fit_tfidf, parts=("words", "characters"))),
    "nbsvm": ("NBSVM, words 1-3", fit_naive_bayes),
    "fasttext": ("fastText, autotuned", fit_fasttext),
    "encoder": ("MiniLM int8 + regression", fit_encoder),
}
# Those that are to be beaten without any outside file.
RIVALS = ("words", "characters", "both", "fasttext")


def list_models(setup: Setup, only: Collection[str]) -> list[str]:
    """Return the models that are measured: `only`, or all for which there is what they need.

    Raises:
        SettingsError: One of `only` lacks what it needs.
    """
    needs = {
        "minnow-vectors": ("--vectors FILE", setup.vectors),
        "encoder": ("--encoder FOLDER", setup.encoder),
    }
    lacking = {name: option for name, (option, given) in needs.items() if given is None}
    for name in only:
        if name in lacking:
            raise SettingsError(f"{name} needs {lacking[name]}.")
    return [name for name in MODELS if name in (only or MODELS) and name not in lacking]
