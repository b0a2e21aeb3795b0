"""The search for a bundle that keeps a budget: prune, fine-tune, quantize, measure; few trials."""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
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
from export.errors import ExportError
from export.export import Converted, ExportSettings, convert_run, export_run
from export.plans import Importance, Plan, Planner, describe
from export.prune import measure_importance, prune_model
from export.run_reader import Run, read_run
from export.tokenizer_file import keep_words, map_words, read_vocab
from handler.classifier import Classifier, load_classifier, pad

WHOLE = "whole"
# Precision of a point -> how it is exported.
PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "int8": {"precision": "int8", "embedding_bits": 8},
    "int8, 4-bit table": {"precision": "int8", "embedding_bits": 4},
}
LATENCY_ROUNDS = 200
WARM_UP_ROUNDS = 20


@dataclass(frozen=True)
class Budget:
    """What the bundle must keep.

    Args:
        max_size_bytes: Of `model.onnx` and the tokenizer's file.
        max_drop: Points of accuracy on the development rows below the run's own Keras model.
        max_latency_ms: p50 of one text at a time on this machine, one thread; None: any.
        max_trials: Pruned models to fine-tune before the search gives up.
        min_speedup: Times faster than the unpruned float32 graph, by CPU time, in turns; None: any.
    """

    max_size_bytes: int
    max_drop: float
    max_latency_ms: float | None = None
    max_trials: int = 6
    min_speedup: float | None = None


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
        measure_accuracy: A classifier's accuracy on them, 0 to 1.
        importance_batches: Training rows (token_ids, label_ids), the same at every call.
        fine_tune: Fits a pruned model in place. Gets the model, old id -> new id, and a file for
            its checkpoints, from which it goes on.
        words: How to take words out of a model that computes with their ids; None where pruning
            the tables is all.
    """

    texts: Sequence[str]
    measure_accuracy: Callable[[Classifier], float]
    importance_batches: Callable[[], Iterable[tuple[NDArray[np.int32], NDArray[np.int32]]]]
    fine_tune: Callable[[keras.Model, NDArray[np.int32], Path], Any]
    words: Words | None = None


@dataclass(frozen=True)
class Point:
    """One bundle that was tried.

    Args:
        trial: "whole", or the pruning plan's name.
        accuracy: On the development rows, 0 to 1.
        drop: Points below the run's Keras model.
        latency_ms, cpu_ms: p50 of one text at a time, by the clock and of the thread's CPU.
        times_faster: The unpruned float32 graph's p50 of CPU time, measured in turns with this
            one's, over it.
        error: Why there is no bundle; the other figures are then 0.
    """

    trial: str
    precision: str
    size_bytes: int = 0
    accuracy: float = 0.0
    drop: float = 0.0
    latency_ms: float = 0.0
    cpu_ms: float = 0.0
    times_faster: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Result:
    """What the search found; `chosen` keeps the budget if `is_met`, else it is the nearest."""

    chosen: Point
    is_met: bool
    points: list[Point]
    folder: Path


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
        kept = [point for point in trials.points if keeps(point, budget)]
        if kept:
            best = max(kept, key=lambda point: (point.accuracy, -point.size_bytes))
            return Result(best, True, trials.points, folder)
    return Result(find_nearest(trials.points, budget), False, trials.points, folder)


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


def keeps(point: Point, budget: Budget) -> bool:
    return not point.error and _excess(point, budget) == 0


def find_nearest(points: Sequence[Point], budget: Budget) -> Point:
    """Return the point that misses the budget by least; a point of accuracy counts as the whole
    size or latency missed once more.
    """
    return min(
        (point for point in points if not point.error), key=lambda point: _excess(point, budget)
    )


def _excess(point: Point, budget: Budget) -> float:
    excess = max(0.0, point.size_bytes / budget.max_size_bytes - 1)
    # 1e-9: a drop of 0.3 points is a difference of two floats.
    excess += max(0.0, point.drop - budget.max_drop - 1e-9)
    if budget.max_latency_ms is not None:
        excess += max(0.0, point.latency_ms / budget.max_latency_ms - 1)
    if budget.min_speedup is not None:
        excess += max(0.0, budget.min_speedup / max(point.times_faster, 1e-9) - 1)
    return excess


def is_quick(point: Point, budget: Budget) -> bool:
    """Say whether the point keeps what `budget` says of speed, whatever its accuracy."""
    speed = replace(budget, max_size_bytes=10**12)
    return _excess(replace(point, drop=-100.0), speed) == 0


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
        self._baseline: Classifier | None = None
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
        for plan in plans[: self.budget.max_trials]:
            self._try_plan(planner, plan)
            yield

    def _try_plan(self, planner: Planner, plan: Plan) -> None:
        folder = self.folder / plan.name
        if not folder.exists():
            pruned = self._prune(planner, plan)
            if pruned is None:
                return
        self._try_run(read_run(folder), plan.name)

    def _prune(self, planner: Planner, plan: Plan) -> Path | None:
        """Write the pruned and fine-tuned run; None if it would be too slow anyway."""
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
        has_speed = self.budget.max_latency_ms is not None or self.budget.min_speedup is not None
        if has_speed and not (partial / "checkpoint.npz").exists():
            _write_run(partial, self.run, model, tokenizer, id_map, {})
            point = self._measure(read_run(partial), plan.name, "int8", is_trained=False)
            if not is_quick(point, self.budget):
                error = (
                    f"{point.latency_ms:.3f} ms, {point.times_faster:.1f} times faster, before any "
                    "training"
                )
                self.points.append(Point(plan.name, "int8", error=error))
                _say(format_point(self.points[-1]))
                shutil.rmtree(partial)
                return None
        _say(f"{plan.name}: about {plan.size_bytes / 1e6:.3f} MB; fine-tuning")
        self.workshop.fine_tune(model, id_map, partial / "checkpoint.npz")
        compression = describe(plan, self._model) | {
            "parameters": model.count_params(),
            "seconds": round(time.monotonic() - started, 1),
        }
        _write_run(partial, self.run, model, tokenizer, id_map, compression)
        for name in ("checkpoint.npz", "words.npz"):
            (partial / name).unlink(missing_ok=True)
        return partial.rename(self.folder / plan.name)

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
        self,
        run: Run,
        trial: str,
        precision: str,
        converted: Converted | None = None,
        is_trained: bool = True,
    ) -> Point:
        out = self.folder / "bundle"
        settings = replace(self.settings, name=trial, **PRECISIONS[precision])
        export_run(run.folder, out, settings, force=True, converted=converted)
        classifier = load_classifier(out)
        shutil.rmtree(out)
        if trial == WHOLE and precision == "float32":
            self._baseline = classifier
        accuracy = self.workshop.measure_accuracy(classifier) if is_trained else 0.0
        own, baseline = measure_latency([classifier, self._load_baseline()], self.workshop.texts)
        return Point(
            trial,
            precision,
            classifier.size_bytes,
            accuracy,
            round(100 * (self._accuracy - accuracy), 6),
            latency_ms=round(own[0], 4),
            cpu_ms=round(own[1], 4),
            times_faster=round(baseline[1] / own[1], 2),
        )

    def _load_baseline(self) -> Classifier:
        if self._baseline is None:
            out = self.folder / "bundle"
            export_run(self.run.folder, out, ExportSettings("float32", name=WHOLE), force=True)
            self._baseline = load_classifier(out)
            shutil.rmtree(out)
        return self._baseline

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


def measure_latency(
    classifiers: Sequence[Classifier], texts: Sequence[str]
) -> list[tuple[float, float]]:
    """Return p50 of (wall, CPU of the thread) in milliseconds of each, in turns on the same texts.

    Tokens to probabilities, one text at a time, one thread.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in classifiers]
    rounds = [texts[index % len(texts)] for index in range(WARM_UP_ROUNDS + LATENCY_ROUNDS)]
    batches = [
        [pad([encoding.ids], one.manifest.pad_id) for encoding in one.encode_texts(rounds)]
        for one in classifiers
    ]
    for index in range(len(rounds)):
        for number, classifier in enumerate(classifiers):
            wall, cpu = time.perf_counter(), time.thread_time()
            classifier.session.run(None, {"token_ids": batches[number][index]})
            elapsed = (time.perf_counter() - wall, time.thread_time() - cpu)
            if index >= WARM_UP_ROUNDS:
                times[number].append((1000 * elapsed[0], 1000 * elapsed[1]))
    medians = []
    for rows in times:
        walls, cpus = zip(*rows, strict=True)
        medians.append((statistics.median(walls), statistics.median(cpus)))
    return medians


def format_point(point: Point) -> str:
    if point.error:
        return f"{point.trial}, {point.precision}: none ({point.error})"
    return (
        f"{point.trial}, {point.precision}: {point.size_bytes / 1e6:.3f} MB, accuracy "
        f"{point.accuracy:.4f} (drop {point.drop:.2f}), p50 {point.latency_ms:.3f} ms, "
        f"{point.times_faster:.1f} times faster"
    )


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
