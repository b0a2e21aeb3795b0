"""The search for a bundle that keeps a budget: prune, fine-tune, quantize, measure; few trials."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from export.bundle_writer import check_free
from export.compress.plans import Importance, Plan, Planner, describe
from export.compress.points import (
    Budget,
    Point,
    find_best,
    find_nearest,
    format_point,
    is_quick,
    measure_accuracy,
    measure_latency,
)
from export.compress.prune import measure_importance, prune_model
from export.errors import ExportError, ToleranceError
from export.export import Converted, ExportSettings, convert_run, export_run
from export.run_reader import Run, read_run
from export.tokenizer_file import keep_words, map_words, read_vocab
from handler.inference.classifier import Classifier, load_classifier

FORMAT_VERSION = 1  # of `trials.json`
WHOLE = "whole"
# Precision of a point -> how it is exported.
PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "int8": {"precision": "int8", "embedding_bits": 8},
    "int8, 4-bit table": {"precision": "int8", "embedding_bits": 4},
}


@dataclass(frozen=True)
class Words:
    """A recipe's own way to a smaller vocabulary.

    Args:
        importance: Of each token id.
        count_rows: Number of words -> rows that each table then has.
        shrink: Gets the token ids that stay, old id -> new id, and a file for what it computes;
            returns the unpruned model of those words.
    """

    importance: NDArray[np.float64]
    count_rows: Callable[[int], dict[str, int]]
    shrink: Callable[[NDArray[np.int64], NDArray[np.int32], Path], keras.Model]


@dataclass(frozen=True)
class Workshop:
    """What the search asks of training, which this room may not import.

    Args:
        texts: Development texts.
        label_ids: Of these texts: columns of the probabilities.
        importance_batches: Training rows (token_ids, label_ids), the same at every call.
        fine_tune: Fits a pruned model in place. Gets the model, old id -> new id, and a file for
            its checkpoints, from which it goes on.
        words: How to take words out of a model that computes with their ids; None where pruning
            the tables is all.
    """

    texts: Sequence[str]
    label_ids: NDArray[np.int32]
    importance_batches: Callable[[], Iterable[tuple[NDArray[np.int32], NDArray[np.int32]]]]
    fine_tune: Callable[[keras.Model, NDArray[np.int32], Path], Any]
    words: Words | None = None


@dataclass(frozen=True)
class Result:
    """What the search found; `chosen` keeps the budget if `is_met`, else it is the nearest."""

    chosen: Point
    is_met: bool
    points: list[Point]
    folder: Path
    num_rows: int  # development rows


def search(
    run_folder: Path,
    out: Path,
    budget: Budget,
    workshop: Workshop,
    settings: ExportSettings | None = None,
    force: bool = False,
) -> Result:
    """Try bundles of the run in `run_folder` until one keeps `budget`.

    Trials stand in `<out>.compression`, and a second search of the same run goes on from there,
    also with another budget. Nothing is written to `out`. `settings` hold for every bundle, but
    for their precision.

    Raises:
        ExportError: The run cannot be exported, or no plan is as small as the budget.
    """
    check_free(out, force)
    run = read_run(run_folder)
    folder = out.with_name(f"{out.name}.compression")
    settings = settings or ExportSettings()
    _claim(folder, run, settings, force)
    trials = Trials(run, folder, budget, workshop, settings)
    for _ in trials.try_all():
        best = find_best(trials.points, budget)
        if best is not None:
            return Result(best, True, trials.points, folder, len(workshop.texts))
    nearest = find_nearest(trials.points, budget)
    return Result(nearest, False, trials.points, folder, len(workshop.texts))


def export_point(
    result: Result,
    run_folder: Path,
    out: Path,
    settings: ExportSettings,
    force: bool,
    evaluate: Callable[[Classifier], Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Write the chosen point's bundle to `out`; return its metrics."""
    point = result.chosen
    source = run_folder if point.trial == WHOLE else result.folder / point.trial
    name = settings.name or run_folder.resolve().name
    settings = replace(settings, name=name, **PRECISIONS[point.precision])
    return export_run(source, out, settings, force, evaluate)


