"""What a GPU gains: one text and 64 at a time, by the CPU on one thread and by CUDA, in turns.

Needs onnxruntime-gpu in place of onnxruntime, and what the handler needs; without a GPU the CPU's
rows are measured alone.

Run: python -m benchmarks.gpu INT8 FLOAT32 DATA.csv [--rows 2048]      (bundles of the same run)
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from handler.bundle import read_bundle
from handler.classifier import Classifier
from handler.http.server import CUDA

BATCH = 64  # texts of a request at most, by default
NUM_SINGLE = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("int8", type=Path)
    parser.add_argument("float32", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with options.data.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in itertools.islice(csv.DictReader(file), options.rows)]
    classifiers = {
        "CPU, int8": Classifier(read_bundle(options.int8)),
        "CPU, float32": Classifier(read_bundle(options.float32)),
    }
    if CUDA[0] in onnxruntime.get_available_providers():
        onnxruntime.preload_dlls(directory="")
        on_gpu = Classifier(read_bundle(options.float32), providers=CUDA)
        if on_gpu.session.get_providers()[0] == CUDA[0]:
            classifiers["CUDA, float32"] = on_gpu
    if len(classifiers) == 2:
        print("no GPU that ONNX Runtime can use: the CPU alone", file=sys.stderr)
    report(classifiers, texts, options.rounds)
    return 0


def report(classifiers: dict[str, Classifier], texts: list[str], rounds: int) -> None:
    """Print the table: medians over the rounds, in which the classifiers take turns."""
    singles: dict[str, list[float]] = {name: [] for name in classifiers}
    rates: dict[str, list[float]] = {name: [] for name in classifiers}
    found: dict[str, Any] = {}
    for round_number in range(rounds + 1):  # the first one warms up
        for name, classifier in classifiers.items():
            single = measure(lambda text, to=classifier: to.predict([text]), texts[:NUM_SINGLE])
            blocks = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
            block = measure(lambda block, to=classifier: to.predict(block), blocks)
            if round_number:
                singles[name].append(statistics.median(single))
                rates[name].append(len(texts) / sum(block))
    for name, classifier in classifiers.items():
        found[name] = classifier.predict_probabilities(texts)
    base = found["CPU, float32"]
    print(f"{len(texts):,} texts, {rounds} rounds")
    print(f"{'':14}{'one text, ms':>14}{f'{BATCH} at a time, rows/s':>26}{'off CPU float32':>18}")
    for name in classifiers:
        off = float(np.abs(found[name] - base).max())
        print(
            f"{name:14}{statistics.median(singles[name]) * 1000:14.2f}"
            f"{statistics.median(rates[name]):26,.0f}{off:18.5f}"
        )


def measure(call: Callable[[Any], Any], arguments: list[Any]) -> list[float]:
    """Return the seconds of each call."""
    seconds = []
    for argument in arguments:
        began = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
