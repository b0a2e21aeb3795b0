"""Texts that the model does not answer go to their own sink, and none of them is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handler.errors import DeliveryError, HandlerError
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.inference.classifier import load_classifier
from handler.inference.models import Model, Models
from handler.settings import read_settings
from tests.helpers.aws import MakeResources, load_event, receive_all
from tests.helpers.deployment import make_table

Client = Callable[[str], Any]
REVIEW = {"MINNOW_RESULTS": "sqs://results", "MINNOW_REVIEW": "sqs://review"}


@pytest.fixture
def make_selective(selective_bundle: Path) -> MakeResources:
    classifier = load_classifier(selective_bundle)

    def make(**environment: str) -> Resources:
        settings = read_settings(environment)
        return Resources(Models([Model(classifier, settings.limits)]), settings.events)

    return make


def make_sqs_event(*bodies: Any) -> dict[str, Any]:
    """Return an event of messages m0, m1 ... of the queue `texts`."""
    (record, *_) = load_event("sqs_two_messages")["Records"]
    bodies = tuple(body if isinstance(body, str) else json.dumps(body) for body in bodies)
    return {
        "Records": [
            {**record, "messageId": f"m{number}", "body": body}
            for number, body in enumerate(bodies)
        ]
    }


def make_queue(aws: Client, name: str) -> str:
    url: str = aws("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url


def test_what_is_not_answered_goes_to_the_review_queue_with_its_text(
    aws: Client, make_selective: MakeResources
) -> None:
    results, review = make_queue(aws, "results"), make_queue(aws, "review")
    event = make_sqs_event("good good", {"id": "7", "texts": ["good good", "good film"]})

    reply = answer_event(event, None, make_selective(**REVIEW))

    assert reply == {"batchItemFailures": []}
    sent = {one["id"]: one for one in receive_all(aws("sqs"), results)}
    assert [one["label"] for one in sent["7"]["predictions"]] == ["pos", None]
    (told,) = receive_all(aws("sqs"), review)
    (asked,) = told.pop("reviews")
    assert told == {
        "result_id": f"{sent['7']['result_id']}-review",
        "id": "7",
        "source": sent["7"]["source"],
        "model": sent["7"]["model"],
    }
    assert {name: asked[name] for name in ("index", "text", "label", "best", "abstained")} == {
        "index": 1,
        "text": "good film",
        "label": None,
        "best": "pos",
        "abstained": True,
    }


def test_a_record_whose_review_cannot_be_sent_fails_alone_and_its_result_is_not_sent(
    aws: Client, make_selective: MakeResources
) -> None:
    results = make_queue(aws, "results")
    event = make_sqs_event("good good", "good film")
    resources = make_selective(**REVIEW)

    reply = answer_event(event, None, resources)

    assert reply == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert [one["id"] for one in receive_all(aws("sqs"), results)] == ["m0"]
    review = make_queue(aws, "review")
    assert answer_event(event, None, make_selective(**REVIEW)) == {"batchItemFailures": []}
    assert [one["id"] for one in receive_all(aws("sqs"), review)] == ["m1"]


def test_a_record_whose_result_cannot_be_sent_comes_again_with_its_review(
    aws: Client, make_selective: MakeResources
) -> None:
    review = make_queue(aws, "review")
    event = make_sqs_event("good film")

    replies = [answer_event(event, None, make_selective(**REVIEW)) for _ in range(2)]

    assert replies == [{"batchItemFailures": [{"itemIdentifier": "m0"}]}] * 2
    first, second = receive_all(aws("sqs"), review)
    assert first == second  # told apart by nobody: the same result_id


def test_a_bucket_keeps_one_review_a_record_beside_its_result(
    s3: Any, make_selective: MakeResources
) -> None:
    both = {"MINNOW_RESULTS": "s3://results/out/", "MINNOW_REVIEW": "s3://results/out/"}
    event = make_sqs_event("good film")

    for _ in range(2):
        assert answer_event(event, None, make_selective(**both)) == {"batchItemFailures": []}

    keys = sorted(one["Key"] for one in s3.list_objects_v2(Bucket="results")["Contents"])
    assert [key.endswith("-review.json") for key in keys] == [True, False]
    review = json.loads(s3.get_object(Bucket="results", Key=keys[0])["Body"].read())
    assert review["reviews"][0]["text"] == "good film"
    refused = make_selective(**both, MINNOW_OBJECT_RESULTS="s3://texts/")
    with pytest.raises(HandlerError, match="is a result of ours"):
        answer_event(load_s3_event("results", keys[0]), None, refused)


def load_s3_event(bucket: str, key: str) -> Any:
    event = load_event("s3_object_created")
    event["Records"][0]["s3"]["bucket"]["name"] = bucket
    event["Records"][0]["s3"]["object"]["key"] = key
    return event


def score_object_with(s3: Any, resources: Resources, texts: list[str]) -> Any:
    s3.put_object(Bucket="texts", Key="a.csv", Body="\n".join(["text", *texts]).encode())
    (answer,) = answer_event(load_s3_event("texts", "a.csv"), None, resources)["results"]
    return answer


def test_rows_of_an_object_that_are_not_answered_go_to_review_too(
    aws: Client, s3: Any, make_selective: MakeResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue(aws, "review")
    monkeypatch.setattr("handler.events.review.REVIEW_BYTES", 500)  # two rows in a message
    resources = make_selective(MINNOW_OBJECT_RESULTS="s3://results/", MINNOW_REVIEW="sqs://review")

    answer = score_object_with(s3, resources, ["good good", *["good film"] * 3])

    assert answer["status"] == "done"
    told = sorted(receive_all(aws("sqs"), queue), key=lambda one: one["reviews"][0]["row"])
    assert [[row["row"] for row in one["reviews"]] for one in told] == [[2, 3], [4]]
    first = told[0]
    assert first["result_id"].endswith("-2-review")
    assert (first["id"], first["source"]) == ("s3://texts/a.csv", "aws:s3")
    asked = first["reviews"][0]
    assert (asked["text"], asked["label"], asked["best"]) == ("good film", None, "pos")
    body = s3.get_object(Bucket="results", Key="texts/a.csv")["Body"].read().decode()
    assert body.count(",uncertain,pos,") == 3
    assert score_object_with(s3, resources, ["good good", *["good film"] * 3])["status"] == "done"
    assert receive_all(aws("sqs"), queue) == []  # the result stands: nothing is sent again


def test_an_object_whose_review_cannot_be_sent_has_no_result_and_comes_again(
    aws: Client, s3: Any, make_selective: MakeResources
) -> None:
    resources = make_selective(MINNOW_OBJECT_RESULTS="s3://results/", MINNOW_REVIEW="sqs://review")

    with pytest.raises(DeliveryError, match="its rows for review could not be sent: "):
        score_object_with(s3, resources, ["good film"])

    assert "Contents" not in s3.list_objects_v2(Bucket="results")
    queue = make_queue(aws, "review")
    fresh = make_selective(MINNOW_OBJECT_RESULTS="s3://results/", MINNOW_REVIEW="sqs://review")
    assert score_object_with(s3, fresh, ["good film"])["status"] == "done"
    assert len(receive_all(aws("sqs"), queue)) == 1


def test_the_idempotency_table_sends_a_review_and_its_result_once(
    aws: Client, make_selective: MakeResources
) -> None:
    results, review = make_queue(aws, "results"), make_queue(aws, "review")
    make_table("once", "id")
    event = make_sqs_event("good film")

    for _ in range(2):
        resources = make_selective(**REVIEW, MINNOW_IDEMPOTENCY_TABLE="once")
        assert answer_event(event, None, resources) == {"batchItemFailures": []}

    assert len(receive_all(aws("sqs"), results)) == len(receive_all(aws("sqs"), review)) == 1


def test_a_topic_whose_review_fails_is_delivered_again(
    aws: Client, make_selective: MakeResources
) -> None:
    resources = make_selective(MINNOW_REVIEW="sqs://review")

    with pytest.raises(DeliveryError, match="texts for review could not be sent"):
        answer_event(load_event("sns_text"), None, resources)


def test_a_model_that_answers_everything_sends_nothing_for_review(
    aws: Client, make_resources: MakeResources
) -> None:
    make_queue(aws, "results")  # and no queue for review: a send would fail

    reply = answer_event(load_event("sqs_two_messages"), None, make_resources(**REVIEW))

    assert reply == {"batchItemFailures": []}


def test_a_review_queue_that_is_the_source_is_refused(make_selective: MakeResources) -> None:
    arn = load_event("sqs_two_messages")["Records"][0]["eventSourceARN"]
    resources = make_selective(
        MINNOW_RESULTS="sqs://results", MINNOW_REVIEW=f"sqs://{arn.rsplit(':', 1)[-1]}"
    )

    with pytest.raises(HandlerError, match="MINNOW_REVIEW is the source of this event"):
        answer_event(make_sqs_event("good film"), None, resources)


def test_nothing_of_a_text_for_review_stands_in_an_error(
    aws: Client, make_selective: MakeResources, caplog: pytest.LogCaptureFixture
) -> None:
    make_queue(aws, "results")

    answer_event(make_sqs_event("secret film"), None, make_selective(**REVIEW))

    assert "could not be sent" in caplog.text
    assert "secret" not in caplog.text
