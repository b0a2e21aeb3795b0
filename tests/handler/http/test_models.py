"""Two bundles in one folder: each path names its model, the metrics tell them apart."""

import json
import shutil

import jsonschema
import pytest

from handler.errors import ArtefactError
from handler.http.app import create_app
from handler.http.service import Service
from handler.inference.loading import load_models
from handler.inference.models import Model
from handler.inference.monitor import Monitor
from handler.inference.prometheus import Prometheus
from handler.settings import Settings
from tests.helpers.http_service import caller

TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["good film"]}


@pytest.fixture
def service(tiny_bundle, tmp_path):
    for name, labels in (("films", ["pos", "neg"]), ("books", ["buy", "leave"])):
        shutil.copytree(tiny_bundle, tmp_path / name)
        path = tmp_path / name / "manifest.json"
        task = {"kind": "single-label", "labels": labels}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name, "task": task}))
    return Service(load_models(tmp_path, monitor=Monitor(prometheus=Prometheus())), Settings())


@pytest.fixture
def call(service):
    return caller(service)


@pytest.mark.parametrize(("name", "label"), [("books", "buy"), ("films", "pos")])
@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_a_path_names_its_model(call, name, label, version):
    infer = call("POST", f"/v2/models/{name}{version}/infer", {"inputs": [TENSOR]})
    vertex = call("POST", f"/v1/models/{name}{version}:predict", {"instances": ["good film"]})

    assert (infer.json["model_name"], infer.json["outputs"][0]["data"]) == (name, [label])
    assert vertex.json["predictions"][0]["label"] == label


@pytest.mark.parametrize("path", ["/v2/models/songs", "/v2/models/books/versions/2"])
def test_a_model_that_is_not_here_is_no_path(call, path):
    assert call("GET", path).status == 404


def test_what_names_no_model_is_answered_by_the_first(call):
    assert call("POST", "/predict", {"text": "good film"}).json["model"]["name"] == "books"
    assert call("GET", "/model").json["labels"] == ["buy", "leave"]


def test_metrics_tell_the_models_apart(call):
    for name in ("books", "films"):
        call("POST", f"/v1/models/{name}:predict", {"instances": ["good film"]})

    lines = call("GET", "/metrics").body.decode().splitlines()

    assert sum(line.startswith("minnow_model_info{") for line in lines) == 2
    assert 'minnow_predictions_total{model="books",label="buy"} 1' in lines
    assert 'minnow_predictions_total{model="films",label="pos"} 1' in lines


def test_the_document_fits_the_answers_of_every_model(service, call):
    document = create_app(service).openapi()
    schemas = document["components"]["schemas"]

    for name in ("books", "films"):
        vertex = call("POST", f"/v1/models/{name}:predict", {"instances": ["good film"]})
        answers = {
            "VertexAnswer": vertex.json,
            "ModelMetadata": call("GET", f"/v2/models/{name}").json,
        }
        for schema, answer in answers.items():
            jsonschema.validate(answer, {**schemas[schema], "components": {"schemas": schemas}})

    assert "anyOf" not in schemas["VertexAnswer"]


def test_a_server_is_ready_when_every_model_is(call, monkeypatch):
    monkeypatch.setattr("handler.inference.models.GOLDEN_PERIOD_S", 0)
    golden = "handler.inference.classifier.Classifier.check_golden"
    asked = []
    monkeypatch.setattr(golden, lambda self: asked.append(self.manifest.name))

    assert call("GET", "/v2/health/ready").status == 200
    assert {"books", "films"} <= set(asked)

    def fail(self):
        if self.manifest.name == "films":
            raise ArtefactError("it computes something else")

    monkeypatch.setattr(golden, fail)

    assert call("GET", "/v2/health/ready").status == 503
    assert call("GET", "/v2/models/books/ready").status == 200


def test_probes_share_a_run_of_the_golden_text_for_a_second(tiny_classifier, monkeypatch):
    model = Model(tiny_classifier)
    runs = []
    monkeypatch.setattr(tiny_classifier, "check_golden", lambda: runs.append(1))

    for now in (10.0, 10.5, 10.99, 11.0, 11.5):
        model.check_golden(now)

    assert len(runs) == 2
