"""AWS on loopback: a moto server a test run, emptied before each test; boto3 is the client."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from tests.helpers.aws import ENVIRONMENT, wait_until_answering
from tests.helpers.ports import free_port

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
