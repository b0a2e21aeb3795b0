"""The search for a bundle that keeps a budget: prune, fine-tune, quantize, measure; few trials."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.bundle_writer import BUNDLE, check_free, name_partial
from export.compress.distill import check_teacher, prepare_distillation
from export.compress.points import (
    PRECISIONS,
    WHOLE,
    Budget,
    SearchResult,
    find_best,
    find_nearest,
    format_point,
    say,
)
from export.compress.report import write_report
from export.compress.trials import Trials
from export.errors import ExportError
from export.export import ExportSettings, export_run, name_model
from handler.files import empty_folder, holding, naming, write_json
from handler.inference.classifier import Classifier
from training.output_folders import INNER_WORK, Kind, find_obstacle
from training.run_folder import METADATA, RUN, STAGES, Run, read_run

FORMAT_VERSION = 3  # of the folder of trials
# A pruned run, finished or not, or a bundle that is being measured.
INNER_FILES = (*RUN.files, METADATA, *BUNDLE.files, BUNDLE.mark)
INNER = Kind("a trial", INNER_FILES, folders={"stages": STAGES, **INNER_WORK})
TRIALS = Kind(
    "a folder of trials",
    ("trials.json", "compression.md", "compression.png", "importance.npz", "teacher.npz"),
    "run.json",
    ("format_version", "model_sha256"),
    {"*": INNER},
)


def compress_run(
    run_folder: Path,
    out: Path,
    budget: Budget,
    settings: ExportSettings | None = None,
    *,
    fine_tune_epochs: int = 2,
    best_effort: bool = False,
    force: bool = False,
    evaluate: Callable[[Classifier], Mapping[str, Any]] | None = None,
    is_held: bool = False,
    aims: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the best bundle of the run that keeps `budget` to `out`; return its metrics.

    Bundles are tried until one keeps the budget. Trials stand in `<out>.compression`, with a
    report, and a second search of the same run goes on from there, also with another budget.

    Args:
        settings: Of every bundle, but for the precision.
        fine_tune_epochs: Of each pruned model.
        best_effort: Write the nearest bundle if none keeps the budget.
        force: Replace `out`, and trials of another run.
        evaluate: Figures of the finished classifier to keep in the manifest as `metrics.bundle`.
        is_held: As for `export_run`.
        aims: As for `prepare_distillation`; `settings.task` is the run's by them.

    Raises:
        DataError: The rows of the run are gone, or it is not worth being made smaller.
        ExportError: The run cannot be exported, no plan is as small as the budget, or no bundle
            keeps it; `out` is then as it was.
    """
    check_free(out, force)
    settings = name_model(run_folder, settings or ExportSettings())
    run = read_run(run_folder)
    with nullcontext() if is_held else holding(name_partial(out), out), naming(out):
        return _compress_run(
            run, out, budget, settings, fine_tune_epochs, best_effort, force, evaluate, aims
        )


def _compress_run(
    run: Run,
    out: Path,
    budget: Budget,
    settings: ExportSettings,
    fine_tune_epochs: int,
    best_effort: bool,
    force: bool,
    evaluate: Callable[[Classifier], Mapping[str, Any]] | None,
    aims: Mapping[str, Any] | None,
) -> dict[str, Any]:
    result = search(run, out, budget, settings, fine_tune_epochs, force, aims)
    write_report(result, budget)
    report, nearest = (
        result.folder / "compression.md",
        format_point(result.chosen, result.objective),
    )
    if not result.is_met and not best_effort:
        raise ExportError(
            f"none of {len(result.points)} bundles keeps the budget; the nearest is {nearest}. No "
            f"bundle was written: see {report}, or take it with --best-effort."
        )
    metrics = _export_point(result, run, out, settings, force, evaluate)
    say(f"{nearest}\n{report}")
    return metrics


def search(
    run: Run,
    out: Path,
    budget: Budget,
    settings: ExportSettings,
    fine_tune_epochs: int,
    force: bool,
    aims: Mapping[str, Any] | None = None,
) -> SearchResult:
    """Try bundles of `run` until one keeps `budget`; nothing is written to `out`.

    The arguments are those of `compress_run`.
    """
    distillation = prepare_distillation(run, fine_tune_epochs, aims)
    settings = replace(settings, task=None)  # of a trial it is settled anew
    check_teacher(run, distillation)
    folder = out.with_name(f"{out.name}.compression")
    _claim(folder, run, settings, force, aims)
    trials = Trials(run, folder, budget, distillation, settings)
    best = None
    for _ in trials.try_all():
        best = find_best(trials.points, budget)
        if best is not None:
            break
    return SearchResult(
        best or find_nearest(trials.points, budget),
        best is not None,
        trials.points,
        folder,
        len(distillation.dev_texts),
        distillation.objective,
        run.is_cross_validated,
    )


def _export_point(
    result: SearchResult,
    run: Run,
    out: Path,
    settings: ExportSettings,
    force: bool,
    evaluate: Callable[[Classifier], Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Write the chosen point's bundle to `out`; return its metrics."""
    point = result.chosen
    source = run.folder if point.trial == WHOLE else result.folder / point.trial
    task = settings.task if point.trial == WHOLE else None
    settings = replace(settings, task=task, **PRECISIONS[point.precision])
    return export_run(source, out, settings, force, evaluate, is_held=True)


def _claim(
    folder: Path,
    run: Run,
    settings: ExportSettings,
    force: bool,
    aims: Mapping[str, Any] | None,
) -> None:
    """Make the trials' folder; refuse or replace one of another run or other settings."""
    note = folder / "run.json"
    wanted = {
        "format_version": FORMAT_VERSION,
        "model_sha256": hashlib.sha256(run.model_path.read_bytes()).hexdigest(),
        "reduce_range": settings.reduce_range,
        "sparsity": settings.sparsity,
        **({"aims": dict(aims)} if aims else {}),
    }
    if os.path.lexists(folder):
        if obstacle := find_obstacle(folder, TRIALS, True):
            raise ExportError(f"{obstacle} Trials stand beside the bundle.")
        found = json.loads(note.read_text("utf-8")) if note.is_file() else None
        if found == wanted:
            return
        if found and not force:
            raise ExportError(
                f"{folder}: holds trials of another run or other settings. Give another --out, or "
                "--force to start anew."
            )
        empty_folder(folder, note.name)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(note, wanted)
