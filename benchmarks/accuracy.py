"""Accuracy, calibration, size, training time and speed of both recipes beside their rivals.

Every model of a set is fitted on the same training rows and read once on the same test rows. A
baseline chooses its setting on a tenth of the training rows, then fits all of them. fastText and
the default recipe are fitted with three seeds. Minnow's runs stay in --work and are used again; a
set's figures are kept in --results, so that sets, and with --only a recipe, can be measured one
after the other.

Latency is of one text at a time, the models of the first seed in turns in one process: read the
ratios. Minnow's is from the text itself, a baseline's from words that are split already: how they
are split is this benchmark's choice, and would be most of the time of the quick ones.

Run: python -m benchmarks.accuracy NAME=TRAIN,TEST [NAME=TRAIN,TEST ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines.classifiers import (
    FASTTEXT_SCHEDULES,
    INVERSE_PENALTIES,
    FastText,
    Fit,
    Majority,
    NaiveBayesRegression,
    QuantizedFastText,
    TfidfRegression,
    TrainingRows,
    split_words,
)
from export.export import ExportSettings, export_run
from handler.inference.classifier import load_classifier
from training.recipe import load_recipe
from training.recipes import stacked, wide_deep
from training.rows.data import Sources
from training.rows.readers import Dataset, read_dataset
from training.rows.split import split_rows
from training.run_folder import Run, read_run
from training.settings import Settings
from training.tasks import find_task, make_objective
from training.train import load_predictor, train_run

SEEDS = (0, 1, 2)
DEV_FRACTION = 0.1
LATENCY_TEXTS = 200
WARM_UP_TEXTS = 20
# How each is fitted, the settings to choose from, and with which seeds. Quantizing takes over a
# minute for any set and is as good as the model that it starts from: once, on its schedule.
BASELINES: dict[str, tuple[Fit, Sequence[Any], Sequence[int]]] = {
    "majority": (Majority, (None,), SEEDS[:1]),
    "fastText, bigrams": (FastText, FASTTEXT_SCHEDULES, SEEDS),
    "fastText, bigrams, quantized": (QuantizedFastText, (), SEEDS[:1]),
    "TF-IDF + logistic regression": (TfidfRegression, INVERSE_PENALTIES, SEEDS[:1]),
    "NBSVM, trigrams": (NaiveBayesRegression, INVERSE_PENALTIES, SEEDS[:1]),
}
# The stacked recipe is what it was, and trains many times longer: one seed.
RECIPES = {"stacked": (stacked.SETTINGS, SEEDS[:1]), "wide_deep": (wide_deep.SETTINGS, SEEDS)}
# Settings that a recipe finds by the rows.
PLANNED = ("units", "phrase_places", "run_places", "reads_tail")
# Figures of the table: heading, format of the mean.
COLUMNS = {
    "accuracy": ("accuracy %", "{:.2f}"),
    "macro_f1": ("macro F1 %", "{:.2f}"),
    "log_loss": ("log loss", "{:.3f}"),
    "calibration_error": ("calibration error", "{:.3f}"),
    "size_bytes": ("MB", "{:.2f}"),
    "seconds": ("training s", "{:.0f}"),
    "latency_ms": ("p50 ms", "{:.2f}"),
}
SCALES = {"accuracy": 100, "macro_f1": 100, "size_bytes": 1e-6}

Predict = Callable[[Sequence[str]], NDArray[np.floating[Any]]]
Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class FittedModel:
    """One fitted model: its figures on the test rows, and how to ask it for texts.

    Only the first seed's is asked again; the others may go. Baselines read words joined by spaces.
    """

    name: str
    seed: int
    figures: Figures
    predict: Predict | None
    reads_words: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN,TEST")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/runs"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument(
        "--only", choices=sorted(RECIPES), help="this recipe alone; the other rows stay"
    )
    options = parser.parse_args()
    for item in options.sets:
        name, _, files = item.partition("=")
        train, _, test = files.partition(",")
        rows = measure_set(name, Path(train), Path(test), options.work, options.only)
        write_results(options.results, name, rows)
        print(f"\n{name}\n{format_table(rows)}", flush=True)


def measure_set(
    name: str, train: Path, test: Path, work: Path, only: str | None = None
) -> list[Figures]:
    """Return one row a model, or of the recipe `only`: its name and every figure over the seeds."""
    dataset, test_set = read_dataset(train), read_dataset(test)
    results = list(fit_recipes(name, train, test_set, work, [only] if only else list(RECIPES)))
    if only is None:
        results = [*fit_baselines(dataset, test_set), *results]
    texts = test_set.texts[: WARM_UP_TEXTS + LATENCY_TEXTS]
    words = split_words(texts)
    first = [(result, result.predict) for result in results if result.predict]
    latencies = measure_latency(
        [(predict, words if result.reads_words else texts) for result, predict in first]
    )
    for (result, _), latency_ms in zip(first, latencies, strict=True):
        result.figures["latency_ms"] = latency_ms
    sizes = {"train_rows": len(dataset), "test_rows": len(test_set)}
    return [
        {"name": model, **sizes, **gather([r.figures for r in results if r.name == model])}
        for model in dict.fromkeys(result.name for result in results)
    ]


def gather(figures: list[Figures]) -> dict[str, list[float]]:
    """Return each figure of the table as a list over the seeds."""
    return {
        name: [found[name] for found in figures if found.get(name) is not None] for name in COLUMNS
    }


def fit_baselines(dataset: Dataset, test_set: Dataset) -> Iterator[FittedModel]:
    objective = make_objective(find_task(dataset.labels))
    label_ids = objective.encode(dataset.labels).argmax(axis=1)
    rows = TrainingRows(split_words(dataset.texts), label_ids, objective.task.num_outputs)
    test_texts = split_words(test_set.texts)
    setting = None
    for name, (fit, settings, seeds) in BASELINES.items():
        setting = choose(fit, settings, dataset, rows) if settings else setting
        for number in seeds:
            started = time.perf_counter()
            model = fit(rows, setting, number)
            seconds = time.perf_counter() - started
            figures = objective.evaluate(test_set.labels, model.predict(test_texts))
            figures |= {"size_bytes": model.size_bytes, "seconds": seconds}
            print(f"{name} ({setting}), seed {number}: {figures['accuracy']:.4f}", flush=True)
            predict = None if number else model.predict
            yield FittedModel(name, number, figures, predict, reads_words=True)


def choose(fit: Fit, settings: Sequence[Any], dataset: Dataset, rows: TrainingRows) -> Any:
    """Return the setting that is most accurate on held-out rows."""
    if len(settings) == 1:
        return settings[0]
    parts = split_rows(dataset, dataset.labels, DEV_FRACTION, seed=0)
    train, dev = (
        TrainingRows([rows.texts[row] for row in part], rows.label_ids[part], rows.num_classes)
        for part in parts
    )

    def accuracy(setting: Any) -> float:
        predicted = fit(train, setting, 0).predict(dev.texts).argmax(axis=1)
        return float(np.mean(predicted == dev.label_ids))

    return max(settings, key=accuracy)


def fit_recipes(
    name: str, train: Path, test_set: Dataset, work: Path, recipes: Sequence[str]
) -> Iterator[FittedModel]:
    for recipe in recipes:
        settings, seeds = RECIPES[recipe]
        for number in seeds:
            folder = work / f"{name}-{recipe}-{number}"
            run = train_once(folder, train, test_set, dataclasses.replace(settings, seed=number))
            figures = run.metadata["metrics"]["test"] | {
                "size_bytes": run.model_path.stat().st_size + run.tokenizer_path.stat().st_size,
                "seconds": run.metadata.get("seconds"),
            }
            print(f"{recipe}, seed {number}: {figures['accuracy']:.4f}", flush=True)
            predict = None if number else load_predictor(run)
            yield FittedModel(f"Minnow `{recipe}`: Keras", number, figures, predict)
            for precision in ("float32", "int8"):
                bundle = folder.with_suffix(f".{precision}")
                export_run(folder, bundle, ExportSettings(precision), force=True)
                classifier = load_classifier(bundle)
                outputs = classifier.predict_outputs(test_set.texts)
                found = make_objective(classifier.task).evaluate(test_set.labels, outputs)
                found |= {"size_bytes": classifier.size_bytes, "seconds": figures["seconds"]}
                print(f"{recipe}, {precision}: {found['accuracy']:.4f}", flush=True)
                yield FittedModel(
                    f"Minnow `{recipe}`: {precision} bundle",
                    number,
                    found,
                    None if number else classifier.predict_outputs,
                )


def train_once(folder: Path, train: Path, test_set: Dataset, settings: Settings) -> Run:
    """Return the run in `folder`, trained now if it is not there."""
    if folder.exists():
        run = read_run(folder)
        made_with = {"train": read_dataset(train).sha256, "test": test_set.sha256}
        found = {role: run.metadata["data"][role]["sha256"] for role in made_with}
        if found == made_with and is_made_with(run, settings):
            return run
    return train_run(Sources(train, test=test_set.path), folder, settings, force=True)


def is_made_with(run: Run, settings: Settings) -> bool:
    """Whether the run was trained with these settings, but for those that its rows decide, and with
    what the recipe has for constants now."""
    constants = dict(load_recipe(settings.recipe).CONSTANTS)
    given = json.loads(json.dumps(dataclasses.asdict(settings) | constants))
    found = run.metadata["settings"] | run.metadata["constants"]
    return all(found[name] == value for name, value in given.items() if name not in PLANNED)


def measure_latency(
    models: Sequence[tuple[Predict, Sequence[str]]],
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the median milliseconds of one text for each model, in turns.

    Args:
        models: How each predicts, and the texts that it is asked for, as it reads them.
        clock: Seconds that pass; `time.thread_time` where others use the machine too.
    """
    times: list[list[float]] = [[] for _ in models]
    for number in range(len(models[0][1])):
        for (predict, texts), elapsed in zip(models, times, strict=True):
            text = [texts[number]]
            started = clock()
            predict(text)
            if number >= WARM_UP_TEXTS:
                elapsed.append((clock() - started) * 1000)
    return [statistics.median(elapsed) for elapsed in times]


