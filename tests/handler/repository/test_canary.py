"""A canary answers its share of the requests, drawn by their ids, and can fail none of them."""

import json
from types import SimpleNamespace

import httpx
import pytest

from handler.errors import ArtefactError
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.http.lambda_http import LambdaHttp
from handler.http.service import Service
from handler.inference.models import Pending
from handler.repository.aliases import Trial, read_aliases, write_alias, write_trials
from handler.repository.publish import list_versions, promote_version, push_bundle, try_version
from handler.repository.trials import draw, is_drawn, is_shadowed
from tests.helpers.http_events import make_event
from tests.helpers.http_service import Server, caller
from tests.helpers.number_bundles import write_regression
from tests.helpers.repositories import (
    REFRESH_S,
    Process,
    make_settings,
    open_stored,
    promote_while_answering,
    say,
    wait_for,
)

GOOD = {"text": "good film"}
IDS = [f"request-{number}" for number in range(40)]
SHARE = 0.3
# What the ids of a request are drawn for, as `draw` has it: the canary says "b".
LABELS = {one: "b" if is_drawn("films", one, SHARE) else "a" for one in IDS}
SIX_SIGMA = 6


@pytest.fixture
def shop(folder_shop):
    folder_shop.push("films", "a", "live")
    folder_shop.push("films", "b")
    return folder_shop


def begin_canary(shop, share=SHARE, version=2, name="films", alias="live"):
    try_version(shop.store, name, version, alias, {"canary": share})


def read_lines(process):
    return [json.loads(line) for line in process.lines]


@pytest.fixture
def process(shop):
    begin_canary(shop)
    return Process(shop.store)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.99])
def test_a_share_of_the_ids_is_drawn_and_shadows_take_the_other_end(share):
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(10_000)]

    drawn = {one for one in ids if is_drawn("films", one, share)}
    shadowed = {one for one in ids if is_shadowed("films", one, 1 - share)}

    sigma = (10_000 * share * (1 - share)) ** 0.5
    assert abs(len(drawn) - 10_000 * share) < SIX_SIGMA * sigma
    assert drawn.isdisjoint(shadowed)
    assert drawn <= {one for one in ids if is_drawn("films", one, min(1, share + 0.01))}


def test_what_is_drawn_is_the_same_on_any_machine():
    # sha256("films request-1") begins so; whoever reads the log can compute it.
    assert draw("films", "request-1") == int("6cb05c2e711d", 16) / 2**48
    assert is_shadowed("films", "request-1", 1)
    assert is_drawn("films", "request-1", 1)


def ask_all(ask):
    return {one: ask(one) for one in IDS}


def test_an_id_is_answered_by_the_same_version_in_function_and_server(shop, tmp_path):
    begin_canary(shop)
    settings = make_settings(str(tmp_path / "models"))
    models = open_stored(str(tmp_path / "models"))
    http = LambdaHttp(models, settings)

    def ask_function(request_id):
        event = make_event("http_v2", "POST", "/predict", GOOD)
        reply = http.answer(event, SimpleNamespace(aws_request_id=request_id))
        return json.loads(reply["body"])["predictions"][0]["label"]

    assert ask_all(ask_function) == LABELS
    with Server(Service(open_stored(str(tmp_path / "models")), settings)) as server:

        def ask_server(request_id):
            headers = {"x-request-id": request_id}
            answer = httpx.post(f"{server.url}/predict", json=GOOD, headers=headers)
            return answer.json()["predictions"][0]["label"]

        assert ask_all(ask_server) == LABELS


@pytest.mark.parametrize(
    ("path", "body", "is_split"),
    [
        ("/predict", {**GOOD, "model": "films"}, True),
        ("/predict", {**GOOD, "version": "live"}, True),
        ("/predict", {**GOOD, "version": 1}, False),
        ("/invocations", {**GOOD, "model": "films"}, True),
        ("/models/films/invoke", GOOD, True),
        ("/models/films/versions/1/invoke", GOOD, False),
        ("/v1/models/films:predict", {"instances": ["good film"]}, True),
    ],
)
def test_who_names_a_version_gets_it_and_all_others_are_split(process, path, body, is_split):
    call = caller(Service(process.models, make_settings("models")))

    def ask(request_id):
        answer = call("POST", path, body, x_request_id=request_id).json["predictions"][0]
        return answer["label"]

    assert ask_all(ask) == (LABELS if is_split else dict.fromkeys(IDS, "a"))


def test_the_line_of_the_log_tells_the_version_and_descriptions_are_of_one(process):
    call = caller(Service(process.models, make_settings("models")))
    process.lines.clear()

    for one in IDS:
        assert call("GET", "/model", x_request_id=one).json["model"]["version"] == "1"
        call("POST", "/predict", GOOD, x_request_id=one)

    lines = [line for line in read_lines(process) if line.get("operation") == "predict"]
    told = {line["request_id"]: "ab"[int(line["version"]) - 1] for line in lines}
    assert told == LABELS


def make_record(message_id, body):
    return {
        "messageId": message_id,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:texts",
        "body": json.dumps(body),
        "attributes": {},
    }


