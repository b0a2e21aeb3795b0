"""Learning curves on few rows: Minnow beside what people use instead, on every set of a folder.

Each model is fitted on samples of the training rows of every set, drawn by seed, the same for all,
and read on its test rows. A cell (set, size, sample, model) is kept in --results as soon as it is
measured, and passed over when the command runs again.

Run: python -m benchmarks.few DATA
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.accuracy import WARM_UP_TEXTS, measure_latency
from benchmarks.baselines.encoder import SentenceEncoder
from benchmarks.few.models import MODELS, CommandError, Setup, list_models
from benchmarks.few.plot import plot_cells
from benchmarks.few.results import Results
from benchmarks.few.sets import SIZE, LabelledSet, draw, find_sets, list_sizes
from training.errors import DataError, SettingsError
from training.tasks import find_task, make_objective

LATENCY_TEXTS = 30  # after those that warm up: the encoder takes long
SECONDS = 20  # that fastText searches where Minnow was not measured


def main() -> int:
    options = read_options()
    try:
        setup = make_setup(options)
        models = list_models(setup, options.only)
        sets = list(find_sets(options.data, options.sets))
    except (DataError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    results = Results(options.results)
    num_failed = measure_all(sets, models, setup, results, options)
    with results.held():
        plot_cells(results.read(), results.folder / "few.svg")
    print(f"\n{results.write_tables()}")
    return 1 if num_failed else 0


def make_setup(options: argparse.Namespace) -> Setup:
    encoder = None
    if options.encoder:
        encoder = SentenceEncoder(options.encoder, options.work / "encoder.npz")
    return Setup(options.work, options.vectors, encoder, options.seconds, options.train_options)


def measure_all(
    sets: Sequence[LabelledSet],
    models: Sequence[str],
    setup: Setup,
    results: Results,
    options: argparse.Namespace,
) -> int:
    """Measure and keep every cell that is not kept yet; return how many could not be measured."""
    num_failed = 0
    for model in models:
        for labelled, size, sample in list_samples(sets, options):
            key = (labelled.name, size, sample, model)
            if not options.again and results.find(labelled.data, *key):
                continue
            minnow = results.find(labelled.data, *key[:3], "minnow")
            seconds = max(1, round(minnow["seconds"])) if minnow else setup.seconds
            try:
                cell = measure(labelled, size, sample, model, replace(setup, seconds=seconds))
            except CommandError as error:
                num_failed += 1
                print(*key, f"not measured: {error}", file=sys.stderr, flush=True)
                continue
            results.keep(cell)
            print(*key, f"{100 * cell['accuracy']:.2f}", flush=True)
    return num_failed


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.few", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the sets")
    parser.add_argument("--sets", type=split_list, default=[], help="these alone: trec,agnews")
    parser.add_argument("--rows", type=read_sizes, default=[], help="100,500; 5x: a label; all")
    parser.add_argument("--samples", type=read_count, default=5, help="samples of a size")
    parser.add_argument("--only", type=read_models, default=[], help=", ".join(MODELS))
    parser.add_argument("--vectors", type=Path, help="word vectors, for minnow-vectors")
    parser.add_argument("--encoder", type=Path, help="folder of the encoder's packages")
    parser.add_argument(
        "--seconds", type=read_count, default=SECONDS, help="fastText's without Minnow's"
    )
    parser.add_argument("--train-options", type=shlex.split, default=[], help="of `minnow train`")
    parser.add_argument("--again", action="store_true", help="measure what is kept again")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/runs/few"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


def split_list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def read_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: wanted a whole number from 1 on")
    return int(text)


def read_sizes(text: str) -> list[str]:
    for size in split_list(text):
        if not SIZE.fullmatch(size):
            raise argparse.ArgumentTypeError(f"{size!r}: wanted 100, 5x (a label) or all")
    return split_list(text)


def read_models(text: str) -> list[str]:
    for name in split_list(text):
        if name not in MODELS:
            raise argparse.ArgumentTypeError(f"{name!r}: wanted some of {', '.join(MODELS)}")
    return split_list(text)


def list_samples(
    sets: Sequence[LabelledSet], options: argparse.Namespace
) -> Iterator[tuple[LabelledSet, str, int]]:
    """Give set, size and sample of each cell of a model. All rows are one sample."""
    for labelled in sets:
        for size in list_sizes(labelled, options.rows):
            for sample in range(1 if size == "all" else options.samples):
                yield labelled, size, sample


def measure(
    labelled: LabelledSet, size: str, sample: int, model: str, setup: Setup
) -> dict[str, Any]:
    """Return the cell of one model that is fitted on one sample."""
    rows = draw(labelled, size, sample)
    fitted = MODELS[model][1](rows, sample, setup)
    texts = labelled.test.texts
    outputs = (fitted.predict_known or fitted.predict)(texts)
    objective = make_objective(find_task(labelled.train.labels))
    figures = objective.evaluate(labelled.test.labels, outputs)
    latency_ms = None
    if sample == 0:
        timed = list(islice(cycle(texts), WARM_UP_TEXTS + LATENCY_TEXTS))
        # The thread's own time, which other work on the machine hardly changes in hours of runs.
        latency_ms = round(measure_latency([(fitted.predict, timed)], time.thread_time)[0], 3)
    return {
        "set": labelled.name,
        "size": size,
        "sample": sample,
        "model": model,
        "accuracy": round(figures["accuracy"], 5),
        "macro_f1": round(figures["macro_f1"], 5),
        "size_bytes": fitted.size_bytes,
        "seconds": round(fitted.seconds, 2),
        "latency_ms": latency_ms,
        "train_rows": len(rows.texts),
        "test_rows": len(texts),
        "test_file_rows": labelled.num_test_rows,
        "num_labels": len(labelled.labels),
        "data": labelled.data,
    }


if __name__ == "__main__":
    sys.exit(main())
