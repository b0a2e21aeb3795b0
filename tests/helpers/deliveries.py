"""Everything that the template's function can be asked for, one delivery after the other."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import boto3
import pyarrow
import pytest
from pyarrow import parquet

from handler.errors import DeliveryError
from tests.helpers.aws import load_event
from tests.helpers.aws_calls import Call, record_calls
from tests.helpers.deployment import (
    Clock,
    Deployment,
    deploy,
    make_s3_event,
    make_table,
    make_target,
    remove_target,
    wrap_in_eventbridge,
    wrap_in_sns,
    wrap_in_sqs,
)
from tests.helpers.http_events import make_event
from tests.helpers.state_machine import play_map
from tests.helpers.template import ACCOUNT, REGION, Stack

Recording = dict[str, list[Call]]  # role -> its calls
ANSWERED = ("direct_text", "direct_texts", "stepfunctions_list", "stepfunctions_distributed_map")
SENT_ON = (
    "sqs_two_messages",
    "kinesis_two_records",
    "dynamodb_insert_modify_remove",
    "sns_text",
    "eventbridge_text",
)
MODELS = "models"  # the bucket of the repository, which is read at the start, and from time to time
CLEAN = b"text\ngood\n"
WITH_REJECTED = b"text\ngood\n" + b"good " * 5000 + b"\n"


class Bucket:
    """The bucket of texts, as somebody with every right to it sees it."""

    def __init__(self, deployment: Deployment) -> None:
        buckets = deployment.stack.find_properties("AWS::S3::Bucket")
        self.name = buckets["TextsBucket"]["BucketName"]
        self.results = buckets["ResultsBucket"]["BucketName"]
        self.s3 = boto3.client("s3")

    def put(self, key: str, body: bytes) -> dict[str, Any]:
        """Put an object; return S3's own event of it."""
        reply = self.s3.put_object(Bucket=self.name, Key=key, Body=body)
        return make_s3_event(self.name, key, reply["ETag"].strip('"'), reply["VersionId"])

    def list_results(self) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.results, Prefix="objects/")
        prefix = f"objects/{self.name}/"
        return [entry["Key"].removeprefix(prefix) for entry in found.get("Contents", [])]

    def get_result(self, key: str) -> bytes:
        found = self.s3.get_object(Bucket=self.results, Key=f"objects/{self.name}/{key}")
        content: bytes = found["Body"].read()
        return content

    def leave_upload(self, key: str) -> None:
        """Begin an upload of a result, as an invocation that was killed leaves it."""
        result = f"objects/{self.name}/{key}"
        self.s3.create_multipart_upload(Bucket=self.results, Key=result)


def make_large_csv() -> bytes:
    """Rows of 9 KB: over a part of an upload in the first block, and rows that are rejected."""
    pad = "x" * 9000
    lines = [f"{'good' if n % 100 else 'good ' * 4001},{pad}\n" for n in range(1100)]
    return ("text,pad\n" + "".join(lines)).encode()


def make_parquet() -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["good", "bad"]}), buffer)
    return buffer.getvalue()


def deliver_texts(function: Deployment) -> None:
    """One event of every source that brings texts, and a request over HTTP."""
    for name in ANSWERED:
        function.invoke(load_event(name))
    for kind in ("http_v2", "function_url"):
        reply = function.invoke(make_event(kind, "POST", "/predict", {"text": "good film"}))
        assert reply["statusCode"] == 200
    assert not [call for call in function.calls if call.parameters.get("Bucket") != MODELS]
    for name in SENT_ON:
        num_calls = len(function.calls)
        function.invoke(load_event(name))
        assert len(function.calls) > num_calls
    if function.stack.environment["MINNOW_FEEDBACK"]:
        give_feedback(function)
    if function.stack.environment["MINNOW_IDEMPOTENCY_TABLE"]:
        send_once(function)


def give_feedback(function: Deployment) -> None:
    """Feedback by an event, by a queue and over HTTP."""
    feedback = {"result_id": "0123456789abcdef0123456789abcdef", "label": "pos"}
    assert function.invoke(feedback).keys() == {"feedback_id"}
    assert function.invoke(wrap_in_sqs(json.dumps(feedback))) == {"batchItemFailures": []}
    reply = function.invoke(make_event("http_v2", "POST", "/feedback", feedback))
    assert (reply["statusCode"], json.loads(reply["body"])) == (202, {"accepted": 1})


def send_once(function: Deployment) -> None:
    """A result that was sent comes again, and one cannot be sent: its record is taken back."""
    environment = function.stack.environment
    sinks = [environment["MINNOW_RESULTS"], environment["MINNOW_REVIEW"]]
    url = next(sink for sink in sinks if sink.startswith(("sqs://", "eventbridge://")))
    assert function.invoke(load_event("sqs_two_messages")) == {"batchItemFailures": []}
    remove_target(url)
    assert function.invoke(load_event("sqs_plain_text"))["batchItemFailures"]
    make_target(url)


