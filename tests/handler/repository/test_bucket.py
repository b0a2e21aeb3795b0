"""What a bucket can do: hang, throttle, deny, break off, and lose an answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from handler.errors import DeliveryError
from handler.repository import bucket
from handler.repository.aliases import read_aliases
from handler.repository.places import open_store
from handler.repository.publish import promote_version, read_version
from tests.helpers.aws_calls import record_calls
from tests.helpers.bad_service import bad_service
from tests.helpers.flaky import flaky_proxy
from tests.helpers.repositories import Shop, open_stored, say, wait_for

PLACE = "s3://models/deep/er/"


@pytest.fixture
def shop(aws, tiny_bundle, tmp_path):
    where = {"LocationConstraint": "eu-west-1"}
    aws("s3").create_bucket(Bucket="models", CreateBucketConfiguration=where)
    shop = Shop(open_store(PLACE), tiny_bundle, tmp_path / "bundles")
    shop.push("films", "a", "live")
    return shop


@pytest.mark.parametrize("fault", ["hang", "drip", "throttle", "cut", "reset"])
def test_a_bucket_that_fails_keeps_what_is_loaded_and_is_asked_again(
    shop, moto_url, monkeypatch, fault
):
    lines, make_clock = [], bucket._make_clock
    with bad_service(moto_url) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
        models = open_stored(PLACE, lines, MINNOW_MODELS_REFRESH_S="1")
        shop.push("films", "b", "live")  # by its own client, to the real service
        with monkeypatch.context() as quick:  # only while nothing must succeed
            quick.setattr(bucket, "_make_clock", lambda seconds: make_clock(0.6))
            quick.setattr("handler.repository.shelf.LOOK_WAIT_S", 0.1)
            service.spoil(fault)
            wait_for(lambda: say(models.pin()) == "a" and bool(lines))
            assert {say(models.pin()) for _ in range(20)} == {"a"}
            service.heal()

        wait_for(lambda: say(models.pin()) == "b")

    assert len(lines) == 1
    assert "its aliases cannot be read, what is loaded answers" in lines[0]["message"]


def test_a_bucket_that_denies_is_named_at_the_start(shop):
    def deny(call):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, call.operation)

    with record_calls(deny), pytest.raises(DeliveryError, match=f"{PLACE}: .* AccessDenied"):
        open_stored(PLACE)


def test_a_bucket_that_is_not_there_is_named(shop):
    with pytest.raises(DeliveryError, match="s3://nowhere/: .* NoSuchBucket"):
        open_stored("s3://nowhere/")


def test_a_look_is_one_request_that_brings_nothing_where_nothing_changed(shop):
    with record_calls() as calls:
        models = open_stored(PLACE, MINNOW_MODELS_REFRESH_S="1")
        started = len(calls)
        wait_for(lambda: models.pin() is not None and len(calls) > started)

    assert calls[started].parameters["Key"] == "deep/er/films/aliases.json"
    assert calls[started].error == "304"


@pytest.mark.slow
def test_an_answer_that_is_lost_makes_no_second_version_and_no_lost_promotion(
    aws, shop, moto_url, monkeypatch
):
    patient = bucket.PUBLISHING._replace(attempts=10)
    monkeypatch.setattr(bucket, "PUBLISHING", patient)
    with flaky_proxy(moto_url, share=0.3) as (url, faults):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        store = open_store(PLACE)
        numbers = [store.add_version("books", shop.files(label)) for label in "bcdef"]
        for number in numbers:
            promote_version(store, "books", number, "live")

    assert faults
    assert numbers == sorted({*numbers})
    for number, label in zip(numbers, "bcdef", strict=True):
        assert read_version(shop.store, "books", number).manifest.task.labels[0] == label
    meant = read_aliases(shop.store.read_aliases("books").content)["live"]
    assert (meant.version, meant.previous) == tuple(numbers[:-3:-1])


@pytest.mark.slow
def test_more_models_than_one_listing_has_are_all_found(shop, monkeypatch):
    client = shop.store._connect()
    for number in range(1005):
        key = f"deep/er/m{number}/aliases.json"
        client.put_object(Bucket="models", Key=key, Body=b"")

    assert len(shop.store.list_models()) == 1006


def test_a_file_that_is_larger_than_it_may_be_is_not_read_whole(shop):
    shop.store._put("films/2/manifest.json", b" " * 3_000_000)

    from handler.errors import ArtefactError

    with pytest.raises(ArtefactError, match="has more than 2097152 bytes"):
        read_version(shop.store, "films", 2)
    shop.store._put("films/3/manifest.json", b"")
    with pytest.raises(ArtefactError, match="is empty"):
        read_version(shop.store, "films", 3)


def test_threads_that_begin_at_once_make_one_client(shop):
    store, barrier = open_store(PLACE, is_serving=True), threading.Barrier(8)

    def connect(_):
        barrier.wait()
        return store._connect()

    with ThreadPoolExecutor(8) as pool:
        assert len({id(client) for client in pool.map(connect, range(8))}) == 1


def test_the_time_of_a_call_begins_when_there_is_a_client(aws, shop, monkeypatch):
    """Where many processes begin at once on one processor, to make a client takes seconds."""
    begun, make_client, make_clock = [], bucket.make_client, bucket._make_clock
    monkeypatch.setattr(
        bucket, "make_client", lambda *options: begun.append("client") or make_client(*options)
    )
    monkeypatch.setattr(
        bucket, "_make_clock", lambda seconds: begun.append("clock") or make_clock(seconds)
    )

    assert open_store(PLACE).list_models() == ["films"]
    assert begun[:2] == ["client", "clock"]