def answer_records(process, records):
    """Return the documents of an event's results, by their id."""
    resources = Resources(process.models, make_settings("m", MINNOW_RESULTS="sqs://r").events)
    sent = []
    resources.sink = SimpleNamespace(
        feeds=lambda arn: False,
        overwrites=True,
        send=lambda results, deadline: sent.extend(results) or {},
    )
    assert answer_event({"Records": records}, None, resources) == {"batchItemFailures": []}
    return {result.document["id"]: result.document for result in sent}


def find_labels(documents):
    return {one: document["predictions"][0]["label"] for one, document in documents.items()}


def test_records_of_one_event_are_split_by_their_ids_and_come_out_alike_again(process):
    records = [make_record(one, GOOD) for one in IDS]

    first, again = (answer_records(process, records) for _ in range(2))

    assert find_labels(first) == LABELS
    assert first == again
    versions = {one: "ab"[int(first[one]["model"]["version"]) - 1] for one in IDS}
    assert versions == LABELS
    lines = [line for line in read_lines(process) if line["message"] == "event"][-2:]
    counts = {line["version"]: line["labels"] for line in lines}
    said = list(LABELS.values())
    assert counts == {"1": {"a": said.count("a")}, "2": {"b": said.count("b")}}


def test_a_sender_who_sends_again_under_its_own_id_is_answered_by_the_same_version(process):
    records = [make_record(f"message-{n}", {**GOOD, "id": one}) for n, one in enumerate(IDS)]

    assert find_labels(answer_records(process, records)) == LABELS


def test_items_and_direct_calls_are_split_too(process):
    resources = Resources(process.models, make_settings("m").events)
    items = [{**GOOD, "id": one} for one in IDS]

    answers = answer_event({"Items": items}, SimpleNamespace(aws_request_id="x"), resources)

    assert {one["id"]: one["predictions"][0]["label"] for one in answers} == LABELS

    def ask(request_id):
        context = SimpleNamespace(aws_request_id=request_id)
        return answer_event(GOOD, context, resources)["predictions"][0]["label"]

    assert ask_all(ask) == LABELS


def test_an_event_ends_with_the_split_that_it_began_with(process, shop, monkeypatch):
    promote_while_answering(monkeypatch, process.models, shop, "c")

    assert find_labels(answer_records(process, [make_record(one, GOOD) for one in IDS])) == LABELS
    assert process.say() == "c"


def test_a_promotion_ends_the_canary_whichever_version_it_names(process, shop):
    for version, label in ((2, "b"), (1, "a")):
        promote_version(shop.store, "films", version, "live")
        process.pass_s(REFRESH_S)

        assert {say(process.models.find(request_id=one)) for one in IDS} == {label}
        begin_canary(shop, 1, version=3 - version)
        process.pass_s(REFRESH_S)
        assert {say(process.models.find(request_id=one)) for one in IDS} == {"ab"[2 - version]}


def test_a_share_that_changes_takes_effect_at_the_next_look_and_loads_nothing(process, shop):
    begin_canary(shop, 0.9)
    process.pass_s(REFRESH_S)

    labels = {one: say(process.models.find(request_id=one)) for one in IDS}

    assert labels == {one: "b" if is_drawn("films", one, 0.9) else "a" for one in IDS}
    assert process.loads == [("films", 1), ("films", 2)]


def put_canary(shop, version):
    """Write a canary past all checks."""
    shop.store.change_aliases(
        "films", lambda content: write_trials(content, "live", version, {"canary": 1.0})
    )


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("version", ["broken", 9])
def test_a_canary_that_must_not_serve_fails_no_request_and_one_line_says_so(shop, version, is_late):
    version = shop.push_broken("films") if version == "broken" else version
    if is_late:
        process = Process(shop.store)
        put_canary(shop, version)
        process.pass_s(REFRESH_S)
    else:
        put_canary(shop, version)
        process = Process(shop.store)

    for _ in range(3):
        assert {say(process.models.find(request_id=one)) for one in IDS} == {"a"}
        process.pass_s(REFRESH_S)

    told = [line["message"] for line in read_lines(process)]
    assert len(told) == 1
    assert f"version {version}, the canary of live, is not tried: " in told[0]


def test_a_canary_that_memory_was_freed_of_is_loaded_again_or_left_out(process, shop):
    drawn = next(one for one, label in LABELS.items() if label == "b")
    memory = process.models._memory
    memory._models.pop(("films", 2))

    assert isinstance(process.models.find(request_id=drawn), Pending)
    assert say(process.models.find(request_id=drawn).fetch()) == "b"

    memory._models.pop(("films", 2))
    (shop.store.locate("films", 2) / "model.onnx").write_bytes(b"changed")
    assert say(process.models.find(request_id=drawn).fetch()) == "a"
    assert say(process.models.find(request_id=drawn)) == "a"
    assert "is not tried" in process.lines[-1]


def test_the_default_models_canary_stays_in_memory(process):
    process.models._memory.drop()

    assert process.models.list_loaded("films") == [1, 2]


