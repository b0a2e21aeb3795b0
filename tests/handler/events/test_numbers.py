"""A model of numbers behind events: direct calls, a table of results, objects of every format."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.inference.classifier import load_classifier
from handler.inference.models import Model, Models
from handler.settings import read_settings
from tests.helpers.aws import load_event
from tests.helpers.deployment import make_s3_event
from tests.helpers.number_bundles import write_regression
from tests.helpers.tables import read_csv, read_jsonl, read_parquet

Client = Callable[[str], Any]
TEXTS = ["good film", "bad"]
NAMES = ("predicted_value", "predicted_low", "predicted_high")
GOOD, BAD = (2.0, -0.5, 4.5), (-2.0, -3.0, -1.0)


def make_parquet() -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": TEXTS}), buffer)
    return buffer.getvalue()


@pytest.fixture
def make_numbers(tmp_path: Path) -> Callable[..., Resources]:
    classifier = load_classifier(write_regression(tmp_path))

    def make(**environment: str) -> Resources:
        settings = read_settings(environment)
        return Resources(Models([Model(classifier, settings.limits)]), settings.events)

    return make


def test_a_direct_call_gets_numbers(make_numbers: Callable[..., Resources]) -> None:
    answer = answer_event({"texts": TEXTS}, None, make_numbers())

    assert [(one["value"], one["interval"]) for one in answer["predictions"]] == [
        (2.0, [-0.5, 4.5]),
        (-2.0, [-3.0, -1.0]),
    ]


def test_a_table_holds_the_number_as_a_number(
    make_numbers: Callable[..., Resources], aws: Client
) -> None:
    dynamodb = aws("dynamodb")
    dynamodb.create_table(
        TableName="results",
        KeySchema=[{"AttributeName": "result_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "result_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    resources = make_numbers(MINNOW_RESULTS="dynamodb://results")

    answer_event(load_event("sqs_plain_text"), None, resources)

    (item,) = dynamodb.scan(TableName="results")["Items"]
    answer = item["predictions"]["L"][0]["M"]
    assert answer["value"] == {"N": "2.0"}
    assert answer["interval"] == {"L": [{"N": "-0.5"}, {"N": "4.5"}]}


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("a.csv", b"text\ngood film\nbad\n", read_csv),
        ("a.jsonl", b'{"text": "good film"}\n{"text": "bad"}\n', read_jsonl),
        ("a.parquet", make_parquet(), read_parquet),
    ],
)
def test_an_object_gets_three_columns(
    name: str,
    content: bytes,
    read: Callable[[bytes], Any],
    s3: Any,
    make_numbers: Callable[..., Resources],
    aws: Client,
) -> None:
    aws("sqs").create_queue(QueueName="texts")
    resources = make_numbers(
        MINNOW_OBJECT_RESULTS="s3://results/",
        MINNOW_OBJECT_SOURCE="s3://texts/",
        MINNOW_CONTINUATION_QUEUE="sqs://texts",
    )
    s3.put_object(Bucket="texts", Key=name, Body=content)

    answer_event(make_s3_event("texts", name), None, resources)

    rows = read(s3.get_object(Bucket="results", Key=f"texts/{name}")["Body"].read())
    assert list(rows[0]) == ["text", *NAMES, "model_version"]
    assert [tuple(float(row[column]) for column in NAMES) for row in rows] == [GOOD, BAD]
