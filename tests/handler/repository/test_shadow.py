"""A shadow runs what was answered, once it is out: it slows and fails nobody, and logs counts."""

import json
import threading
from types import SimpleNamespace

import httpx
import pytest

from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.http.lambda_http import LambdaHttp
from handler.http.service import Service
from handler.inference.agreement import Answered
from handler.repository.publish import promote_version, try_version
from handler.repository.shadow import Job, ShadowRunner
from handler.repository.trials import is_shadowed
from tests.helpers.aws import receive_all
from tests.helpers.fresh_python import run_python
from tests.helpers.http_events import make_event
from tests.helpers.http_service import Server, caller
from tests.helpers.repositories import REFRESH_S, Process, make_settings, wait_for

TEXTS = ["good film", "bad film", "a film of Zanzibar"]
BODY = {"texts": TEXTS}


@pytest.fixture
def shop(folder_shop):
    folder_shop.push("films", "a", "live")
    folder_shop.push("films", "b")
    try_version(folder_shop.store, "films", 2, "live", {"shadow": 1.0})
    return folder_shop


@pytest.fixture
def process(shop):
    return Process(shop.store)


def read_shadow_lines(process):
    lines = [json.loads(line) for line in list(process.lines)]
    return [line for line in lines if line["message"] == "shadow"]


def check_line(line, request_id, texts=3):
    """Check what a line tells where version 1 says "a" and "not-a", version 2 "b" and "not-b"."""
    changed = {"a": {"b": texts - 1}, "not-a": {"not-b": 1}}
    told = {name: line[name] for name in ("request_id", "model", "version", "shadow", "task")}
    assert told == {
        "request_id": request_id,
        "model": "films",
        "version": "1",
        "shadow": "2",
        "task": "single-label",
    }
    assert (line["texts"], line["agreed"], line["score_shift"]) == (texts, 0, 0)
    assert (sum(map(sum, (one.values() for one in line["changed"].values())))) == texts
    assert line["latency_ms"] > 0
    assert line["shadow_latency_ms"] > 0
    assert line["changed"].keys() == changed.keys()


def make_context(request_id="x", left_ms=60_000):
    return SimpleNamespace(aws_request_id=request_id, get_remaining_time_in_millis=lambda: left_ms)


def ask_function(process, request_id="x", left_ms=60_000, **headers):
    http = LambdaHttp(process.models, make_settings("models"))
    event = make_event("http_v2", "POST", "/predict", BODY, headers)
    return http.answer(event, make_context(request_id, left_ms))


def test_a_function_runs_it_before_it_returns_and_tells_counts_and_no_text(process):
    reply = ask_function(process, "one")

    (line,) = read_shadow_lines(process)
    check_line(line, "one")
    assert line["in_turns"] is False
    assert json.loads(reply["body"])["model"]["version"] == "1"
    assert not any(text in "".join(process.lines) for text in ("good", "bad", "Zanzibar"))


def test_a_function_without_time_drops_it_and_the_next_line_without_a_problem_tells(
    process, monkeypatch
):
    http = LambdaHttp(process.models, make_settings("models"))
    event = make_event("http_v2", "POST", "/predict", BODY)
    http.answer(event, make_context("one", 300))
    assert read_shadow_lines(process) == []

    with monkeypatch.context() as failing:
        failing.setattr(process.models.fetch("films", "2").classifier, "predict", None)
        http.answer(event, make_context("two"))
    http.answer(event, make_context("three"))

    failed, line = read_shadow_lines(process)
    assert ("problem" in failed, "dropped" in failed) == (True, False)
    assert (line["request_id"], line["dropped"]) == ("three", 1)


def test_a_part_of_the_requests_is_run(process, shop):
    try_version(shop.store, "films", 2, "live", {"shadow": 0.5})
    process.pass_s(REFRESH_S)
    ids = [f"request-{number}" for number in range(30)]

    for one in ids:
        ask_function(process, one)

    told = [line["request_id"] for line in read_shadow_lines(process)]
    assert told == [one for one in ids if is_shadowed("films", one, 0.5)]


def test_what_the_canary_answers_is_run_by_no_shadow(process, shop):
    try_version(shop.store, "films", 2, "live", {"canary": 1.0})
    process.pass_s(REFRESH_S)

    reply = ask_function(process, "one")

    assert json.loads(reply["body"])["model"]["version"] == "2"
    assert read_shadow_lines(process) == []


def test_a_promotion_ends_it(process, shop):
    promote_version(shop.store, "films", 1, "live")
    process.pass_s(REFRESH_S)

    ask_function(process, "one")

    assert (read_shadow_lines(process), process.models.shadows) == ([], {})


def test_a_server_runs_it_once_the_answer_is_out(process):
    with Server(Service(process.models, make_settings("models"))) as server:
        for number in range(5):
            answer = httpx.post(
                f"{server.url}/predict", json=BODY, headers={"x-request-id": f"{number}"}
            )
            assert answer.json()["model"]["version"] == "1"
        wait_for(lambda: len(read_shadow_lines(process)) == 5)

    for number, line in enumerate(read_shadow_lines(process)):
        check_line(line, f"{number}")
        assert line["in_turns"] is True
    assert not any(text in "".join(process.lines) for text in ("good", "bad", "Zanzibar"))


