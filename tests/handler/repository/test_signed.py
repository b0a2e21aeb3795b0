"""A repository of signed versions: what nobody signed, or another key, does not come to answer."""

import pytest

from export.sign import format_public_key, make_key, open_key, sign_bundle
from handler.errors import ArtefactError
from handler.inference.trust import Trust
from handler.repository.publish import promote_version, push_bundle
from handler.settings import read_trust
from tests.helpers.repositories import open_stored, say


@pytest.fixture
def signing(shop, tmp_path):
    """Return a function that pushes a signed version, and the settings that want its key."""
    path = tmp_path / "key.pem"
    public = make_key(path)

    def push(label, alias=""):
        sign_bundle(shop.write(label), *open_key(path))
        return shop.push("films", label, alias)

    wanted = {
        "MINNOW_TRUSTED_KEYS": format_public_key(public),
        "MINNOW_REQUIRE_SIGNATURE": "true",
    }
    return push, wanted


def test_signed_versions_answer_and_others_do_not(shop, place, signing):
    push, wanted = signing
    push("a", "live")
    lines = []
    models = open_stored(place, lines, **wanted)
    assert say(models.default) == "a"

    unsigned = shop.push("films", "b")
    promote_version(shop.store, "films", unsigned, "live")
    assert say(models.reload("films")) == "a"
    assert "the bundle has no signature" in lines[-1]["message"]

    promote_version(shop.store, "films", push("c"), "live")
    assert say(models.reload("films")) == "c"


def test_a_repository_without_a_signed_version_serves_nothing(shop, place, signing):
    shop.push("films", "a", "live")

    with pytest.raises(ArtefactError, match="has no signature, and MINNOW_REQUIRE_SIGNATURE"):
        open_stored(place, **signing[1])


def test_a_signature_of_another_version_is_none(shop, place, signing):
    push, wanted = signing
    push("a")
    other = shop.write("b")
    (other / "signature.json").write_bytes((shop.write("a") / "signature.json").read_bytes())
    shop.push("films", "b", "live")

    with pytest.raises(ArtefactError, match="the signature is not of this bundle"):
        open_stored(place, **wanted)


def test_what_the_environment_would_not_serve_is_neither_pushed_nor_promoted(shop, signing):
    push, wanted = signing
    trust = read_trust(wanted)
    push("a", "live")
    unsigned = shop.push("films", "b")
    known = shop.store.read_aliases("films").content

    with pytest.raises(ArtefactError, match="has no signature"):
        push_bundle(shop.store, shop.write("c"), "films", "live", trust)
    with pytest.raises(ArtefactError, match="has no signature"):
        promote_version(shop.store, "films", unsigned, "live", trust)
    with pytest.raises(ArtefactError, match="MINNOW_BUNDLE_SHA256 wants"):
        promote_version(shop.store, "films", 1, "live", Trust(sha256=("0" * 64,)))

    assert shop.store.list_versions("films") == [1, 2]
    assert shop.store.read_aliases("films").content == known
    assert push_bundle(shop.store, shop.write("a"), "films", "live", trust).version == 3


def test_a_bundle_may_be_unsigned_where_a_signature_is_not_required(shop, signing):
    trust = read_trust({**signing[1], "MINNOW_REQUIRE_SIGNATURE": ""})

    assert push_bundle(shop.store, shop.write("a"), "films", "live", trust).version == 1