class Trials:
    """The trials of one run, done and to come; every point is recorded as soon as it is known."""

    def __init__(
        self, run: Run, folder: Path, budget: Budget, workshop: Workshop, settings: ExportSettings
    ) -> None:
        self.run = run
        self.settings = settings
        self.folder = folder
        self.budget = budget
        self.workshop = workshop
        self.points: list[Point] = []
        self._recorded = _read_points(folder / "trials.json")
        self._baseline: tuple[Classifier, NDArray[np.float32]] | None = None
        self._slow_width = math.inf  # the narrowest that proved too slow
        self._model = keras.saving.load_model(run.model_path, compile=False)
        self._accuracy: float = run.metadata["metrics"]["dev"]["accuracy"]

    def try_all(self) -> Iterator[None]:
        """Yield after each trial: the run as it is, then pruned, the least cut first."""
        self._try_run(self.run, WHOLE)
        yield
        int8 = next(p for p in self.points if p.precision == "int8")
        if int8.error:
            raise ExportError(f"{self.run.folder}: {int8.error}")
        importance = self._find_importance()
        words = self.workshop.words
        planner = Planner(
            self.run, self._model, importance, int8.size_bytes, words.count_rows if words else None
        )
        plans = planner.make_plans(self.budget.max_size_bytes)
        if not plans and planner.smallest_bytes() > self.budget.max_size_bytes:
            raise ExportError(
                f"no bundle of {self.run.folder} can have {self.budget.max_size_bytes / 1e6:g} MB: "
                f"the smallest would have {planner.smallest_bytes() / 1e6:.3f} MB. Nothing was "
                "trained."
            )
        num_tried = 0
        for plan in plans:
            if num_tried == self.budget.max_trials:
                return
            if plan.width >= self._slow_width:
                _say(f"{plan.name}: left out, {self._slow_width:g} is too slow already")
                continue
            num_tried += self._try_plan(planner, plan)
            yield

    def _try_plan(self, planner: Planner, plan: Plan) -> bool:
        """Prune, fine-tune and measure; False if it would be too slow, and was not trained."""
        folder = self.folder / plan.name
        if not folder.exists():
            if self._is_slow(planner, plan):
                self._slow_width = plan.width
                return False
            self._prune(planner, plan)
        self._try_run(read_run(folder), plan.name)
        return True

    def _prune(self, planner: Planner, plan: Plan) -> None:
        """Write the pruned and fine-tuned run."""
        started = time.monotonic()
        partial = self.folder / f"{plan.name}.partial"
        partial.mkdir(exist_ok=True)
        keep, kept_ids = planner.choose(plan)
        tokenizer = self.run.tokenizer
        if kept_ids is not None:
            tokenizer = keep_words(tokenizer, kept_ids)
        id_map = map_words(self.run.tokenizer, tokenizer, self.run.metadata["unknown_id"])
        if kept_ids is not None and self.workshop.words is not None:
            whole = self.workshop.words.shrink(kept_ids, id_map, partial / "words.npz")
            model = prune_model(whole, keep)
        else:
            model = prune_model(self._model, keep, kept_ids)
        _say(f"{plan.name}: about {plan.size_bytes / 1e6:.3f} MB; fine-tuning")
        self.workshop.fine_tune(model, id_map, partial / "checkpoint.npz")
        compression = describe(plan, self._model) | {
            "parameters": model.count_params(),
            "seconds": round(time.monotonic() - started, 1),
        }
        _write_run(partial, self.run, model, tokenizer, id_map, compression)
        for name in ("checkpoint.npz", "words.npz"):
            (partial / name).unlink(missing_ok=True)
        partial.rename(self.folder / plan.name)

    def _is_slow(self, planner: Planner, plan: Plan) -> bool:
        """Say whether a model of this width misses the budget's speed, whatever training makes of
        it. With all words: how many there are costs no time.
        """
        has_speed = self.budget.max_latency_ms is not None or self.budget.min_speedup is not None
        if not has_speed or (self.folder / f"{plan.name}.partial").exists():
            return False
        untrained = self.folder / "untrained"
        untrained.mkdir(exist_ok=True)
        ids = np.arange(self.run.metadata["vocab_size"], dtype=np.int32)
        _write_run(untrained, self.run, planner.narrow(plan.width), self.run.tokenizer, ids, {})
        try:
            point = self._measure(read_run(untrained), plan.name, "int8")
        except ToleranceError:  # what training is there to mend
            return False
        finally:
            shutil.rmtree(untrained)
        if is_quick(point, self.budget):
            return False
        speed = f"{point.latency_ms:.3f} ms, {point.times_faster:.1f} times faster"
        self.points.append(Point(plan.name, "int8", error=f"{speed}, before any training"))
        _say(format_point(self.points[-1]))
        return True

    def _try_run(self, run: Run, trial: str) -> None:
        converted: Converted | None = None
        for precision in PRECISIONS:
            recorded = self._recorded.get((trial, precision))
            if recorded is not None:
                self.points.append(recorded)
                continue
            converted = converted or convert_run(run)
            try:
                self._record(self._measure(run, trial, precision, converted))
            except ExportError as error:
                self._record(Point(trial, precision, error=str(error)))

    def _measure(
        self, run: Run, trial: str, precision: str, converted: Converted | None = None
    ) -> Point:
        classifier = self._export(run, replace(self.settings, **PRECISIONS[precision]), converted)
        if self._baseline is None:
            settings = ExportSettings("float32")
            is_it = (trial, precision) == (WHOLE, "float32")
            whole = classifier if is_it else self._export(self.run, settings)
            self._baseline = whole, whole.predict_probabilities(self.workshop.texts)
        baseline, expected = self._baseline
        probabilities = classifier.predict_probabilities(self.workshop.texts)
        accuracy, log_loss, drop_error = measure_accuracy(
            probabilities, expected, self.workshop.label_ids
        )
        own, whole_ms = measure_latency([classifier, baseline], self.workshop.texts)
        return Point(
            trial,
            precision,
            classifier.size_bytes,
            accuracy,
            round(100 * (self._accuracy - accuracy), 6),
            round(drop_error, 6),
            round(log_loss, 6),
            latency_ms=round(own[0], 4),
            cpu_ms=round(own[1], 4),
            times_faster=round(whole_ms[1] / own[1], 2),
        )

    def _export(
        self, run: Run, settings: ExportSettings, converted: Converted | None = None
    ) -> Classifier:
        out = self.folder / "bundle"
        export_run(run.folder, out, settings, force=True, converted=converted)
        classifier = load_classifier(out)
        shutil.rmtree(out)
        return classifier

    def _find_importance(self) -> Importance:
        path = self.folder / "importance.npz"
        if not path.exists():
            _say("measuring the importance of units and words")
            channels, words = measure_importance(self._model, self.workshop.importance_batches())
            temporary = path.with_name("partial-importance.npz")
            named = {f"of {owner}": values for owner, values in channels.items()}
            np.savez(temporary, allow_pickle=False, **named | {"words": words})
            temporary.replace(path)
        with np.load(path, allow_pickle=False) as arrays:
            named = {name[3:]: arrays[name] for name in arrays.files if name != "words"}
            own = self.workshop.words
            return Importance(named, own.importance if own else arrays["words"])

    def _record(self, point: Point) -> None:
        self.points.append(point)
        self._recorded[point.trial, point.precision] = point
        rows = [asdict(recorded) for recorded in self._recorded.values()]
        path = self.folder / "trials.json"
        temporary = path.with_name("trials.json.tmp")
        temporary.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        temporary.replace(path)
        _say(format_point(point))


