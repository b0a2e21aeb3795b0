"""Every event file gets its family's reply; results are read back from a real queue."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from handler.errors import DeliveryError, HandlerError, InvalidInput
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.events.work import Texts, read_body
from handler.inference.requests import name_source
from handler.settings import read_settings
from tests.helpers.aws import MakeResources, load_event, receive_all
from tests.helpers.paths import TESTS

POSITIVE = pytest.approx(0.8807970779778823, abs=1e-6)  # softmax(2, 0), see make_tiny_bundle.py
Client = Callable[[str], Any]


@pytest.fixture
def resources(results_queue: str, make_resources: MakeResources) -> Resources:
    return make_resources(MINNOW_RESULTS="sqs://results")


def labels_by_id(results: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        result["id"]: [prediction["label"] for prediction in result["predictions"]]
        for result in results
    }


def failures(*identifiers: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


def test_a_direct_call_returns_what_http_returns(make_resources: MakeResources) -> None:
    answer = answer_event(load_event("direct_text"), None, make_resources())

    assert answer["model"]["name"] == "tiny"
    assert [one["label"] for one in answer["predictions"]] == ["pos"]
    assert answer["predictions"][0]["score"] == POSITIVE


def test_a_step_functions_list_gets_an_answer_or_an_error_for_each_item(
    make_resources: MakeResources,
) -> None:
    answers = answer_event(load_event("stepfunctions_list"), None, make_resources())

    assert [sorted(answer) for answer in answers] == [
        ["model", "predictions"],
        ["id", "model", "predictions"],
        ["error", "id"],
    ]
    assert answers[1]["predictions"][0]["label"] == "neg"
    assert answers[2] == {
        "id": "row-3",
        "error": {
            "detail": "text is a number, wanted a string",
            "field": "text",
            "limit": None,
            "received": None,
        },
    }


def test_the_items_of_a_distributed_map_keep_their_order_and_ids(
    make_resources: MakeResources,
) -> None:
    answers = answer_event(load_event("stepfunctions_distributed_map"), None, make_resources())

    assert labels_by_id(answers) == {"1": ["pos"], "2": ["neg", "pos"]}


@pytest.mark.parametrize(
    ("name", "reply", "sent"),
    [
        (
            "sqs_two_messages",
            failures(),
            {"review-1": ["pos"], "review-2": ["neg", "pos"]},
        ),
        ("sqs_plain_text", failures(), {"message-1": ["pos"]}),
        ("sqs_second_body_empty", failures("message-2"), {"message-1": ["pos"]}),
        (
            "sqs_poison",
            failures(*(f"message-{number}" for number in range(2, 8))),
            {"message-1": ["pos"], "message-8": ["neg"]},
        ),
        (
            "sqs_fifo_group_stops",
            failures("message-2", "message-3"),
            {"message-1": ["pos"], "message-4": ["neg"]},
        ),
        ("sqs_sns_envelope", failures(), {"message-1": ["pos"]}),
        ("sqs_s3_test_event", failures(), {}),
        (
            "kinesis_two_records",
            failures("49590338271490256608559692538361571095921575989136588892"),
            {"49590338271490256608559692538361571095921575989136588891": ["pos"]},
        ),
        (
            "dynamodb_insert_modify_remove",
            failures("111000000000002"),
            {"item-1": ["pos"], "item-4": ["neg", "pos"]},
        ),
    ],
)
def test_a_batch_sends_the_good_and_reports_the_failed(
    name: str,
    reply: dict[str, Any],
    sent: dict[str, list[str]],
    aws: Client,
    results_queue: str,
    resources: Resources,
) -> None:
    assert answer_event(load_event(name), None, resources) == reply

    assert labels_by_id(receive_all(aws("sqs"), results_queue)) == sent


@pytest.mark.parametrize(
    "name", ["sns_text", "eventbridge_text", "eventbridge_replay", "sqs_two_messages"]
)
def test_a_second_delivery_has_the_same_result_ids(
    name: str, aws: Client, results_queue: str, resources: Resources
) -> None:
    answer_event(load_event(name), None, resources)
    first = receive_all(aws("sqs"), results_queue)

    answer_event(load_event(name), None, resources)

    second = receive_all(aws("sqs"), results_queue)
    assert sorted(one["result_id"] for one in first) == sorted(one["result_id"] for one in second)
    assert first


def test_a_replayed_event_has_the_result_id_of_the_first(make_resources: MakeResources) -> None:
    resources = make_resources()

    first = answer_event(load_event("eventbridge_text"), None, resources)
    replay = answer_event(load_event("eventbridge_replay"), None, resources)

    assert first == replay
    assert first["id"] == "review-1"


def test_an_id_used_for_two_texts_gives_two_results(
    aws: Client, results_queue: str, resources: Resources
) -> None:
    event = load_event("sqs_two_messages")
    event["Records"][1]["body"] = json.dumps({"id": "review-1", "text": "bad film"})

    answer_event(event, None, resources)

    assert len({one["result_id"] for one in receive_all(aws("sqs"), results_queue)}) == 2


def test_sns_without_a_sink_returns_the_result_for_its_destination(
    make_resources: MakeResources,
) -> None:
    answer = answer_event(load_event("sns_text"), None, make_resources())

    assert [one["predictions"][0]["label"] for one in answer["results"]] == ["pos"]


def test_sns_raises_on_a_poison_message(make_resources: MakeResources) -> None:
    with pytest.raises(InvalidInput, match='none of the fields "text" and "texts"'):
        answer_event(load_event("sns_poison"), None, make_resources())


@pytest.mark.parametrize("name", ["sqs_two_messages", "kinesis_two_records"])
def test_a_source_without_reply_is_refused_where_results_would_be_lost(
    name: str, make_resources: MakeResources
) -> None:
    with pytest.raises(HandlerError, match="MINNOW_RESULTS is not set"):
        answer_event(load_event(name), None, make_resources())


@pytest.mark.parametrize(
    ("name", "sink"),
    [
        ("sqs_two_messages", "sqs://texts"),
        ("dynamodb_insert_modify_remove", "dynamodb://reviews"),
        ("eventbridge_own_result", "eventbridge://default"),
    ],
)
def test_a_result_never_becomes_work_again(
    name: str, sink: str, aws: Client, make_resources: MakeResources
) -> None:
    with pytest.raises(HandlerError, match="MINNOW_RESULTS is the source|one of our own results"):
        answer_event(load_event(name), None, make_resources(MINNOW_RESULTS=sink))


@pytest.mark.parametrize("name", ["unknown_msk"])
def test_an_unknown_event_is_refused_with_the_known_ones(
    name: str, make_resources: MakeResources
) -> None:
    with pytest.raises(InvalidInput, match="a direct call with text.*SQS.*EventBridge"):
        answer_event(load_event(name), None, make_resources())


def test_a_queue_that_does_not_exist_fails_every_message(
    aws: Client, make_resources: MakeResources
) -> None:
    reply = answer_event(
        load_event("sqs_two_messages"), None, make_resources(MINNOW_RESULTS="sqs://missing")
    )

    assert reply == failures("message-1", "message-2")


def test_sns_raises_where_the_result_cannot_be_sent(
    aws: Client, make_resources: MakeResources
) -> None:
    with pytest.raises(DeliveryError, match="could not be sent: .*NonExistentQueue"):
        answer_event(load_event("sns_text"), None, make_resources(MINNOW_RESULTS="sqs://missing"))


def test_a_text_that_breaks_the_model_fails_alone(
    aws: Client, results_queue: str, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = resources.model.classifier.predict

    def predict_or_break(texts: list[str]) -> Any:
        if "bad film" in texts:
            raise RuntimeError("an operator failed")
        return predict(texts)

    monkeypatch.setattr(resources.model.classifier, "predict", predict_or_break)

    reply = answer_event(load_event("sqs_two_messages"), None, resources)

    assert reply == failures("message-2")
    assert labels_by_id(receive_all(aws("sqs"), results_queue)) == {"review-1": ["pos"]}


@pytest.mark.parametrize(
    ("name", "processor"),
    [
        ("sqs_two_messages", BatchProcessor(EventType.SQS)),
        ("sqs_second_body_empty", BatchProcessor(EventType.SQS)),
        ("sqs_poison", BatchProcessor(EventType.SQS)),
        ("sqs_fifo_group_stops", SqsFifoPartialProcessor(skip_group_on_error=True)),
    ],
)
def test_the_reply_is_that_of_powertools(name: str, processor: Any, resources: Resources) -> None:
    def check(record: Any) -> None:
        work = read_body(record.body)
        assert isinstance(work, Texts)
        resources.model.check_texts(work.texts, name_source(work.field))

    try:
        wanted = process_partial_response(load_event(name), check, processor)
    except BatchProcessingError:
        pytest.fail("no event file fails whole")

    assert answer_event(load_event(name), None, resources) == wanted


def test_no_text_of_a_message_reaches_the_log(
    caplog: pytest.LogCaptureFixture, resources: Resources
) -> None:
    with caplog.at_level(logging.DEBUG, "minnow"):
        answer_event(load_event("sqs_poison"), None, resources)

    assert len(caplog.messages) == 6
    assert not [message for message in caplog.messages if "good" in message]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"MINNOW_RESULTS": "results"}, "MINNOW_RESULTS is 'results', wanted one of sqs://NAME"),
        ({"MINNOW_OBJECT_RESULTS": "sqs://x"}, "MINNOW_OBJECT_RESULTS is 'sqs://x'"),
        ({"MINNOW_RESERVE_MS": "soon"}, "MINNOW_RESERVE_MS is 'soon', wanted a whole number"),
        (
            {"MINNOW_RESULTS": "s3://b/out/", "MINNOW_OBJECT_SOURCE": "s3://b"},
            "overlap, so a result would trigger the function again",
        ),
        (
            {"MINNOW_OBJECT_RESULTS": "s3://b/in/out", "MINNOW_OBJECT_SOURCE": "s3://b/in"},
            "overlap, so a result would trigger the function again",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_settings(environment)


def test_an_event_does_not_import_what_it_does_not_need() -> None:
    program = (
        "import sys, json; from handler.function import handler;"
        "handler(json.load(open(sys.argv[1])), None);"
        "print([m for m in ('fastapi', 'mangum', 'boto3', 'pyarrow', 'zstandard',"
        " 'aws_lambda_powertools') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(TESTS / "events" / "sns_text.json")],
        env={"MINNOW_BUNDLE": str(TESTS / "tiny_bundle"), "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"
