"""Numbers and ordinal labels in every wire format, by the idiom of each."""

import csv
import io
import json

import numpy as np
import pytest

from handler.http.app import create_app
from handler.inference.classifier import load_classifier
from tests.helpers.http_service import caller, make_service
from tests.helpers.number_bundles import REGRESSION, write_ordinal, write_regression

INFER = "/v2/models/tiny/infer"
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["good film", "bad"]}
GOOD = {"value": 2.0, "interval": [-0.5, 4.5], "truncated": False, "known_tokens": 2}
BAD = {"value": -2.0, "interval": [-3.0, -1.0], "truncated": False, "known_tokens": 1}


@pytest.fixture
def service(tmp_path):
    return make_service(load_classifier(write_regression(tmp_path)))


@pytest.fixture
def call(service):
    return caller(service)


@pytest.fixture
def call_ordinal(tmp_path):
    return caller(make_service(load_classifier(write_ordinal(tmp_path))))


def test_the_native_answer_is_a_number_and_its_interval(call):
    answer = call("POST", "/predict", {"texts": ["good film", "bad"]})

    assert answer.json["predictions"] == [GOOD, BAD]


def test_options_that_choose_among_labels_choose_nothing_of_a_number(call):
    answer = call("POST", "/predict", {"text": "good film", "top_k": 1, "threshold": 0.9})

    assert answer.json["predictions"] == [GOOD]


def test_an_explanation_is_in_the_unit_of_the_number(call):
    answer = call("POST", "/predict", {"text": "good film", "explain": True})

    tokens = answer.json["predictions"][0]["explanation"]
    assert [(token["token"], token["contribution"]) for token in tokens] == [
        ("good", 2.0),
        ("film", 0.0),
    ]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"top_k": 5}, *({"function_to_apply": name} for name in ("softmax", "sigmoid", "none"))],
)
def test_hugging_face_gets_the_number_as_the_score_of_the_only_label(call, parameters):
    answer = call("POST", "/", {"inputs": ["good film", "bad"], "parameters": parameters})

    assert answer.json == [
        [{"label": "LABEL_0", "score": 2.0}],
        [{"label": "LABEL_0", "score": -2.0}],
    ]


def test_open_inference_gets_two_tensors(call):
    outputs = call("POST", INFER, {"inputs": [TENSOR]}).json["outputs"]

    assert outputs == [
        {"name": "value", "datatype": "FP32", "shape": [2], "data": [2.0, -2.0]},
        {
            "name": "interval",
            "datatype": "FP32",
            "shape": [2, 2],
            "data": [-0.5, 4.5, -3.0, -1.0],
        },
    ]
    metadata = call("GET", "/v2/models/tiny").json
    assert [(out["name"], out["shape"]) for out in metadata["outputs"]] == [
        ("value", [-1]),
        ("interval", [-1, 2]),
    ]
    assert (metadata["task"], metadata["highest"]) == ("regression", 5.0)


def test_open_inference_in_binary_is_float32(call):
    outputs = [{"name": "interval", "parameters": {"binary_data": True}}]
    answer = call("POST", INFER, {"inputs": [TENSOR], "outputs": outputs})

    header = int(answer.headers["inference-header-content-length"])
    numbers = np.frombuffer(answer.body[header:], "<f4")
    assert json.loads(answer.body[:header])["outputs"][0]["shape"] == [2, 2]
    assert numbers.tolist() == [-0.5, 4.5, -3.0, -1.0]


def test_sagemaker_and_vertex_get_their_forms(call):
    rows = call("POST", "/invocations", b"good film\nbad\n", content_type="text/csv")
    plain = call("POST", "/invocations", b"good film", content_type="text/plain")
    lines = call("POST", "/invocations", b'{"text":"bad"}', content_type="application/jsonlines")
    instances = {"instances": ["good film", "bad"], "parameters": {"top_k": 1}}
    vertex = call("POST", "/v1/models/tiny:predict", instances)

    assert list(csv.reader(io.StringIO(rows.body.decode()))) == [
        ["2.0", "-0.5", "4.5"],
        ["-2.0", "-3.0", "-1.0"],
    ]
    assert plain.body == b"2.0\n"
    assert json.loads(lines.body) == BAD
    assert vertex.json == {"predictions": [GOOD, BAD]}


def test_the_card_tells_the_task_and_metrics_count_no_labels(call):
    card = call("GET", "/model").json
    call("POST", "/predict", {"text": "good"})
    metrics = call("GET", "/metrics").body.decode()

    assert {name: card[name] for name in REGRESSION if name != "kind"} == {
        name: value for name, value in REGRESSION.items() if name != "kind"
    }
    assert card["task"] == "regression"
    assert "minnow_tokens_total 1\n" in metrics
    assert "minnow_predictions_total{" not in metrics


def test_the_log_has_no_labels(call, service):
    call("POST", "/predict", {"text": "good"})

    assert "labels" not in service.lines[-1]


def test_answers_of_ordinal_labels(call_ordinal):
    native = call_ordinal("POST", "/predict", {"text": "bad"}).json["predictions"][0]
    hugging = call_ordinal("POST", "/", {"inputs": "bad"}).json[0]
    tensors = call_ordinal("POST", INFER, {"inputs": [TENSOR]}).json["outputs"]
    row = call_ordinal("POST", "/invocations", b"bad\n", content_type="text/csv").body.decode()

    assert (native["label"], native["value"]) == ("2", pytest.approx(1.8808, abs=1e-4))
    assert [one["label"] for one in hugging] == ["2", "1"]
    assert [tensor["name"] for tensor in tensors] == ["label", "score", "probabilities", "value"]
    assert tensors[0]["data"] == ["1", "2"]
    assert row.split(",")[0] == "2"
    assert float(row.split(",")[2]) == native["value"]


@pytest.mark.parametrize("write", [write_regression, write_ordinal])
def test_the_document_of_the_interface_fits_the_answers(write, tmp_path):
    import jsonschema

    service = make_service(load_classifier(write(tmp_path)))
    call, document = caller(service), create_app(service).openapi()
    answer = call("POST", "/predict", {"texts": ["good film", "bad"], "explain": True}).json
    card = call("GET", "/model").json

    for name, value in (("PredictAnswer", answer), ("ModelCard", card)):
        jsonschema.validate(value, {**document, "$ref": f"#/components/schemas/{name}"})