def deliver_objects(function: Deployment) -> None:
    """Objects by every source that names them, and all that may become of one."""
    bucket = Bucket(function)
    event = bucket.put("clean.csv", CLEAN)
    assert function.invoke(event)["results"][0]["status"] == "done"
    assert function.invoke(event)["results"][0]["status"] == "done"  # the second delivery
    function.invoke(bucket.put("changed.csv", WITH_REJECTED))
    function.invoke(bucket.put("changed.csv", CLEAN))
    bucket.put("by others.csv", CLEAN)
    function.invoke(wrap_in_eventbridge(bucket.name, "by others.csv"))
    function.invoke(wrap_in_sns(bucket.put("by sns.csv", CLEAN)))
    function.invoke(wrap_in_sqs(json.dumps(bucket.put("by sqs.csv", CLEAN))))
    function.invoke(bucket.put("table.parquet", make_parquet()))
    old = make_s3_event(bucket.name, "clean.csv", "0123456789abcdef0123456789abcdef")
    assert function.invoke(old) == {"results": [{"status": "superseded"}]}
    gone = function.invoke(make_s3_event(bucket.name, "gone.csv"))
    assert gone == {"results": [{"status": "passed over", "reason": "it is gone"}]}
    assert bucket.list_results() == [
        "by others.csv",
        "by sns.csv",
        "by sqs.csv",
        "changed.csv",
        "clean.csv",
        "table.parquet",
    ]


def outlast_an_invocation(function: Deployment) -> None:
    """An object that takes more than one invocation, where there is a queue to hand it on."""
    bucket = Bucket(function)
    bucket.leave_upload("large.csv")
    event = bucket.put("large.csv", make_large_csv())
    if not function.stack.environment["MINNOW_CONTINUATION_QUEUE"]:
        with pytest.raises(DeliveryError, match="set MINNOW_CONTINUATION_QUEUE"):
            function.invoke(event, Clock())
        function.invoke(event)
    else:
        (answer,) = function.invoke(event, Clock())["results"]
        assert (answer["status"], answer["rows"]) == ("continued", 1024)
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName="minnow-texts")["QueueUrl"]
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        assert function.invoke(wrap_in_sqs(message["Body"])) == {"batchItemFailures": []}
    results = bucket.list_results()
    assert {"large.csv", "large.csv.rejected"} <= set(results)
    assert not [key for key in results if ".minnow/" in key]
    assert "Uploads" not in bucket.s3.list_multipart_uploads(Bucket=bucket.results)


def run_state_machine(function: Deployment) -> list[Call]:
    """Score a prefix by the template's state machine; return the calls that its role makes."""
    bucket = Bucket(function)
    bucket.put("prefix/a (1) + é.csv", CLEAN)
    (machine,) = function.stack.find_properties("AWS::Serverless::StateMachine").values()
    calls: list[Call] = []
    s3 = boto3.client("s3")

    def call_s3(method: str, **arguments: Any) -> Any:
        with record_calls() as made:
            reply = getattr(s3, method)(**arguments)
        calls.extend(made)
        return reply

    def invoke(arn: str, payload: Any) -> Any:
        calls.append(Call("lambda", "Invoke", {"FunctionName": arn}))
        return function.invoke(payload)

    (reply,) = play_map(machine["Definition"], {"prefix": "prefix/"}, call_s3, invoke)
    assert reply["results"][0]["status"] == "done"
    return calls


def run_everything(function: Deployment) -> Recording:
    deliver_texts(function)
    state_machine: list[Call] = []
    if function.stack.environment["MINNOW_OBJECT_SOURCE"]:
        deliver_objects(function)
        outlast_an_invocation(function)
        state_machine = run_state_machine(function)
    return {"FunctionRole": function.calls, "ScorePrefixRole": state_machine}


# The sinks by the row of `docs/events.md` that names their rights.
SINK_URLS = {
    "sqs://": ("sqs://results", f"sqs://sqs.{REGION}.amazonaws.com/{ACCOUNT}/results.fifo"),
    "s3://": ("s3://minnow-results-123456789012/elsewhere/",),
    "eventbridge://": ("eventbridge://bus",),
    "dynamodb://": ("dynamodb://results?key=id",),
}


def send_by_every_sink(stack: Stack, moto_url: str, bundle: Path) -> dict[str, list[Call]]:
    """Return what each sink calls to send the results of a batch, and Powertools' records."""
    event = load_event("sqs_two_messages")
    calls: dict[str, list[Call]] = {}
    for name, urls in SINK_URLS.items():
        calls[name] = []
        for url in urls:
            with deploy(stack, moto_url, bundle, MINNOW_RESULTS=url) as function:
                make_targets()
                assert function.invoke(event) == {"batchItemFailures": []}
                calls[name] += function.calls
    table = {"MINNOW_IDEMPOTENCY_TABLE": "results", "MINNOW_RESULTS": "eventbridge://bus"}
    with deploy(stack, moto_url, bundle, **table) as function:
        make_targets()
        for _ in range(2):
            assert function.invoke(event) == {"batchItemFailures": []}
        boto3.client("events").delete_event_bus(Name="bus")
        assert function.invoke(load_event("sqs_plain_text"))["batchItemFailures"]
    records = [call for call in function.calls if call.service == "dynamodb"]
    return {**calls, "MINNOW_IDEMPOTENCY_TABLE": records}


def make_targets() -> None:
    """Make one target for each sink."""
    sqs = boto3.client("sqs")
    sqs.create_queue(QueueName="results")
    sqs.create_queue(QueueName="results.fifo", Attributes={"FifoQueue": "true"})
    boto3.client("events").create_event_bus(Name="bus")
    make_table("results", "id")
