"""Several labels in every wire format, in a file, and in the counters."""

import csv
import json

import pytest

from handler.http.app import create_app
from handler.inference.classifier import load_classifier
from minnow.cli import main
from tests.helpers.http_cases import ANSWERS, INFER, name_case
from tests.helpers.http_service import caller, make_service
from tests.helpers.multi_label import copy_bundle

GOOD, BAD, BOTH = "good film", "bad bad", ["pos", "neg"]
POS = pytest.approx(0.880797, abs=1e-5)
NEG = pytest.approx(0.119203, abs=1e-5)


@pytest.fixture(scope="module")
def bundle(tiny_bundle, tmp_path_factory):
    return copy_bundle(tiny_bundle, tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def service(bundle):
    return make_service(load_classifier(bundle))


@pytest.fixture
def call(service):
    return caller(service)


def test_the_native_answer_has_labels_and_scores(call):
    answer = call("POST", "/predict", {"texts": [GOOD, BAD], "explain": True}).json

    first, second = answer["predictions"]
    assert first["labels"] == BOTH
    assert first["scores"] == {"pos": POS, "neg": NEG}
    assert second["labels"] == ["neg"]
    assert first["explanation"][0]["contribution"] > 0  # for "pos", the first label


def test_hugging_face_gets_all_labels_sorted(call):
    body = {"inputs": GOOD, "parameters": {"function_to_apply": "sigmoid"}}

    assert call("POST", "/", body).json == [
        [{"label": "pos", "score": POS}, {"label": "neg", "score": NEG}]
    ]


def test_sagemaker_writes_the_cells_of_a_file(call):
    answer = call("POST", "/invocations", b"good film", content_type="text/csv")

    ((labels, scores),) = csv.reader(answer.body.decode().splitlines())
    assert (json.loads(labels), json.loads(scores)) == (BOTH, [POS, NEG])
    plain = call("POST", "/invocations", b"good film", content_type="text/plain")
    assert json.loads(plain.body) == BOTH


def test_vertex_gets_the_native_predictions(call):
    answer = call("POST", "/v1/models/tiny:predict", {"instances": [GOOD]}).json

    assert answer["predictions"][0]["labels"] == BOTH


def test_open_inference_has_json_in_bytes_and_a_score_for_each_label(call):
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": [GOOD, BAD]}

    labels, scores = call("POST", INFER, {"inputs": [tensor]}).json["outputs"]

    assert [json.loads(cell) for cell in labels["data"]] == [BOTH, ["neg"]]
    assert (labels["datatype"], labels["shape"]) == ("BYTES", [2])
    assert (scores["datatype"], scores["shape"]) == ("FP32", [2, 2])
    assert scores["data"][:2] == [POS, NEG]
    described = call("GET", "/v2/models/tiny").json
    assert described["labels"] == BOTH
    assert described["thresholds"] == [0.5, 0.1]


def test_the_schema_of_the_answer_is_that_of_the_task(service):
    schema = create_app(service).openapi()["components"]["schemas"]["Prediction"]

    assert schema["properties"]["labels"]["items"]["enum"] == BOTH


@pytest.mark.parametrize("case", ANSWERS, ids=name_case)
def test_every_operation_answers(call, case):
    status, method, path, body, headers = case

    answer = call(method, path, body, **{name.replace("-", "_"): v for name, v in headers.items()})

    assert answer.status == status


def test_each_label_that_is_given_is_counted(bundle):
    call = caller(make_service(load_classifier(bundle)))
    call("POST", "/predict", {"texts": [GOOD, BAD, BAD]})

    counts = call("GET", "/metrics").body.decode()

    assert 'minnow_predictions_total{model="tiny",label="pos"} 1' in counts
    assert 'minnow_predictions_total{model="tiny",label="neg"} 3' in counts


def test_a_table_has_json_arrays_and_json_lines_have_lists(bundle, tmp_path):
    table, lines = tmp_path / "a.csv", tmp_path / "a.jsonl"
    table.write_text("id,text\n1,good film\n2,bad bad\n")
    lines.write_text(json.dumps({"text": GOOD}) + "\n")

    for source in (table, lines):
        out = source.with_stem("scored")
        assert main(["score", str(bundle), str(source), "--out", str(out)]) == 0

    rows = list(csv.DictReader((tmp_path / "scored.csv").read_text().splitlines()))
    assert [json.loads(row["predicted_labels"]) for row in rows] == [BOTH, ["neg"]]
    assert json.loads(rows[0]["predicted_scores"]) == [POS, NEG]
    row = json.loads((tmp_path / "scored.jsonl").read_text())
    assert row["predicted_labels"] == BOTH
    assert row["predicted_scores"] == [POS, NEG]


def test_parquet_has_the_same_arrays_as_text(bundle, tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": [GOOD, BAD]}), tmp_path / "a.parquet")

    out = tmp_path / "b.parquet"
    assert main(["score", str(bundle), str(tmp_path / "a.parquet"), "--out", str(out)]) == 0

    found = parquet.read_table(out).to_pydict()
    assert [json.loads(cell) for cell in found["predicted_labels"]] == [BOTH, ["neg"]]


def test_predict_shows_each_label_with_its_score(bundle, capsys):
    assert main(["predict", str(bundle), GOOD, "bad", "film"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pos\t0.8808\tneg\t0.1192"
    assert lines[1] == "neg\t0.8808"


def test_an_event_gets_the_native_answer(bundle, tmp_path, capsys):
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"text": GOOD}))

    assert main(["invoke", str(event), "--bundle", str(bundle)]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["predictions"][0]["labels"] == BOTH
