"""Which version answers while a repository fails, is pushed to, or was rolled back."""

import threading

import pytest

from handler.errors import ArtefactError, DeliveryError, HandlerError
from handler.repository.publish import promote_version
from tests.helpers.repositories import REFRESH_S, Process, wait_for


@pytest.fixture
def shop(folder_shop):
    folder_shop.push("films", "a", "live")
    return folder_shop


@pytest.fixture
def process(shop):
    return Process(shop.store)


def fail_reads(store, version, error, monkeypatch):
    """Let the files of one version fail to be read."""
    read = store.read_file

    def read_or_fail(name, number, file, most):
        if number == version:
            raise error
        return read(name, number, file, most)

    monkeypatch.setattr(store, "read_file", read_or_fail)


@pytest.mark.parametrize("error", [DeliveryError("SlowDown"), ArtefactError("is damaged")])
def test_a_version_that_was_rolled_back_does_not_answer_in_its_place(shop, monkeypatch, error):
    shop.push("films", "bad", "live")
    promote_version(shop.store, "films", 1, "live")
    fail_reads(shop.store, 1, error, monkeypatch)

    with pytest.raises(type(error), match=str(error)):
        Process(shop.store)


def test_a_version_that_cannot_be_read_now_is_replaced_by_no_other(shop, monkeypatch):
    shop.push("films", "b", "live")
    fail_reads(shop.store, 2, DeliveryError("SlowDown"), monkeypatch)

    with pytest.raises(DeliveryError, match="SlowDown"):
        Process(shop.store)


def test_what_answers_goes_on_while_the_next_version_cannot_be_read(shop, process, monkeypatch):
    shop.push("films", "b", "live")
    with monkeypatch.context() as patches:
        fail_reads(shop.store, 2, DeliveryError("SlowDown"), patches)
        process.pass_s(REFRESH_S)
        assert process.say() == "a"

    process.pass_s(REFRESH_S)
    assert process.say() == "b"


def test_a_version_that_was_asked_for_during_its_push_answers_after_it(shop, process):
    files = shop.files("b")
    folder = shop.store.locate("films", 2)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(files["model.onnx"])
    with pytest.raises(ArtefactError, match="no such file"):
        process.say("films", "2")

    for name, content in files.items():
        (folder / name).write_bytes(content)

    assert process.say("films", "2") == "b"


def test_a_look_neither_loads_nor_uses_what_nobody_asks_for(shop, monkeypatch):
    monkeypatch.setattr("handler.repository.memory.count_bytes", lambda model: 1_000_000)
    shop.push("films", "b", "candidate")
    shop.push("books", "c", "live")
    process = Process(shop.store, default="films", most_mb=3)
    assert [process.say("films", "candidate"), process.say("books")] == ["b", "c"]
    loaded = list(process.models._memory._models)

    process.pass_s(REFRESH_S)
    assert list(process.models._memory._models)[-2:] == [("books", 1), ("films", 1)]
    process.models._memory.drop()
    process.pass_s(REFRESH_S)

    assert process.loads == loaded


def test_an_alias_that_is_gone_is_told_by_a_look(shop, process):
    shop.store.change_aliases("films", lambda _: b'{"format_version": 1, "aliases": {}}')

    process.pass_s(REFRESH_S)

    assert process.say() == "a"
    assert "live is served by version 1: aliases.json no longer has it" in process.lines[-1]


def test_a_look_that_was_given_up_and_fails_late_says_nothing_of_the_newer_one(shop, process):
    read, frozen = shop.store.read_aliases, threading.Event()

    def fail_late(*asked):
        frozen.wait(20)
        raise DeliveryError("the connection is dead")

    shop.store.read_aliases = fail_late
    process.clock.now += REFRESH_S / 2
    process.models.find()
    (thread,) = [one for one in threading.enumerate() if "_look" in one.name]
    shop.store.read_aliases = read
    process.clock.now += 600
    process.say()
    (shelf,) = process.models.list_shelves()
    due = shelf._due

    frozen.set()
    thread.join(20)

    assert (shelf._due, shelf.fault, process.lines) == (due, "", [])


def test_a_listing_that_fails_is_tried_once_a_second_whoever_asks(process):
    process.clock.now += REFRESH_S
    process.store.failure = DeliveryError("s3: SlowDown")
    process.store.reads.clear()

    def ask():
        for _ in range(5):
            with pytest.raises(DeliveryError, match="SlowDown"):
                process.models.fetch("songs")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.store.reads == [("list_models",)]

    process.clock.now += 1
    process.store.failure = None
    with pytest.raises(HandlerError, match="no such model"):
        process.models.fetch("songs")


def test_threads_that_ask_for_what_is_not_listed_list_once(process):
    process.clock.now += REFRESH_S
    process.store.reads.clear()
    process.store.gate.clear()
    threads = [
        threading.Thread(target=lambda: pytest.raises(HandlerError, process.models.fetch, "songs"))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    wait_for(lambda: bool(process.store.reads))
    process.store.gate.set()
    for thread in threads:
        thread.join()

    assert process.store.reads == [("list_models",)]
