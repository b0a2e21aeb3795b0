"""The function answers every event of `events/`, in this process and without AWS.

pip install "minnow-maas[cpu,handler,events]" pytest
"""

import json
from pathlib import Path

import pytest

from handler.function import handler

EVENTS = Path(__file__).parents[1] / "events"
WITHOUT_AWS = (
    "direct_text",
    "direct_texts",
    "eventbridge_text",
    "sns_text",
    "stepfunctions_list",
)


def read_event(name):
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WITHOUT_AWS)
def test_an_event_is_answered(name):
    reply = json.dumps(handler(read_event(name), None))

    assert '"known_tokens"' in reply


def test_a_request_is_answered():
    reply = handler(read_event("http_predict"), None)

    assert reply["statusCode"] == 200
    assert len(json.loads(reply["body"])["predictions"]) == 1


def test_a_queue_needs_a_place_for_its_results(monkeypatch):
    monkeypatch.delenv("MINNOW_RESULTS", raising=False)

    with pytest.raises(Exception, match="MINNOW_RESULTS"):
        handler(read_event("sqs_two_messages"), None)
