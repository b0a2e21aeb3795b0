"""Lambda's HTTP events, answered.

Operations of the table are answered here. Whatever the table does not know (`/openapi.json` the
first time, and routes that somebody adds to the app) goes through Mangum to FastAPI, which is
imported only then: it is two thirds of a cold start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handler.http.lambda_events import place_request, read_event, shape_reply
from handler.http.messages import TEXT_TYPES, Request
from handler.http.service import Service
from handler.inference.models import Models
from handler.settings import Settings

if TYPE_CHECKING:
    from handler.inference.agreement import Answered


class LambdaHttp:
    """Answers HTTP events; built at the first one."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self.service = Service(models, settings)
        self._mangum: Any = None

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Return the reply in the form that the event's sender wants."""
        request = self.read(event, context)
        if self._is_known(request.path):
            reply = shape_reply(event, self.service.respond(request))
            if request.answered is not None:
                self._run_shadow(request.exchange.request_id, request.answered, context)
            return reply
        return self.answer_by_app(event, request, context)

    def read(self, event: Mapping[str, Any], context: Any) -> Request:
        """Return the request that the event is."""
        return read_event(event, context, self._is_known, self.service.settings.http.base_path)

    def _run_shadow(self, request_id: str, answered: Answered, context: Any) -> None:
        """Let a shadow run what was answered: once the reply is returned, nothing runs."""
        from handler.deadline import start_deadline
        from handler.repository.shadow import make_job

        job = make_job(request_id, answered)
        if job is not None:
            deadline = start_deadline(context, self.service.settings.events.timeout_ms)
            self.service.shadow.run_now(job, deadline.left_s)

    def _is_known(self, path: str) -> bool:
        return bool(self.service.router.find_path(path)[0])

    def answer_by_app(
        self, event: Mapping[str, Any], request: Request, context: Any
    ) -> dict[str, Any]:
        """Return the reply of the FastAPI app; the same, for what the table knows."""
        if request.body_error is not None:  # Mangum would raise
            return shape_reply(event, self.service.respond(request))
        if self._mangum is None:
            from mangum import Mangum

            from handler.http.app import create_app

            # Mangum runs lifespan at every invocation.
            self._mangum = Mangum(
                create_app(self.service), lifespan="off", text_mime_types=list(TEXT_TYPES)
            )
        reply: dict[str, Any] = self._mangum(place_request(event, request), context)
        return reply
