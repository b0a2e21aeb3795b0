"""Models: what serves. A model is a classifier with its limits and its monitor; models are found
by name and version, and one of them is the default."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from handler.errors import ArtefactError, InvalidInput
from handler.inference.classifier import Classifier, Prediction
from handler.inference.monitor import Monitor
from handler.inference.requests import (
    TEXTS,
    Source,
    check_coverage,
    check_text,
    read_model_name,
)
from handler.inference.tasks import (
    DEFAULT_OPTIONS,
    Options,
    describe_briefly,
    describe_rules,
)
from handler.settings import Limits

GOLDEN_PERIOD_S = 1.0
LIVE = "live"  # the alias of the version that answers where none is named


class Model:
    """One model that serves; used by any number of requests and events.

    Args:
        classifier: Loaded and checked.
        limits: What a request may hold.
        monitor: Observes every exchange of the process; None: nobody does.

    Attributes:
        description: Name, version and sha256, which stand in every native answer.
        models: Those that it is one of; None: it was not found by a name.
        stands_in: It answers for none: several could, and the sender must name one.
    """

    models: Models | None = None
    stands_in = False
    watched: Any = None  # what the monitor keeps of it

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

    def make_stand_in(self) -> Model:
        """Return the model as one that says what it is, and predicts nothing."""
        stand_in = copy(self)
        stand_in.stands_in = True
        return stand_in

    def find_named(self, request: Mapping[str, Any], request_id: str = "") -> Model | Pending:
        """Return the model that a request's fields `model` and `version` name, this one if neither
        is there; raises InvalidInput."""
        name, version = read_model_name(request)
        if name is None and version is None:
            return self
        is_own = name in (None, self.name) and version in (None, self.version)
        if self.models is None or (is_own and not self.stands_in):
            found: Model | Pending | None = self if is_own else None
        else:
            found = self.models.find(name, version, request_id)
        if found is None:
            field = "version" if name in (None, self.name) else "model"
            raise InvalidInput(f"{field}: there is no such model here", field=field)
        return found

    def refuse_stand_in(self) -> None:
        """Raise InvalidInput where the sender must name a model and has not."""
        if self.stands_in:
            raise InvalidInput(
                'there are several models here: name one in the field "model", or in the address',
                field="model",
            )

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
            check_coverage(self.task, options.coverage, options.coverage_field)
        if options.explain:
            from handler.inference.explain import check_num_tokens  # rare, so not at start

            check_num_tokens(self.classifier, checked, self.limits, options.explain_field)
        return checked

    def check_texts(self, texts: Sequence[object], source: Source = TEXTS) -> list[str]:
        """Return the texts of one request if they can be scored.

        Args:
            texts: As they came.
            source: What their sender calls them.
        """
        field = source.field
        self.refuse_stand_in()
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


class Pending(NamedTuple):
    """A model that is not at hand: whoever may wait fetches it."""

    models: Models
    name: str
    version: str | None
    request_id: str = ""

    def fetch(self) -> Model:
        """Return the model; raises what `Models.fetch` raises."""
        return self.models.fetch(self.name, self.version, self.request_id)


class Models:
    """The models of a process, by name and version.

    Args:
        models: The first is the default; of one name the first is that name's default version.

    Attributes:
        is_stored: They come from a repository, and change while the process serves.
        allows_control: Clients may ask what is loaded, and have models loaded and dropped.
        canaries: By name and alias, what answers some of the requests.
        shadows: By name and version of what answered, what it is compared with.
    """

    is_stored = False
    allows_control = False
    canaries: Mapping[tuple[str, str], Any] = MappingProxyType({})
    shadows: Mapping[tuple[str, str], Any] = MappingProxyType({})
    monitor: Monitor

    def __init__(self, models: Sequence[Model]) -> None:
        self._first = models[0]
        self.monitor = self._first.monitor
        self._models: dict[tuple[str, str | None], Model] = {}
        for model in models:
            model.models = self
            self._models.setdefault((model.name, None), model)
            before = self._models.setdefault((model.name, model.version), model)
            if before is not model:
                raise ArtefactError(
                    f"two bundles are model {model.name}, version {model.version}: export one "
                    "again with another --name or --model-version."
                )

    @property
    def default(self) -> Model:
        """The model that answers who names none."""
        return self._first

    def __iter__(self) -> Iterator[Model]:
        return (model for (_, version), model in self._models.items() if version is not None)

    def find(
        self, name: str | None = None, version: str | None = None, request_id: str = ""
    ) -> Model | Pending | None:
        """Return the model of that name and version, the default where they are not given.

        Args:
            request_id: Decides which of the versions behind an alias answers, where several do;
                empty: the one that it means.
        """
        if name is None and version is None:
            return self._first
        return self._models.get((name or self._first.name, version))

    def fetch(self, name: str, version: str | None = None, request_id: str = "") -> Model:
        """Return a model that is `Pending`; of bundles in a folder none is."""
        raise LookupError(name)

    def pin(self, name: str | None = None, version: str | None = None) -> Model:
        """Return the model that answers from now on, whatever is promoted meanwhile; raises
        InvalidInput where there is none, and what `fetch` raises."""
        found = self.find(name, version)
        if found is None:
            raise InvalidInput("model: there is no such model here", field="model")
        return found.fetch() if isinstance(found, Pending) else found

    def renew(self) -> None:
        """Look again where the models come from: nothing to do for bundles of a folder."""

    def forget_connections(self) -> None:
        """Leave nothing open, as before a snapshot of the process."""
