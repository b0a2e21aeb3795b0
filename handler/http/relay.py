"""Between ASGI and the service: bodies read within limits, what is costly kept off the event loop.

Whether a request may be answered is decided by its head: the body of a caller without a key, or of
one that is too large, is never read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from handler.errors import InvalidInput
from handler.http import messages
from handler.http.compression import MAX_INFLATION, too_large
from handler.http.lambda_events import allows_binary
from handler.http.messages import Refusal, Response
from handler.http.operation import Operation
from handler.http.service import Service
from handler.http.work import Work
from handler.inference.models import Model, Pending

BODY_TIMEOUT_S = 30
# Once the process is told to end: for bodies that are on their way; for what waits or is at work,
# and is then refused, so that another process may be asked.
DRAIN_TIMEOUT_S = 3
DRAIN_WORK_S = 4.5
# What is answered on the event loop: at most 3 ms, and the hop to a thread would cost a small
# request a tenth of its time. Others wait in one thread for each other, and probes and refusals go
# on. Characters beyond ASCII may become 18 letters each, and a text costs 0.1 ms however short: it
# takes two quotes or a line.
QUICK_BYTES = 4096
QUICK_WIDE_BYTES = 1024
QUICK_TEXTS = 32
# Requests that are answered in one run: of 230 words, 8 take 0.7 of their time alone, and more
# gain nothing. A probe waits for one run at most.
MAX_GATHERED = 8
# All bodies that are read, wait or are answered: with the work on one of them, less than an idle
# process takes. The largest that are legal may be seven at a time.
MAX_HELD_BYTES = 32_000_000
# What spells the option, or may: any letter of a JSON key can be an escape.
EXPLAINING = (b"explain", b"\\u")
# Requests that wait for a model to be loaded, each in a thread: a repository that hangs holds those
# up that need it, and no other.
MAX_FETCHING = 8

Admitted = tuple[Operation, Model | Pending]
Answered = TypeVar("Answered")


class Relay:
    """Turns ASGI's requests into the service's, and its responses back."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._num_open = 0
        self._held_bytes = 0
        self._reading: set[asyncio.Timeout] = set()
        self._working: set[asyncio.Timeout] = set()
        self._gathered: list[
            tuple[
                tuple[messages.Request, Operation, Model | Pending],
                asyncio.Future[Response | Work],
            ]
        ] = []
        self._lane = ThreadPoolExecutor(1, "minnow-large")
        self._fetching = ThreadPoolExecutor(MAX_FETCHING, "minnow-fetch")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = messages.Request(scope["method"], scope["path"], _read_headers(scope))
        if "aws.event" in scope:  # Mangum puts it there
            request.allows_binary = allows_binary(scope["aws.event"])
            request.trace_id = getattr(scope["aws.context"], "aws_request_id", "")
            request.body = (await receive())["body"]
            await _send(self._service.respond(request), send)
            return
        admitted = self._service.admit(request)
        is_whole = not _announces_body(request.headers)
        if isinstance(admitted, Response):
            response = admitted
        elif request.method == "POST":
            response, is_whole = await self._answer_post(request, admitted, receive)
        elif _waits(*admitted):
            response = await self._answer_waiting(request, *admitted)
        else:
            response = self._service.answer(request, *admitted)
        self._service.observe(request, response)
        if not is_whole or self._service.is_draining:
            response.headers["connection"] = "close"
        await _send(response, send)
        if request.answered is not None:
            self._service.run_shadow(request)

    def drain(self) -> None:
        """Give what is on its way little time from now on."""
        now = asyncio.get_running_loop().time()
        for timeouts, seconds in ((self._reading, DRAIN_TIMEOUT_S), (self._working, DRAIN_WORK_S)):
            for timeout in timeouts:
                when = timeout.when()
                timeout.reschedule(min(when or now + seconds, now + seconds))

    async def _answer_post(
        self, request: messages.Request, admitted: Admitted, receive: Receive
    ) -> tuple[Response, bool]:
        """Return the response, and whether the whole body was read."""
        held = Held(self)
        self._num_open += 1
        try:
            request.body = await self._read_body(request, receive, held)
            if _waits(*admitted):
                return await self._answer_waiting(request, *admitted), True
            if _is_quick(request):
                answered = await self._answer_quick(request, admitted)
            else:
                answer = partial(self._service.try_answer, request, *admitted)
                answered = await self._run_in(self._lane, answer)
            if isinstance(answered, Work):
                waiting = partial(self._service.answer_fetched, answered)
                answered = await self._wait_for(waiting, request, admitted[0])
            return answered, True
        except InvalidInput as error:
            request.body_error = error.with_traceback(None)  # whose frames hold what was read
            return self._service.answer(request, *admitted), False
        finally:
            self._num_open -= 1
            held.set(0)

    async def _answer_waiting(
        self, request: messages.Request, operation: Operation, model: Model | Pending
    ) -> Response:
        """Answer a request that may wait for the repository of models."""
        answer = partial(self._service.answer, request, operation, model)
        return await self._wait_for(answer, request, operation)

    async def _wait_for(
        self, answer: Callable[[], Response], request: messages.Request, operation: Operation
    ) -> Response:
        try:
            return await self._run_in(self._fetching, answer)
        except InvalidInput as error:
            return self._service.refuse(request, error, operation)

    async def _answer_quick(self, request: messages.Request, admitted: Admitted) -> Response | Work:
        """Answer with all requests that came in the same turns of the event loop.

        While the model is busy the loop stands still, and what comes piles up in the sockets: no
        timer gathers it, and a request that is alone waits for nothing.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Response | Work] = loop.create_future()
        if not self._gathered:
            # After one more look at the sockets, which takes 0.01 ms: at 16 connections, whose next
            # requests come while the last answers go out, a tenth less of CPU time.
            loop.call_soon(loop.call_soon, self._answer_gathered)
        self._gathered.append(((request, *admitted), answered))
        return await answered

    def _answer_gathered(self) -> None:
        gathered, self._gathered = self._gathered[:MAX_GATHERED], self._gathered[MAX_GATHERED:]
        if self._gathered:  # after a turn for probes
            asyncio.get_running_loop().call_soon(self._answer_gathered)
        try:
            responses = self._service.answer_together([asked for asked, _ in gathered])
        except Exception as error:
            for _, answered in gathered:  # which nobody would answer
                if not answered.done():
                    answered.set_exception(error)
            return
        for (_, answered), response in zip(gathered, responses, strict=True):
            if not answered.cancelled():
                answered.set_result(response)

    async def _run_in(self, pool: ThreadPoolExecutor, answer: Callable[[], Answered]) -> Answered:
        loop = asyncio.get_running_loop()
        seconds = DRAIN_WORK_S if self._service.is_draining else None
        try:
            async with asyncio.timeout(seconds) as timeout:
                with _listed(timeout, self._working):
                    return await loop.run_in_executor(pool, answer)
        except TimeoutError:
            raise Refusal(503, "the process was told to end", retry_after="1") from None

    async def _read_body(self, request: messages.Request, receive: Receive, held: Held) -> bytes:
        if self._num_open > self._service.settings.http.max_concurrency:
            raise Refusal(503, "too many requests at a time", retry_after="1")
        limit = self._service.limits.max_body_bytes
        factor = MAX_INFLATION if "content-encoding" in request.headers else 1
        held.set(min(limit, factor * request.announced_bytes))
        seconds = DRAIN_TIMEOUT_S if self._service.is_draining else BODY_TIMEOUT_S
        try:
            async with asyncio.timeout(seconds) as timeout:
                with _listed(timeout, self._reading):
                    return await _collect(receive, limit, factor, held)
        except TimeoutError:
            raise InvalidInput(f"the body did not arrive within {seconds} s", status=408) from None


class Held:
    """What one request holds of the bytes that all of them may hold."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._num_bytes = 0

    def set(self, num_bytes: int) -> None:
        """Hold so many bytes; raises Refusal, 503, where others leave too few.

        A small body is always taken: as many as are read at a time fit beside the large ones.
        """
        others = self._relay._held_bytes - self._num_bytes
        if num_bytes > QUICK_BYTES and others + num_bytes > MAX_HELD_BYTES:
            raise Refusal(503, "too many large requests at a time", retry_after="1")
        self._relay._held_bytes = others + num_bytes
        self._num_bytes = num_bytes

    def grow(self, num_bytes: int) -> None:
        """Hold so many bytes at least: a body of unknown length comes piece by piece."""
        if num_bytes > self._num_bytes:
            self.set(num_bytes)