def _write_run(
    folder: Path,
    source: Run,
    model: keras.Model,
    tokenizer: bytes,
    id_map: NDArray[np.int32],
    compression: Mapping[str, Any],
) -> None:
    """Write `model` as a run folder, so that it is exported as any other run."""
    token_ids = id_map[source.token_ids]
    outputs = np.asarray(model(token_ids, training=False))
    if outputs.shape[1] == 1:
        outputs = np.hstack([1 - outputs, outputs])
    model.save(folder / "model.keras")
    (folder / "tokenizer.json").write_bytes(tokenizer)
    np.savez_compressed(folder / "reference.npz", token_ids=token_ids, probabilities=outputs)
    vocab_size = len(read_vocab(json.loads(tokenizer)))
    metadata = source.metadata | {"compression": dict(compression), "vocab_size": vocab_size}
    document = json.dumps(metadata, ensure_ascii=False, indent=2) + "\n"
    (folder / "metadata.json").write_text(document, "utf-8")


def _claim(folder: Path, run: Run, settings: ExportSettings, force: bool) -> None:
    """Make the trials' folder; refuse or replace one of another run or other settings."""
    note = folder / "run.json"
    wanted = {
        "format_version": FORMAT_VERSION,
        "model_sha256": hashlib.sha256(run.model_path.read_bytes()).hexdigest(),
        "reduce_range": settings.reduce_range,
        "sparsity": settings.sparsity,
    }
    if folder.exists():
        found = json.loads(note.read_text("utf-8")) if note.exists() else None
        if found == wanted:
            return
        if not force or found is None:
            raise ExportError(
                f"{folder}: holds trials of another run or other settings. Give another --out"
                f"{', or --force to start anew.' if found else '.'}"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    note.write_text(json.dumps(wanted) + "\n", "utf-8")


def _read_points(path: Path) -> dict[tuple[str, str], Point]:
    if not path.exists():
        return {}
    points = [Point(**row) for row in json.loads(path.read_text("utf-8"))]
    return {(point.trial, point.precision): point for point in points}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
