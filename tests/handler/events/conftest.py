"""What tests of events are given: a bucket, a queue, resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handler.events.resources import Resources
from handler.inference.classifier import Classifier
from handler.inference.models import Model, Models
from handler.settings import read_settings
from tests.helpers.aws import MakeResources


@pytest.fixture
def s3(aws: Callable[[str], Any]) -> Any:
    """A client of S3, with the empty buckets "texts" and "results"."""
    client = aws("s3")
    for bucket in ("texts", "results"):
        client.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    return client


@pytest.fixture
def results_queue(aws: Callable[[str], Any]) -> str:
    """The address of the empty queue "results"."""
    url: str = aws("sqs").create_queue(QueueName="results")["QueueUrl"]
    return url


@pytest.fixture
def make_resources(tiny_classifier: Classifier) -> MakeResources:
    def make(**environment: str) -> Resources:
        settings = read_settings(environment)
        return Resources(Models([Model(tiny_classifier, settings.limits)]), settings.events)

    return make
