"""Models of a repository by every road: HTTP in a function and in a server, events, a snapshot."""

import functools
import json
import threading
from types import SimpleNamespace

import httpx
import pytest

from handler.errors import InvalidInput
from handler.event_settings import EventSettings
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.hosts.snapshot import check_restored, prepare_snapshot
from handler.http.app import create_app
from handler.http.lambda_http import LambdaHttp
from handler.http.messages import Request
from handler.http.operation import AskAnother
from handler.http.service import Service
from handler.inference.monitor import Monitor
from handler.inference.prometheus import Prometheus
from handler.repository.aliases import write_alias
from handler.repository.opening import open_models
from tests.helpers.http_events import make_event
from tests.helpers.http_service import Server, caller, make_models
from tests.helpers.repositories import make_settings, promote_while_answering, wait_for

TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["good film"]}
GOOD = {"text": "good film"}


@pytest.fixture
def shop(folder_shop):
    folder_shop.push("films", "a", "live")
    folder_shop.push("films", "b", "candidate")
    folder_shop.push("books", "c", "live")
    return folder_shop


@pytest.fixture
def make_process(shop, tmp_path):
    """Return a function that makes what a process has: models, service, resources and log."""

    def make(**variables):
        lines = []
        monitor = Monitor(lambda line: lines.append(json.loads(line)), prometheus=Prometheus())
        settings = make_settings(str(tmp_path / "models"), **variables)
        models = open_models(settings, monitor)
        service = Service(models, settings)
        resources = Resources(models, settings.events)
        return SimpleNamespace(
            models=models, service=service, resources=resources, lines=lines, settings=settings
        )

    return make


@pytest.fixture
def process(make_process):
    return make_process(MINNOW_MODEL="films")


@pytest.fixture
def call(process):
    return caller(process.service)


def find_label(answer):
    """Return the label in an answer of any of the protocols."""
    if isinstance(answer, list):
        return answer[0][0]["label"]
    if "outputs" in answer:
        return answer["outputs"][0]["data"][0]
    return answer["predictions"][0]["label"]


@pytest.mark.parametrize(
    ("path", "body", "label"),
    [
        ("/predict", GOOD, "a"),
        ("/predict", {**GOOD, "model": "books"}, "c"),
        ("/predict", {**GOOD, "model": "films", "version": 2}, "b"),
        ("/predict", {**GOOD, "version": "candidate"}, "b"),
        ("/predict", {**GOOD, "model": None, "version": None}, "a"),
        ("/", {"inputs": "good film"}, "a"),
        ("/models/books", {"inputs": "good film"}, "c"),
        ("/models/films/versions/candidate", {"inputs": "good film"}, "b"),
        ("/invocations", GOOD, "a"),
        ("/invocations", {**GOOD, "model": "books"}, "c"),
        ("/models/books/invoke", GOOD, "c"),
        ("/models/films/versions/2/invoke", GOOD, "b"),
        ("/v1/models/books:predict", {"instances": ["good film"]}, "c"),
        ("/v1/models/films/versions/2:predict", {"instances": ["good film"]}, "b"),
        ("/v2/models/books/infer", {"inputs": [TENSOR]}, "c"),
        ("/v2/models/films/versions/2/infer", {"inputs": [TENSOR]}, "b"),
        ("/v2/models/films/versions/candidate/infer", {"inputs": [TENSOR]}, "b"),
    ],
)
def test_every_protocol_finds_models_and_versions_in_function_and_server(
    process, path, body, label
):
    event = make_event("http_v2", "POST", path, body)
    reply = LambdaHttp(process.models, process.settings).answer(event, None)
    assert (reply["statusCode"], find_label(json.loads(reply["body"]))) == (200, label)

    process.models.drop("films")  # so that the server has to load it
    process.models.drop("books")
    with Server(process.service) as server:
        cold, warm = (httpx.post(f"{server.url}{path}", json=body) for _ in range(2))
    assert (cold.status_code, find_label(cold.json())) == (200, label)
    assert cold.content == warm.content


def make_late(process):
    """Let whoever asks next wait for a look."""
    for shelf in process.models.list_shelves():
        shelf.expire()


NAMED = [
    ({**GOOD, "version": "candidate"}, "b"),
    ({**GOOD, "version": 2}, "b"),
    ({**GOOD, "model": "books"}, "c"),
    ({**GOOD, "model": "films", "version": "candidate"}, "b"),
    (GOOD, "a"),
]


@pytest.mark.parametrize(("body", "label"), NAMED)
def test_a_body_names_its_model_where_the_default_has_to_be_looked_at(process, call, body, label):
    make_late(process)
    answer = call("POST", "/predict", body)
    assert (answer.status, find_label(answer.json)) == (200, label)

    with Server(process.service) as server:
        make_late(process)
        answer = httpx.post(f"{server.url}/predict", json=body)
    assert (answer.status_code, find_label(answer.json())) == (200, label)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("named", [{"version": "9"}, {"model": "songs"}, {"version": "nosuch"}])
