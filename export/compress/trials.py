"""The trials of a search: a run as it is, then pruned, fine-tuned, quantized and measured."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from export.compress.distill import (
    TEACHER_SHARE,
    Distillation,
    ask_teacher,
    count_texts,
    fine_tune,
    importance_batches,
    mean_loss,
    settle_student,
)
from export.compress.plans import Importance, Plan, Planner, describe
from export.compress.points import (
    PRECISIONS,
    WHOLE,
    Budget,
    Point,
    format_point,
    is_quick,
    measure_latency,
    measure_scores,
    read_points,
    say,
)
from export.compress.prune import measure_importance, prune_model
from export.errors import ExportError, ToleranceError
from export.export import Converted, ExportSettings, convert_run, export_run
from export.tokenizer_file import keep_words, map_words, read_words
from handler.files import write_json
from handler.inference.classifier import Classifier, load_classifier
from training.blocks.early_exit import closed_gate
from training.fitting.encoded import map_ids
from training.resuming.stages import Stages
from training.run_folder import HELD_OUT, Run, read_run, write_held_out, write_run
from training.tasks import make_objective
from training.train import load_predictor


class Trials:
    """The trials of one run, done and to come; every point is recorded as soon as it is known."""

    def __init__(
        self,
        run: Run,
        folder: Path,
        budget: Budget,
        distillation: Distillation,
        settings: ExportSettings,
    ) -> None:
        self.run = run
        self.folder = folder
        self.budget = budget
        self.distillation = distillation
        self.settings = settings
        self.points: list[Point] = []
        self.objective = distillation.objective
        self._stages = Stages(folder)
        self._recorded = read_points(folder / "trials.json")
        self._baseline: tuple[Classifier, NDArray[np.float32]] | None = None
        # Folder of a run, what it would say of the development rows, what it says of them.
        self._known: tuple[Path, NDArray[np.float32], NDArray[np.float32]] | None = None
        self._slow_width = math.inf  # the narrowest that proved too slow
        self._model = run.load_model()
        self._score: float = run.metadata["metrics"]["dev"][self.objective.score_name]

    def try_all(self) -> Iterator[None]:
        """Yield after each trial: the run as it is, then pruned, the least cut first."""
        self._try_run(self.run, WHOLE)
        yield
        int8 = next(p for p in self.points if p.precision == "int8")
        if int8.error:
            raise ExportError(f"{self.run.folder}: {int8.error}")
        planner = self._make_planner(int8.size_bytes)
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
                say(f"{plan.name}: left out, {self._slow_width:g} is too slow already")
                continue
            num_tried += self._try_plan(planner, plan)
            yield

    def _make_planner(self, int8_bytes: int) -> Planner:
        importance = self._find_importance()
        smaller = self.distillation.recipe.SMALLER_VOCABULARY
        if smaller is None:
            return Planner(self.run, self._model, importance, int8_bytes)
        worth = count_texts(self.distillation, self.run.metadata["vocab_size"])
        importance = replace(importance, words=worth)
        count_rows = partial(smaller.count_rows, self._model)
        return Planner(self.run, self._model, importance, int8_bytes, count_rows)

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
        folder = self.folder / f"{plan.name}.partial"
        stages = Stages(folder / "stages")
        keep, kept_ids = planner.choose(plan)
        tokenizer = self.run.tokenizer
        if kept_ids is not None:
            tokenizer = keep_words(tokenizer, kept_ids)
        id_map = map_words(self.run.tokenizer, tokenizer)
        whole, distillation = self._model, self.distillation
        smaller, dev = distillation.recipe.SMALLER_VOCABULARY, map_ids(distillation.dev, id_map)
        if kept_ids is not None and smaller is not None:
            train, settings = map_ids(distillation.train, id_map), distillation.settings
            whole, dev = smaller.shrink(
                whole, kept_ids, train, dev, settings, distillation.objective, stages
            )
            kept_ids = None
        model = prune_model(whole, keep, kept_ids)
        say(f"{plan.name}: about {plan.size_bytes / 1e6:.3f} MB; fine-tuning")
        teacher = ask_teacher(self._model, distillation, self._stages)
        fine_tune(model, teacher, distillation, id_map, dev, stages)
        compression = describe(plan, self._model) | {
            "teacher_share": TEACHER_SHARE,
            "epochs": distillation.settings.epochs,
            "parameters": model.count_params(),
            "seconds": round(time.monotonic() - started, 1),
        }
        splitter = self.run.load_tokenizer()
        outputs, answers = settle_student(model, distillation, dev, splitter, id_map)
        self._write(folder, model, tokenizer, id_map, {"compression": compression, **answers})
        if dev.places is not None and dev.offsets is not None:
            write_held_out(folder, dev.places, outputs, dev.offsets)
        stages.remove()
        folder.rename(self.folder / plan.name)

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
        self._write(untrained, planner.narrow(plan.width), self.run.tokenizer, ids, {})
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
        say(format_point(self.points[-1], self.objective))
        return True

    def _write(
        self,
        folder: Path,
        model: keras.Model,
        tokenizer: bytes,
        id_map: NDArray[np.int32],
        changes: Mapping[str, Any],
    ) -> None:
        """Write `model` as a run folder, so that it is exported as any other run.

        Args:
            changes: What its metadata tell beside, or in place of, those of the whole run.
        """
        rows, _ = self.run.reference()
        rows = [[int(id_map[id_]) if id_ > 0 else id_ for id_ in row] for row in rows]
        metadata = {**self.run.metadata, "vocab_size": len(read_words(tokenizer)), **changes}
        write_run(folder, model, tokenizer, rows, metadata)

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
        texts = self.distillation.dev_texts
        classifier = self._export(run, replace(self.settings, **PRECISIONS[precision]), converted)
        if self._baseline is None:
            is_it = (trial, precision) == (WHOLE, "float32")
            whole = (
                classifier
                if is_it
                else self._export(self.run, ExportSettings("float32", name="whole"))
            )
            self._baseline = whole, whole.predict_outputs(texts)
        baseline, expected = self._baseline
        dev, told = self.distillation.dev, self.distillation.told
        outputs = classifier.predict_outputs(texts)
        if told is not None:
            outputs, expected = self._unlearn(run, outputs), told
        both = make_objective(run.task, self.objective.aims), self.objective
        score, log_loss, drop_error = measure_scores(
            outputs, expected, dev.targets, both, dev.weights
        )
        own_ms, whole_ms = measure_latency([classifier, baseline], texts)
        return Point(
            trial,
            precision,
            classifier.size_bytes,
            score,
            round(100 * (self._score - score), 6),
            round(drop_error, 6),
            round(log_loss, 6),
            latency_ms=round(own_ms[0], 4),
            cpu_ms=round(own_ms[1], 4),
            times_faster=round(whole_ms[1] / own_ms[1], 2),
        )

    def _unlearn(self, run: Run, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what a bundle of `run`, which has learned from the development rows, would say of
        them if it had not: what is known of that for the run, moved as the bundle's outputs differ
        from the run's.

        Args:
            outputs: Of the bundle, shape (rows, num_outputs).
        """
        if not (run.folder / HELD_OUT).is_file():  # not trained yet
            return outputs
        if self._known is None or self._known[0] != run.folder:
            known = load_predictor(run)(self.distillation.dev_texts)
            self._known = run.folder, run.held_out()[1], known
        _, told, known = self._known
        return np.asarray(self.objective.shift_outputs(told, known, outputs))

    def _export(
        self, run: Run, settings: ExportSettings, converted: Converted | None = None
    ) -> Classifier:
        out = self.folder / "bundle"
        shutil.rmtree(out, ignore_errors=True)  # of a process that was killed
        export_run(run.folder, out, settings, force=True, converted=converted)
        classifier = load_classifier(out)
        shutil.rmtree(out)
        return classifier

    def _find_importance(self) -> Importance:
        def measure() -> dict[str, NDArray[np.float64]]:
            say("measuring the importance of units and words")
            batches = importance_batches(self._model, self.distillation)
            loss = mean_loss(self.distillation.objective)
            with closed_gate(self._model):  # of training rows the phrases are certain
                channels, words = measure_importance(self._model, batches, loss)
            named = {f"of {owner}": values for owner, values in channels.items()}
            return named | {"words": words}

        arrays = self._stages.make("importance", measure)
        words = arrays.pop("words")
        return Importance({name[3:]: values for name, values in arrays.items()}, words)

    def _record(self, point: Point) -> None:
        self.points.append(point)
        self._recorded[point.trial, point.precision] = point
        rows = [asdict(recorded) for recorded in self._recorded.values()]
        write_json(self.folder / "trials.json", rows)
        say(format_point(point, self.objective))