@contextmanager
def _listed(timeout: asyncio.Timeout, timeouts: set[asyncio.Timeout]) -> Iterator[None]:
    timeouts.add(timeout)
    try:
        yield
    finally:
        timeouts.discard(timeout)


async def _collect(receive: Receive, max_bytes: int, factor: int, held: Held) -> bytes:
    chunks: list[bytes] = []
    size = 0
    is_whole = False
    while not is_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client left before the body ended", status=400)
        chunk = message.get("body", b"")
        is_whole = not message.get("more_body", False)
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes, size)
        held.grow(min(max_bytes, factor * size))
        chunks.append(chunk)
    return b"".join(chunks)


def _waits(operation: Operation, model: Model | Pending) -> bool:
    """Say whether an answer may wait for the repository of models."""
    return operation.waits or isinstance(model, Pending)


def _is_quick(request: messages.Request) -> bool:
    """Say whether an answer costs little, whatever stands in the body."""
    body, headers = request.body, request.headers
    if len(body) > (QUICK_BYTES if body.isascii() else QUICK_WIDE_BYTES):
        return False
    if "content-encoding" in headers or "inference-header-content-length" in headers:
        return False  # neither tells by its bytes how many texts there are
    most_texts = body.count(b'"') // 2 + len(body.splitlines())
    return most_texts <= QUICK_TEXTS and not any(word in body for word in EXPLAINING)


def _announces_body(headers: Mapping[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _read_headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _send(response: Response, send: Send) -> None:
    headers = response.headers
    if response.content_type:
        headers["content-type"] = response.content_type
    if response.status != 204:
        headers["content-length"] = str(len(response.body))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    start: dict[str, Any] = {"type": "http.response.start", "status": response.status}
    await send({**start, "headers": pairs})
    await send({"type": "http.response.body", "body": response.body})
