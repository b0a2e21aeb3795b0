"""A result never becomes work again, in whichever partition of AWS; null is absent everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handler.aws import is_resource
from handler.errors import HandlerError, InvalidInput
from handler.events.dispatch import answer_event
from tests.helpers.aws import MakeResources, load_event

Client = Callable[[str], Any]
PARTITIONS = [
    ("aws", "eu-west-1"),
    ("aws-us-gov", "us-gov-west-1"),
    ("aws-cn", "cn-north-1"),
    ("aws-iso", "us-iso-east-1"),
    ("aws-iso-b", "us-isob-east-1"),
    ("aws-iso-f", "us-isof-south-1"),
    ("aws-eusc", "eusc-de-east-1"),
]


@pytest.mark.parametrize(("partition", "region"), PARTITIONS)
@pytest.mark.parametrize(
    ("name", "sink", "resource"),
    [
        ("sqs_two_messages", "sqs://results", "sqs:{}:123456789012:results"),
        ("sqs_two_messages", "sqs://sqs.{}.example/123456789012/results", "sqs:{}:1:results"),
        ("sqs_fifo_group_stops", "sqs://results.fifo", "sqs:{}:123456789012:results.fifo"),
        (
            "dynamodb_insert_modify_remove",
            "dynamodb://results",
            "dynamodb:{}:123456789012:table/results/stream/2026-01-01T00:00:00.000",
        ),
        ("pipes_sqs", "sqs://results", "sqs:{}:123456789012:results"),
        ("pipes_dynamodb", "dynamodb://results", "dynamodb:{}:123456789012:table/results"),
    ],
)
def test_a_source_that_results_go_to_is_refused(
    name: str,
    sink: str,
    resource: str,
    partition: str,
    region: str,
    aws: Client,
    make_resources: MakeResources,
) -> None:
    event = load_event(name)
    for record in event if isinstance(event, list) else event["Records"]:
        record["eventSourceARN"] = f"arn:{partition}:{resource.format(region)}"

    with pytest.raises(HandlerError, match="MINNOW_RESULTS is the source of this event"):
        answer_event(event, None, make_resources(MINNOW_RESULTS=sink.format(region)))


@pytest.mark.parametrize(
    ("arn", "service", "resource", "expected"),
    [
        ("arn:aws-cn:sqs:cn-north-1:1:results", "sqs", "results", True),
        ("arn:aws:sqs:eu-west-1:1:my-results", "sqs", "results", False),
        ("arn:aws:sqs:eu-west-1:1:results.fifo", "sqs", "results", False),
        ("arn:aws:sns:eu-west-1:1:results", "sqs", "results", False),
        (
            "arn:aws:dynamodb:eu-west-1:1:table/results2/stream/x",
            "dynamodb",
            "table/results",
            False,
        ),
        ("arn:aws:dynamodb:eu-west-1:1:table/results/stream/x", "dynamodb", "table/results", True),
        ("results", "sqs", "results", False),
    ],
)
def test_an_arn_names_a_resource(arn: str, service: str, resource: str, expected: bool) -> None:
    assert is_resource(arn, service, resource) is expected


def test_a_single_result_in_a_bucket_is_refused(make_resources: MakeResources) -> None:
    resources = make_resources(
        MINNOW_RESULTS="s3://texts/events/", MINNOW_OBJECT_RESULTS="s3://results/"
    )
    event = load_event("s3_object_created")
    event["Records"][0]["s3"] = {
        "bucket": {"name": "texts"},
        "object": {"key": f"events/{'0123456789abcdef' * 2}.json"},
    }

    with pytest.raises(InvalidInput, match="the object is a result of ours"):
        answer_event(event, None, resources)


ABSENT = {"texts": None, "id": None, "Records": None, "Items": None, "detail-type": None}


def test_null_beside_a_text_is_absent(make_resources: MakeResources) -> None:
    resources = make_resources()
    options = {"top_k": None, "threshold": None, "explain": None}

    answer = answer_event({"text": "good film", **options, **ABSENT}, None, resources)
    (item,) = answer_event([{"text": "good film", **ABSENT}], None, resources)

    assert answer == item == answer_event({"text": "good film"}, None, resources)


def test_null_in_the_fields_of_an_envelope_is_absent(
    aws: Client, make_resources: MakeResources
) -> None:
    aws("sqs").create_queue(QueueName="results")
    resources = make_resources(MINNOW_RESULTS="sqs://results")
    event = load_event("sqs_plain_text")
    event |= {"requestContext": None, "detail-type": None}
    event["Records"][0] |= {"EventSource": None, "attributes": None, "messageAttributes": None}

    assert answer_event(event, None, resources) == {"batchItemFailures": []}
