"""What `minnow score` adds to tokenizing and running the same rows, and who else is as quick.

    in memory     tokenizer and session on blocks of texts that are in memory
    score         `score_files` on the CSV of the same rows: read, checked, written, progress
    two workers   the same with two processes
    fastText      `predict` of a supervised model of words, if `fasttext` is installed
    Keras         `model.predict(batch_size=256)` on the same token ids, if --run is given

In turns, in one process; each loads its model anew, and that is not counted. CPU time is that of
the process and its children: on a busy machine it is the one to compare.

Run: python -m benchmarks.score DATA [--bundle BUNDLE] [--run RUN] [--rows 5000] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import io
import os
import pstats
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from handler.hosts.bulk import score_files
from handler.inference.classifier import load_classifier
from handler.inference.padding import pad
from handler.rows.score import BLOCK_ROWS, predict_each
from training.rows.readers import read_dataset

KERAS_BATCH = 256


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path("handler/model"))
    parser.add_argument("--run", type=Path, help="a run folder, for Keras")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="where the time of `score` goes")
    options = parser.parse_args()
    dataset = read_dataset(options.data)
    texts, labels = dataset.texts[: options.rows], dataset.labels[: options.rows]
    with tempfile.TemporaryDirectory() as folder:
        source = write_csv(Path(folder) / "rows.csv", texts, labels)
        ways = make_ways(options.bundle, texts, source)
        if options.profile:
            profile(ways["score"])
            return 0
        ways |= make_peers(options, texts, labels, Path(folder))
        report(len(texts), measure(ways, options.rounds))
    return 0


def write_csv(path: Path, texts: Sequence[str], labels: Sequence[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    return path


def make_ways(bundle: Path, texts: Sequence[str], source: Path) -> dict[str, Callable[[], Any]]:
    classifier = load_classifier(bundle)
    blocks = [texts[start : start + BLOCK_ROWS] for start in range(0, len(texts), BLOCK_ROWS)]

    def score(workers: int) -> None:
        output = source.with_name(f"scored{workers}.csv")
        score_files(
            bundle, [str(source)], str(output), workers=workers, progress=io.StringIO(), force=True
        )

    return {
        "in memory": lambda: [predict_each(classifier, block) for block in blocks],
        "score": lambda: score(1),
        "two workers": lambda: score(2),
        "load": lambda: load_classifier(bundle),
    }


def make_peers(
    options: argparse.Namespace, texts: Sequence[str], labels: Sequence[str], folder: Path
) -> dict[str, Callable[[], Any]]:
    peers: dict[str, Callable[[], Any]] = {}
    try:
        import fasttext
    except ImportError:
        print("fasttext is not installed: left out", file=sys.stderr)
    else:
        rows = folder / "fasttext.txt"
        # fastText reads a text as one line; its own labels do not matter to the speed.
        lines = [" ".join(text.split()) for text in texts]
        rows.write_text(
            "".join(f"__label__{label} {line}\n" for label, line in zip(labels, lines, strict=True))
        )
        model = fasttext.train_supervised(str(rows), epoch=1, thread=1, verbose=0)
        peers["fastText"] = lambda: model.f.multilinePredict(lines, 1, 0.0, "strict")
    if options.run:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        keras_model = keras.saving.load_model(options.run / "model.keras", compile=False)
        classifier = load_classifier(options.bundle)

        def predict() -> None:
            ids = [encoding.ids for encoding in classifier.encode_texts(texts)]
            keras_model.predict(
                pad(ids, classifier.manifest.pad_id), batch_size=KERAS_BATCH, verbose=0
            )

        peers["Keras"] = predict
    return peers


def measure(
    ways: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return wall and CPU seconds of each way in each round; a first round warms up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), cpu_seconds()
            way()
            if round_number:
                seconds[name].append((time.perf_counter() - wall, cpu_seconds() - cpu))
    return seconds


def cpu_seconds() -> float:
    """Return the CPU time of this process and of the children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def report(num_rows: int, seconds: dict[str, list[tuple[float, float]]]) -> None:
    loads = seconds.pop("load")
    # Each `score` loads the bundle; its workers load one each.
    for name, times in (("score", 1), ("two workers", 3)):
        seconds[name] = [
            (wall - load[0] * min(times, 2), cpu - load[1] * times)
            for (wall, cpu), load in zip(seconds[name], loads, strict=True)
        ]
    print(f"{num_rows:,} rows, {len(loads)} rounds, {os.cpu_count()} cores\n")
    print(
        f"{'':12}{'rows/s':>9}{'wall p50 s':>12}{'max':>8}{'CPU p50 s':>11}{'CPU over memory':>17}"
    )
    memory = seconds["in memory"]
    for name, measured in seconds.items():
        wall, cpu = zip(*measured, strict=True)
        ratio = statistics.median(
            one[1] / base[1] for one, base in zip(measured, memory, strict=True)
        )
        p50 = statistics.median(wall)
        print(
            f"{name:12}{num_rows / p50:9,.0f}{p50:12.2f}{max(wall):8.2f}"
            f"{statistics.median(cpu):11.2f}{ratio:17.2f}"
        )
    pairs = zip(seconds["score"], seconds["two workers"], strict=True)
    print(f"two workers, times one, wall: {statistics.median(a[0] / b[0] for a, b in pairs):.2f}")


def profile(way: Callable[[], Any]) -> None:
    way()
    profiler = cProfile.Profile()
    profiler.runcall(way)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    sys.exit(main())
