"""The table of operations and FastAPI behind Mangum answer alike, whatever sent the event."""

import gzip
import json
import subprocess
import sys
from types import SimpleNamespace

import httpx
import pytest

from handler.http.lambda_http import LambdaHttp
from handler.http.operations import OPERATIONS
from tests.helpers.http_cases import ANSWERS, REFUSALS, name_case
from tests.helpers.http_events import KINDS, make_event, read_reply
from tests.helpers.http_service import Server, add_route

CONTEXT = SimpleNamespace(aws_request_id="11111111-2222-3333-4444-555555555555")


def compare(reply):
    status, headers, body = read_reply(reply)
    headers.pop("content-length", None)  # which Lambda counts itself
    headers.pop("server-timing", None)
    return status, headers, body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", [*ANSWERS, *REFUSALS], ids=name_case)
def test_both_ways_give_the_same_status_headers_and_body(lambda_http, kind, case):
    status, method, path, body, headers = case
    event = make_event(kind, method, path, body, headers)

    fast = compare(lambda_http.answer(event, CONTEXT))
    by_app = compare(lambda_http.answer_by_app(event, lambda_http.read(event, CONTEXT), CONTEXT))

    assert fast[0] == status
    assert fast == by_app


@pytest.mark.parametrize("case", [*ANSWERS, *REFUSALS], ids=name_case)
def test_all_senders_get_the_same_json_bytes(lambda_http, case):
    _, method, path, body, headers = case
    replies = [
        lambda_http.answer(make_event(k, method, path, body, headers), CONTEXT) for k in KINDS
    ]

    results = [read_reply(reply) for reply in replies]

    if "json" in results[0][1].get("content-type", ""):  # v1 alone has no way for binary tensors
        kept = [r for r in results if "json" in r[1]["content-type"]]
        assert {(status, content) for status, _, content in kept} == {
            (results[0][0], results[0][2])
        }


def test_every_operation_is_among_the_cases():
    asked = {(method, path.replace("tiny", "{name}")) for _, method, path, *_ in ANSWERS}
    table = {(o.method, o.path.replace("versions/{version}", "versions/1")) for o in OPERATIONS}

    assert table - asked == {("GET", "/metrics")}  # refused in a function


@pytest.mark.parametrize("path", ["/predict", "/openapi.json"])
def test_a_stage_in_the_path_is_not_part_of_the_route(lambda_http, path):
    method, body = ("POST", {"text": "good"}) if path == "/predict" else ("GET", b"")
    event = make_event("http_v2", method, f"/prod{path}", body)
    event["requestContext"]["stage"] = "prod"

    assert lambda_http.answer(event, CONTEXT)["statusCode"] == 200


@pytest.mark.parametrize("path", ["/predict", "/nowhere"])
def test_a_body_that_is_not_base64_is_refused(lambda_http, path):
    event = make_event("http_v2", "POST", path, b"")
    event |= {"body": "*", "isBase64Encoded": True}

    status, _, body = read_reply(lambda_http.answer(event, CONTEXT))

    assert status in (400, 404)
    assert json.loads(body)["status"] == status


def test_a_base64_body_and_its_text_are_one_request(lambda_http):
    event = make_event("http_v2", "POST", "/predict", {"text": "good"})
    encoded = make_event("http_v2", "POST", "/predict", gzip.compress(event["body"].encode()))
    encoded["headers"] |= {"content-encoding": "gzip"}

    plain, packed = (compare(lambda_http.answer(e, CONTEXT)) for e in (event, encoded))

    assert encoded["isBase64Encoded"]
    assert packed == plain


def test_the_platforms_request_id_comes_back(lambda_http):
    for path in ("/health", "/openapi.json"):
        _, headers, _ = read_reply(lambda_http.answer(make_event("http_v2", "GET", path), CONTEXT))
        assert headers["x-request-id"] == CONTEXT.aws_request_id


def test_an_answer_over_lambdas_limit_is_a_413(lambda_http, monkeypatch):
    monkeypatch.setattr("handler.http.lambda_events.MAX_REPLY_BYTES", 100)
    event = make_event("http_v2", "POST", "/predict", {"text": "good"})

    status, headers, body = read_reply(lambda_http.answer(event, CONTEXT))

    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(body)["limit"] == 100


def test_a_route_added_to_the_app_is_answered_in_both_ways_and_documented(
    lambda_http, make_service, monkeypatch
):
    monkeypatch.setattr("handler.http.app.create_app", add_route)
    lambda_http = LambdaHttp(lambda_http.service.models, lambda_http.service.settings)
    for kind in KINDS:
        status, _, body = read_reply(lambda_http.answer(make_event(kind, "GET", "/mine"), CONTEXT))
        assert (status, body) == (200, b'"good"')

    with Server(make_service(), add_route) as server:
        answers = [httpx.get(server.url + path) for path in ("/mine", "/health", "/nowhere")]
        document = httpx.get(f"{server.url}/openapi.json").json()
        wrong_method = httpx.post(f"{server.url}/openapi.json")

    assert [answer.status_code for answer in answers] == [200, 200, 404]
    assert answers[0].json() == "good"
    assert answers[2].headers["content-type"] == "application/problem+json"
    assert {"/mine", "/predict", "/v2"} <= document["paths"].keys()
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "GET, HEAD")


SCRIPT = """
import json, sys
from handler.function import handler
replies = [handler(event, None) for event in json.loads(sys.argv[1])]
slow = {"fastapi", "starlette", "pydantic", "mangum", "asyncio", "boto3"} & set(sys.modules)
print(json.dumps([[reply["statusCode"] for reply in replies], sorted(slow)]))
"""


@pytest.mark.slow
def test_no_operation_of_the_table_imports_fastapi(tiny_bundle):
    cases = [*ANSWERS, *(case for case in REFUSALS if case[0] != 404)]
    events = [make_event("http_v2", *case[1:]) for case in cases]
    environment = {"MINNOW_BUNDLE": str(tiny_bundle), "MINNOW_MAX_CHARACTERS": "100"}
    for name in ("TEXTS=4", "BODY_BYTES=2000", "EXPLAINED_TOKENS=8"):
        environment["MINNOW_MAX_" + name.split("=")[0]] = name.split("=")[1]

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(events)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    statuses, slow = json.loads(done.stdout.splitlines()[-1])
    assert statuses == [case[0] for case in cases]
    assert slow == []
