"""Who made a bundle: signatures that must fit the key, the bundle, and what may have signed."""

import base64
import json
import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handler.errors import ArtefactError, SettingsError
from handler.inference.bundle import read_bundle
from handler.inference.classifier import load_classifier
from handler.inference.trust import SIGNATURE, Trust, read_public_key, statement
from handler.settings import read_settings, read_trust
from tests.helpers.hostile import change

KEYS = {
    "ed25519": (ed25519.Ed25519PrivateKey.generate(), None),
    "p256": (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()),
    "p384": (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
}


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def tell(private):
    """Return the line that MINNOW_TRUSTED_KEYS has of a key."""
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sign(bundle, name, content=None):
    private, digest = KEYS[name]
    content = statement(read_bundle(bundle).sha256) if content is None else content
    value = private.sign(content, ec.ECDSA(digest)) if digest else private.sign(content)
    write(bundle, read_public_key(tell(private)).key_id, base64.b64encode(value).decode())


def write(bundle, key_id, signature, version=1):
    document = {"format_version": version, "key": key_id, "signature": signature}
    (bundle / SIGNATURE).write_text(json.dumps(document))


def trust(*names, required=True):
    return Trust(
        keys=tuple(read_public_key(tell(KEYS[n][0])) for n in names), requires_signature=required
    )


@pytest.mark.parametrize("name", KEYS)
def test_what_a_known_key_signed_serves(name, bundle):
    sign(bundle, name)

    assert load_classifier(bundle, trust=trust("p256", "p384", "ed25519")).manifest.name == "tiny"


def test_what_nobody_signed_serves_until_a_signature_is_required(bundle):
    assert load_classifier(bundle, trust=trust("ed25519", required=False)).manifest.name == "tiny"
    with pytest.raises(ArtefactError, match=r"manifest.json: .* no signature.*minnow sign BUNDLE"):
        load_classifier(bundle, trust=trust("ed25519"))


@pytest.mark.parametrize("required", [True, False])
def test_what_another_key_signed_is_refused(required, bundle):
    sign(bundle, "p256")

    with pytest.raises(
        ArtefactError, match="signature.json: signed by the key [0-9a-f]{16}…, which"
    ):
        load_classifier(bundle, trust=trust("ed25519", "p384", required=required))


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("name", KEYS)
def test_a_manifest_that_changed_after_the_signature_is_refused(name, required, bundle):
    sign(bundle, name)
    change(("metrics", "accuracy"), 1.0)(bundle)

    with pytest.raises(ArtefactError, match="the signature is not of this bundle"):
        load_classifier(bundle, trust=trust(name, required=required))


@pytest.mark.parametrize("name", KEYS)
def test_a_signature_over_other_bytes_is_refused(name, bundle):
    """The hash alone is no statement: a key that signs other things signs no bundle."""
    sign(bundle, name, read_bundle(bundle).sha256.encode())

    with pytest.raises(ArtefactError, match="the signature is not of this bundle"):
        load_classifier(bundle, trust=trust(name))


def test_a_known_key_cannot_be_claimed(bundle):
    sign(bundle, "p256")
    value = json.loads((bundle / SIGNATURE).read_text())["signature"]
    write(bundle, read_public_key(tell(KEYS["ed25519"][0])).key_id, value)

    with pytest.raises(ArtefactError, match="the signature is not of this bundle"):
        load_classifier(bundle, trust=trust("ed25519"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"format_version": 1}',
        b'{"format_version": 2, "key": "%s", "signature": ""}' % (b"0" * 64),
        b'{"format_version": 1, "key": "latest", "signature": ""}',
        b'{"format_version": 1, "key": ["a"], "signature": ""}',
        b'{"format_version": 1, "key": "%s", "signature": 5}' % (b"0" * 64),
        b'{"format_version": 1, "key": "%s", "signature": "\xc3\xa4"}' % (b"0" * 64),
        b'{"format_version": 1, "key": "%s", "signature": "**"}' % (b"0" * 64),
        b'{"format_version": 1, "key": "%s", "signature": ""}' % (b"0" * 64),
        b"\xff" * 100,
        b"[" * 4000,
        b" " * 5000,
    ],
)
def test_a_signature_that_is_none_is_refused(content, bundle):
    (bundle / SIGNATURE).write_bytes(content)

    with pytest.raises(ArtefactError, match=r"signature\.json: ") as caught:
        load_classifier(bundle, trust=trust("ed25519", required=False))

    assert str(caught.value).isprintable()
    assert load_classifier(bundle).manifest.name == "tiny"  # nobody asked who made it


def test_a_signature_must_be_a_file(bundle):
    (bundle / SIGNATURE).mkdir()

    with pytest.raises(ArtefactError, match="is no regular file"):
        load_classifier(bundle, trust=trust("ed25519", required=False))


def test_keys_are_read_as_a_line_or_as_pem():
    private = KEYS["p384"][0]
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    line = tell(private)

    found = read_trust({"MINNOW_TRUSTED_KEYS": f"{line}, {pem.decode()}"})

    assert len(found.keys) == 2
    assert found.keys[0] == found.keys[1]
    assert not found.requires_signature
    assert read_trust({}) == Trust()


@pytest.mark.parametrize(
    "value",
    [
        "latest",
        "AAAA",
        "ä",
        tell(rsa.generate_private_key(65537, 2048)),
        tell(ec.generate_private_key(ec.SECP521R1())),
        tell(KEYS["ed25519"][0])[:-8],
    ],
    ids=["word", "short", "letter", "rsa", "p521", "cut"],
)
def test_a_key_that_cannot_be_one_is_not_repeated(value):
    with pytest.raises(
        SettingsError, match="MINNOW_TRUSTED_KEYS holds what is no public key"
    ) as caught:
        read_settings({"MINNOW_TRUSTED_KEYS": value})

    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", False), ("0", False), ("False", False), ("1", True), ("true", True)],
)
def test_a_signature_is_required_where_it_is_said(value, expected):
    environment = {
        "MINNOW_TRUSTED_KEYS": tell(KEYS["ed25519"][0]),
        "MINNOW_REQUIRE_SIGNATURE": value,
    }

    assert read_trust(environment).requires_signature is expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"MINNOW_REQUIRE_SIGNATURE": "yes"}, "MINNOW_REQUIRE_SIGNATURE is 'yes', wanted true or"),
        ({"MINNOW_REQUIRE_SIGNATURE": "true"}, "MINNOW_TRUSTED_KEYS names no key"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(environment, expected):
    with pytest.raises(SettingsError, match=expected):
        read_trust(environment)


def test_without_the_library_the_setting_says_what_is_missing(monkeypatch):
    line = tell(KEYS["ed25519"][0])
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)

    with pytest.raises(SettingsError, match=r'pip install "minnow-maas\[signing\]".*SIGNING=1'):
        read_trust({"MINNOW_TRUSTED_KEYS": line})


def test_a_signature_that_is_required_is_wanted_where_no_key_is_known(bundle):
    nobody = Trust(requires_signature=True)
    with pytest.raises(ArtefactError, match="has no signature"):
        load_classifier(bundle, trust=nobody)
    sign(bundle, "ed25519")
    with pytest.raises(ArtefactError, match="MINNOW_TRUSTED_KEYS does not name"):
        load_classifier(bundle, trust=nobody)
