"""What every event module is given: the models, the settings, and clients made on first use."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from handler.aws import make_client
from handler.errors import DeliveryError, HandlerError
from handler.event_settings import EventSettings, Target
from handler.inference.exchange import Exchange
from handler.inference.models import LIVE, Model, Models, Pending
from handler.inference.requests import read_model_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handler.deadline import Deadline
    from handler.events.work import Texts
    from handler.inference.agreement import Answered
    from handler.inference.classifier import Prediction
    from handler.repository.shadow import ShadowRunner
    from handler.sinks.sink import Sink
    from handler.sinks.sqs import SqsQueue

# Models of one event, each of which stays in memory until the event is over: 90 MB of the shipped
# one. A batch of a queue has ten records.
MAX_MODELS = 16


class Resources:
    """One per process, stateless between events but for open connections."""

    def __init__(self, models: Models, settings: EventSettings) -> None:
        self.models = models
        self.settings = settings

    @property
    def model(self) -> Model:
        """The model that answers what names none."""
        return self.models.default

    @cached_property
    def sink(self) -> Sink | None:
        """The sink of MINNOW_RESULTS, or None."""
        return self._open_sink(self.settings.results)

    @cached_property
    def review_sink(self) -> Sink | None:
        """The sink of MINNOW_REVIEW, or None."""
        return self._open_sink(self.settings.review)

    @cached_property
    def feedback_sink(self) -> Sink | None:
        """The sink of MINNOW_FEEDBACK, or None. One that is sent twice has one id, by which
        `minnow feedback` counts it once: that needs no table."""
        from handler.sinks import open_sink

        target = self.settings.feedback
        return open_sink(target) if target else None

    def _open_sink(self, target: Target | None) -> Sink | None:
        from handler.sinks import open_sink

        if target is None:
            return None
        sink: Sink = open_sink(target)
        if self.settings.idempotency_table and not sink.overwrites:
            from handler.sinks.idempotent import IdempotentSink

            return IdempotentSink(sink, self.settings.idempotency_table)
        return sink

    @cached_property
    def continuation_queue(self) -> SqsQueue | None:
        """The queue of MINNOW_CONTINUATION_QUEUE, or None."""
        from handler.sinks.sqs import SqsQueue

        target = self.settings.continuation_queue
        return SqsQueue(target) if target else None

    @cached_property
    def shadow(self) -> ShadowRunner:
        """What runs shadows in this process."""
        from handler.repository.shadow import ShadowRunner  # only where there is one

        return ShadowRunner(self.models.monitor)

    @cached_property
    def s3(self) -> Any:
        return make_client("s3")

    def forget_clients(self) -> None:
        """Throw the clients away: a call of one of them was left behind, with its connection."""
        for name in ("sink", "review_sink", "feedback_sink", "continuation_queue", "s3"):
            self.__dict__.pop(name, None)

    def refuse_loop(self, source_arn: str) -> None:
        """Raise HandlerError if what is sent would come back to this source as new work."""
        if self.sink is not None and self.sink.feeds(source_arn):
            raise HandlerError(
                f"MINNOW_RESULTS is the source of this event ({source_arn}): each result would be "
                "scored again. Set MINNOW_RESULTS to another queue, table or bucket"
            )
        if self.review_sink is not None and self.review_sink.feeds(source_arn):
            raise HandlerError(
                f"MINNOW_REVIEW is the source of this event ({source_arn}): each text for review "
                "would be scored again. Set MINNOW_REVIEW to another queue, table or bucket"
            )

        if self.feedback_sink is not None and self.feedback_sink.feeds(source_arn):
            raise HandlerError(
                f"MINNOW_FEEDBACK is the source of this event ({source_arn}): each feedback would "
                "be taken again. Set MINNOW_FEEDBACK to another queue, table or bucket"
            )

    def require_sink(self, family: str) -> None:
        """Raise HandlerError if there is no sink: this source takes no reply but the failures."""
        if self.sink is None:
            raise HandlerError(
                f"an event of {family} came, and MINNOW_RESULTS is not set, so the results would "
                "be lost. Set it to sqs://QUEUE, s3://BUCKET/PREFIX/, eventbridge://BUS or "
                "dynamodb://TABLE; the records stay where they are until then"
            )


@dataclass
class Invocation:
    """One event on its way.

    Args:
        context: Lambda's context, or None.
        resources: What answers it.
        exchange: What the monitor shall know of it; filled on the way.

    Attributes:
        exchanges: Those of further models, by name and version: one event may hold texts for
            several.
    """

    context: Any
    resources: Resources
    exchange: Exchange
    exchanges: dict[tuple[str, str], Exchange] = field(default_factory=dict)
    _pinned: dict[tuple[str | None, str | None], Model | HandlerError] = field(default_factory=dict)
    _canaries: dict[tuple[str, str], Any] = field(default_factory=dict)  # by name and alias
    # By model: what runs it too, and what it answered.
    _answered: dict[int, tuple[Model | Pending, list[Answered]]] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The model that answers what names none: the same one until the event is over."""
        return self.pin(None, None)

    def pin(self, name: str | None, version: str | None) -> Model:
        """Return a model by name and version, the same one until the event is over; one that could
        not be had is not tried again before.

        Raises:
            InvalidInput: There is no such model.
            DeliveryError: The event names too many models.
            HandlerError: It cannot be had now.
        """
        models = self.resources.models
        is_nameless = name is None and version is None
        if is_nameless and (not models.is_stored or models.default.stands_in):
            return models.default
        if name is None and not models.default.stands_in:
            name = models.default.name
        version = LIVE if version is None and models.is_stored else version
        found = self._pinned.get((name, version))
        if found is None:
            found = self._try_pin(name, version, is_nameless)
            self._pinned[name, version] = found
        if isinstance(found, HandlerError):
            raise found.with_traceback(None)
        return found

    def _try_pin(
        self, name: str | None, version: str | None, is_nameless: bool
    ) -> Model | HandlerError:
        held = {id(found) for found in self._pinned.values() if isinstance(found, Model)}
        if len(held) >= MAX_MODELS and not is_nameless:  # the default stays in memory anyway
            return DeliveryError(
                f"the event names more than {MAX_MODELS} models, the limit: send texts for fewer "
                "models in one batch"
            )
        try:
            return self.resources.models.pin(name, version)
        except HandlerError as error:
            return error

    def find_model(self, work: Texts) -> Model:
        """Return the model that the sender of texts names; raises what `pin` raises.

        Where one bundle serves, `model` and `version` are fields like others that senders have.
        """
        if not self.resources.models.is_stored:
            return self.model
        name, version = read_model_name({"model": work.model, "version": work.version})
        return self.choose(name, version, work.drawn_by)

    def choose(self, name: str | None, version: str | None, drawn_by: str) -> Model:
        """Return a model by name and version, or the canary of an alias where `drawn_by` is drawn
        for it; raises what `pin` raises.

        A canary that cannot be had fails nothing: the version that the alias means answers.
        """
        model = self.pin(name, version)
        alias = (model.name, version or LIVE)
        if alias not in self._canaries:  # and is kept: what an event began with, it ends with
            self._canaries[alias] = self.resources.models.canaries.get(alias)
        canary = self._canaries[alias]
        if canary is None or not drawn_by or model.stands_in:
            return model
        from handler.repository.trials import is_drawn

        if not is_drawn(model.name, drawn_by, canary.share):
            return model
        try:
            return self.pin(model.name, str(canary.version))
        except HandlerError:  # it was told
            return model

    def keep_answered(self, drawn_by: str, answered: Answered) -> None:
        """Keep what was answered, for a shadow to run at the end of the event, if it is drawn."""
        from handler.repository.shadow import find_shadow

        shadow = find_shadow(answered.model, drawn_by)
        if shadow is not None:
            self._answered.setdefault(id(answered.model), (shadow, []))[1].append(answered)

    def run_shadows(self) -> None:
        """Let shadows run what was answered, while there is time; a line of the log for each."""
        from handler.inference.agreement import Answered
        from handler.repository.shadow import Job

        for shadow, kept in self._answered.values():
            whole = Answered(
                kept[0].model,
                [text for one in kept for text in one.texts],
                [prediction for one in kept for prediction in one.predictions],
                sum(one.latency_ms for one in kept),
            )
            job = Job(self.exchange.request_id, whole, shadow)
            self.resources.shadow.run_now(job, self.deadline.left_s)

    def count(self, model: Model, texts: Sequence[str], predictions: Sequence[Prediction]) -> None:
        """Tell the monitor what was predicted."""
        exchange = self.exchange
        version = model.version if self.resources.models.is_stored else ""
        if model.name != exchange.model or exchange.version not in ("", version):
            made = Exchange(exchange.request_id, exchange.operation, model.name)
            exchange = self.exchanges.setdefault((model.name, version), made)
        exchange.version = version
        model.monitor.count(exchange, model, texts, predictions)

    def count_scored(
        self, model: Model, texts: Sequence[str], predictions: Sequence[Prediction | None]
    ) -> None:
        """Tell the monitor what was predicted, where the model has not failed."""
        pairs = zip(texts, predictions, strict=True)
        scored = [(text, found) for text, found in pairs if found is not None]
        self.count(model, [text for text, _ in scored], [found for _, found in scored])

    @cached_property
    def deadline(self) -> Deadline:
        """When whatever is not done has failed."""
        from handler.deadline import start_deadline  # not for a direct call

        return start_deadline(self.context, self.resources.settings.timeout_ms)

    @cached_property
    def s3(self) -> Any:
        """The client of S3 whose calls end by the deadline."""
        from handler.deadline import TimedClient

        return TimedClient(self.resources.s3, self.deadline)

    def close(self) -> None:
        """Leave nothing to the next invocation that could be stuck."""
        if "deadline" in self.__dict__ and self.deadline.abandoned:
            self.resources.forget_clients()
