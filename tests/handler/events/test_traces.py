"""Trace context: what is valid, and that it goes on over HTTP, SQS and SNS."""

import json

import pytest

from handler.deadline import start_deadline
from handler.event_settings import SINKS, parse_target
from handler.events.dispatch import answer_event
from handler.sinks import open_sink
from handler.sinks.sink import Result
from handler.traces import read_traceparent, read_xray, write_xray
from tests.helpers.aws import create_bus, load_event, receive_all
from tests.helpers.http_service import caller

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACE = f"00-{TRACE_ID}-{PARENT_ID}-01"
XRAY = f"Root=1-{TRACE_ID[:8]}-{TRACE_ID[8:]};Parent={PARENT_ID};Sampled=1"

INVALID = {
    "nothing": "",
    "null": None,
    "a number": 1,
    "another length": TRACE[:-1],
    "capitals": TRACE.upper(),
    "no digits": TRACE.replace("a", "x"),
    "no dashes": TRACE.replace("-", "_"),
    "version ff": f"ff{TRACE[2:]}",
    "no trace": f"00-{'0' * 32}-{PARENT_ID}-01",
    "no parent": f"00-{TRACE_ID}-{'0' * 16}-01",
    "more behind version 00": f"{TRACE}-more",
    "more without a dash": f"01{TRACE[2:]}more",
    "too long": f"01{TRACE[2:]}-{'a' * 500}",
    "a line break": f"{TRACE}\n",
    "signs of other digits": TRACE.replace("7", "٧"),
}


@pytest.mark.parametrize("value", INVALID)
def test_what_is_no_traceparent_is_none(value):
    assert read_traceparent(INVALID[value]) == ""


def test_a_later_version_is_read_as_far_as_it_is_known():
    assert read_traceparent(f"01{TRACE[2:]}-more") == TRACE


@pytest.mark.parametrize(
    ("value", "traceparent"),
    [
        (XRAY, TRACE),
        (XRAY.replace(";", "; "), TRACE),
        (XRAY.replace("Sampled=1", "Sampled=0"), f"{TRACE[:-2]}00"),
        (f"{XRAY};Lineage=a87bd80c:1|68fd508a:5", TRACE),
        (XRAY.partition(";")[0], ""),
        (XRAY.replace("Root=1", "Root=2"), ""),
        (XRAY * 20, ""),
        (None, ""),
        ("", ""),
    ],
    ids=["whole", "spaces", "not sampled", "lineage", "no parent", "version", "long", "null", "no"],
)
def test_a_header_of_x_ray_is_read(value, traceparent):
    assert read_xray(value) == traceparent


def test_a_traceparent_is_written_for_x_ray():
    assert write_xray(TRACE) == XRAY
    assert write_xray(f"{TRACE[:-2]}00") == XRAY.replace("Sampled=1", "Sampled=0")


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [({"traceparent": TRACE}, TRACE_ID), ({"traceparent": "00-1-2-3"}, None), ({}, None)],
    ids=["valid", "invalid", "none"],
)
def test_a_request_is_logged_with_its_trace(make_service, header, trace_id):
    service = make_service()

    answer = caller(service)("POST", "/predict", {"text": "good film"}, **header)

    assert answer.status == 200
    assert service.lines[-1].get("trace_id") == trace_id


def make_event(*traces):
    """Return an event of SQS whose messages have these attributes."""
    event = load_event("sqs_two_messages")
    for record, (attributes, system) in zip(event["Records"], traces, strict=True):
        record["messageAttributes"] |= attributes
        record["attributes"] |= system
    return event


def carry(value):
    return {"traceparent": {"stringValue": value, "dataType": "String"}}, {}


OTHER = f"00-{'1' * 32}-{'2' * 16}-00"


def as_attribute(trace):
    return {"DataType": "String", "StringValue": write_xray(trace)}


def receive_traces(aws, queue):
    reply = aws("sqs").receive_message(
        QueueUrl=aws("sqs").get_queue_url(QueueName=queue)["QueueUrl"],
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
    )
    found = {}
    for message in reply["Messages"]:
        traceparent = message.get("MessageAttributes", {}).get("traceparent", {})
        found[json.loads(message["Body"])["id"]] = traceparent.get("StringValue")
    return found


