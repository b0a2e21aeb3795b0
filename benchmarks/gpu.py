"""What a GPU gains: one text and 64 at a time, by the CPU on one thread and by CUDA, in turns.

Needs onnxruntime-gpu in place of onnxruntime, and what the handler needs; without a GPU the CPU's
rows are measured alone.

Run: python -m benchmarks.gpu INT8 FLOAT32 DATA.csv [--rows 2048]      (bundles of the same run)
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.http import measure
from handler.errors import ArtefactError
from handler.hosts.server import load_on
from handler.inference.classifier import Classifier
from handler.settings import Settings
from training.rows.readers import read_dataset

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
    texts = read_dataset(options.data).texts[: options.rows]
    classifiers = {
        "CPU, int8": load("cpu", options.int8),
        "CPU, float32": load("cpu", options.float32),
    }
    try:
        classifiers["CUDA, float32"] = load("cuda", options.float32)
    except ArtefactError as error:
        print(f"the CPU alone: {error}", file=sys.stderr)
    report(classifiers, texts, options.rounds)
    return 0


def load(device: str, bundle: Path) -> Classifier:
    return load_on(device, Settings(bundle=bundle)).default.classifier


def report(classifiers: dict[str, Classifier], texts: list[str], rounds: int) -> None:
    """Print the table; `rounds` times through the texts, 64 at a time, and through 200 singly."""
    singles = texts[:NUM_SINGLE]
    blocks = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    single_ms, block_ms = (
        measure(
            {
                name: lambda i, to=one, parts=parts: to.predict(parts[i % len(parts)])
                for name, one in classifiers.items()
            },
            rounds * len(parts),
            time.perf_counter,
        )
        for parts in ([[text] for text in singles], blocks)
    )
    found = {name: one.predict_outputs(texts) for name, one in classifiers.items()}
    print(f"{len(texts):,} texts, {rounds} rounds")
    print(f"{'':14}{'one text, ms':>14}{f'{BATCH} at a time, rows/s':>26}{'off CPU float32':>18}")
    for name, outputs in found.items():
        rate = rounds * len(texts) / sum(block_ms[name]) * 1000
        off = float(np.abs(outputs - found["CPU, float32"]).max())
        print(f"{name:14}{statistics.median(single_ms[name]):14.2f}{rate:26,.0f}{off:18.5f}")


if __name__ == "__main__":
    sys.exit(main())
