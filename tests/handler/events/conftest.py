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

from handler.classifier import Classifier
from handler.events.service import Service
from handler.settings import read_settings
from tests.conftest import TESTS

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
MakeService = Callable[..., Service]


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


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", url.rsplit(":", 1)[-1]]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_answering(f"{url}/moto-api/data.json")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=10)


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