@pytest.fixture
def hanging(process, monkeypatch):
    """Let the shadow hang until the gate is open; return the gate."""
    gate = threading.Event()
    shadow = process.models.fetch("films", "2").classifier
    classify = shadow.predict

    def hang(texts):
        assert gate.wait(20)
        return classify(texts)

    monkeypatch.setattr(shadow, "predict", hang)
    yield gate
    gate.set()


def test_a_shadow_that_hangs_holds_up_no_answer_and_drops_what_is_too_much(
    process, hanging, monkeypatch
):
    monkeypatch.setattr("handler.repository.shadow.MAX_WAITING", 8)
    monkeypatch.setattr("handler.repository.shadow.REST_TIMES", 0)
    service = Service(process.models, make_settings("models"))
    with Server(service) as server:
        for _ in range(14):  # one is at work
            assert httpx.post(f"{server.url}/predict", json=BODY).status_code == 200
        assert len(service.shadow._waiting) == 8
        hanging.set()
        wait_for(lambda: len(read_shadow_lines(process)) == 9)

    assert sum(line.get("dropped", 0) for line in read_shadow_lines(process)) == 5


def test_what_waits_is_bounded_by_its_characters(process, hanging, monkeypatch):
    monkeypatch.setattr("handler.repository.shadow.MAX_CHARACTERS", 100)
    service = Service(process.models, make_settings("models"))
    with Server(service) as server:
        for _ in range(6):  # of 37 characters each; one is at work
            assert httpx.post(f"{server.url}/predict", json=BODY).status_code == 200
        assert len(service.shadow._waiting) == 2
        assert [job.answered.predictions for job in service.shadow._waiting] == [()] * 2
        hanging.set()
        wait_for(lambda: len(read_shadow_lines(process)) == 3)


def test_a_server_that_ends_waits_for_no_shadow(process, hanging, monkeypatch):
    monkeypatch.setattr("handler.repository.shadow.END_S", 0.05)
    service = Service(process.models, make_settings("models"))
    with Server(service) as server:
        for _ in range(5):
            httpx.post(f"{server.url}/predict", json=BODY)

    service.shadow.end()
    hanging.set()
    service.shadow._thread.join(20)

    assert not service.shadow._thread.is_alive()
    assert len(read_shadow_lines(process)) <= 1


def test_a_shadow_that_fails_is_told_and_the_answer_stands(process, monkeypatch):
    def fail(texts):
        raise RuntimeError(texts[0])

    monkeypatch.setattr(process.models.fetch("films", "2").classifier, "predict", fail)

    assert ask_function(process, "one")["statusCode"] == 200

    (line,) = read_shadow_lines(process)
    assert line["level"] == "error"
    assert line["problem"].startswith("the shadow failed (RuntimeError at fail:")


def test_a_shadow_that_must_not_serve_is_told_once(process, shop):
    broken = shop.push_broken("films")
    document = json.loads(shop.store.read_aliases("films").content)
    document["aliases"]["live"]["shadow"]["version"] = broken
    shop.store.change_aliases("films", lambda _: json.dumps(document).encode())

    for _ in range(3):
        process.pass_s(REFRESH_S)
        assert ask_function(process)["statusCode"] == 200

    told = [json.loads(line)["message"] for line in process.lines if "is not tried" in line]
    assert len(told) == 1
    assert f"version {broken}, the shadow of live, is not tried: " in told[0]


def test_a_shadow_that_memory_was_freed_of_is_loaded_for_the_next_request(process):
    process.models._memory._models.pop(("films", 2))

    http = LambdaHttp(process.models, make_settings("models"))
    http.answer(make_event("http_v2", "POST", "/predict", BODY), make_context("one"))
    wait_for(lambda: process.models.list_loaded("films") == [1, 2])
    http.answer(make_event("http_v2", "POST", "/predict", BODY), make_context("two"))

    (line,) = read_shadow_lines(process)
    assert (line["request_id"], line["dropped"]) == ("two", 1)


def test_a_function_loads_one_shadow_at_a_time_however_many_requests_want_it(process, monkeypatch):
    process.models._memory._models.pop(("films", 2))
    gate, asked = threading.Event(), []
    fetch = process.models.fetch

    def hang(*given):
        asked.append(given)
        assert gate.wait(20)
        return fetch(*given)

    monkeypatch.setattr(process.models, "fetch", hang)
    http = LambdaHttp(process.models, make_settings("models"))
    for number in range(5):
        http.answer(make_event("http_v2", "POST", "/predict", BODY), make_context(f"{number}"))
    gate.set()
    wait_for(lambda: process.models.list_loaded("films") == [1, 2])

    assert len(asked) == 1


