"""Events of consoles and test frameworks: parts that are null, or of another type."""

import json

import pytest

from tests.helpers.http_events import KINDS, make_event, read_reply

GOOD = {"text": "good"}
NOT_TEXT = [{"text": "good"}, ["good"], 7, 1.5, True]


def both_ways(lambda_http, event):
    """Return the status and document of the table's answer; the app's is the same."""
    by_table = read_reply(lambda_http.answer(event, None))
    by_app = read_reply(lambda_http.answer_by_app(event, lambda_http.read(event, None), None))
    assert by_table[0] == by_app[0]
    return by_table[0], json.loads(by_table[2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", NOT_TEXT, ids=str)
def test_a_body_that_is_no_text_is_refused(lambda_http, kind, body):
    event = make_event(kind, "POST", "/predict", GOOD) | {"body": body}

    status, problem = both_ways(lambda_http, event)

    assert status == 400
    assert problem["detail"].startswith("the event's body is a")
    assert problem["detail"].endswith("wanted a string")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"body": None}, 400),
        ({"body": None, "isBase64Encoded": None}, 400),
        ({"isBase64Encoded": None}, 200),
        ({"isBase64Encoded": "false"}, 200),
        ({"queryStringParameters": None, "multiValueQueryStringParameters": None}, 200),
        ({"queryStringParameters": {"a": None}, "multiValueQueryStringParameters": 7}, 200),
        ({"pathParameters": None, "stageVariables": None, "cookies": None}, 200),
        ({"rawQueryString": None}, 200),
    ],
    ids=str,
)
def test_null_is_as_good_as_absent(lambda_http, kind, changes, status):
    event = make_event(kind, "POST", "/predict", GOOD) | changes

    assert both_ways(lambda_http, event)[0] == status


def headers_of(kind):
    return "multiValueHeaders" if kind == "alb_multi" else "headers"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, [], [None]], ids=str)
def test_a_header_that_is_null_is_absent(lambda_http, kind, value):
    event = make_event(kind, "POST", "/predict", GOOD)
    for field in ("headers", "multiValueHeaders"):
        if event.get(field):
            del event[field]["content-type"]
            event[field]["Content-Type"] = value

    assert both_ways(lambda_http, event)[0] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_no_headers_at_all_are_none(lambda_http, kind):
    event = make_event(kind, "POST", "/predict", GOOD) | {"headers": None}
    if "multiValueHeaders" in event:
        event["multiValueHeaders"] = None

    assert both_ways(lambda_http, event)[0] == 200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [{"a": "b"}, 7, True, [{"a": 1}], ["a", 7]], ids=str)
def test_a_header_that_is_no_text_is_refused(lambda_http, kind, value):
    event = make_event(kind, "POST", "/predict", GOOD)
    event[headers_of(kind)]["X-Odd"] = value

    status, problem = both_ways(lambda_http, event)

    assert status == 400
    assert "headers" in problem["field"].lower()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("headers", [["content-type"], "content-type: text/csv", 7], ids=str)
def test_headers_that_are_no_object_are_refused(lambda_http, kind, headers):
    event = make_event(kind, "POST", "/predict", GOOD)
    event[headers_of(kind)] = headers

    assert both_ways(lambda_http, event)[0] == 400


def test_one_header_may_be_a_text_among_lists(lambda_http):
    event = make_event("alb_multi", "POST", "/predict", b"text=good")
    event["multiValueHeaders"]["Content-Type"] = "text/plain"

    assert both_ways(lambda_http, event)[0] == 415


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/health", "/nowhere"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "a:b:c"},
        {"Host": "[::1]:8000"},
        {"X-Forwarded-Port": "none"},
        {"X-Name": "\udc80"},
        {"Cookie": "caf\u00e9"},
    ],
    ids=ascii,
)
def test_no_header_is_an_exception_on_the_way_to_the_app(lambda_http, kind, path, headers):
    event = make_event(kind, "GET", path, headers=headers)

    assert both_ways(lambda_http, event)[0] == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize("identity", [None, 7, {"sourceIp": None}], ids=str)
@pytest.mark.parametrize("path", ["/health", "/nowhere"])
def test_an_identity_is_not_needed(lambda_http, identity, path):
    event = make_event("rest_v1", "GET", path)
    event["requestContext"] = {"identity": identity, "stage": None, "path": None}

    assert both_ways(lambda_http, event)[0] == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize("method", [None, 7, {}], ids=str)
def test_a_method_that_is_no_text_is_not_answered(lambda_http, method):
    event = make_event("rest_v1", "GET", "/health") | {"httpMethod": method}

    assert read_reply(lambda_http.answer(event, None))[0] == 405
