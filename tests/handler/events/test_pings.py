"""Pings, schedules and events of others: answered without an alarm, or refused by their name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handler.errors import InvalidInput
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.http.lambda_events import is_http_event
from handler.inference.classifier import Classifier
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.settings import read_settings
from tests.helpers.aws import MakeResources, load_event
from tests.helpers.http_events import KINDS, make_event

SCHEDULE = {"detail-type": "Scheduled Event", "source": "aws.events"}


@pytest.mark.parametrize(
    ("event", "operation"),
    [
        (None, "ping"),
        ({}, "ping"),
        ({"warmup": True}, "ping"),
        ({"warmer": True, "concurrency": 3}, "ping"),
        ({"isWarmup": True}, "ping"),
        ({"keep-warm": "true"}, "ping"),
        ({"ping": 1}, "ping"),
        (load_event("ping_plugin"), "ping"),
        (load_event("eventbridge_schedule"), "schedule"),
        (load_event("eventbridge_scheduler"), "schedule"),
        (SCHEDULE, "schedule"),
        (SCHEDULE | {"id": None, "detail": None}, "schedule"),
        (SCHEDULE | {"detail": {"warmup": True}}, "schedule"),
        (load_event("s3_test_event"), "s3"),
    ],
)
def test_what_asks_for_nothing_is_answered_without_an_error(
    event: Any, operation: str, tiny_classifier: Classifier
) -> None:
    lines: list[dict[str, Any]] = []
    monitor = Monitor(lambda line: lines.append(json.loads(line)))
    resources = Resources(
        Models([Model(tiny_classifier, monitor=monitor)]), read_settings({}).events
    )

    answer = answer_event(event, None, resources)

    assert (answer["status"], answer["model"]["name"]) == ("ready", "tiny")
    assert answer["task"] == {"task": "single-label", "labels": ["pos", "neg"]}
    (line,) = lines
    assert (line["level"], line["operation"], line["failed_records"]) == ("info", operation, 0)
    assert "problem" not in line


@pytest.mark.parametrize(
    "event",
    [
        {"warmup": False},
        {"ping": {"title": "good"}},
        {"source": "swarm"},
        {"title": "good film"},
        {"warmup": True, "body": "good film"},
        {"text": None},
        {"texts": None, "warmup": True},
        {"Records": []},
        SCHEDULE | {"detail": {"title": "good"}, "id": "a"},
        "",
        [None],
    ],
)
def test_an_event_that_may_hold_work_is_no_ping(event: Any, make_resources: MakeResources) -> None:
    try:
        (answer,) = answer_event(event, None, make_resources())
    except InvalidInput:
        return
    assert set(answer) == {"error"}


def test_a_schedule_whose_input_is_a_text_is_scored(make_resources: MakeResources) -> None:
    event = SCHEDULE | {"id": "a", "detail": {"text": "good film"}}

    answer = answer_event(event, None, make_resources())

    assert answer["predictions"][0]["label"] == "pos"


FOREIGN = [
    (load_event("unknown_websocket"), "a WebSocket message of API Gateway"),
    (
        {"requestContext": {"routeKey": "$connect", "connectionId": "c"}},
        "a WebSocket message of API Gateway",
    ),
    (load_event("unknown_lambda_destination"), "a Lambda destination's record"),
    (load_event("unknown_lattice_v1"), "a request of VPC Lattice"),
    (load_event("unknown_lattice_v2"), "a request of VPC Lattice"),
    (load_event("unknown_appsync"), "a request of AppSync"),
    (load_event("unknown_authorizer"), "a request of API Gateway to an authorizer"),
    (load_event("unknown_cloudwatch_logs"), "a subscription of CloudWatch Logs"),
    (load_event("unknown_msk"), "records of Kafka"),
    ([{"eventSource": "aws:kafka", "topic": "t", "value": "Z29vZA=="}], "records of Kafka"),
    ([{"eventSource": "aws:good", "value": "Z29vZA=="}], "records of an unknown source"),
    ({"Records": [{"eventSource": "aws:ses", "ses": {}}]}, "mail of SES"),
    ({"requestContext": {}}, "an unknown event"),
    ({"requestContext": None}, "an unknown event"),
]


@pytest.mark.parametrize(("event", "name"), FOREIGN)
def test_an_event_of_another_kind_is_named(
    event: Any, name: str, make_resources: MakeResources
) -> None:
    assert not (isinstance(event, dict) and is_http_event(event))

    with pytest.raises(InvalidInput, match="unknown.*; this function answers: ") as refusal:
        answer_event(event, None, make_resources())

    assert str(refusal.value).startswith(name)
    assert "good" not in str(refusal.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_told_by_its_shape(kind: str) -> None:
    assert is_http_event(make_event(kind, "POST", "/predict", {"text": "good film"}))
    assert is_http_event(make_event(kind, headers={"user-agent": "ELB-HealthChecker/2.0"}))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("http_v2", ("requestContext", "http")),
        ("http_v2", ("requestContext", "http", "method")),
        ("rest_v1", ("httpMethod",)),
        ("alb", ("requestContext",)),
    ],
)
def test_an_event_without_a_method_is_no_request(kind: str, path: tuple[str, ...]) -> None:
    event = make_event(kind)
    place = event
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = None

    assert not is_http_event(event)
