"""A repository of signed versions: what nobody signed, or another key, does not come to answer."""

import pytest

from export.sign import format_public_key, make_key, open_key, sign_bundle
from handler.errors import ArtefactError
from handler.repository.publish import promote_version
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
