"""Pushing and promoting, in a folder and in a bucket."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import MissingArtefactError
from handler.repository.aliases import MAX_ALIASES, read_aliases, write_alias
from handler.repository.publish import list_versions, promote_version, push_bundle, read_version


def read_meant(shop, name="films"):
    found = shop.store.read_aliases(name)
    return {alias: one.version for alias, one in read_aliases(found.content).items()}


def test_versions_are_numbered_and_stay_as_they_were_pushed(shop):
    numbers = [shop.push("films", "a"), shop.push("films", "b"), shop.push("books", "a")]

    assert numbers == [1, 2, 1]
    assert shop.store.list_models() == ["books", "films"]
    assert shop.store.list_versions("films") == [1, 2]
    for number, label in ((1, "a"), (2, "b")):
        for file, content in shop.files(label).items():
            assert shop.store.read_file("films", number, file, len(content)) == content


def test_an_alias_is_set_by_push_and_by_promote_and_taken_back_by_the_same_command(shop):
    shop.push("films", "a", "live")
    shop.push("films", "b", "candidate")
    assert read_meant(shop) == {"live": 1, "candidate": 2}

    promote_version(shop.store, "films", 2, "live")
    assert read_meant(shop) == {"live": 2, "candidate": 2}

    promote_version(shop.store, "films", 1, "live")
    assert read_meant(shop) == {"live": 1, "candidate": 2}


def test_the_repository_names_a_model_whatever_its_manifest_says(shop):
    number = push_bundle(shop.store, shop.write("a"), "books").version

    manifest = read_version(shop.store, "books", number).manifest
    (listed,) = list_versions(shop.store)

    assert (manifest.name, manifest.version) == ("books", "1")
    assert listed["exported_as"] == "films 1"


def test_a_bundle_that_must_not_serve_is_not_pushed(shop):
    bundle = shop.write("a")
    (bundle / "model.onnx").write_bytes(b"changed")

    with pytest.raises(ArtefactError, match=r"model\.onnx: sha256 is"):
        push_bundle(shop.store, bundle, "films", "live")

    assert shop.store.list_versions("films") == []


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", "é", ".hidden", "n" * 129, "-x", "a b"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(shop, name):
    with pytest.raises(ArtefactError, match="wanted letters from a to z"):
        push_bundle(shop.store, shop.write("a"), name)
    with pytest.raises(ArtefactError, match="wanted letters from a to z"):
        push_bundle(shop.store, shop.write("a"), "films", name)
    with pytest.raises(ArtefactError, match="wanted letters from a to z"):
        promote_version(shop.store, name, 1, "live")


def test_an_alias_is_no_number(shop):
    with pytest.raises(ArtefactError, match="wanted a name that is no number"):
        push_bundle(shop.store, shop.write("a"), "films", "3")


def test_what_is_not_there_or_not_whole_or_broken_is_not_promoted(shop):
    shop.push("films", "a", "live")
    broken = shop.push_broken("films")
    shop.store.add_version("films", {"model.onnx": b"of a push that was killed"})

    with pytest.raises(MissingArtefactError, match="model films has no version 7"):
        promote_version(shop.store, "films", 7, "live")
    with pytest.raises(MissingArtefactError, match="model films has no version 3"):
        promote_version(shop.store, "films", 3, "live")
    with pytest.raises(ArtefactError, match="sha256 is"):
        promote_version(shop.store, "films", broken, "live")

    assert read_meant(shop) == {"live": 1}


def test_two_pushes_at_once_get_two_numbers(shop):
    shop.write("a")

    with ThreadPoolExecutor(6) as pool:
        numbers = list(
            pool.map(lambda _: shop.store.add_version("films", shop.files("a")), [0] * 6)
        )

    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    for number in numbers:
        assert read_version(shop.store, "films", number)


def test_two_promotes_at_once_both_count(shop):
    shop.push("films", "a")

    def promote(alias):
        shop.store.change_aliases("films", lambda content: write_alias(content, alias, 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(promote, "abcdef"))

    assert read_meant(shop) == dict.fromkeys("abcdef", 1)


def test_fields_of_an_alias_that_are_not_known_stay(shop):
    shop.push("films", "a", "live")
    known = json.loads(shop.store.read_aliases("films").content)
    known["aliases"]["live"]["weight"] = 0.9
    shop.store.change_aliases("films", lambda _: json.dumps(known).encode())
    shop.push("films", "b", "live")

    (entry,) = json.loads(shop.store.read_aliases("films").content)["aliases"].values()

    assert entry == {"version": 2, "previous": 1, "weight": 0.9}


@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        b"[]",
        b"{}",
        b'{"format_version": 2, "aliases": {}}',
        b'{"format_version": 1, "aliases": []}',
        b'{"format_version": 1, "aliases": {"live": 3}}',
        b'{"format_version": 1, "aliases": {"live": {}}}',
        b'{"format_version": 1, "aliases": {"live": {"version": "3"}}}',
        b'{"format_version": 1, "aliases": {"live": {"version": true}}}',
        b'{"format_version": 1, "aliases": {"live": {"version": -1}}}',
        b'{"format_version": 1, "aliases": {"../x": {"version": 1}}}',
        b'{"format_version": 1, "aliases": {"live": {"version": 1}, "live": {"version": 2}}}',
        b"\xff\xfe",
        b"[" * 60_000,
    ],
)
def test_aliases_that_are_none_are_refused_and_listed_as_such(shop, content):
    shop.push("films", "a", "live")
    shop.store.change_aliases("films", lambda _: content)

    with pytest.raises(ArtefactError):
        read_aliases(shop.store.read_aliases("films").content)
    with pytest.raises(ArtefactError, match="aliases.json of model films: .* Mend it or remove it"):
        promote_version(shop.store, "films", 1, "live")
    assert any("problem" in version for version in list_versions(shop.store))


def test_aliases_that_are_huge_are_not_read(shop):
    shop.push("films", "a", "live")
    shop.store.change_aliases("films", lambda _: b" " * 70_000)

    with pytest.raises(ArtefactError, match="65536"):
        shop.store.read_aliases("films")


def test_too_many_aliases_are_refused():
    content = b""
    for number in range(MAX_ALIASES):
        content = write_alias(content, f"a{number}", 1)

    with pytest.raises(ArtefactError, match="at most 100"):
        read_aliases(write_alias(content, "one-more", 1))


def test_what_is_no_model_is_passed_over(shop):
    shop.push("films", "a", "live")
    for name in (".hidden", "é", "with space", "n" * 200):
        shop.store.add_version(name, shop.files("a"))
    for number in ("01", "-1", "³", "latest", "1.5", "99999999999"):
        shop.store.add_version(f"films/{number}", {"x": b"x"})

    assert shop.store.list_models() == ["films"]
    assert shop.store.list_versions("films") == [1]


def test_a_list_tells_aliases_hashes_metrics_and_what_is_wrong(shop):
    shop.push("films", "a", "live")
    shop.store.add_version("films", {"model.onnx": b"of a push that was killed"})
    shop.store.change_aliases("films", lambda content: write_alias(content, "nowhere", 9))

    listed = {version["version"]: version for version in list_versions(shop.store)}

    assert (listed[1]["aliases"], listed[1]["metrics"]) == (["live"], {"accuracy": 1.0})
    assert len(listed[1]["sha256"]) == 64
    assert listed[2]["problem"].startswith("not whole")
    assert listed[9] == {
        "name": "films",
        "version": 9,
        "aliases": ["nowhere"],
        "problem": "there is no such version",
    }