def test_a_shadow_that_cannot_be_loaded_for_a_reason_of_its_own_ends_no_thread(
    process, monkeypatch
):
    process.models._memory._models.pop(("films", 2))
    fetch, failures = process.models.fetch, [RuntimeError("good film")]

    def fail_once(*given):
        if failures:
            raise failures.pop()
        return fetch(*given)

    monkeypatch.setattr(process.models, "fetch", fail_once)
    with Server(Service(process.models, make_settings("models"))) as server:
        for _ in range(2):
            assert httpx.post(f"{server.url}/predict", json=BODY).status_code == 200
        wait_for(lambda: len(read_shadow_lines(process)) == 2)

    failed, line = read_shadow_lines(process)
    assert failed["problem"].startswith("the shadow cannot be loaded (RuntimeError at fail_once:")
    assert (line["texts"], line["dropped"]) == (3, 1)


def test_both_run_beside_each_other_in_turn_and_the_thread_rests_twice_as_long(process):
    rests = []
    runner = ShadowRunner(process.monitor, rests.append)
    order = []
    for number in ("1", "2"):
        classifier = process.models.fetch("films", number).classifier

        def predict(texts, number=number, classify=classifier.predict):
            order.append(number)
            return classify(texts)

        classifier.predict = predict
    model = process.models.fetch("films", "1")
    predictions = model.classifier.predict(TEXTS)
    order.clear()
    answered = SimpleNamespace(
        model=model, texts=TEXTS * 10, predictions=predictions * 10, latency_ms=0
    )

    shadow = process.models.fetch("films", "2")
    for _ in range(2):
        runner._compare(Job("one", answered, shadow), shadow)

    assert order == ["2", "1"] * 2 + ["1", "2"] * 2
    line = read_shadow_lines(process)[0]
    passed_ms = line["latency_ms"] + line["shadow_latency_ms"]
    assert sum(rests[:2]) * 1000 == pytest.approx(2 * passed_ms, abs=0.01)  # rounded in the line


@pytest.mark.parametrize(("left_s", "texts"), [(2.5, 160), (1.9, 0)])
def test_a_part_of_a_large_event_is_run_where_three_times_a_part_is_left(process, left_s, texts):
    model, shadow = (process.models.fetch("films", number) for number in "12")
    many = ["good film"] * 160
    answered = Answered(model, many, model.classifier.predict(many), 5000.0)  # 0.5 s a part

    ShadowRunner(process.monitor).run_now(Job("one", answered, shadow), lambda: left_s)

    assert [line["texts"] for line in read_shadow_lines(process)] == [texts] * bool(texts)


@pytest.mark.parametrize("left_ms", [60_000, 400])
def test_the_records_of_a_queue_are_run_in_the_same_batch(aws, process, left_ms):
    url = aws("sqs").create_queue(QueueName="results")["QueueUrl"]
    settings = make_settings("models", MINNOW_RESULTS="sqs://results")
    resources = Resources(process.models, settings.events)
    records = [
        {
            "messageId": f"message-{number}",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:texts",
            "body": json.dumps({"texts": TEXTS}),
            "attributes": {},
        }
        for number in range(4)
    ]
    order = []
    process.monitor._write = lambda line: (process.lines.append(line), order.append(line))
    send = resources.sink.send
    resources.sink.send = lambda *given: order.append("sent") or send(*given)

    reply = answer_event({"Records": records}, make_context("event", left_ms), resources)

    assert reply == {"batchItemFailures": []}
    versions = {document["model"]["version"] for document in receive_all(aws("sqs"), url)}
    assert versions == {"1"}
    if left_ms < 1000:
        assert read_shadow_lines(process) == []
        return
    (line,) = read_shadow_lines(process)
    check_line(line, "event", texts=12)
    assert order.index("sent") < order.index(json.dumps(line, separators=(",", ":")) + "\n")
    (event,) = [line for line in map(json.loads, process.lines) if line["message"] == "event"]
    assert event["texts"] == 12


def test_items_and_direct_calls_are_run_too(process):
    resources = Resources(process.models, make_settings("m").events)

    answer_event({"text": "good film"}, make_context("direct"), resources)
    answer_event({"Items": ["good film", "bad film"]}, make_context("items"), resources)

    told = [(line["request_id"], line["texts"]) for line in read_shadow_lines(process)]
    assert told == [("direct", 1), ("items", 2)]


def test_where_there_is_no_shadow_nothing_is_kept(shop):
    promote_version(shop.store, "films", 1, "live")
    process = Process(shop.store)
    service = Service(process.models, make_settings("models"))

    caller(service)("POST", "/predict", BODY)

    assert "shadow" not in vars(service)


def test_a_function_imports_nothing_of_it_until_there_is_one(shop, tmp_path):
    code = (
        "import sys, json\n"
        "from handler.function import handler\n"
        "event = json.loads(sys.argv[1])\n"
        "handler(event, None)\n"
        "handler({'text': 'good film'}, None)\n"
        "names = ('shadow', 'agreement')\n"
        "print(*[name for name in sys.modules if name.rpartition('.')[2] in names])\n"
    )
    event = json.dumps(make_event("http_v2", "POST", "/predict", BODY))
    promote_version(shop.store, "films", 1, "live")

    done = run_python(code, event, MINNOW_MODELS=str(tmp_path / "models"))

    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