def test_function_and_server_refuse_what_a_body_names_alike(process, call, named, is_late):
    refusals = []
    with Server(process.service) as server:
        for answer_by in ("function", "server"):
            if is_late:
                make_late(process)
            if answer_by == "function":
                refused = call("POST", "/predict", {**GOOD, **named})
                refusals.append((refused.status, refused.json))
            else:
                refused = httpx.post(f"{server.url}/predict", json={**GOOD, **named})
                refusals.append((refused.status_code, refused.json()))

    assert refusals[0] == refusals[1]
    assert refusals[0][0] == 422


def test_a_model_that_names_another_without_end_is_a_503(process):
    def answer(model, request):
        raise AskAnother(model)

    operation, model = process.service.router.find(Request("POST", "/predict", {}))
    request = Request("POST", "/predict", {}, b"{}")

    refused = process.service.answer(request, operation._replace(answer=answer), model)

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")


def test_an_answer_and_its_line_of_the_log_tell_name_and_version(process, call):
    answer = call("POST", "/predict", {**GOOD, "version": "candidate"}).json

    assert (answer["model"]["name"], answer["model"]["version"]) == ("films", "2")
    assert (process.lines[-1]["model"], process.lines[-1]["version"]) == ("films", "2")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", {**GOOD, "model": "songs"}, 422),
        ("/predict", {**GOOD, "version": "9"}, 422),
        ("/predict", {**GOOD, "model": "../films"}, 422),
        ("/predict", {**GOOD, "model": 7}, 422),
        ("/predict", {**GOOD, "model": ""}, 422),
        ("/predict", {**GOOD, "version": True}, 422),
        ("/predict", {**GOOD, "version": [1]}, 422),
        ("/models/songs", {"inputs": "good"}, 404),
        ("/models/films/versions/9/invoke", GOOD, 404),
        ("/v2/models/films/versions/nosuch/infer", {"inputs": [TENSOR]}, 404),
        ("/v2/models/é/infer", {"inputs": [TENSOR]}, 404),
        ("/v2/models/../infer", {"inputs": [TENSOR]}, 404),
        (f"/v2/models/{'n' * 5000}/infer", {"inputs": [TENSOR]}, 404),
        ("/v2/repository/index", {}, 404),
        ("/v2/repository/models/films/load", {}, 404),
    ],
)
def test_what_names_no_model_is_refused(call, path, body, status):
    assert call("POST", path, body).status == status


def test_a_bad_version_is_a_503_and_the_others_answer(shop, process, call):
    broken = shop.push_broken("films")

    refused = call("POST", f"/models/films/versions/{broken}/invoke", GOOD)

    assert (refused.status, refused.headers["retry-after"]) == (503, "10")
    assert "sha256" not in refused.body.decode()
    assert call("POST", "/predict", GOOD).json["predictions"][0]["label"] == "a"
    assert any("sha256 is" in line["message"] for line in process.lines)


def test_where_several_models_could_answer_the_sender_must_name_one(make_process):
    process = make_process()
    call = caller(process.service)

    for path, body in (("/predict", GOOD), ("/", {"inputs": "good"}), ("/invocations", GOOD)):
        refused = call("POST", path, body)
        assert (refused.status, b"name one" in refused.body) == (422, True)
    assert call("GET", "/v2/health/ready").status == 200
    assert call("GET", "/health").status == 200
    assert find_label(call("POST", "/predict", {**GOOD, "model": "books"}).json) == "c"
    assert find_label(call("POST", "/predict", {**GOOD, "model": "films"}).json) == "a"


def test_a_model_that_is_fetched_holds_no_other_request_up(process, monkeypatch):
    gate, asked = threading.Event(), threading.Event()
    read = process.models._store.read_file

    def read_slowly(name, *arguments):
        if name == "books":
            asked.set()
            assert gate.wait(20)
        return read(name, *arguments)

    monkeypatch.setattr(process.models._store, "read_file", read_slowly)
    with Server(process.service) as server:
        slow = threading.Thread(
            target=lambda: said.append(httpx.post(f"{server.url}/models/books/invoke", json=GOOD))
        )
        said = []
        slow.start()
        assert asked.wait(20)
        quick = httpx.post(f"{server.url}/predict", json=GOOD)
        large = httpx.post(f"{server.url}/predict", json={"texts": ["good film"] * 200})
        gate.set()
        slow.join()

    assert (quick.status_code, large.status_code) == (200, 200)
    assert find_label(said[0].json()) == "c"


def test_tritons_extension_lists_loads_and_unloads(make_process, shop):
    process = make_process(MINNOW_MODEL="films", MINNOW_MODELS_CONTROL="on")
    call = caller(process.service)

    def index(body=b""):
        answer = call("POST", "/v2/repository/index", body).json
        return [(one["name"], one["version"], one["state"]) for one in answer]

    assert index() == [("books", "", "UNAVAILABLE"), ("films", "1", "READY")]
    assert call("POST", "/v2/repository/models/books/load", {}).json == {}
    assert index({"ready": True}) == [("books", "1", "READY"), ("films", "1", "READY")]
    assert call("POST", "/v2/repository/models/books/unload", {}).status == 200
    assert index({"ready": True}) == [("films", "1", "READY")]

    shop.push("films", "d", "live")
    assert call("POST", "/v2/repository/models/films/load", {}).status == 200
    assert find_label(call("POST", "/predict", GOOD).json) == "d"
    for path in ("songs/load", "songs/unload", "../load"):
        assert call("POST", f"/v2/repository/models/{path}", {}).status == 404


