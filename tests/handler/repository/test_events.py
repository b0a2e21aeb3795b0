"""Events answered by the models of a repository: what one event is given, it keeps."""

import json
from types import SimpleNamespace

import pytest

from handler.errors import DeliveryError, InvalidInput
from handler.events.dispatch import answer_event
from handler.events.resources import MAX_MODELS, Invocation, Resources
from handler.events.review import send_row_reviews
from handler.events.work import ObjectRef, Texts
from handler.inference.exchange import Exchange
from handler.repository.publish import push_bundle
from handler.settings import read_settings
from tests.helpers.deployment import make_s3_event
from tests.helpers.repositories import REFRESH_S, Process, say
from tests.helpers.selective_bundle import ABSTAIN, write_selective_bundle


@pytest.fixture
def shop(folder_shop):
    folder_shop.push("films", "a", "live")
    return folder_shop


def begin(process, **environment):
    """Return an event on its way."""
    resources = Resources(process.models, read_settings(environment).events)
    return Invocation(None, resources, Exchange("x"))


def test_rows_for_review_are_told_by_the_model_that_scored_them(tiny_bundle, folder_shop, tmp_path):
    old = write_selective_bundle(tiny_bundle, tmp_path / "old", abstain=ABSTAIN)
    new = write_selective_bundle(
        tiny_bundle, tmp_path / "new", abstain=ABSTAIN, labels=["neg", "pos"]
    )
    push_bundle(folder_shop.store, old, "films", "live")
    process = Process(folder_shop.store)
    invocation = begin(process)
    sent = []
    invocation.deadline = None
    invocation.resources.review_sink = SimpleNamespace(
        send=lambda results, deadline: sent.extend(results) or {}
    )
    predictions = invocation.model.classifier.predict(["good film"])

    push_bundle(folder_shop.store, new, "films", "live")
    process.pass_s(REFRESH_S)
    assert process.models.default.version == "2"
    block = SimpleNamespace(rows=[SimpleNamespace(number=0)], texts=["good film"])
    send_row_reviews("job", ObjectRef("texts", "a.csv"), block, predictions, invocation)

    (document,) = (result.document for result in sent)
    assert (document["model"]["version"], document["reviews"][0]["best"]) == ("1", "pos")


def test_an_object_is_scored_again_by_a_version_of_the_same_graph(aws, shop):
    s3 = aws("s3")
    for bucket in ("texts", "results"):
        where = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    s3.put_object(Bucket="texts", Key="a.csv", Body=b"text\ngood film\n")
    process = Process(shop.store)
    settings = {
        "MINNOW_OBJECT_RESULTS": "s3://results/scored/",
        "MINNOW_OBJECT_SOURCE": "s3://texts/",
    }
    resources = Resources(process.models, read_settings(settings).events)

    def score():
        answer_event(make_s3_event("texts", "a.csv"), None, resources)
        return s3.get_object(Bucket="results", Key="scored/texts/a.csv")["Body"].read().decode()

    before = score()
    shop.push("films", "b", "live")
    process.pass_s(REFRESH_S)
    after = score()

    assert (",a," in before, ",b," in after) == (True, True)
    shop.push("films", "b", "live")  # the same bundle by another number, which is a column
    process.pass_s(REFRESH_S)
    assert score() != after


def test_a_model_that_cannot_be_had_is_tried_once_in_an_event(shop):
    shop.push("books", "c", "live")
    process = Process(shop.store, default="films")
    invocation = begin(process)
    process.store.failure = DeliveryError("s3: SlowDown")
    num_reads = len(process.store.reads)
    books = Texts(["good film"], model="books")

    for _ in range(20):
        with pytest.raises(DeliveryError, match="SlowDown"):
            invocation.find_model(books)
    tried = process.store.reads[num_reads:]
    process.store.failure = None
    with pytest.raises(DeliveryError, match="SlowDown"):
        invocation.find_model(books)

    assert len(tried) <= 2
    process.clock.now += REFRESH_S
    assert say(begin(process).find_model(books)) == "c"


def test_what_there_is_not_is_refused_for_the_whole_event(shop):
    process = Process(shop.store)
    invocation = begin(process)

    for _ in range(2):
        with pytest.raises(InvalidInput, match="no such model"):
            invocation.find_model(Texts(["good film"], model="songs"))


def test_an_event_has_so_many_models_and_the_others_come_again(shop):
    names = [f"m{number}" for number in range(MAX_MODELS + 2)]
    for name in names:
        shop.push(name, name, "live")
    process = Process(shop.store, default="films")
    queue = "arn:aws:sqs:eu-west-1:123456789012:texts"
    records = [
        {
            "messageId": f"{number}-{name}",
            "eventSource": "aws:sqs",
            "eventSourceARN": queue,
            "body": json.dumps({"text": "good film", "model": name}),
            "attributes": {},
        }
        for number, name in enumerate([*names, names[0]])
    ]
    resources = Resources(process.models, read_settings({"MINNOW_RESULTS": "sqs://results"}).events)
    sent = []
    resources.sink = SimpleNamespace(
        feeds=lambda arn: False,
        overwrites=True,
        send=lambda results, deadline: sent.extend(results) or {},
    )

    reply = answer_event({"Records": records}, None, resources)

    failed = [one["itemIdentifier"].split("-")[1] for one in reply["batchItemFailures"]]
    assert failed == names[MAX_MODELS:]
    assert len(sent) == MAX_MODELS + 1
    invocation = begin(process)
    for name in names[:MAX_MODELS]:
        invocation.find_model(Texts(["good film"], model=name))
    assert say(invocation.model) == "a"  # the default one is in memory anyway
    with pytest.raises(DeliveryError, match=f"names more than {MAX_MODELS} models"):
        invocation.find_model(Texts(["good film"], model=names[-1]))
