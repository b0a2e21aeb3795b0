"""Events by name, and what tests do with AWS on loopback."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from handler.events.resources import Resources
from tests.helpers.paths import TESTS

MakeResources = Callable[..., Resources]
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def load_event(name: str) -> Any:
    return json.loads((TESTS / "events" / f"{name}.json").read_text(encoding="utf-8"))


def wait_until_answering(url: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def receive_all(client: Any, url: str) -> list[dict[str, Any]]:
    messages = []
    while batch := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        messages += [json.loads(message["Body"]) for message in batch]
    return messages


def create_bus(aws: Callable[[str], Any]) -> str:
    """Make an event bus whose events of minnow go into a queue; return the queue's URL."""
    events, sqs = aws("events"), aws("sqs")
    url: str = sqs.create_queue(QueueName="bus")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events.create_event_bus(Name="bus")
    pattern = json.dumps({"source": ["minnow"]})
    events.put_rule(Name="all", EventBusName="bus", EventPattern=pattern)
    targets = [{"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}]
    events.put_targets(Rule="all", EventBusName="bus", Targets=targets)
    return url
