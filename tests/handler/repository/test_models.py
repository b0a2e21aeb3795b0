"""The models of a repository in a process: which one answers, and when another one does."""

import threading

import pytest

from handler.errors import ArtefactError, DeliveryError, InvalidInput, SettingsError
from handler.inference.models import Model, Pending
from handler.repository.publish import promote_version
from tests.helpers.repositories import REFRESH_S, Process, open_stored, say, wait_for


@pytest.fixture
def shop(folder_shop):
    folder_shop.push("films", "a", "live")
    return folder_shop


@pytest.fixture
def process(shop):
    return Process(shop.store)


def test_the_only_model_is_the_default_by_its_alias_live(shop, process):
    shop.push("films", "b")

    assert (process.say(), process.models.default.version) == ("a", "1")
    assert process.say("films", "2") == "b"
    assert process.models.default.description["name"] == "films"


def test_a_model_is_loaded_when_it_is_first_asked(shop):
    shop.push("books", "b", "live")
    process = Process(shop.store, default="films")
    assert process.loads == [("films", 1)]

    assert isinstance(process.models.find("books"), Pending)
    assert (process.say("books"), process.say("books")) == ("b", "b")

    assert process.loads == [("films", 1), ("books", 1)]
    assert isinstance(process.models.find("books"), Model)


def test_an_alias_may_stand_where_a_version_can(shop, process):
    shop.push("films", "b", "candidate")
    process.pass_s(REFRESH_S)

    assert process.say("films", "candidate") == "b"
    assert process.say(None, "candidate") == "b"


@pytest.mark.parametrize(
    "asked",
    [
        ("songs", None),
        ("films", "7"),
        ("films", "candidate"),
        ("..", None),
        ("a/../films", None),
        ("films\0", None),
        ("é", None),
        ("n" * 100_000, None),
        ("films", "9" * 100_000),
        ("films", "../2"),
        ("films", "0"),
        ("films", "-1"),
        ("films", ""),
    ],
)
def test_what_names_nothing_is_refused_without_a_read_for_each(process, asked):
    if asked == ("films", ""):
        assert process.say(*asked) == "a"
        return
    for _ in range(3):
        with pytest.raises(InvalidInput, match="no such"):
            process.models.pin(*asked)

    assert len([read for read in process.store.reads if read[0] == "list_versions"]) <= 1
    assert len([read for read in process.store.reads if read[0] == "list_models"]) == 1


def test_a_promotion_takes_effect_once_the_aliases_are_due_and_no_request_waits(shop, process):
    before = process.models.pin()
    shop.push("films", "b", "live")
    process.clock.now += REFRESH_S / 2 - 0.1
    assert process.say() == "a"

    process.store.gate.clear()  # whatever the repository does, an answer is at hand
    process.clock.now += 0.2
    assert process.say() == "a"
    process.store.gate.set()
    process.settle()

    assert process.say() == "b"
    assert say(before) == "a"  # a request that has begun goes on with what it has


def test_who_was_not_asked_for_long_looks_before_it_answers(shop, process):
    shop.push("films", "b", "live")
    process.clock.now += REFRESH_S

    assert isinstance(process.models.find(), Pending)
    assert process.say() == "b"


def test_a_look_that_hangs_is_waited_for_once_and_for_a_second(shop, process, monkeypatch):
    monkeypatch.setattr("handler.repository.shelf.LOOK_WAIT_S", 0.05)
    shop.push("films", "b", "live")
    process.store.gate.clear()
    process.clock.now += REFRESH_S

    assert process.say() == "a"
    assert isinstance(process.models.find(), Model)

    process.store.gate.set()
    process.settle()
    assert process.say() == "b"