def test_a_model_that_is_first_asked_has_its_canary_a_moment_later(shop):
    shop.push("books", "c", "live")
    shop.push("books", "d")
    begin_canary(shop, 1, name="books")
    process = Process(shop.store, default="films")

    assert say(process.models.find("books", request_id="x").fetch()) == "c"
    wait_for(lambda: process.models.list_loaded("books") == [1, 2])
    wait_for(lambda: say(process.models.find("books", request_id="x")) == "d")


def test_who_must_name_a_model_gets_the_canary_of_none(shop):
    shop.push("books", "c", "live")
    shop.push("books", "d")
    begin_canary(shop, 1, name="books")
    resources = Resources(Process(shop.store).models, make_settings("m").events)

    (nameless,) = answer_event({"Items": [GOOD]}, SimpleNamespace(aws_request_id="x"), resources)
    (named,) = answer_event(
        {"Items": [{**GOOD, "model": "books", "id": "x"}]},
        SimpleNamespace(aws_request_id="x"),
        resources,
    )

    assert nameless["error"]["field"] == "model"
    assert named["predictions"][0]["label"] in ("c", "d")


def test_where_nothing_is_tried_no_id_is_drawn(shop, monkeypatch):
    process = Process(shop.store)
    monkeypatch.setattr("handler.repository.trials.draw", None)
    call = caller(Service(process.models, make_settings("models")))

    assert call("POST", "/predict", GOOD).status == 200
    assert call("POST", "/models/films/invoke", GOOD).status == 200
    answer_records(process, [make_record("1", GOOD)])


def read_live(shop):
    return read_aliases(shop.store.read_aliases("films").content)["live"]


def test_kinds_are_set_apart_and_fields_that_are_not_known_stay(shop):
    begin_canary(shop, 0.05)
    known = json.loads(shop.store.read_aliases("films").content)
    known["aliases"]["live"]["canary"]["note"] = "from Ada"
    shop.store.change_aliases("films", lambda _: json.dumps(known).encode())

    try_version(shop.store, "films", 2, "live", {"shadow": 1.0})
    begin_canary(shop, 0.1)

    entry = json.loads(shop.store.read_aliases("films").content)["aliases"]["live"]
    assert entry["canary"] == {"version": 2, "share": 0.1, "note": "from Ada"}
    assert read_live(shop) == (1, 0, Trial(2, 0.1), Trial(2, 1.0))


@pytest.mark.parametrize(
    ("canary", "message"),
    [
        (b'{"version": 2}', "live.canary"),
        (b'{"version": 2, "share": 0}', "live.canary.share is 0, wanted a share of the requests"),
        (b'{"version": 2, "share": 1.1}', "live.canary.share is 1.1"),
        (b'{"version": 2, "share": -1}', "live.canary.share is -1"),
        (b'{"version": 2, "share": "5%"}', "live.canary.share is"),
        (b'{"version": "2", "share": 1}', "live.canary.version is"),
        (b'{"version": 0, "share": 1}', "live.canary.version is 0"),
        (b"0.05", "live.canary is 0.05, wanted an object"),
        (b"[]", "live.canary is"),
    ],
)
def test_a_canary_that_is_none_is_refused_by_its_field(canary, message):
    content = b'{"format_version": 1, "aliases": {"live": {"version": 1, "canary": %s}}}' % canary

    with pytest.raises(ArtefactError, match=message):
        read_aliases(content)


def test_what_cannot_be_tried_is_refused(shop, tmp_path):
    with pytest.raises(ArtefactError, match="no version is candidate yet"):
        begin_canary(shop, alias="candidate")
    with pytest.raises(ArtefactError, match="version 1 is live itself"):
        begin_canary(shop, version=1)
    with pytest.raises(ArtefactError, match="has no version 7"):
        begin_canary(shop, version=7)
    with pytest.raises(ArtefactError, match="sha256 is"):
        begin_canary(shop, version=shop.push_broken("films"))
    numbers = push_bundle(shop.store, write_regression(tmp_path), "films")
    with pytest.raises(ArtefactError, match="is regression, that of live is single-label"):
        begin_canary(shop, version=numbers.version)

    assert read_live(shop) == (1, 0, None, None)


def test_a_version_is_listed_with_what_it_is_tried_for(shop):
    begin_canary(shop)
    try_version(shop.store, "films", 2, "live", {"shadow": 1.0})

    listed = {
        one["version"]: (one["aliases"], one.get("tried")) for one in list_versions(shop.store)
    }

    tried = [
        {"alias": "live", "as": "canary", "share": SHARE},
        {"alias": "live", "as": "shadow", "share": 1.0},
    ]
    assert listed == {1: (["live"], None), 2: ([], tried)}


def test_an_older_promotion_that_kept_a_canary_of_the_same_version_splits_nothing(shop):
    begin_canary(shop)
    document = json.loads(shop.store.read_aliases("films").content)
    document["aliases"]["live"]["version"] = 2
    shop.store.change_aliases("films", lambda _: json.dumps(document).encode())

    process = Process(shop.store)

    assert process.models.canaries == {}
    assert write_alias(json.dumps(document).encode(), "live", 2).count(b"canary") == 0
