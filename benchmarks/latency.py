"""One text at a time: Keras `model.predict` against the run's float32 and int8 bundles.

All in one process, in turns, on the same token ids, so that a slow minute slows all of them.

Run: python -m benchmarks.latency RUN BUNDLE DATA [--rounds 200]

Or a bundle's graph beside another's, one thread: one text of about 230 words that does not exit
early, the mean over all texts, and texts of one length 64 a batch.

Run: python -m benchmarks.latency --before OTHER BUNDLE DATA [--rounds 200]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WARM_UP_ROUNDS = 20
COMPARED_TEXTS = 500  # at least, of which lengths are chosen
NEAR_TEXTS = 30  # of about the wanted length, of which one is chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--before", type=Path, metavar="OTHER", help="bundle to compare with")
    options = parser.parse_args()
    if options.before is not None:
        compare(options.before, options.bundle, options.data, options.rounds)
        return
    if options.run is None:
        parser.error("RUN or --before is wanted")

    import keras
    import tensorflow as tf

    from export.export import ExportSettings, export_run
    from handler.inference.classifier import load_classifier
    from handler.inference.padding import pad
    from training.rows.readers import read_dataset

    bundle = load_classifier(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        float_bundle = Path(folder) / "float32"
        export_run(options.run, float_bundle, ExportSettings(precision="float32"))
        float_classifier = load_classifier(float_bundle)
    model = keras.saving.load_model(options.run / "model.keras", compile=False)
    signature = [tf.TensorSpec((None, None), tf.int32)]
    traced = tf.function(lambda batch: model(batch, training=False), signature)

    texts = read_dataset(options.data).texts[: options.rounds + WARM_UP_ROUNDS]
    encodings = bundle.encode_texts(texts)
    batches = [pad([encoding.ids], bundle.manifest.pad_id) for encoding in encodings]
    calls: dict[str, Callable[[Any], Any]] = {
        "Keras model.predict": lambda batch: model.predict(batch, verbose=0),
        "Keras tf.function": lambda batch: traced(batch).numpy(),
        "ONNX float32": lambda batch: float_classifier.session.run(None, {"token_ids": batch}),
        f"ONNX {bundle.manifest.precision}": lambda batch: bundle.session.run(
            None, {"token_ids": batch}
        ),
    }
    times_ms = measure(calls, batches)
    print_table(times_ms)
    lengths = [batch.shape[1] for batch in batches[WARM_UP_ROUNDS:]]
    print(
        f"\n{len(lengths)} texts of {statistics.mean(lengths):.0f} tokens on average, one a call,"
    )
    print("one thread for ONNX Runtime, TensorFlow with its own defaults")
    for name, classifier in (("bundle", bundle), ("float32", float_classifier)):
        print(f"{name:8} {classifier.size_bytes / 1e6:.2f} MB")


def compare(before: Path, after: Path, data: Path, rounds: int) -> None:
    """Print how long the graphs of two bundles take for the same texts, each by its own ids."""
    from handler.inference.classifier import load_classifier
    from training.rows.readers import read_dataset

    texts = read_dataset(data).texts[: max(COMPARED_TEXTS, rounds)]
    classifiers = {"before": load_classifier(before), "after": load_classifier(after)}
    ids = {name: [e.ids for e in c.encode_texts(texts)] for name, c in classifiers.items()}
    lengths = [len(row) for row in ids["after"]]
    by_length = sorted(range(len(texts)), key=lambda row: abs(len(texts[row].split()) - 230))
    times = {name: [measure_run(c, [row]) for row in ids[name]] for name, c in classifiers.items()}
    # Those that exit early take half the time of others of their length.
    near = by_length[:NEAR_TEXTS]
    one = max(near, key=lambda row: times["after"][row])
    cases: dict[str, Sequence[Sequence[int]]] = {
        f"one text of {lengths[one]} tokens that is read": [[one]] * rounds,
        f"one of {rounds} texts, mean": [[row] for row in range(rounds)],
        "64 of about that length, all": [by_length[:64]] * (rounds // 20 + 1),
    }
    print(f"{'ms, median (mean where it says so)':45} before   after   ratio")
    for case, batches in cases.items():
        found: dict[str, list[float]] = {name: [] for name in classifiers}
        for rows in batches:
            for name, classifier in classifiers.items():
                found[name].append(measure_run(classifier, [ids[name][row] for row in rows]))
        summary = statistics.mean if case.endswith("mean") else statistics.median
        first, second = (summary(found[name]) for name in ("before", "after"))
        print(f"{case:45}{first:7.3f} {second:7.3f} {second / first:7.2f}")


def measure_run(classifier: Any, token_ids: Sequence[Sequence[int]]) -> float:
    """Return milliseconds of one `Classifier.run`."""
    started = time.perf_counter()
    classifier.run(token_ids)
    return (time.perf_counter() - started) * 1000


def measure(
    calls: dict[str, Callable[[Any], Any]], batches: Sequence[Any]
) -> dict[str, list[float]]:
    """Return milliseconds of each call on each batch after the warm-up, in turns."""
    times_ms: dict[str, list[float]] = {name: [] for name in calls}
    for round_number, batch in enumerate(batches):
        for name, call in calls.items():
            started = time.perf_counter()
            call(batch)
            elapsed_ms = (time.perf_counter() - started) * 1000
            if round_number >= WARM_UP_ROUNDS:
                times_ms[name].append(elapsed_ms)
    return times_ms


def print_table(times_ms: dict[str, list[float]]) -> None:
    """Print p50, p95 and how many times quicker than the first row each row is, by p50."""
    slowest = statistics.median(next(iter(times_ms.values())))
    print(f"{'':24}  p50 ms   p95 ms  times quicker")
    for name, times in times_ms.items():
        p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(f"{name:24}{p50:8.2f} {p95:8.2f} {slowest / p50:14.1f}")


if __name__ == "__main__":
    main()
