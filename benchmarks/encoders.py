"""Every encoder on every set of a folder: accuracy in Keras and as an int8 bundle, bytes, time.

The recipe is trained with each encoder on the same rows and exported. A cell (set, size, encoder)
stands in a folder of its own in --work, with its bundle, as soon as it is measured, and is passed
over when the command runs again. The time of an answer is measured last: one text at a time, one
thread, the bundles of a set and size in turns on the same texts, so read the ratios.

Where the recipe leaves its deep half out, the encoder is not in the graph, and the table says so:
of fewer than 1,000 rows always (docs/choosing.md).

Run: python -m benchmarks.encoders DATA --sets trec --rows 1000,all
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.few.__main__ import read_sizes, split_list
from benchmarks.few.models import CommandError, run_minnow, write_csv
from benchmarks.few.sets import LabelledSet, draw, find_sets, list_sizes
from handler.files import write_json
from handler.inference.classifier import Classifier, load_classifier
from training.errors import DataError
from training.run_folder import read_run
from training.settings import ENCODERS
from training.tasks import find_task, make_objective

LATENCY_TEXTS = 200
SEED = 0  # of the sample and of the training
BESIDE = "lstm"  # whose time the others' are shown as shares of
COLUMNS = "set, rows, encoder, Keras %, int8 %, difference, MB, p50 ms, of the LSTM's, training s"


def main() -> int:
    options = read_options()
    num_failed = 0
    rows: list[str] = []
    try:
        for labelled in find_sets(options.data, options.sets):
            for size in list_sizes(labelled, options.rows or ["1000", "all"]):
                cells, failed = measure_size(labelled, size, options)
                num_failed += failed
                rows += [format_cell(cell, cells) for cell in cells.values()]
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    names = COLUMNS.split(", ")
    print("\n".join([f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *rows]))
    return 1 if num_failed else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.encoders", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the sets")
    parser.add_argument("--sets", type=split_list, default=[], help="these alone: trec,agnews")
    parser.add_argument("--rows", type=read_sizes, default=[], help="1000; 5x: a label; all")
    parser.add_argument("--only", type=read_encoders, default=list(ENCODERS), help="lstm,gru")
    parser.add_argument("--train-options", type=shlex.split, default=[], help="of `minnow train`")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/runs/encoders"))
    return parser.parse_args()


def read_encoders(text: str) -> list[str]:
    for name in split_list(text):
        if name not in ENCODERS:
            raise argparse.ArgumentTypeError(f"{name!r}: wanted some of {', '.join(ENCODERS)}")
    return split_list(text)


def measure_size(
    labelled: LabelledSet, size: str, options: argparse.Namespace
) -> tuple[dict[str, dict[str, Any]], int]:
    """Return encoder -> its cell, of one set and size; and how many could not be measured."""
    cells: dict[str, dict[str, Any]] = {}
    for encoder in options.only:
        folder = options.work / labelled.name / size / encoder
        what = {"data": labelled.data, "options": options.train_options}
        try:
            cells[encoder] = measure(labelled, size, encoder, folder, what)
        except CommandError as error:
            print(labelled.name, size, encoder, f"not measured: {error}", file=sys.stderr)
    folder = options.work / labelled.name / size
    bundles = {encoder: load_classifier(folder / encoder / "bundle") for encoder in cells}
    times = measure_times(bundles, labelled.test.texts[:LATENCY_TEXTS])
    return {encoder: cell | {"p50_ms": times[encoder]} for encoder, cell in cells.items()}, len(
        options.only
    ) - len(cells)


def measure(
    labelled: LabelledSet, size: str, encoder: str, folder: Path, what: dict[str, Any]
) -> dict[str, Any]:
    """Return the cell of one encoder; from its folder, if it was measured on these data so.

    Args:
        what: The data and the options, which the cell keeps.
    """
    path = folder / "cell.json"
    if path.is_file():
        cell: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if what.items() <= cell.items():
            return cell
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    rows = draw(labelled, size, SEED)
    for name, part in (("train", rows), ("test", labelled.test)):
        pairs = zip(part.texts, part.labels, strict=True)
        write_csv(folder / f"{name}.csv", [("text", "label"), *pairs])
    given: list[str | Path] = [
        "--test",
        folder / "test.csv",
        "--encoder",
        encoder,
        "--seed",
        str(SEED),
        "--quiet",
    ]
    run, bundle = folder / "run", folder / "bundle"
    run_minnow("train", folder / "train.csv", "--out", run, *given, *what["options"])
    run_minnow("export", run, "--out", bundle)
    metadata = read_run(run).metadata
    classifier = load_classifier(bundle)
    objective = make_objective(find_task(labelled.train.labels))
    outputs = classifier.predict_outputs(labelled.test.texts)
    cell = what | {
        "set": labelled.name,
        "size": size,
        "encoder": encoder,
        "is_read": bool(metadata["settings"]["units"]),
        "train_rows": len(rows.texts),
        "keras": metadata["metrics"]["test"]["accuracy"],
        "int8": objective.evaluate(labelled.test.labels, outputs)["accuracy"],
        "size_bytes": classifier.size_bytes,
        "seconds": metadata["seconds"],
    }
    write_json(path, cell)
    print(labelled.name, size, encoder, f"{100 * cell['int8']:.2f}", file=sys.stderr, flush=True)
    return cell


def measure_times(bundles: dict[str, Classifier], texts: Sequence[str]) -> dict[str, float]:
    """Return the median milliseconds of one text by each bundle, all in turns."""
    from export.compress.points import measure_latency

    if not bundles:
        return {}
    times = measure_latency(list(bundles.values()), texts)
    return {encoder: wall for encoder, (wall, _) in zip(bundles, times, strict=True)}


def format_cell(cell: dict[str, Any], cells: dict[str, dict[str, Any]]) -> str:
    """Return the row of one cell, `cells` being those of its set and size."""
    ratio = f"{cell['p50_ms'] / cells[BESIDE]['p50_ms']:.2f}" if BESIDE in cells else ""
    shown = [
        cell["set"],
        f"{cell['train_rows']:,}",
        cell["encoder"] + ("" if cell["is_read"] else ", left out"),
        f"{100 * cell['keras']:.2f}",
        f"{100 * cell['int8']:.2f}",
        f"{100 * (cell['int8'] - cell['keras']):+.2f}",
        f"{cell['size_bytes'] / 1e6:.3f}",
        f"{cell['p50_ms']:.3f}",
        ratio,
        f"{cell['seconds']:.0f}",
    ]
    return f"| {' | '.join(shown)} |"


if __name__ == "__main__":
    sys.exit(main())
