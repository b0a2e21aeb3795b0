"""What runs in a process of its own: one trial, and the fit of what was chosen."""

from __future__ import annotations

import dataclasses
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.classifier import Classifier
from minnow.tune.candidates import AIMS, FILES
from minnow.tune.journal import Choices, Trial
from minnow.tune.scores import Score, measure_score, part_rows
from training.answers.class_weights import settle_balance
from training.rows.data import Data, Sources
from training.rows.readers import Dataset
from training.settings import Settings
from training.tasks import Objective, make_objective

if TYPE_CHECKING:
    from export.export import ExportSettings

Predict = Callable[[list[str]], NDArray[np.float32]]

LATENCY_TEXTS = 200
TIMED_ROWS = 1_000
EXPORTED = 0  # fold on which candidates are exported, for bytes and milliseconds
NO_LIMIT = 2**40  # bytes, where only the time has one
NO_DROP = 100.0  # points: of what keeps the budget the best is taken, whatever it is


@dataclass(frozen=True)
class TrialJob:
    """A trial to make.

    Args:
        rows: That were asked for; a fold may leave a few less.
        data: Its training rows are those that are learned from.
        measured: The rows that it is measured on.
        folder: For what is made on the way.
    """

    choices: Choices
    rows: int
    fold: int
    data: Data
    measured: Dataset
    settings: Settings
    metric: str
    folder: Path


@dataclass(frozen=True)
class FinalJob:
    """The winner, to be fitted to all training rows and measured on rows that no choice saw.

    Args:
        test: The rows that no choice saw.
        command: With which people fit it again.
        budget: Bytes and milliseconds that the bundle must keep; None: any.
    """

    choices: Choices
    sources: Sources
    settings: Settings
    metric: str
    test: Path
    run: Path
    bundle: Path
    command: str
    budget: tuple[int | None, float | None] = (None, None)

    @property
    def pruned(self) -> Path:
        """Folder of the pruned models, there once the bundle had to be made smaller."""
        return self.bundle.with_name(f"{self.bundle.name}.compression")


def choose_data(data: Data, choices: Choices) -> Data:
    """Return the data as a candidate reads it: without files that it leaves out, with its aims."""
    left_out = {name: None for name in FILES if name in choices}
    aims = {name: choices[name] for name in AIMS if name in choices}
    objective = data.objective
    if aims:
        objective = make_objective(objective.task, {**objective.aims, **aims})
        objective = settle_balance(objective, data.train)
    return dataclasses.replace(data, objective=objective, **left_out)  # type: ignore[arg-type]


def choose_sources(sources: Sources, choices: Choices) -> Sources:
    """Return the files that a candidate reads, with its aims."""
    left_out: dict[str, Any] = {name: None for name in FILES if name in choices}
    aims = {name: choices[name] for name in AIMS if name in choices}
    return dataclasses.replace(sources, aims={**sources.aims, **aims}, **left_out)


def run_trial(job: TrialJob) -> Trial:
    """Fit a candidate and measure it; nothing of it stays but the figures.

    On the fold `EXPORTED` it is the int8 bundle that is measured; on others the Keras model: of few
    rows exporting takes longer than all the rest.
    """
    from export.export import ExportSettings, export_run
    from training.train import load_predictor, train_run

    started, started_cpu = time.monotonic(), time.process_time()
    folder, bundle = job.folder / "run", job.folder / "bundle"
    source = Sources(job.data.train.path)
    run = train_run(source, folder, job.settings, data=job.data, is_trial=True)
    if job.fold == EXPORTED:
        export_run(folder, bundle, ExportSettings(name="trial"))
        found = measure_bundle(bundle, job.measured, job.metric)
    else:
        predict = load_predictor(run)
        found = _measure(make_objective(run.task), job.measured, predict, job.metric)
    shutil.rmtree(job.folder)
    return Trial(
        job.choices,
        job.rows,
        job.fold,
        round(time.monotonic() - started, 2),
        found.score.value,
        found.score.without,
        found.size_bytes,
        found.latency_ms,
        cpu_s=round(time.process_time() - started_cpu, 2),
        row_s=round(found.row_s, 7),
        has_encoder=bool(run.metadata["settings"]["units"]),
    )