def test_a_look_that_was_frozen_in_its_midst_is_given_up_for_another(shop, process):
    shop.push("films", "b", "live")
    read, frozen = shop.store.read_aliases, threading.Event()
    shop.store.read_aliases = lambda *asked: frozen.wait(20) and read(*asked)
    process.clock.now += REFRESH_S / 2
    process.models.find()
    shop.store.read_aliases = read

    process.clock.now += 600  # the sandbox is thawed
    assert process.say() == "b"

    shop.push("films", "c", "live")
    frozen.set()
    process.settle()
    assert process.say() == "b"  # what the frozen one read counts for nothing
    process.pass_s(REFRESH_S)
    assert process.say() == "c"


def test_a_look_that_fails_keeps_what_is_loaded_is_told_once_and_tried_again(shop, process):
    shop.push("films", "b", "live")
    process.store.failure = DeliveryError("s3: AccessDenied")
    for _ in range(5):
        process.pass_s(REFRESH_S / 2)
        assert process.say() == "a"
    told = [line for line in process.lines if "AccessDenied" in line]
    assert len(told) == 1

    process.store.failure = None
    process.pass_s(REFRESH_S / 2)
    assert process.say() == "b"


def test_a_failing_look_is_not_repeated_with_every_request(process):
    process.store.failure = DeliveryError("s3: SlowDown")
    process.pass_s(REFRESH_S)
    num_reads = len(process.store.reads)

    for _ in range(100):
        process.models.pin()

    assert len(process.store.reads) == num_reads


def test_aliases_that_did_not_change_are_not_read_again(shop, process):
    etags = []
    read = shop.store.read_aliases
    shop.store.read_aliases = lambda name, etag="": (etags.append(etag), read(name, etag))[1]

    process.pass_s(REFRESH_S)
    process.pass_s(REFRESH_S)

    assert len(etags) == 2
    assert all(etags)
    assert len({*etags}) == 1


def test_a_version_that_must_not_serve_is_refused_alone(shop, process):
    broken = shop.push_broken("films")
    shop.store.change_aliases("films", lambda content: content.replace(b": 1", b": %d" % broken, 1))
    process.pass_s(REFRESH_S)

    assert process.say() == "a"
    with pytest.raises(ArtefactError, match="sha256 is"):
        process.models.pin("films", str(broken))
    told = [line for line in process.lines if "live is served by version 1" in line]
    assert len(told) == 1

    shop.push("films", "c", "live")
    process.pass_s(REFRESH_S)
    assert process.say() == "c"


def test_a_process_that_starts_while_live_is_broken_answers_by_the_version_before(shop):
    shop.push("films", "b", "live")
    model = shop.store.locate("films", 2) / "model.onnx"
    model.write_bytes(model.read_bytes() + b"x")

    process = Process(shop.store)

    assert process.say() == "a"
    assert "live is served by version 1: " in process.lines[0]


@pytest.mark.parametrize(
    "content", [b"garbage", b'{"format_version": 1, "aliases": {"live": {"version": 9}}}', b""]
)
def test_aliases_that_are_garbage_or_point_nowhere_or_are_gone_change_nothing(
    shop, process, content
):
    shop.store.change_aliases("films", lambda _: content or b" ")
    if not content:
        (shop.store.locate("films", 1).parent / "aliases.json").unlink()
    for _ in range(3):
        process.pass_s(REFRESH_S)
        assert process.say() == "a"

    assert 1 <= len(process.lines) <= 2


def test_a_version_without_a_manifest_is_none(shop, process):
    shop.store.add_version("films", {"model.onnx": b"of a push that was killed"})

    with pytest.raises(ArtefactError, match="no such file"):
        process.models.pin("films", "2")
    assert process.say() == "a"


def test_the_least_recently_used_is_dropped_and_the_default_stays(shop, monkeypatch):
    monkeypatch.setattr("handler.repository.memory.count_bytes", lambda model: 1_000_000)
    for name in ("b", "c", "d"):
        shop.push(name, name, "live")
    process = Process(shop.store, default="films", most_mb=3)

    for name in ("b", "c", "b", "d", "b", "c"):
        assert process.say(name) == name

    assert process.loads == [("films", 1), ("b", 1), ("c", 1), ("d", 1), ("c", 1)]
    assert process.models.list_loaded("films") == [1]
    assert process.models.list_loaded("d") == []