def write_results(folder: Path, name: str, rows: list[Figures]) -> None:
    """Replace the figures of these models in `accuracy.json`, and write all sets as tables."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "accuracy.json"
    sets = json.loads(path.read_text("utf-8")) if path.exists() else {}
    new = {row["name"]: row for row in rows}
    kept = {row["name"]: row for row in sets.get(name, [])}
    sets[name] = list((kept | new).values())
    path.write_text(json.dumps(sets, indent=1) + "\n", encoding="utf-8")
    tables = [
        f"## {name}\n\n{rows[0]['train_rows']:,} training rows, "
        f"{rows[0]['test_rows']:,} test rows.\n\n{format_table(rows)}\n"
        for name, rows in sets.items()
    ]
    head = (
        "# Accuracy\n\n`make bench-accuracy`; mean ± standard deviation over the seeds. Latency: "
        "one text a call; a baseline's begins with words that are split already.\n"
    )
    (folder / "accuracy.md").write_text("\n".join([head, *tables]), encoding="utf-8")


def format_table(rows: list[Figures]) -> str:
    headings = ["model", *(heading for heading, _ in COLUMNS.values())]
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for row in rows:
        cells = [row["name"]]
        for figure, (_, form) in COLUMNS.items():
            values = [value * SCALES.get(figure, 1) for value in row[figure]]
            if not values:
                cells.append("")
                continue
            cell = form.format(statistics.mean(values))
            if len(values) > 1 and figure in ("accuracy", "macro_f1"):
                cell += f" ± {statistics.stdev(values):.2f}"
            cells.append(cell)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