def test_a_repository_that_is_gone_is_a_503(make_process, tmp_path):
    process = make_process(MINNOW_MODEL="films", MINNOW_MODELS_CONTROL="on")
    (tmp_path / "models").rename(tmp_path / "gone")

    refused = caller(process.service)("POST", "/v2/repository/index", {})

    assert (refused.status, refused.headers["retry-after"]) == (503, "10")


def test_metrics_list_what_is_loaded_once(process, call):
    for _ in range(3):
        call("POST", "/models/books/invoke", GOOD)
        process.models.drop("books")
    call("POST", "/models/books/invoke", GOOD)

    page = call("GET", "/metrics").body.decode()

    assert page.count('minnow_model_info{name="books"') == 1
    assert 'minnow_predictions_total{model="books",label="c"} 4' in page


def test_the_document_of_the_api_is_made(process):
    document = create_app(process.service).openapi()

    (name,) = document["paths"]["/v2/models/{name}"]["get"]["parameters"]
    assert name["schema"] == {"type": "string"}


def test_records_of_an_event_name_their_models(process):
    items = [
        "good film",
        {**GOOD, "model": "books", "id": 1},
        {**GOOD, "version": 2},
        {**GOOD, "model": "songs"},
        {**GOOD, "model": {"a": 1}},
    ]

    answers = answer_event({"Items": items}, None, process.resources)

    assert [answer["predictions"][0]["label"] for answer in answers[:3]] == ["a", "c", "b"]
    assert answers[1]["model"]["name"] == "books"
    assert [answer["error"]["field"] for answer in answers[3:]] == ["model", "model"]
    events = [line for line in process.lines if line["message"] == "event"]
    told = {(line["model"], line["version"]): line["labels"] for line in events}
    assert told == {("films", "1"): {"a": 1}, ("films", "2"): {"b": 1}, ("books", "1"): {"c": 1}}


def test_a_direct_call_names_its_model(process):
    answer = answer_event({**GOOD, "model": "books"}, None, process.resources)

    assert find_label(answer) == "c"
    with pytest.raises(InvalidInput, match="no such model"):
        answer_event({**GOOD, "model": "songs"}, None, process.resources)


def test_records_of_one_event_are_answered_by_one_version(process, shop, monkeypatch):
    promote_while_answering(monkeypatch, process.models, shop, "d")
    items = ["good film", {**GOOD, "model": "films"}, {**GOOD, "version": "live"}]

    answers = answer_event({"Items": items}, None, process.resources)

    assert {answer["predictions"][0]["label"] for answer in answers} == {"a"}
    assert find_label(answer_event(GOOD, None, process.resources)) == "d"


def test_where_a_bundle_serves_a_record_may_have_a_field_of_that_name(tiny_classifier):
    items = [{**GOOD, "model": "Galaxy S7", "version": [1]}]
    resources = Resources(make_models(tiny_classifier), EventSettings())

    (answer,) = answer_event({"Items": items}, None, resources)

    assert find_label(answer) == "pos"


def test_a_restored_snapshot_answers_by_what_was_promoted_since(process, shop):
    asked = []
    prepare_snapshot(process.models, lambda event, context: asked.append(event["rawPath"]))
    shop.push("films", "d", "live")

    check_restored(process.models)

    assert asked == ["/openapi.json", "/predict"]
    assert find_label(answer_event(GOOD, None, process.resources)) == "d"


def test_every_answer_is_of_one_whole_version_while_others_are_promoted(
    make_process, shop, tmp_path
):
    process = make_process(MINNOW_MODEL="films", MINNOW_MODELS_REFRESH_S="1")
    said, stop = [], threading.Event()

    def ask(url):
        while not stop.is_set():
            answer = httpx.post(f"{url}/predict", json={"texts": ["good film", "bad film"]})
            said.append((answer.status_code, answer.json()))

    with Server(process.service) as server:
        threads = [threading.Thread(target=ask, args=(server.url,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for label in "xyz":
                number = shop.push("films", label, "live")
                wait_for(lambda n=str(number): said and said[-1][1]["model"]["version"] == n)
                broken = shop.push_broken("films")
                promote = functools.partial(write_alias, alias="live", version=broken)
                shop.store.change_aliases("films", promote)
                wait_for(lambda n=broken: any(f"/{n}/" in str(line) for line in process.lines))
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    labels = {"1": "a", **{str(3 + 2 * index): label for index, label in enumerate("xyz")}}
    for status, answer in said:
        label = labels[answer["model"]["version"]]
        got = [prediction["label"] for prediction in answer["predictions"]]
        assert (status, got) == (200, [label, f"not-{label}"])