def test_a_model_that_was_dropped_answers_who_has_it(shop, monkeypatch):
    monkeypatch.setattr("handler.repository.memory.count_bytes", lambda model: 1_000_000)
    shop.push("books", "b", "live")
    process = Process(shop.store, default="films", most_mb=1)
    books = process.models.pin("books")
    process.models.drop("books")

    assert say(books) == "b"


def test_of_several_models_none_answers_who_names_none(shop):
    shop.push("books", "b", "live")
    process = Process(shop.store)

    assert process.models.default.stands_in
    with pytest.raises(InvalidInput, match="name one in the field"):
        process.say()
    assert process.say("books") == "b"


def test_a_second_model_changes_nothing_for_a_process_that_has_a_default(shop, process):
    shop.push("books", "b", "live")
    process.pass_s(REFRESH_S)

    assert process.say() == "a"
    assert process.say("books") == "b"


def test_a_default_that_is_not_there_is_refused(shop):
    with pytest.raises(SettingsError, match="MINNOW_MODEL is 'songs', wanted one of .*: films"):
        Process(shop.store, default="songs")


def test_a_model_that_nobody_promoted_is_refused_with_the_cure(folder_shop):
    folder_shop.push("films", "a")

    with pytest.raises(ArtefactError, match="minnow promote films 1 --alias live"):
        Process(folder_shop.store)


def test_an_empty_repository_is_refused_with_the_cure(folder_shop, tmp_path):
    (tmp_path / "models").mkdir()

    with pytest.raises(ArtefactError, match="holds no model. Add one: minnow push BUNDLE"):
        Process(folder_shop.store)


def test_after_a_restore_all_is_looked_at_anew(shop):
    shop.push("books", "b", "live")
    process = Process(shop.store, default="films")
    process.say("books")
    shop.push("films", "c", "live")
    shop.push("books", "d", "live")

    process.models.renew()  # no time has passed by its own clock

    assert (process.say(), process.say("books")) == ("c", "d")


def test_a_clock_that_was_set_back_makes_a_look_due(shop, process):
    shop.push("films", "b", "live")
    process.clock.now -= 100_000

    assert process.say() == "b"


def test_a_bundle_that_is_not_pinned_is_refused(shop, place_of_films):
    lines = []
    models = open_stored(place_of_films, lines, MINNOW_BUNDLE_SHA256=shop_hash(shop))
    shop.push("films", "b")

    assert say(models.pin()) == "a"
    with pytest.raises(ArtefactError, match="MINNOW_BUNDLE_SHA256 wants"):
        models.pin("films", "2")


@pytest.fixture
def place_of_films(tmp_path):
    return str(tmp_path / "models")


def shop_hash(shop):
    from handler.repository.publish import list_versions

    (version,) = list_versions(shop.store)
    return version["sha256"]


def test_threads_that_ask_for_a_cold_model_load_it_once(shop):
    shop.push("books", "b", "live")
    process = Process(shop.store, default="films")
    said = []
    threads = [threading.Thread(target=lambda: said.append(process.say("books"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == ["b"] * 8
    assert process.loads.count(("books", 1)) == 1


def test_promoting_checks_and_serving_follows_in_a_bucket_too(place, tiny_bundle, tmp_path):
    from handler.repository.places import open_store
    from tests.helpers.repositories import Shop

    shop = Shop(open_store(place), tiny_bundle, tmp_path / "work")
    shop.push("films", "a", "live")
    shop.push("films", "b")
    models = open_stored(place, MINNOW_MODELS_REFRESH_S="1")
    assert say(models.pin()) == "a"

    promote_version(shop.store, "films", 2, "live")

    wait_for(lambda: say(models.pin()) == "b")
    assert say(models.pin("films", "1")) == "a"
