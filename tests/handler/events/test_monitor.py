"""Every event writes one line of what was predicted, which CloudWatch reads as metrics too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from handler.errors import HandlerError
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.inference.classifier import Classifier
from handler.inference.models import Model, Models
from handler.inference.monitor import EVENT_COUNTS, Monitor
from handler.settings import read_settings
from tests.helpers.aws import load_event

Observe = Callable[[Any], dict[str, Any]]


class Context:
    aws_request_id = "request-1"


@pytest.fixture
def observe(tiny_classifier: Classifier, aws: Callable[[str], Any]) -> Observe:
    """Return a function from an event to the line that it writes."""
    aws("sqs").create_queue(QueueName="results")
    lines: list[dict[str, Any]] = []
    monitor = Monitor(lambda line: lines.append(json.loads(line)), embeds_metrics=True)
    settings = read_settings({"MINNOW_RESULTS": "sqs://results"})
    resources = Resources(
        Models([Model(tiny_classifier, settings.limits, monitor)]), settings.events
    )

    def answer(event: Any) -> dict[str, Any]:
        try:
            answer_event(event, Context(), resources)
        except (HandlerError, RuntimeError):
            pass
        (line,) = lines
        return line

    return answer


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"text": "good film"}, ("direct", 1, 0, 1, {"pos": 1})),
        (["good", {"text": "bad"}, 3], ("items", 3, 1, 2, {"pos": 1, "neg": 1})),
        ("stepfunctions_distributed_map", ("items", 2, 0, 3, {"pos": 2, "neg": 1})),
        ("sqs_two_messages", ("sqs", 2, 0, 3, {"pos": 2, "neg": 1})),
        ("sqs_second_body_empty", ("sqs", 2, 1, 1, {"pos": 1})),
        ("sns_text", ("sns", 1, 0, 1, {"pos": 1})),
        ("kinesis_two_records", ("kinesis", 2, 1, 1, {"pos": 1})),
        ("dynamodb_insert_modify_remove", ("dynamodb", 4, 1, 3, {"pos": 2, "neg": 1})),
        ("eventbridge_text", ("eventbridge", 1, 0, 1, {"pos": 1})),
    ],
)
def test_an_event_is_one_line(event: Any, expected: tuple[Any, ...], observe: Observe) -> None:
    line = observe(load_event(event) if isinstance(event, str) else event)

    found = (line["operation"], line["records"], line["failed_records"], line["texts"])
    assert (*found, line["labels"]) == expected
    assert (line["message"], line["request_id"], line["model"]) == ("event", "request-1", "tiny")
    assert line["level"] == ("warning" if line["failed_records"] else "info")
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["latency_ms", *EVENT_COUNTS]
    assert all(metric["Name"] in line for metric in directive["Metrics"])


@pytest.mark.parametrize(("event", "operation"), [("sns_poison", "sns"), ("unknown_msk", "none")])
def test_an_event_that_fails_as_a_whole_says_why(
    event: str, operation: str, observe: Observe
) -> None:
    line = observe(load_event(event))

    assert (line["level"], line["operation"]) == ("error", operation)
    assert line["problem"]
    assert line["texts"] == 0


def test_an_unexpected_error_is_named_without_its_text(
    observe: Observe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Model, texts: list[str], *how: object) -> None:
        raise RuntimeError(texts[0])

    monkeypatch.setattr(Model, "predict", fail)

    line = observe({"text": "good film"})

    assert (line["level"], line["operation"]) == ("error", "direct")
    assert re.fullmatch(r"RuntimeError at fail:\d+", line["problem"])
