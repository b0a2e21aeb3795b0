"""The template's function on a real server of AWS's services, with its own variables."""

from __future__ import annotations

import importlib
import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from handler.inference.models import LIVE
from handler.repository.places import open_store
from handler.repository.publish import push_bundle
from tests.helpers.aws import ENVIRONMENT, load_event
from tests.helpers.aws_calls import Authorize, Call, record_calls
from tests.helpers.template import REGION, Stack


class Clock:
    """A Lambda context whose time stands still: by default when an object is to be handed on."""

    def __init__(self, remaining_ms: int = 25_000) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@dataclass
class Deployment:
    """A function that runs, and the calls that it has made so far.

    Args:
        stack: What was deployed.
        handler: The entry point that Lambda calls.
        authorize: Says whether IAM lets a call of the function through.
    """

    stack: Stack
    handler: Any
    authorize: Authorize
    calls: list[Call] = field(default_factory=list)

    def invoke(self, event: Any, context: Any = None) -> Any:
        """Return the handler's reply; only what it calls meanwhile is recorded."""
        with record_calls(self.authorize) as calls:
            try:
                return self.handler(event, context)
            finally:
                self.calls += calls


@contextmanager
def deploy(
    stack: Stack,
    moto_url: str,
    bundle: Path,
    authorize: Authorize = lambda call: True,
    **environment: str,
) -> Iterator[Deployment]:
    """Yield the function of a stack, its buckets and queues made and empty.

    Args:
        stack: Its resources and the function's variables.
        moto_url: Where moto's server listens; what is there is removed.
        bundle: Served in place of the one in the package, or from the repository of models.
        authorize: Says whether IAM lets a call of the function through.
        environment: Variables besides the stack's, or in place of them.
    """
    urllib.request.urlopen(f"{moto_url}/moto-api/reset", data=b"").close()
    variables = {**ENVIRONMENT, "AWS_ENDPOINT_URL": moto_url}
    if not stack.environment["MINNOW_MODELS"]:
        variables["MINNOW_BUNDLE"] = str(bundle)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MINNOW_BUNDLE", raising=False)  # of a command that ran in this process
        for name, value in {**variables, **stack.environment, **environment}.items():
            patch.setenv(name, value)
        _make_resources(stack)
        if place := stack.environment["MINNOW_MODELS"]:
            _make_repository(place, bundle)
        patch.delitem(sys.modules, "handler.function", raising=False)
        try:
            with record_calls(authorize) as calls:
                module = importlib.import_module("handler.function")
            yield Deployment(stack, module.handler, authorize, calls)
        finally:
            sys.modules.pop("handler.function", None)


def _make_resources(stack: Stack) -> None:
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    for bucket in stack.find_properties("AWS::S3::Bucket").values():
        name = bucket["BucketName"]
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        versioning = bucket["VersioningConfiguration"]
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    for queue in stack.find_properties("AWS::SQS::Queue").values():
        sqs.create_queue(QueueName=queue["QueueName"])
    make_target(stack.environment["MINNOW_RESULTS"])
    make_target(stack.environment["MINNOW_REVIEW"])
    make_target(stack.environment["MINNOW_FEEDBACK"], key="feedback_id")
    if table := stack.environment["MINNOW_IDEMPOTENCY_TABLE"]:
        make_table(table, "id")


def _make_repository(place: str, bundle: Path) -> None:
    bucket = place.split("/")[2]
    where = {"LocationConstraint": REGION}
    boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    push_bundle(open_store(place), bundle, alias=LIVE)


def make_target(url: str, key: str = "result_id") -> None:
    """Make the queue, bus or table of a sink's URL; buckets are the stack's own."""
    kind, _, name = url.partition("://")
    name = name.rsplit("/", 1)[-1]
    if kind == "sqs":
        boto3.client("sqs").create_queue(QueueName=name)
    elif kind == "eventbridge":
        boto3.client("events").create_event_bus(Name=name)
    elif kind == "dynamodb":
        make_table(name, key)


def make_table(name: str, key: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def remove_target(url: str) -> None:
    """Remove the queue or bus of a sink's URL."""
    kind, _, name = url.partition("://")
    name = name.rsplit("/", 1)[-1]
    if kind == "sqs":
        sqs = boto3.client("sqs")
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    else:
        boto3.client("events").delete_event_bus(Name=name)


def make_s3_event(bucket: str, key: str, etag: str = "", version_id: str = "") -> dict[str, Any]:
    """Return S3's notification of one object; without a version as the state machine writes it."""
    found = {"key": key} | ({"eTag": etag} if etag else {})
    found |= {"versionId": version_id} if version_id else {}
    s3 = {"bucket": {"name": bucket}, "object": found}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


def wrap_in_sns(message: Any) -> Any:
    """Return the event by which SNS delivers a message."""
    event = load_event("sns_text")
    event["Records"][0]["Sns"]["Message"] = json.dumps(message)
    return event


def wrap_in_sqs(body: str) -> Any:
    """Return the event by which SQS delivers a message."""
    event = load_event("sqs_plain_text")
    event["Records"][0]["body"] = body
    return event


def wrap_in_eventbridge(bucket: str, key: str) -> Any:
    """Return EventBridge's event of an object."""
    event = load_event("eventbridge_s3_object_created")
    event["detail"] |= {"bucket": {"name": bucket}, "object": {"key": key}}
    return event
