"""Every wire format gives the label that the thresholds choose, and the order by probability."""

import json

import pytest

from handler.inference.bundle import MANIFEST
from handler.inference.classifier import load_classifier
from tests.helpers.http_cases import INFER
from tests.helpers.http_service import caller, make_models, make_service
from tests.helpers.paths import TESTS

TEXT = "good film"  # 0.88 pos, 0.12 neg: the most probable label is pos


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    for path in (TESTS / "tiny_bundle").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["task"]["thresholds"] = {"neg": 0.1}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return load_classifier(folder)


@pytest.fixture(scope="module")
def call(classifier):
    return caller(make_service(classifier))


def test_native_answers_follow(call):
    (answer,) = call("POST", "/predict", {"text": TEXT}).json["predictions"]

    assert (answer["label"], round(answer["score"], 4)) == ("neg", 0.1192)
    assert {name: round(score, 4) for name, score in answer["scores"].items()} == {
        "pos": 0.8808,
        "neg": 0.1192,
    }


def test_an_explanation_is_of_the_chosen_label(call):
    (answer,) = call("POST", "/predict", {"text": TEXT, "explain": True}).json["predictions"]

    contributions = {one["token"]: round(one["contribution"], 4) for one in answer["explanation"]}
    assert contributions == {"good": round(0.1192 - 0.5, 4), "film": 0.0}


def test_formats_with_a_label_follow(call):
    vertex = call("POST", "/v1/models/tiny:predict", {"instances": [TEXT]}).json
    lines = call("POST", "/invocations", TEXT.encode(), content_type="text/plain").body
    table = call("POST", "/invocations", TEXT.encode(), content_type="text/csv").body
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}
    outputs = call("POST", INFER, {"inputs": [tensor]}).json["outputs"]

    assert vertex["predictions"][0]["label"] == "neg"
    assert lines == b"neg\n"
    assert table.startswith(b"neg,0.119")
    assert {one["name"]: one["data"] for one in outputs}["label"] == ["neg"]


def test_the_list_of_hugging_face_is_in_the_order_of_probability(call):
    (ranked,) = call("POST", "/", {"inputs": TEXT}).json

    assert [one["label"] for one in ranked] == ["pos", "neg"]


def test_the_model_tells_its_thresholds(call):
    assert call("GET", "/model").json["thresholds"] == {"neg": 0.1}


def test_results_are_others_by_other_thresholds(classifier, tiny_classifier):
    ids = {make_models(one).default.result_id("a") for one in (classifier, tiny_classifier)}

    assert len(ids) == 2
