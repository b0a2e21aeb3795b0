"""`POST /feedback`: taken once it is in the sink, refused where it does not fit the model."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from handler.http.app import create_app
from handler.http.formats import feedback
from handler.http.lambda_http import LambdaHttp
from handler.http.service import Service
from handler.inference.classifier import Classifier, load_classifier
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.settings import read_settings
from tests.helpers.aws import receive_all
from tests.helpers.http_events import make_event
from tests.helpers.http_service import Server, caller
from tests.helpers.multi_label import copy_bundle
from tests.helpers.number_bundles import write_ordinal, write_regression

Client = Callable[[str], Any]
ON = {"MINNOW_FEEDBACK": "sqs://feedback"}
ID = "0123456789abcdef0123456789abcdef"
GOOD = {"result_id": ID, "label": "pos"}


def open_service(classifier: Classifier, **variables: str) -> Service:
    """Return a service; what it logs is in `.lines`, parsed."""
    lines: list[Any] = []
    settings = read_settings({**ON, "MINNOW_MAX_TEXTS": "3", **variables})
    monitor = Monitor(lambda line: lines.append(json.loads(line)))
    service = Service(Models([Model(classifier, settings.limits, monitor)]), settings)
    service.lines = lines  # type: ignore[attr-defined]
    return service


@pytest.fixture
def call(tiny_classifier: Classifier) -> Callable[..., Any]:
    return caller(open_service(tiny_classifier))


@pytest.fixture
def queue(aws: Client) -> str:
    url: str = aws("sqs").create_queue(QueueName="feedback")["QueueUrl"]
    return url


def test_where_it_is_not_switched_on_there_is_no_such_path(call: Any, service: Service) -> None:
    answer = caller(service)("POST", "/feedback", GOOD)

    assert (answer.status, answer.json["detail"]) == (404, "no such path; GET /docs lists them all")
    assert call("GET", "/feedback").status == 405


def test_what_is_sent_lies_in_the_sink_when_it_is_answered(
    aws: Client, queue: str, tiny_classifier: Classifier
) -> None:
    call = caller(open_service(tiny_classifier))
    extra = {"index": 2, "predicted": "neg", "model": "tiny", "version": 4}

    answer = call("POST", "/feedback", {**GOOD, **extra}, x_request_id="once")

    assert (answer.status, answer.json) == (202, {"accepted": 1})
    (kept,) = receive_all(aws("sqs"), queue)
    assert len(kept.pop("feedback_id")) == 32
    assert kept.pop("time").endswith("Z")
    assert kept == {**GOOD, **extra, "version": "4", "source": "http"}


def test_a_list_is_taken_whole_or_not_at_all(aws: Client, queue: str, call: Any) -> None:
    bad = call("POST", "/feedback", [GOOD, {**GOOD, "label": "secret words"}])
    good = call("POST", "/feedback", [GOOD, {"result_id": "a-request", "label": "neg"}])

    assert bad.status == 422
    assert bad.json["field"] == "[1].label"
    assert "secret" not in bad.body.decode()
    assert good.json == {"accepted": 2}
    kept = {one["result_id"]: one["label"] for one in receive_all(aws("sqs"), queue)}
    assert kept == {ID: "pos", "a-request": "neg"}


def test_the_same_request_again_has_the_same_id(aws: Client, queue: str, call: Any) -> None:
    for name in ("one", "one", "two"):
        call("POST", "/feedback", GOOD, x_request_id=name)

    first, second, third = (one["feedback_id"] for one in receive_all(aws("sqs"), queue))
    assert first == second
    assert third != first


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ([], 422, "the array is empty, wanted 1 feedback or more"),
        ([GOOD] * 4, 413, "the array has 4 feedback, the limit is 3: send several requests"),
        ("pos", 422, "the request is a string, wanted a JSON object"),
        ([GOOD, 3], 422, "[1] is a number, wanted a JSON object"),
        ({**GOOD, "text": "a film"}, 400, "unknown field text; the fields are: result_id"),
        ({"label": "pos"}, 422, "result_id is no id of a result: wanted that of a result"),
        ({**GOOD, "result_id": "a film"}, 422, "result_id is no id of a result"),
        ({**GOOD, "result_id": "a" * 129}, 422, "result_id is no id of a result"),
        ({"result_id": ID}, 422, "label is null, wanted a label, which is a string"),
        ({**GOOD, "label": ["pos"]}, 422, "label is an array, wanted a label"),
        ({**GOOD, "label": "film"}, 422, "label is none of the model's 2 labels; where a new one"),
        (
            {**GOOD, "label": " a ", "new_label": True},
            422,
            "label has 3 characters, wanted a label",
        ),
        ({**GOOD, "label": "a\u202eb", "new_label": True}, 422, "label holds a character that"),
        ({**GOOD, "new_label": 1}, 422, "new_label is a number, wanted true or false"),
        ({**GOOD, "index": -1}, 422, "index: wanted the place of the text"),
        ({**GOOD, "index": 0.5}, 422, "index: wanted the place of the text"),
        ({**GOOD, "index": True}, 422, "index: wanted the place of the text"),
        ({**GOOD, "predicted": 1}, 422, "predicted is a number, wanted a label"),
        ({**GOOD, "model": "other"}, 422, "model: there is no such model here"),
        ({**GOOD, "version": "a b"}, 422, "version is no name"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_what_was_wanted(
    call: Any, body: Any, status: int, detail: str
) -> None:
    answer = call("POST", "/feedback", json.dumps(body).encode())

    assert answer.status == status
    assert answer.type == "application/problem+json"
    assert answer.json["detail"].startswith(detail)


def test_a_body_that_is_no_json_is_refused_as_elsewhere(call: Any) -> None:
    assert call("POST", "/feedback", b"{").status == 400
    assert call("POST", "/feedback", b"a=1", content_type="text/plain").status == 415


def test_a_new_label_is_taken_where_it_is_meant(aws: Client, queue: str, call: Any) -> None:
    bodies = [{**GOOD, "label": "none of them", "new_label": True}, {**GOOD, "new_label": True}]

    answer = call("POST", "/feedback", bodies)

    assert answer.status == 202
    kept = sorted((one["label"], one.get("new_label")) for one in receive_all(aws("sqs"), queue))
    assert kept == [("none of them", True), ("pos", None)]


@pytest.mark.parametrize(
    ("write", "label", "kept", "wrong", "detail"),
    [
        (write_regression, 3.5, 3.5, "3.5", "label is a string, wanted a number"),
        (write_ordinal, 2, "2", "3", "label is none of the model's 2 labels"),
        (write_ordinal, "2.0", "2", "two", "label is none of the model's 2 labels"),
        (
            lambda folder: copy_bundle(Path("tests/tiny_bundle").resolve(), folder / "several"),
            ["neg", "pos"],
            ["neg", "pos"],
            "neg",
            "label is a string, wanted an array: the text's labels",
        ),
        (
            lambda folder: copy_bundle(Path("tests/tiny_bundle").resolve(), folder / "several"),
            [],
            [],
            ["neg", "neg"],
            "label names a label twice",
        ),
    ],
    ids=["regression", "ordinal", "ordinal-form", "multi-label", "multi-label-none"],
)
def test_the_label_is_what_the_task_has(
    aws: Client,
    queue: str,
    tmp_path: Path,
    write: Callable[[Path], Path],
    label: Any,
    kept: Any,
    wrong: Any,
    detail: str,
) -> None:
    service = open_service(load_classifier(write(tmp_path)))
    call = caller(service)

    refused = call("POST", "/feedback", {**GOOD, "label": wrong})

    assert refused.status == 422
    assert refused.json["detail"].startswith(detail)
    assert call("POST", "/feedback", {**GOOD, "label": label}).status == 202
    assert [one["label"] for one in receive_all(aws("sqs"), queue)] == [kept]
    components = create_app(service).openapi()["components"]
    schema = {"$ref": "#/components/schemas/FeedbackRequest", "components": components}
    jsonschema.validate({**GOOD, "label": label, "predicted": label}, schema)


def test_a_sink_that_does_not_take_it_is_a_503_and_the_next_try_succeeds(
    aws: Client, tiny_classifier: Classifier
) -> None:
    service = open_service(tiny_classifier)
    call = caller(service)

    failed = call("POST", "/feedback", GOOD)

    assert failed.status == 503
    assert failed.headers["retry-after"] == "10"
    assert failed.json["detail"] == "the feedback cannot be kept now: send all of it again"
    (line,) = (one for one in service.lines if one["level"] == "error")  # type: ignore[attr-defined]
    assert line["message"].startswith("1 of 1 feedback could not be sent: ")
    aws("sqs").create_queue(QueueName="feedback")
    assert call("POST", "/feedback", GOOD).status == 202


def test_a_sink_that_hangs_makes_no_queue_of_requests(
    tiny_classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, ends = threading.Event(), threading.Event()

    class Hanging:
        def send(self, results: Any, deadline: Any) -> dict[str, str]:
            hangs.set()
            ends.wait(30)
            return {}

    monkeypatch.setattr(feedback, "open_sink", lambda target: Hanging())
    monkeypatch.setattr(feedback, "SEND_MS", 50)
    service = open_service(tiny_classifier)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(caller(service), "POST", "/feedback", GOOD)
        assert hangs.wait(30)

        second = caller(service)("POST", "/feedback", GOOD)

        ends.set()
        assert (second.status, first.result().status) == (503, 202)


def test_a_key_is_needed_and_its_name_is_kept(
    aws: Client, queue: str, tiny_classifier: Classifier
) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    call = caller(open_service(tiny_classifier, MINNOW_API_KEYS=f"shop:{digest}"))

    assert call("POST", "/feedback", GOOD).status == 401
    assert call("POST", "/feedback", GOOD, x_api_key="secret").status == 202
    assert [one["caller"] for one in receive_all(aws("sqs"), queue)] == ["shop"]


def test_a_function_answers_as_a_server_does(
    aws: Client, queue: str, tiny_classifier: Classifier
) -> None:
    settings = read_settings(ON)
    function = LambdaHttp(Models([Model(tiny_classifier, settings.limits)]), settings)
    body, headers = json.dumps(GOOD).encode(), {"content-type": "application/json"}

    reply = function.answer(make_event("http_v2", "POST", "/feedback", body, headers), None)
    with Server(open_service(tiny_classifier)) as server:
        import urllib.request

        request = urllib.request.Request(f"{server.url}/feedback", body, headers)
        with urllib.request.urlopen(request) as answer:
            answered = answer.status, json.load(answer)

    assert (reply["statusCode"], json.loads(reply["body"])) == (202, {"accepted": 1})
    assert answered == (202, {"accepted": 1})
    assert len(receive_all(aws("sqs"), queue)) == 2


def test_the_document_of_the_api_has_it_and_its_example_is_true(
    aws: Client, queue: str, tiny_classifier: Classifier
) -> None:
    service = open_service(tiny_classifier)
    document = create_app(service).openapi()
    operation = document["paths"]["/feedback"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}

    assert receive_all(aws("sqs"), queue) == []  # nothing is kept for a document
    answer = caller(service)("POST", "/feedback", content["example"])
    assert str(answer.status) in operation["responses"]
    assert operation["responses"]["202"]["content"]["application/json"]["example"] == answer.json
    assert {"400", "401", "413", "415", "422", "429", "500", "503"} <= operation["responses"].keys()
    for body in (content["example"], [GOOD], [{**GOOD, "index": None, "version": 3}]):
        jsonschema.validate(body, schema)
    for body in ([], [GOOD] * 4, {"result_id": ID}, {**GOOD, "text": "a"}, {**GOOD, "label": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body, schema)
    assert (
        "/feedback" not in create_app(Service(service.models, read_settings({}))).openapi()["paths"]
    )
