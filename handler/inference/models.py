"""Models: what serves. A model is a classifier with its limits and its monitor; models are found
by name and version, and one of them is the default."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from handler.errors import ArtefactError, InvalidInput
from handler.inference.classifier import CPU, Classifier, Prediction, load_classifier
from handler.inference.manifest import MANIFEST
from handler.inference.monitor import Monitor
from handler.inference.requests import TEXTS, Source, check_text
from handler.inference.tasks import (
    DEFAULT_OPTIONS,
    SELECTIVE_KINDS,
    Options,
    Selective,
    describe_briefly,
    describe_rules,
)
from handler.inference.trust import ANY, Trust
from handler.settings import Limits

GOLDEN_PERIOD_S = 1.0


class Model:
    """One model that serves; used by any number of requests and events.

    Args:
        classifier: Loaded and checked.
        limits: What a request may hold.
        monitor: Observes every exchange of the process; None: nobody does.

    Attributes:
        description: Name, version and sha256, which stand in every native answer.
    """

    def __init__(
        self, classifier: Classifier, limits: Limits | None = None, monitor: Monitor | None = None
    ) -> None:
        self.classifier = classifier
        self.manifest = classifier.manifest
        self.task = classifier.task
        self.limits = limits or Limits()
        self.monitor = monitor or Monitor()
        self.name = self.manifest.name
        self.version = self.manifest.version
        self.sha256 = classifier.model_sha256
        self.description = {"name": self.name, "version": self.version, "sha256": self.sha256}
        self._checked_until = 0.0
        if self.monitor.prometheus is not None:
            self.monitor.prometheus.models.append(self.description)

    def check_golden(self, now: float) -> None:
        """Run the golden text, but for a second after it was right: anybody may ask, for nothing.

        Args:
            now: Of a clock in seconds.

        Raises:
            ArtefactError: The model computes something else than at its export.
        """
        if now >= self._checked_until:
            self.classifier.check_golden()
            self._checked_until = now + GOLDEN_PERIOD_S

    def predict(
        self,
        texts: Sequence[str],
        source: Source = TEXTS,
        options: Options = DEFAULT_OPTIONS,
    ) -> list[Prediction]:
        """Return one prediction per text, after checking every limit.

        Args:
            texts: Strings, if they are what was asked for.
            source: What their sender calls them.
            options: What `answer` shall do with the predictions.

        Raises:
            InvalidInput: No text, too many, one too long, one that is not Unicode text, or more
                tokens than can be explained where that is asked for; or a coverage for which the
                model has no label sets.
        """
        return self.classifier.predict(self.check_request(texts, source, options))

    def check_request(
        self,
        texts: Sequence[str],
        source: Source = TEXTS,
        options: Options = DEFAULT_OPTIONS,
    ) -> list[str]:
        """Return the texts of one request if `predict` takes them; raises what it raises."""
        checked = self.check_texts(texts, source)
        if options.coverage is not None:
            self._check_coverage(options.coverage, options.coverage_field)
        if options.explain:
            from handler.inference.explain import check_num_tokens  # rare, so not at start

            check_num_tokens(self.classifier, checked, self.limits, options.explain_field)
        return checked

    def _check_coverage(self, coverage: float, field: str) -> None:
        sets = self.task.label_sets if isinstance(self.task, Selective) else None
        if sets is None:
            cure = f"the task {self.task.kind} has none"
            if self.task.kind in SELECTIVE_KINDS:
                cure = "export it again: minnow export RUN --out BUNDLE --label-sets"
            raise InvalidInput(f"{field}: this model has no label sets; {cure}", field=field)
        lowest, highest = sets.ends
        if not lowest <= coverage <= highest:
            raise InvalidInput(
                f"{field} is {coverage:g}, this model has label sets from {lowest:g} to "
                f"{highest:g}",
                field=field,
            )

    def check_texts(self, texts: Sequence[object], source: Source = TEXTS) -> list[str]:
        """Return the texts of one request if they can be scored.

        Args:
            texts: As they came.
            source: What their sender calls them.
        """
        field = source.field
        if not texts:
            raise InvalidInput(f"{field} is empty, wanted 1 text or more", field=field)
        if len(texts) > self.limits.max_texts:
            raise InvalidInput(
                f"{field} has {len(texts)} texts, the limit is {self.limits.max_texts}: send "
                "several requests",
                field=field,
                limit=self.limits.max_texts,
                received=len(texts),
                status=413,
            )
        return [
            check_text(text, source.place(index), self.limits) for index, text in enumerate(texts)
        ]

    def answer(
        self,
        texts: Sequence[str],
        predictions: Sequence[Prediction],
        options: Options = DEFAULT_OPTIONS,
    ) -> dict[str, Any]:
        """Return the native answer as `json.dumps` takes it."""
        shaped = [self.shape_prediction(prediction, options) for prediction in predictions]
        if options.explain:
            from handler.inference.explain import explain_predictions  # rare, so not at start

            tokens = explain_predictions(self.classifier, texts, predictions)
            for prediction, contributions in zip(shaped, tokens, strict=True):
                prediction["explanation"] = contributions
        return {"model": self.description, "predictions": shaped}

    def shape_prediction(
        self, prediction: Prediction, options: Options = DEFAULT_OPTIONS
    ) -> dict[str, Any]:
        """Return one prediction as `json.dumps` takes it, the same over HTTP and by events."""
        return {
            **self.task.answer(prediction.outputs, options),
            "truncated": prediction.truncated,
            "known_tokens": prediction.known_tokens,
        }

    @cached_property
    def _rules(self) -> list[str]:
        return [rules] if (rules := describe_rules(self.task)) else []

    def describe_task(self) -> dict[str, Any]:
        """Return the task's kind under `task`, and its fields, such as `labels`."""
        fields = describe_briefly(self.task)
        return {"task": fields.pop("kind"), **fields}

    def describe_limits(self) -> dict[str, int]:
        return self.limits._asdict()

    def result_id(self, *source: str) -> str:
        """Return 32 hex digits: the same for the same source, model and rules of its answers, on
        any machine."""
        parts = "\n".join((*source, self.sha256, *self._rules))
        return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Models:
    """The models of a process, by name and version.

    Args:
        models: The first is the default; of one name the first is that name's default version.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self.default = models[0]
        self.monitor = self.default.monitor
        self._models: dict[tuple[str, str | None], Model] = {}
        for model in models:
            self._models.setdefault((model.name, None), model)
            before = self._models.setdefault((model.name, model.version), model)
            if before is not model:
                raise ArtefactError(
                    f"two bundles are model {model.name}, version {model.version}: export one "
                    "again with another --name or --model-version."
                )

    def __iter__(self) -> Iterator[Model]:
        return (model for (_, version), model in self._models.items() if version is not None)

    def find(self, name: str | None = None, version: str | None = None) -> Model | None:
        """Return the model of that name and version, the default where they are not given."""
        return self.default if name is None else self._models.get((name, version))


def load_models(
    folder: Path,
    limits: Limits | None = None,
    monitor: Monitor | None = None,
    threads: int = 1,
    providers: Sequence[str] = CPU,
    trust: Trust = ANY,
) -> Models:
    """Return the model of the bundle in `folder`, or the models of all bundles below it.

    Of several bundles the first by its folder's name is the default. Hidden folders are passed
    over: an export that was killed leaves `.NAME.partial`.

    Args:
        trust: Which bundles may serve.

    Raises:
        ArtefactError: A bundle must not serve, or there is none.
    """
    folders = [folder]
    if not os.path.lexists(folder / MANIFEST):
        found = sorted(path.parent for path in folder.glob(f"[!.]*/{MANIFEST}"))
        folders = found or folders  # whose error says what is missing
    classifiers = [load_classifier(path, threads, providers, trust) for path in folders]
    return Models([Model(classifier, limits, monitor) for classifier in classifiers])
