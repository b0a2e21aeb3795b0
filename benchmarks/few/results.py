"""The results: one cell a set, size, sample and model, kept as it is measured; tables of them."""

from __future__ import annotations

import fcntl
import json
import os
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.few.models import MODELS, RIVALS

KEY = ("set", "size", "sample", "model")
HEAD = """# Few rows

`make bench-few`: accuracy in percent on the test rows ± standard error over the samples (macro F1;
number of samples), the best of each size in bold. A sample is drawn from the training rows by seed,
stratified, and is the same for all models; texts that stand in the test set, and repeats, were left
out first. `5x` is five rows a label. Of the rows that were not drawn, one model of Minnow gets the
texts without labels, 20,000 at most.

Minnow is the int8 bundle of the default recipe. TF-IDF is not tuned (C = 10; characters 2-5, of
Chinese 1-3). NBSVM and the encoder's regression choose their penalty by cross-validation, fastText
all its settings on a fifth of the rows, in as many seconds as Minnow's training took (20 where it
was not measured).

MB is what is shipped, ms the median time on one core of one text, from the text itself. Both, and
the seconds of training, which other work on the machine lengthens, are of the largest size; the
encoder's seconds are of the regression where its vectors were kept from another sample.
"""

Cell = dict[str, Any]


def order(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    size = cell["size"]
    number = int(size.rstrip("x")) if size != "all" else float("inf")
    return cell["set"], number, list(MODELS).index(cell["model"]), cell["sample"]


class Results:
    """The cells in `few.json` of a folder. Several processes may keep cells in it at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "few.json"

    def read(self) -> list[Cell]:
        if not self.path.exists():
            return []
        cells: list[Cell] = json.loads(self.path.read_text("utf-8"))["cells"]
        return cells

    def find(self, data: str, *key: Any) -> Cell | None:
        """Return the cell of set, size, sample and model, if it was measured on these data."""
        wanted = dict(zip(KEY, key, strict=True), data=data)
        found = [cell for cell in self.read() if wanted.items() <= cell.items()]
        return found[0] if found else None

    def keep(self, cell: Cell) -> None:
        """Put the cell at its place, and write tables and plot anew."""
        with self.held():
            key = [cell[name] for name in KEY]
            cells = [one for one in self.read() if [one[name] for name in KEY] != key]
            cells = sorted([*cells, cell], key=order)
            lines = ",\n".join(map(json.dumps, cells))
            self._replace(self.path, f'{{"cells": [\n{lines}\n]}}\n')
            self._replace(self.folder / "few.md", format_cells(cells))

    def write_tables(self) -> str:
        """Write `few.md` anew, as after a change of its form, and return it."""
        with self.held():
            tables = format_cells(self.read())
            self._replace(self.folder / "few.md", tables)
        return tables

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from writing into the folder."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _replace(self, path: Path, text: str) -> None:
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


def format_cells(cells: Sequence[Cell]) -> str:
    sets = list(dict.fromkeys(cell["set"] for cell in cells))
    tables = [format_set([cell for cell in cells if cell["set"] == name]) for name in sets]
    return "\n".join([HEAD, format_rivals(cells), *tables])


def format_set(cells: Sequence[Cell]) -> str:
    """Return one set's table: a line a model, a column a size."""
    first = cells[0]
    sizes = list(dict.fromkeys(cell["size"] for cell in cells))
    models = [name for name in MODELS if any(cell["model"] == name for cell in cells)]
    best = {
        size: max(mean_accuracy(part) for name in models if (part := select(cells, size, name)))
        for size in sizes
    }
    lines = [
        f"| model | {' | '.join(sizes)} | MB | training s | ms |",
        f"|{'---|' * (len(sizes) + 4)}",
    ]
    for name in models:
        parts = [select(cells, size, name) for size in sizes]
        shown = [
            format_part(part, bool(part) and mean_accuracy(part) == best[size])
            for size, part in zip(sizes, parts, strict=True)
        ]
        last = next(part for part in reversed(parts) if part)
        lines.append(f"| {MODELS[name][0]} | {' | '.join(shown)} | {format_costs(last)} |")
    cut = ""
    if first["test_rows"] < first["test_file_rows"]:
        cut = f", drawn once from the {first['test_file_rows']:,} for all models"
    intro = f"{first['num_labels']} labels, {first['test_rows']:,} test rows{cut}."
    return "\n".join([f"## {first['set']}\n", f"{intro}\n", *lines, ""])


def select(cells: Iterable[Cell], size: str, model: str) -> list[Cell]:
    return [cell for cell in cells if cell["size"] == size and cell["model"] == model]


def mean_accuracy(cells: Sequence[Cell]) -> float:
    return statistics.mean(cell["accuracy"] for cell in cells)


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean, which one value does not have."""
    if len(values) < 2:
        return None
    return statistics.stdev(values) / len(values) ** 0.5


def format_mean(values: Sequence[float]) -> str:
    error = standard_error(values)
    spread = "" if error is None else f" ± {100 * error:.1f}"
    return f"{100 * statistics.mean(values):.1f}{spread}"


def format_part(cells: Sequence[Cell], is_best: bool) -> str:
    if not cells:
        return ""
    shown = format_mean([cell["accuracy"] for cell in cells])
    f1 = 100 * statistics.mean(cell["macro_f1"] for cell in cells)
    return f"{f'**{shown}**' if is_best else shown} ({f1:.1f}; {len(cells)})"


def format_costs(cells: Sequence[Cell]) -> str:
    megabytes = statistics.mean(cell["size_bytes"] for cell in cells) / 1e6
    seconds = statistics.mean(cell["seconds"] for cell in cells)
    times = [cell["latency_ms"] for cell in cells if cell["latency_ms"] is not None]
    latency = f"{statistics.mean(times):.2f}" if times else ""
    return f"{megabytes:.2f} | {seconds:.1f} | {latency}"


def format_rivals(cells: Sequence[Cell]) -> str:
    """Return Minnow beside the best of its rivals, for each set and size.

    A difference is the mean over the samples that both were fitted on, ± its standard error; the
    number of the best one's samples stands in brackets.
    """
    lines = [
        "## Minnow beside the best of TF-IDF and fastText\n",
        "| set | rows | best | accuracy | Minnow | difference | with word vectors | with "
        "other rows' texts |",
        f"|{'---|' * 8}",
    ]
    for name, size in dict.fromkeys((cell["set"], cell["size"]) for cell in cells):
        of_set = [cell for cell in cells if cell["set"] == name]
        parts = {model: select(of_set, size, model) for model in MODELS}
        rivals = [model for model in RIVALS if parts[model]]
        if not rivals:
            continue
        best = max(rivals, key=lambda model: mean_accuracy(parts[model]))
        ours, theirs = (
            {cell["sample"]: cell["accuracy"] for cell in parts[model]}
            for model in ("minnow", best)
        )
        gaps = [ours[sample] - theirs[sample] for sample in ours.keys() & theirs.keys()]
        with_more = [
            [cell["accuracy"] for cell in parts[model]]
            for model in ("minnow-vectors", "minnow-unlabelled")
        ]
        cells_shown = [
            name,
            size,
            MODELS[best][0],
            f"{format_mean(list(theirs.values()))} ({len(theirs)})",
            format_mean(list(ours.values())) if ours else "",
            format_mean(gaps) if gaps else "",
            *(format_mean(figures) if figures else "" for figures in with_more),
        ]
        lines.append(f"| {' | '.join(cells_shown)} |")
    return "\n".join(lines) + "\n"
