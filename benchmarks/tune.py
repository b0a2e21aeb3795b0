"""`minnow tune` beside the default recipe, and beside fastText that searches for as long.

Each is fitted on the training rows of a set, or on a sample of them, and read on the test rows, of
which no search sees any. A cell (set, rows, minutes, model) is kept in the results as soon as it is
measured and passed over when the command runs again; a search that was stopped goes on.

Run: python -m benchmarks.tune DATA --sets trec,agnews:500 --minutes 10
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.few.__main__ import split_list
from benchmarks.few.models import (
    CommandError,
    Setup,
    fit_fasttext,
    fit_minnow,
    run_minnow,
    write_csv,
)
from benchmarks.few.sets import SIZE, LabelledSet, Rows, draw, find_sets
from handler.files import replacing
from training.errors import DataError
from training.tasks import find_task, make_objective

Cell = dict[str, Any]
MODELS = ("default", "tune", "fasttext")
KEY = ("set", "rows", "minutes", "model")
HEAD = """# `minnow tune`

`make bench-tune`: accuracy in percent on the test rows (macro F1), of the int8 bundle of the
default recipe, of what `minnow tune` chose, and of fastText's autotune on a fifth of the rows, for
the same minutes. MB is what is shipped. ± is the standard error by the number of test rows.

| set | rows | minutes | default | tune | fastText | chosen | MB: default, tune |
|---|---|---|---|---|---|---|---|
"""


def main() -> int:
    options = read_options()
    num_failed = 0
    for wanted in options.sets:
        name, _, size = wanted.partition(":")
        try:
            labelled = next(find_sets(options.data, [name]))
        except DataError as error:
            print(error, file=sys.stderr)
            return 1
        for model in options.only:
            cells = read_cells(options.results)
            key = [name, size or "all", options.minutes, model]
            if any([cell[part] for part in KEY] == key for cell in cells):
                continue
            try:
                cell = measure(labelled, size or "all", model, options)
            except CommandError as error:
                num_failed += 1
                print(*key, f"not measured: {error}", file=sys.stderr, flush=True)
                continue
            keep(options.results, [*cells, dict(zip(KEY, key, strict=True)) | cell])
            print(*key, f"{100 * cell['accuracy']:.2f}", flush=True)
    print(format_cells(read_cells(options.results)))
    return 1 if num_failed else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.tune", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the sets")
    parser.add_argument(
        "--sets", type=read_sets, required=True, help="trec,agnews:500,banking77:5x"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of each search")
    parser.add_argument("--only", type=split_list, default=MODELS, help="default,tune,fasttext")
    parser.add_argument("--max-trials", type=int, help="of `minnow tune`")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/runs/tune"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/tune.json"))
    return parser.parse_args()


def read_sets(text: str) -> list[str]:
    wanted = [part for part in text.split(",") if part]
    for part in wanted:
        _, colon, size = part.partition(":")
        if colon and not SIZE.fullmatch(size):
            raise argparse.ArgumentTypeError(f"{part!r}: wanted trec, trec:500 or trec:5x")
    return wanted


def measure(labelled: LabelledSet, size: str, model: str, options: argparse.Namespace) -> Cell:
    """Return what one model is worth on the test rows of a set."""
    rows = draw(labelled, size, 0)
    fits: dict[str, Callable[[], tuple[Any, int, str]]] = {
        "default": lambda: _fit_default(rows, labelled, options),
        "tune": lambda: _tune(rows, labelled, size, options),
        "fasttext": lambda: _fit_fasttext(rows, labelled, options),
    }
    started = time.monotonic()
    outputs, size_bytes, chosen = fits[model]()
    objective = make_objective(find_task(labelled.train.labels))
    figures = objective.evaluate(labelled.test.labels, outputs)
    return {
        "accuracy": round(figures["accuracy"], 5),
        "macro_f1": round(figures["macro_f1"], 5),
        "test_rows": len(labelled.test.labels),
        "size_bytes": size_bytes,
        "seconds": round(time.monotonic() - started, 1),
        "chosen": chosen,
    }


def _fit_default(
    rows: Rows, labelled: LabelledSet, options: argparse.Namespace
) -> tuple[Any, int, str]:
    fitted = fit_minnow(rows, 0, Setup(options.work))
    return fitted.predict(labelled.test.texts), fitted.size_bytes, ""


def _fit_fasttext(
    rows: Rows, labelled: LabelledSet, options: argparse.Namespace
) -> tuple[Any, int, str]:
    fitted = fit_fasttext(rows, 0, Setup(options.work, seconds=max(1, round(60 * options.minutes))))
    return fitted.predict(labelled.test.texts), fitted.size_bytes, ""


def _tune(
    rows: Rows, labelled: LabelledSet, size: str, options: argparse.Namespace
) -> tuple[Any, int, str]:
    from handler.inference.classifier import load_classifier

    folder = options.work / f"{labelled.name}-{size}-{options.minutes:g}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train.csv", rows), ("test.csv", labelled.test)):
        if not (folder / name).exists():
            pairs = zip(part.texts, part.labels, strict=True)
            with replacing(folder / name) as temporary:
                write_csv(temporary, [("text", "label"), *pairs])
    tuned = folder / "tuned"
    if not (tuned / "tune.md").exists():
        arguments = [folder / "train.csv", "--test", folder / "test.csv", "--out", tuned]
        most = ["--max-trials", str(options.max_trials)] if options.max_trials else []
        run_minnow("tune", *arguments, "--minutes", str(options.minutes), *most)
    lines = (tuned / "journal.jsonl").read_text("utf-8").splitlines()
    chosen = next(entry["chosen"] for line in lines if "chosen" in (entry := json.loads(line)))
    classifier = load_classifier(tuned / "bundle")
    outputs = classifier.predict_outputs(labelled.test.texts)
    return outputs, classifier.size_bytes, chosen["name"]


def read_cells(path: Path) -> list[Cell]:
    """Return what was measured so far."""
    if not path.exists():
        return []
    cells: list[Cell] = json.loads(path.read_text("utf-8"))["cells"]
    return cells


def keep(path: Path, cells: list[Cell]) -> None:
    """Write cells and their table, each beside and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(map(json.dumps, cells))
    for target, text in ((path, f'{{"cells": [\n{lines}\n]}}\n'), (path.with_suffix(".md"), "")):
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_text(text or f"{format_cells(cells)}\n", "utf-8")
        temporary.replace(target)


def format_cells(cells: list[Cell]) -> str:
    """Return the table: a line for each set, number of rows and minutes."""
    lines: dict[tuple[Any, ...], dict[str, Cell]] = {}
    for cell in cells:
        lines.setdefault(tuple(cell[part] for part in KEY[:3]), {})[cell["model"]] = cell
    return HEAD + "\n".join(_format_line(key, models) for key, models in sorted(lines.items()))


def _format_line(key: tuple[Any, ...], models: dict[str, Cell]) -> str:
    def show(name: str) -> str:
        if name not in models:
            return ""
        cell = models[name]
        share = cell["accuracy"]
        error = float(np.sqrt(share * (1 - share) / cell["test_rows"]))
        return f"{100 * share:.2f} ± {100 * error:.2f} ({100 * cell['macro_f1']:.2f})"

    sizes = ", ".join(
        f"{models[name]['size_bytes'] / 1e6:.2f}" for name in MODELS[:2] if name in models
    )
    chosen = models.get("tune", {}).get("chosen", "")
    cells = [*map(str, key[:2]), f"{key[2]:g}", *map(show, MODELS), chosen, sizes]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
