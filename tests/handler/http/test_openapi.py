"""The OpenAPI document is true: generated requests get only documented answers, as ASGI and events.

`make fuzz-http` runs the same with 2,000 examples an operation and road; CI with NUM_EXAMPLES.
"""

import asyncio
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from handler.http.app import create_app
from handler.http.lambda_http import LambdaHttp
from handler.http.operations import OPERATIONS
from handler.http.service import Service
from handler.inference.classifier import load_classifier
from handler.inference.monitor import Monitor
from handler.inference.prometheus import Prometheus
from handler.settings import Settings
from tests.helpers.http_events import make_event, read_reply
from tests.helpers.http_service import LIMITS, make_models
from tests.helpers.openapi import read_schema
from tests.helpers.paths import TESTS

NUM_EXAMPLES = int(os.environ.get("MINNOW_FUZZ_EXAMPLES", "5"))
UNLISTED = {"docs", "docs_script", "docs_style"}
CLASSIFIER = load_classifier(TESTS / "tiny_bundle")
SETTINGS = Settings(limits=LIMITS)


@schemathesis.serializer("application/jsonlines")
def serialize_json_lines(context, value):
    lines = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(line) for line in lines).encode()


answered = Counter()


def count_line(line):
    """Take a service's log line, one a request."""
    answered[json.loads(line).get("status")] += 1


def make_app():
    monitor = Monitor(count_line, prometheus=Prometheus())
    return create_app(Service(make_models(CLASSIFIER, monitor=monitor), SETTINGS))


def make_lambda_app():
    """Return an ASGI app that sends every request through a Lambda event, a sender at a time."""
    lambda_http = LambdaHttp(
        make_models(CLASSIFIER, monitor=Monitor(count_line, embeds_metrics=True)), SETTINGS
    )
    # Mangum runs its own event loop, always the one of the thread that made it.
    thread = ThreadPoolExecutor(max_workers=1)
    num_calls = 0

    async def app(scope, receive, send):
        nonlocal num_calls
        if scope["type"] == "lifespan":
            await send({"type": (await receive())["type"] + ".complete"})
            await send({"type": (await receive())["type"] + ".complete"})
            return
        num_calls += 1
        kind = ("http_v2", "rest_v1", "alb", "function_url")[num_calls % 4]
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
        event = make_event(kind, scope["method"], scope["path"], body, headers)
        reply = await asyncio.wrap_future(thread.submit(lambda_http.answer, event, None))
        status, headers, content = read_reply(reply)
        raw = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return app


IN_PROCESS = read_schema(make_app())
THROUGH_LAMBDA = read_schema(make_lambda_app())
SLOW = settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    database=None,
    derandomize=NUM_EXAMPLES < 100,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@IN_PROCESS.parametrize()
@SLOW
def test_generated_requests_get_documented_answers_in_process(case):
    case.call_and_validate()


@pytest.mark.slow
@THROUGH_LAMBDA.parametrize()
@SLOW
def test_generated_requests_get_documented_answers_through_lambda_events(case):
    case.call_and_validate()


@pytest.mark.slow
def test_the_requests_were_many_and_no_answer_was_a_server_error(capsys):
    with capsys.disabled():
        print(f" {answered.total()} requests:", dict(sorted(answered.items(), key=str)))

    assert answered.total() > 1000
    assert answered[200] > 100
    assert not any(status and status >= 500 for status in answered)


@pytest.fixture(scope="module")
def document():
    return json.loads(json.dumps(IN_PROCESS.raw_schema))


def test_every_operation_is_documented_with_its_errors_and_examples(document):
    documented = {
        operation["operationId"]: operation
        for methods in document["paths"].values()
        for operation in methods.values()
    }

    assert set(documented) == {operation.name for operation in OPERATIONS} - UNLISTED
    for name, operation in documented.items():
        assert operation["summary"]
        assert {"200", "500", "503"} <= operation["responses"].keys()
        for status, response in operation["responses"].items():
            for kind, content in response["content"].items():
                assert content["schema"], (name, status, kind)
        if "requestBody" in operation:
            assert "example" in operation["requestBody"]["content"]["application/json"]
            assert "example" in operation["responses"]["200"]["content"]["application/json"]
            assert {"400", "401", "413", "415", "422", "429"} <= operation["responses"].keys()


def test_the_documented_limits_are_the_services_own(document):
    schemas = document["components"]["schemas"]

    assert schemas["Text"]["maxLength"] == LIMITS.max_characters
    assert schemas["Texts"]["maxItems"] == LIMITS.max_texts