@pytest.mark.parametrize(
    ("traces", "sent"),
    [
        ((carry(TRACE), carry(OTHER)), (TRACE, OTHER)),
        (({}, {"AWSTraceHeader": XRAY}, carry("00-1-2-3")), (TRACE, None)),
        ((({}, {}), carry(TRACE)), (None, TRACE)),
    ],
    ids=["two traces", "of X-Ray, and one that is not valid", "none, and one"],
)
def test_each_message_s_trace_goes_on_in_its_result(aws, make_resources, traces, sent):
    if len(traces) == 3:
        traces = (traces[:2], traces[2])
    aws("sqs").create_queue(QueueName="results")

    resources = make_resources(MINNOW_RESULTS="sqs://results")
    requests = []
    resources.sink.queue.client.meta.events.register(
        "before-send.sqs.SendMessageBatch", lambda request, **_: requests.append(request.body)
    )

    reply = answer_event(make_event(*traces), None, resources)

    assert reply == {"batchItemFailures": []}
    expected = {f"review-{number}": trace for number, trace in enumerate(sent, 1)}
    assert receive_traces(aws, "results") == expected
    entries = json.loads(requests[0])["Entries"]  # the emulator forgets X-Ray's
    system = [entry.get("MessageSystemAttributes") for entry in entries]
    assert system == [trace and {"AWSTraceHeader": as_attribute(trace)} for trace in sent]


def test_an_event_of_one_trace_is_logged_with_it(aws, make_resources):
    aws("sqs").create_queue(QueueName="results")
    resources = make_resources(MINNOW_RESULTS="sqs://results")
    lines = []
    resources.models.monitor.__init__(lambda line: lines.append(json.loads(line)))

    for traces in ((carry(TRACE), carry(TRACE)), (carry(TRACE), carry(OTHER))):
        answer_event(make_event(*traces), None, resources)

    assert [line.get("trace_id") for line in lines] == [TRACE_ID, None]


def test_a_topic_s_trace_goes_on(aws, make_resources):
    aws("sqs").create_queue(QueueName="results")
    event = load_event("sns_text")
    event["Records"][0]["Sns"]["MessageAttributes"] = {
        "traceparent": {"Type": "String", "Value": TRACE}
    }

    answer_event(event, None, make_resources(MINNOW_RESULTS="sqs://results"))

    assert list(receive_traces(aws, "results").values()) == [TRACE]


RESULT = Result("1" * 32, {"result_id": "1" * 32}, traceparent=TRACE)


def in_time():
    return start_deadline(None, timeout_ms=60_000)


def send(url):
    sink = open_sink(parse_target(url, SINKS, "MINNOW_RESULTS"))
    assert sink.send([RESULT], in_time()) == {}


def test_an_object_has_the_trace_in_its_metadata(aws):
    where = {"LocationConstraint": "eu-west-1"}
    aws("s3").create_bucket(Bucket="results", CreateBucketConfiguration=where)

    send("s3://results/out/")

    head = aws("s3").head_object(Bucket="results", Key=f"out/{'1' * 32}.json")
    assert head["Metadata"] == {"traceparent": TRACE}


def test_an_item_has_the_trace_beside_its_document(aws):
    aws("dynamodb").create_table(
        TableName="results",
        KeySchema=[{"AttributeName": "result_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "result_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    send("dynamodb://results")

    (item,) = aws("dynamodb").scan(TableName="results")["Items"]
    assert item["traceparent"] == {"S": TRACE}


def test_an_event_on_a_bus_has_the_header_of_x_ray(aws):
    url = create_bus(aws)
    sink = open_sink(parse_target("eventbridge://bus", SINKS, "MINNOW_RESULTS"))
    requests = []
    sink.client.meta.events.register(
        "before-send.events.PutEvents", lambda request, **_: requests.append(request.body)
    )

    assert sink.send([RESULT], in_time()) == {}

    (entry,) = json.loads(requests[0])["Entries"]
    assert entry["TraceHeader"] == XRAY
    assert len(receive_all(aws("sqs"), url)) == 1
