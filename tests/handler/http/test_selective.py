"""Every wire format says in its own way that a text is not answered, and what is likely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handler.inference.classifier import load_classifier
from tests.helpers.http_service import caller, make_service

TEXTS = ["good good", "good film", "unknown words of no other text"]
INFER = "/v2/models/tiny/infer"
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [3], "data": TEXTS}


@pytest.fixture
def service(selective_bundle: Path) -> Any:
    return make_service(load_classifier(selective_bundle))


def test_a_native_answer_has_no_label(service: Any) -> None:
    found = caller(service)("POST", "/predict", {"texts": TEXTS}).json["predictions"]

    assert [one["label"] for one in found] == ["pos", None, None]
    assert [one["out_of_scope"] for one in found] == [False, False, True]


def test_vertex_and_sagemaker_answer_as_the_native_format(service: Any) -> None:
    call = caller(service)
    native = call("POST", "/predict", {"texts": TEXTS, "coverage": 0.9}).json["predictions"]

    asked = {"instances": TEXTS, "parameters": {"coverage": 0.9}}
    vertex = call("POST", "/v1/models/tiny:predict", asked).json
    sagemaker = call("POST", "/invocations", {"instances": TEXTS, "coverage": 0.9}).json

    assert vertex["predictions"] == sagemaker["predictions"] == native
    assert [one["set"] for one in native] == [["pos"], ["pos"], ["pos", "neg"]]


def test_a_hugging_face_client_gets_an_empty_list(service: Any) -> None:
    found = caller(service)("POST", "/", {"inputs": TEXTS}).json

    assert [[one["label"] for one in ranked] for ranked in found] == [["pos", "neg"], [], []]


def test_a_hugging_face_client_may_ask_for_the_labels_of_a_set(service: Any) -> None:
    asked = {"inputs": TEXTS, "parameters": {"coverage": 0.9, "top_k": 1}}

    found = caller(service)("POST", "/", asked).json

    assert [[one["label"] for one in ranked] for ranked in found] == [["pos"], ["pos"], ["pos"]]


def test_tensors_tell_it_as_booleans(service: Any) -> None:
    names = ("label", "best", "abstained", "out_of_scope")
    asked = {"inputs": [TENSOR], "outputs": [{"name": name} for name in names]}

    outputs = caller(service)("POST", INFER, asked).json["outputs"]

    assert [(one["datatype"], one["data"]) for one in outputs] == [
        ("BYTES", ["pos", "", ""]),
        ("BYTES", ["pos", "pos", "pos"]),
        ("BOOL", [False, True, True]),
        ("BOOL", [False, False, True]),
    ]


def test_binary_booleans_are_a_byte_each(service: Any) -> None:
    asked = {
        "inputs": [TENSOR],
        "outputs": [{"name": "abstained", "parameters": {"binary_data": True}}],
    }

    answered = caller(service)("POST", INFER, asked)

    assert answered.body.endswith(b"}\0\1\1")
    header = json.loads(answered.body[: int(answered.headers["inference-header-content-length"])])
    assert header["outputs"][0]["parameters"] == {"binary_data_size": 3}


def test_tensors_hold_the_set_where_a_coverage_is_asked_for(service: Any) -> None:
    call = caller(service)
    asked = {"inputs": [TENSOR], "parameters": {"coverage": 0.9}}

    everything = call("POST", INFER, asked).json["outputs"]
    alone = call("POST", INFER, {**asked, "outputs": [{"name": "set"}]}).json["outputs"]
    binary = call(
        "POST", INFER, {**asked, "parameters": {"coverage": 0.9, "binary_data_output": True}}
    )

    assert [one["name"] for one in everything[-2:]] == ["out_of_scope", "set"]
    assert alone == [everything[-1]]
    assert (alone[0]["datatype"], alone[0]["shape"]) == ("BYTES", [3])
    assert [json.loads(one) for one in alone[0]["data"]] == [["pos"], ["pos"], ["pos", "neg"]]
    assert binary.body.endswith(b'\x0e\0\0\0["pos", "neg"]')
    refused = call("POST", INFER, {"inputs": [TENSOR], "outputs": [{"name": "set"}]})
    assert refused.status == 422  # no coverage


@pytest.mark.parametrize(
    ("accept", "body"),
    [
        ("text/csv", b"pos,%s,,pos\r\n,%s,uncertain,pos\r\n,%s,out_of_scope,pos\r\n"),
        ("text/plain", b"pos\n\n\n"),
    ],
)
def test_cells_of_sagemaker_are_those_of_a_scored_file(
    accept: str, body: bytes, service: Any
) -> None:
    call = caller(service)
    scores = [
        repr(one["score"]).encode()
        for one in call("POST", "/predict", {"texts": TEXTS}).json["predictions"]
    ]

    found = call("POST", "/invocations", {"instances": TEXTS}, accept=accept).body

    assert found == (body % tuple(scores) if b"%s" in body else body)


@pytest.mark.parametrize("coverage", [0, 1, -0.5, 2, "0.9", True, [0.9], 0.3, 0.999])
def test_a_coverage_that_cannot_be_had_is_refused(coverage: Any, service: Any) -> None:
    call = caller(service)

    for path, asked, field in (
        ("/predict", {"text": "good", "coverage": coverage}, "coverage"),
        (
            "/v1/models/tiny:predict",
            {"instances": ["good"], "parameters": {"coverage": coverage}},
            "parameters.coverage",
        ),
        ("/", {"inputs": "good", "parameters": {"coverage": coverage}}, "parameters.coverage"),
        (INFER, {"inputs": [TENSOR], "parameters": {"coverage": coverage}}, "parameters.coverage"),
    ):
        found = call("POST", path, asked)
        assert found.status == 422
        assert field in json.dumps(found.json)


def test_texts_that_are_not_answered_are_counted_and_logged(service: Any) -> None:
    call = caller(service)
    call("POST", "/predict", {"texts": TEXTS})

    page = call("GET", "/metrics").body.decode()

    assert 'minnow_abstained_texts_total{model="tiny"} 2' in page
    assert 'minnow_predictions_total{model="tiny",label="pos"} 1' in page
    assert service.lines[-2]["abstained"] == 2
    assert service.lines[-2]["labels"] == {"pos": 1}


def test_a_model_that_answers_everything_says_nothing_of_it(tiny_classifier: Any) -> None:
    service = make_service(tiny_classifier)
    call = caller(service)

    (found,) = call("POST", "/predict", {"text": "good film"}).json["predictions"]

    assert list(found) == ["label", "score", "scores", "truncated", "known_tokens"]
    assert b"abstained" not in call("GET", "/metrics").body
    assert "abstained" not in service.lines[-2]
