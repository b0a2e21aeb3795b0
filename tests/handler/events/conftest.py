"""AWS on loopback: a moto server a test run, emptied before each test; boto3 is the client."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from handler.events.resources import Service
from handler.inference.classifier import Classifier
from handler.settings import read_settings
from tests.conftest import TESTS

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
MakeService = Callable[..., Service]
# moto asks the time twice for every message of a queue, 30 times over in a receive of ten, and
# makes two datetimes of each answer: with 500 messages a receive takes a second. The same number,
# quickly:
MOTO = """
import sys, time
from moto.sqs import models
models.unix_time_millis = lambda: time.time() * 1000
from moto.server import main
main(sys.argv[1:])
"""


def load_event(name: str) -> Any:
    return json.loads((TESTS / "events" / f"{name}.json").read_text(encoding="utf-8"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", MOTO, "-H", "127.0.0.1", "-p", url.rsplit(":", 1)[-1]]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_answering(f"{url}/moto-api/data.json")
        yield url
    finally:
        server.kill()  # nothing of it is to be kept
        server.wait()


@pytest.fixture
def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """An empty AWS, which every boto3 client of this test and its children reaches."""
    urllib.request.urlopen(f"{moto_url}/moto-api/reset", data=b"").close()
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": moto_url}).items():
        monkeypatch.setenv(name, value)
    return boto3.client


@pytest.fixture
def make_service(tiny_classifier: Classifier) -> MakeService:
    def make(**environment: str) -> Service:
        return Service(tiny_classifier, read_settings(environment))

    return make
