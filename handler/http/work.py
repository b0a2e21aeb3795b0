"""A request at work: begun, its texts predicted alone or with those of others, then answered.

Whatever goes wrong with one is its own answer: the others do not know of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from handler.errors import ArtefactError, DeliveryError, InvalidInput, name_failure
from handler.http.messages import Refusal, Request, Response
from handler.http.operation import AskAnother, Asking, Operation, finish_asking
from handler.inference.classifier import Prediction
from handler.inference.models import Model, Pending

# Models that one request asks: the default one, the one that its body names, and that one again
# where it was promoted or dropped from memory meanwhile.
MAX_ASKED = 4


class Work:
    """One admitted request on its way to its response.

    Args:
        request: Its body read.
        operation: What it asks for.
        model: That it asks; once it has begun, the one that its body names.

    Attributes:
        response: None until there is one.
        pending: The model that must be fetched before it goes on; None: it is at hand.
        texts: That are to be predicted, once it has begun and has no response.
    """

    def __init__(self, request: Request, operation: Operation, model: Model | Pending) -> None:
        self.request = request
        self.operation = operation
        self.model = model
        self.response: Response | None = None
        self.pending: Pending | None = None
        self.texts: list[str] = []
        self.started = time.perf_counter()
        self._asking: Asking | None = None
        self._is_named = False  # the model, in the body
        self._num_asked = 0
        self._predictions: list[Prediction] | None = None

    def begin(self, read: Callable[[Request, Operation], None]) -> None:
        """Compute the response, or read which texts it needs predicted.

        Args:
            read: Makes the request's body readable, and asks models that are asked beside `model`.
        """
        self._attempt(lambda: self._open(read))

    def fetch(self) -> None:
        """Fetch the model that is pending, which may wait for the repository, and go on."""
        if self.pending is not None:
            self._attempt(self._fetch)

    def finish(self) -> Response:
        """Return the response; texts that were not predicted together are so now."""
        if self.response is None:
            self._attempt(self._close)
        return cast(Response, self.response)

    def take(self, predictions: list[Prediction]) -> None:
        """Keep the predictions of `texts`."""
        self._predictions = predictions

    def _open(self, read: Callable[[Request, Operation], None]) -> Response | None:
        read(self.request, self.operation)
        return self._ask()

    def _fetch(self) -> Response | None:
        response: Response | None = None
        while self.pending is not None:  # `_ask` bounds how often
            pending, self.pending = self.pending, None
            self.model = self._load(pending)
            response = self._ask()
        return response

    def _load(self, pending: Pending) -> Model:
        try:
            return pending.fetch()
        except InvalidInput as error:
            if self._is_named and error.status == 404:  # the address is right, a field is not
                raise InvalidInput(f"model and version: {error.detail}", field="model") from None
            raise
        except (ArtefactError, DeliveryError) as error:
            raise Refusal(
                503, "the model cannot be loaded now; the log says why", retry_after="10"
            ) from error

    def _ask(self) -> Response | None:
        """Ask the model, or the one that the body names; None: it is pending, or predicts first."""
        while not isinstance(self.model, Pending):
            self._num_asked += 1
            if self._num_asked > MAX_ASKED:
                raise Refusal(503, "the model changes too often to be asked now", retry_after="1")
            try:
                return self._ask_model(self.model)
            except AskAnother as other:
                self.model, self._is_named = other.model, True
        self.pending = self.model
        return None

    def _ask_model(self, model: Model) -> Response | None:
        models, exchange = model.models, self.request.exchange
        if models is not None and models.is_stored:
            exchange.version = model.version
        exchange.model = model.name
        found = self.operation.answer(model, self.request)
        if isinstance(found, Response):
            return found
        self.texts = next(found)
        self._asking = found
        return None

    def _close(self) -> Response:
        if self._predictions is None:
            self._predictions = cast(Model, self.model).classifier.predict(self.texts)
        return finish_asking(cast(Asking, self._asking), self._predictions)

    def _attempt(self, step: Callable[[], Response | None]) -> None:
        try:
            self.response = step()
        except InvalidInput as error:
            self.response = refuse(self.request, error, self.operation.shape_error)
        except Exception as error:
            self.request.exchange.problem = name_failure(error)
            failure = InvalidInput("see the log, by x-request-id", status=500)
            self.response = self.operation.shape_error(failure)


def predict_together(works: Sequence[Work]) -> None:
    """Predict the texts of several requests in one run of their model; where that fails, of none,
    and each is then predicted alone."""
    waiting = [work for work in works if work.response is None and work.pending is None]
    models = [cast(Model, work.model) for work in waiting]
    for model in {id(model): model for model in models}.values():
        same = [work for work in waiting if work.model is model]
        if len(same) > 1:
            _predict(model, same)


def _predict(model: Model, works: Iterable[Work]) -> None:
    try:
        predictions = iter(model.classifier.predict([text for w in works for text in w.texts]))
    except Exception:  # whose fault it is shows when each is predicted alone
        return
    for work in works:
        work.take([next(predictions) for _ in work.texts])


def refuse(
    request: Request, error: InvalidInput, shape_error: Callable[[InvalidInput], Response]
) -> Response:
    """Return the refusal of a request."""
    response = shape_error(error)
    response.headers.update(getattr(error, "headers", {}))
    request.exchange.problem = error.detail
    return response
