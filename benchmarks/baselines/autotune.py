"""fastText that searches its own settings for so many seconds (its `autotune`)."""

from __future__ import annotations

from typing import Any

import fasttext
import numpy as np

from benchmarks.baselines.classifiers import (
    FASTTEXT_SCHEDULES,
    FastText,
    TrainingRows,
    fasttext_file,
    stratify,
)
from minnow.quiet import silenced_stderr

SHARE = 0.2  # of the rows, on which settings are compared
# Vectors of hashed pairs and pieces. With fastText's own two million a trial on 100 rows takes
# seconds, so that 20 s are five trials; few rows fill a part of these.
BUCKETS = 100_000
SETTINGS = ("lr", "dim", "ws", "epoch", "minn", "maxn", "wordNgrams", "bucket", "lrUpdateRate")
FIXED: dict[str, Any] = {"thread": 2, "verbose": 0}


class AutotunedFastText(FastText):
    """fastText, fitted on all rows with the settings that were best on a fifth of them: those that
    its search finds, or the usual ones, which a short search does not always reach."""

    def __init__(self, rows: TrainingRows, seconds: int, seed: int) -> None:
        self.num_classes = rows.num_classes
        train, dev = stratify(rows, SHARE, seed)
        found = search(train, dev, seconds, seed)
        usual = [
            {"epoch": epochs, "lr": rate, "wordNgrams": 2, "bucket": BUCKETS}
            for epochs, rate in FASTTEXT_SCHEDULES
        ]

        def accuracy(settings: dict[str, Any]) -> float:
            self.model = fit(train, settings, seed)
            return float(np.mean(self.predict(dev.texts).argmax(axis=1) == dev.label_ids))

        self.model = fit(rows, max([found, *usual], key=accuracy), seed)


def search(train: TrainingRows, dev: TrainingRows, seconds: int, seed: int) -> dict[str, Any]:
    """Return the settings that fastText finds."""
    with fasttext_file(train) as train_path, fasttext_file(dev) as dev_path, silenced_stderr():
        tuned = fasttext.train_supervised(
            str(train_path),
            autotuneValidationFile=str(dev_path),
            autotuneDuration=seconds,
            bucket=BUCKETS,
            seed=seed,
            **FIXED,
        )
    found = tuned.f.getArgs()
    return {name: getattr(found, name) for name in SETTINGS} | {"loss": found.loss.name}


def fit(rows: TrainingRows, settings: dict[str, Any], seed: int) -> Any:
    with fasttext_file(rows) as path:
        return fasttext.train_supervised(str(path), seed=seed, **settings, **FIXED)
