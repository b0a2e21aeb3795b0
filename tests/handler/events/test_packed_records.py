"""Records as Pipes, the producer library and gzip deliver them; what is no text is reported."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from typing import Any

import pytest

from handler.errors import HandlerError, InvalidInput
from handler.events.aggregates import split_aggregate
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from tests.helpers.aws import MakeResources, load_event, receive_all
from tests.helpers.kinesis import SEQUENCE, make_aggregate, make_kinesis_event

Client = Callable[[str], Any]
SHARD = f"shardId-000000000006:{SEQUENCE}"


@pytest.fixture
def resources(results_queue: str, make_resources: MakeResources) -> Resources:
    return make_resources(MINNOW_RESULTS="sqs://results")


def failures(*identifiers: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


@pytest.mark.parametrize(
    ("name", "reply", "sent"),
    [
        ("pipes_sqs", failures("message-3"), {"message-1": "pos", "message-2": "neg"}),
        ("pipes_kinesis", failures(f"{SHARD}1"), {"review-1": "pos"}),
        (
            "pipes_dynamodb",
            failures("c4ca4238a0b923820dcc509a6f758492"),
            {"item-1": "pos"},
        ),
        (
            "sqs_packed_bodies",
            failures(),
            {
                "review-1": "pos",
                "review-2": "neg",
                "message-3": "pos",
                "review-4": "neg",
                "message-5": "pos",
                "message-6": "pos",
            },
        ),
        ("sqs_not_texts", failures(*(f"message-{number}" for number in range(1, 7))), {}),
        (
            "kinesis_aggregated",
            failures(f"{SEQUENCE}1"),
            {
                "review-1": "pos",
                f"{SEQUENCE}0:1": "neg",
                f"{SEQUENCE}1:0": "pos",
                f"{SEQUENCE}2": "pos",
            },
        ),
        (
            "kinesis_gzip",
            failures(f"{SEQUENCE}3"),
            {"review-1": "pos", f"{SEQUENCE}1": "neg"},
        ),
    ],
)
def test_records_are_scored_or_reported_however_they_come(
    name: str,
    reply: dict[str, Any],
    sent: dict[str, str],
    aws: Client,
    results_queue: str,
    resources: Resources,
) -> None:
    assert answer_event(load_event(name), None, resources) == reply

    results = receive_all(aws("sqs"), results_queue)
    assert {one["id"]: one["predictions"][0]["label"] for one in results} == sent
    assert len({one["result_id"] for one in results}) == len(results)


@pytest.mark.parametrize("family", ["sqs_two_messages", "dynamodb_insert_modify_remove"])
def test_a_record_of_pipes_has_the_result_id_of_the_mappings(
    family: str, aws: Client, results_queue: str, resources: Resources
) -> None:
    records = load_event(family)["Records"]
    answer_event({"Records": records}, None, resources)
    wanted = receive_all(aws("sqs"), results_queue)

    answer_event(records, None, resources)

    found = receive_all(aws("sqs"), results_queue)
    assert {one["result_id"] for one in found} == {one["result_id"] for one in wanted}


def test_a_flat_record_without_an_event_id_is_named_by_its_sequence_number(
    resources: Resources,
) -> None:
    (_, broken) = load_event("pipes_kinesis")
    broken["eventID"] = None

    assert answer_event([broken], None, resources) == failures(f"{SEQUENCE}1")


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        (load_event("pipes_kinesis"), "records of 2 sources in one event"),
        (load_event("stepfunctions_list")[1:], "records of 2 sources in one event"),
        (["good film"], r"Records\[3\] is not an object"),
        ([None], r"Records\[3\] is not an object"),
    ],
)
def test_a_list_that_mixes_sources_is_refused_and_nothing_is_sent(
    others: list[Any], reason: str, aws: Client, results_queue: str, resources: Resources
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        answer_event([*load_event("pipes_sqs"), *others], None, resources)

    assert receive_all(aws("sqs"), results_queue) == []


def test_items_of_step_functions_may_have_a_field_of_that_name(resources: Resources) -> None:
    (answer,) = answer_event([{"text": "good film", "eventSource": "aws:sqs"}], None, resources)

    assert answer["predictions"][0]["label"] == "pos"


def test_a_list_of_pipes_needs_a_place_for_its_results(make_resources: MakeResources) -> None:
    with pytest.raises(HandlerError, match="MINNOW_RESULTS is not set"):
        answer_event(load_event("pipes_sqs")[:1], None, make_resources(MINNOW_RESULTS=""))


def test_a_large_message_of_a_topic_is_refused(resources: Resources) -> None:
    with pytest.raises(InvalidInput, match="points to a large message in S3"):
        answer_event(load_event("sns_large_payload"), None, resources)


@pytest.mark.parametrize("name", ["ExtendedPayloadSize", "SQSLargePayloadSize"])
def test_an_attribute_alone_says_that_a_message_lies_elsewhere(
    name: str, resources: Resources
) -> None:
    event = load_event("sqs_plain_text")
    event["Records"][0]["messageAttributes"] = {name: {"stringValue": "300000"}}

    assert answer_event(event, None, resources) == failures("message-1")


def test_the_log_says_why_and_holds_no_text(
    resources: Resources, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "minnow"):
        answer_event(load_event("sqs_not_texts"), None, resources)

    assert len(caplog.messages) == 6
    assert not [line for line in caplog.messages if "good" in line or "0123" in line]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make_aggregate([b"good"])[:-1], "its checksum is wrong"),
        (make_aggregate([b"good"])[:4], "its checksum is wrong"),
        (make_aggregate([]), "aggregated and holds no record"),
        (make_aggregate([b"\xff\xfe\xfa"]), "is not UTF-8 text"),
        (gzip.compress(b"good", mtime=0)[:-2], "gzip, broken or cut off"),
        (b"\xff\xfe\xfa", "is not UTF-8 text"),
    ],
)
def test_data_that_cannot_be_opened_fail_with_their_reason(
    data: bytes, reason: str, resources: Resources, caplog: pytest.LogCaptureFixture
) -> None:
    reply = answer_event(make_kinesis_event(b"good", data), None, resources)

    assert reply == failures(f"{SEQUENCE}1")
    assert reason in caplog.text


def test_an_aggregate_is_split_into_its_parts() -> None:
    parts = [b"", b"a", b"b" * 300, b"c" * 20_000]

    assert split_aggregate(make_aggregate(parts)) == parts


def test_binary_attributes_of_an_item_are_no_text(resources: Resources) -> None:
    event = load_event("dynamodb_insert_modify_remove")
    event["Records"] = event["Records"][:1]
    event["Records"][0]["dynamodb"]["NewImage"]["text"] = {"B": "Z29vZA=="}

    assert answer_event(event, None, resources) == failures("111000000000001")
