"""Feedback in events: kept by the sink of MINNOW_FEEDBACK, each record for itself."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from handler.errors import DeliveryError, HandlerError, InvalidInput, SettingsError
from handler.event_settings import read_event_settings
from handler.events.dispatch import answer_event
from handler.events.work import ObjectRef
from handler.feedback import format_time
from handler.objects.admission import refuse_own_result
from tests.helpers.aws import MakeResources, create_bus, load_event, receive_all
from tests.helpers.deployment import make_table

Client = Callable[[str], Any]
FEEDBACK = {"result_id": "0123456789abcdef0123456789abcdef", "label": "pos"}
ON = {"MINNOW_FEEDBACK": "sqs://feedback", "MINNOW_RESULTS": "sqs://results"}


def make_sqs_event(*bodies: Any) -> dict[str, Any]:
    """Return an event of messages m0, m1 ..., sent at 2026-07-20 08:26:40 UTC."""
    (record, *_) = load_event("sqs_two_messages")["Records"]
    attributes = {**record["attributes"], "SentTimestamp": "1784536000000"}
    return {
        "Records": [
            {
                **record,
                "attributes": attributes,
                "messageId": f"m{number}",
                "body": json.dumps(body),
            }
            for number, body in enumerate(bodies)
        ]
    }


@pytest.fixture
def queues(aws: Client) -> dict[str, str]:
    sqs = aws("sqs")
    return {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("feedback", "results")}


def test_messages_are_told_apart_and_only_the_failed_ones_come_again(
    aws: Client, queues: dict[str, str], make_resources: MakeResources
) -> None:
    event = make_sqs_event(FEEDBACK, {"text": "good"}, {**FEEDBACK, "label": "film"}, {"id": 1})

    reply = answer_event(event, None, make_resources(**ON))

    failed = [one["itemIdentifier"] for one in reply["batchItemFailures"]]
    assert failed == ["m2", "m3"]
    (kept,) = receive_all(aws("sqs"), queues["feedback"])
    (result,) = receive_all(aws("sqs"), queues["results"])
    assert result["id"] == "m1"
    assert kept == {
        "feedback_id": kept["feedback_id"],
        **FEEDBACK,
        "index": 0,
        "source": "arn:aws:sqs:eu-west-1:123456789012:texts",
        "time": "2026-07-20T08:26:40.000Z",
    }


def test_a_second_delivery_is_the_same_feedback_at_the_same_time(
    aws: Client, queues: dict[str, str], make_resources: MakeResources
) -> None:
    for _ in range(2):
        answer_event(make_sqs_event(FEEDBACK), None, make_resources(**ON))

    first, second = receive_all(aws("sqs"), queues["feedback"])
    assert first == second


def test_a_row_with_a_text_is_scored_whatever_stands_beside_it(
    aws: Client, queues: dict[str, str], make_resources: MakeResources
) -> None:
    answer_event(make_sqs_event({**FEEDBACK, "text": "good"}), None, make_resources(**ON))

    assert receive_all(aws("sqs"), queues["feedback"]) == []
    assert len(receive_all(aws("sqs"), queues["results"])) == 1


def test_where_it_is_switched_off_the_message_fails_with_the_reason(
    queues: dict[str, str], make_resources: MakeResources, caplog: pytest.LogCaptureFixture
) -> None:
    resources = make_resources(MINNOW_RESULTS="sqs://results")

    reply = answer_event(make_sqs_event(FEEDBACK), None, resources)

    assert reply == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert "MINNOW_FEEDBACK, which says where feedback goes, is not set" in caplog.text
    with pytest.raises(InvalidInput, match="MINNOW_FEEDBACK"):
        answer_event(FEEDBACK, None, resources)


def test_a_direct_call_answers_once_it_is_kept(
    aws: Client, queues: dict[str, str], make_resources: MakeResources
) -> None:
    reply = answer_event({**FEEDBACK, "predicted": None}, None, make_resources(**ON))

    (kept,) = receive_all(aws("sqs"), queues["feedback"])
    assert reply == {"feedback_id": kept["feedback_id"]}
    assert kept["source"] == "direct"


def test_a_sink_that_does_not_take_it_fails_the_record(
    aws: Client, make_resources: MakeResources
) -> None:
    resources = make_resources(MINNOW_FEEDBACK="sqs://gone")

    reply = answer_event(make_sqs_event(FEEDBACK), None, resources)

    assert reply == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    with pytest.raises(DeliveryError, match="the feedback could not be sent"):
        answer_event(FEEDBACK, None, resources)


def test_a_table_and_a_bucket_keep_one_of_two_deliveries(
    aws: Client, make_resources: MakeResources
) -> None:
    make_table("feedback", "feedback_id")
    aws("s3").create_bucket(
        Bucket="feedback", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    for url in ("dynamodb://feedback", "s3://feedback/said/"):
        for _ in range(2):
            reply = answer_event(
                make_sqs_event(FEEDBACK), None, make_resources(MINNOW_FEEDBACK=url)
            )
            assert reply == {"batchItemFailures": []}

    (item,) = aws("dynamodb").scan(TableName="feedback")["Items"]
    (entry,) = aws("s3").list_objects_v2(Bucket="feedback")["Contents"]
    assert item["result_id"] == {"S": FEEDBACK["result_id"]}
    assert entry["Key"] == f"said/{item['feedback_id']['S']}.json"
    content = aws("s3").get_object(Bucket="feedback", Key=entry["Key"])["Body"].read()
    assert json.loads(content)["result_id"] == FEEDBACK["result_id"]


def test_a_bus_tells_it_from_results_by_its_detail_type(
    aws: Client, make_resources: MakeResources
) -> None:
    url = create_bus(aws)

    answer_event(FEEDBACK, None, make_resources(MINNOW_FEEDBACK="eventbridge://bus"))
    answer_event(
        make_sqs_event({"text": "good"}), None, make_resources(MINNOW_RESULTS="eventbridge://bus")
    )

    types = [one["detail-type"] for one in receive_all(aws("sqs"), url)]
    assert sorted(types) == ["Minnow Feedback", "Minnow Prediction"]


def test_every_other_source_takes_it_with_the_time_that_it_says(
    aws: Client, queues: dict[str, str], make_resources: MakeResources
) -> None:
    resources = make_resources(**ON)
    sns, bus = load_event("sns_text"), load_event("eventbridge_text")
    sns["Records"][0]["Sns"] |= {
        "Message": json.dumps(FEEDBACK),
        "Timestamp": "2026-07-20T08:26:41.000Z",
    }
    bus |= {"detail": FEEDBACK, "time": "2026-07-20T08:26:42Z"}
    kinesis, dynamodb = (
        load_event("kinesis_two_records"),
        load_event("dynamodb_insert_modify_remove"),
    )
    kinesis["Records"] = kinesis["Records"][:1]
    kinesis["Records"][0]["kinesis"] |= {
        "data": base64.b64encode(json.dumps(FEEDBACK).encode()).decode(),
        "approximateArrivalTimestamp": 1784536003.25,
    }
    dynamodb["Records"] = dynamodb["Records"][:1]
    dynamodb["Records"][0]["dynamodb"] |= {
        "NewImage": {name: {"S": value} for name, value in FEEDBACK.items()},
        "ApproximateCreationDateTime": 1784536004,
    }

    replies = [answer_event(one, None, resources) for one in (sns, bus, kinesis, dynamodb)]

    kept = receive_all(aws("sqs"), queues["feedback"])
    ids = {one["time"]: one["feedback_id"] for one in kept}
    assert sorted(ids) == [
        "2026-07-20T08:26:41.000Z",
        "2026-07-20T08:26:42.000Z",
        "2026-07-20T08:26:43.250Z",
        "2026-07-20T08:26:44.000Z",
    ]
    assert replies[0] == {"results": [{"feedback_id": ids["2026-07-20T08:26:41.000Z"]}]}
    assert replies[1] == {"feedback_id": ids["2026-07-20T08:26:42.000Z"]}
    assert replies[2:] == [{"batchItemFailures": []}] * 2


@pytest.mark.parametrize("sent", ["soon", "9" * 400, float("nan"), 1e300, {}, "2026-13-01"])
def test_a_time_that_is_none_is_now(sent: Any) -> None:
    assert format_time(sent)[:3] == "20" + format_time(None)[2]


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert format_time("2026-07-20T08:26:40") == "2026-07-20T08:26:40.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_our_own_feedback_never_comes_back_as_new(
    queues: dict[str, str], make_resources: MakeResources
) -> None:
    resources = make_resources(MINNOW_FEEDBACK="sqs://texts")
    kept = {"feedback_id": "a", **FEEDBACK}

    with pytest.raises(HandlerError, match="MINNOW_FEEDBACK is the source of this event"):
        answer_event(make_sqs_event(FEEDBACK), None, resources)
    reply = answer_event(make_sqs_event(kept), None, make_resources(**ON))
    assert reply == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    settings = read_event_settings({"MINNOW_FEEDBACK": "s3://texts/said/"})
    with pytest.raises(InvalidInput, match="the object is a result of ours"):
        refuse_own_result(ObjectRef("texts", f"said/{'a' * 32}.json"), settings)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"MINNOW_FEEDBACK": "http://a"}, "MINNOW_FEEDBACK is 'http://a', wanted one of sqs"),
        ({"MINNOW_FEEDBACK": "dynamodb://t?key=result_id"}, "wanted a table with the key"),
        (
            {"MINNOW_FEEDBACK": "s3://a/b/", "MINNOW_OBJECT_SOURCE": "s3://a/"},
            "overlap, so a feedback would trigger the function",
        ),
    ],
    ids=["scheme", "key", "overlap"],
)
def test_a_wrong_setting_ends_the_start(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_event_settings(environment)