def run_final(job: FinalJob) -> dict[str, Any]:
    """Fit the winner, export it and measure the bundle on the test rows; skip what stands there.

    Returns what `_measure_final` does.
    """
    from export.export import ExportSettings, export_run
    from training.run_folder import is_run
    from training.train import train_run

    if not is_run(job.run):
        train_run(job.sources, job.run, job.settings, command=job.command)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", job.bundle.parent.resolve().name).strip("-._")
    settings = ExportSettings(name=name[:100] or "tuned")
    if not job.bundle.exists():
        export_run(job.run, job.bundle, settings)
    found = _measure_final(job)
    if is_over(job.budget, found["size_bytes"], found["latency_ms"]):
        _prune(job, settings)
        found = _measure_final(job)
    return found


def _prune(job: FinalJob, settings: ExportSettings) -> None:
    """Put a pruned model's bundle in place of one that does not keep the budget."""
    from export.compress.points import Budget
    from export.compress.search import compress_run
    from export.errors import ExportError

    most_bytes, most_ms = job.budget
    budget = Budget(most_bytes or NO_LIMIT, NO_DROP, most_ms)
    try:
        compress_run(job.run, job.bundle, budget, settings, force=True)
    except ExportError as error:
        raise ExportError(
            f"the winner does not keep the budget, pruned neither: {error}"
        ) from error


def _measure_final(job: FinalJob) -> dict[str, Any]:
    """Return `value`, `without`, `rows`, `size_bytes`, `latency_ms`, `pruned` of the bundle on the
    test rows, and of the fit its `seconds` and what its own report says, `keras`."""
    from training.run_folder import read_run
    from training.tasks import read_known_labels

    run = read_run(job.run)
    objective = make_objective(run.task)
    dataset = read_known_labels(job.test, job.sources.columns, objective)
    found = measure_bundle(job.bundle, dataset, job.metric)
    return {
        **dataclasses.asdict(found.score),
        "rows": len(dataset),
        "size_bytes": found.size_bytes,
        "latency_ms": found.latency_ms,
        "pruned": job.pruned.exists(),
        "seconds": run.metadata["seconds"],
        "keras": objective.headline(run.metadata["metrics"]["test"]),
    }


@dataclass(frozen=True)
class Measured:
    """What a model is worth, and of a bundle its bytes and milliseconds for one text.

    Args:
        row_s: Seconds for one row. Of fewer rows than `TIMED_ROWS` they are shared by as many as
            that, as most of the time goes into the first of them.
    """

    score: Score
    row_s: float
    size_bytes: int = 0
    latency_ms: float = 0.0


def measure_bundle(bundle: Path, dataset: Dataset, metric: str) -> Measured:
    """Return what a bundle's answers are worth, and what they cost."""
    from handler.inference.classifier import load_classifier

    classifier = load_classifier(bundle)
    objective = make_objective(classifier.task)
    found = _measure(objective, dataset, classifier.predict_outputs, metric)
    latency_ms = _measure_latency(classifier, dataset.texts)
    return dataclasses.replace(found, size_bytes=classifier.size_bytes, latency_ms=latency_ms)


def _measure(objective: Objective, dataset: Dataset, predict: Predict, metric: str) -> Measured:
    started = time.monotonic()
    outputs = predict(dataset.texts)
    parts = part_rows(dataset.overlaps.groups)
    score = measure_score(objective, dataset.labels, outputs, parts, metric)
    return Measured(score, (time.monotonic() - started) / max(TIMED_ROWS, len(dataset)))


def _measure_latency(classifier: Classifier, texts: Sequence[str]) -> float:
    """Return p50 of the processor's time for one text, which other trials do not lengthen."""
    from export.compress.points import measure_latency

    ((_, cpu_ms),) = measure_latency([classifier], texts[:LATENCY_TEXTS])
    return round(cpu_ms, 4)


def is_over(budget: tuple[int | None, float | None], size_bytes: float, latency_ms: float) -> bool:
    """Say whether a bundle is larger or slower than `budget`; None: any."""
    most_bytes, most_ms = budget
    return (most_bytes is not None and size_bytes > most_bytes) or (
        most_ms is not None and latency_ms > most_ms
    )
