"""Signing bundles: a key in a file, or one that stays in AWS KMS (moto's, on loopback)."""

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from handler.errors import ArtefactError
from handler.inference.classifier import load_classifier
from handler.inference.trust import SIGNATURE
from handler.settings import read_trust
from minnow.cli import main
from tests.helpers.hostile import change
from tests.helpers.moto import aws, moto_url

__all__ = ["aws", "moto_url"]  # fixtures


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def key(tmp_path, capsys) -> Path:
    path = tmp_path / "release.pem"
    assert main(["sign", "--new-key", str(path)]) == 0
    capsys.readouterr()
    return path


def write_key(path, private):
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(content)
    return path


def sign(*arguments):
    return main(["sign", *map(str, arguments)])


def trusted(capsys):
    """Return the environment that a signature's last line asks for, with a signature required."""
    line = capsys.readouterr().out.splitlines()[-1]
    name, _, value = line.partition("=")
    return {name: value, "MINNOW_REQUIRE_SIGNATURE": "true"}


def test_a_signed_bundle_serves_where_its_key_is_known(bundle, key, capsys, monkeypatch):
    assert sign(bundle, "--key", key) == 0
    environment = trusted(capsys)

    assert load_classifier(bundle, trust=read_trust(environment)).manifest.name == "tiny"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["predict", "good film", "--bundle", str(bundle)]) == 0
    change(("metrics", "accuracy"), 1.0)(bundle)
    assert main(["predict", "good film", "--bundle", str(bundle)]) == 1
    assert "the signature is not of this bundle" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "score", "inspect", "predict"])
def test_commands_refuse_what_must_not_serve(
    command, tiny_bundle, key, capsys, monkeypatch, tmp_path
):
    sign("--new-key", tmp_path / "other.pem")
    for name, value in trusted(capsys).items():
        monkeypatch.setenv(name, value)
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\ngood film,pos\nbad film,neg\n")
    out = ["--out", str(tmp_path / "out.csv")] if command == "score" else []
    bundle = ["--bundle"] * (command == "predict") + [str(tiny_bundle)]

    code = main(
        [command, *bundle, *([str(rows)] if command in ("evaluate", "score") else []), *out]
    )

    assert code == 1
    assert "the bundle has no signature" in capsys.readouterr().err


def test_a_new_key_signs_at_once_and_is_its_owners_alone(bundle, tmp_path, capsys):
    path = tmp_path / "new.pem"

    assert sign(bundle, "--new-key", path) == 0

    assert path.stat().st_mode & 0o777 == 0o600
    assert load_classifier(bundle, trust=read_trust(trusted(capsys)))
    before = path.read_bytes()
    assert sign("--new-key", path) == 1
    assert "never replaced" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_an_encrypted_key_wants_its_password(bundle, tmp_path, capsys, monkeypatch):
    path = tmp_path / "new.pem"
    monkeypatch.setenv("MINNOW_KEY_PASSWORD", "seven wet cats")
    assert sign("--new-key", path) == 0
    assert sign(bundle, "--key", path) == 0
    monkeypatch.setenv("MINNOW_KEY_PASSWORD", "eight wet cats")
    assert sign(bundle, "--key", path) == 1
    monkeypatch.delenv("MINNOW_KEY_PASSWORD")
    assert sign(bundle, "--key", path) == 1

    errors = capsys.readouterr().err
    assert "another password than MINNOW_KEY_PASSWORD" in errors
    assert "the key is encrypted: set MINNOW_KEY_PASSWORD" in errors
    assert "cats" not in errors


def test_the_same_key_signs_once_another_only_by_force(bundle, key, tmp_path, capsys):
    sign(bundle, "--key", key)
    first = (bundle / SIGNATURE).read_bytes()
    assert sign(bundle, "--key", key) == 0
    assert "has signed it already" in capsys.readouterr().out
    assert (bundle / SIGNATURE).read_bytes() == first
    other = write_key(tmp_path / "other.pem", ec.generate_private_key(ec.SECP256R1()))

    assert sign(bundle, "--key", other) == 1
    assert "--force replaces it" in capsys.readouterr().err
    assert (bundle / SIGNATURE).read_bytes() == first
    assert sign(bundle, "--key", other, "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["key"] in (bundle / SIGNATURE).read_text()


def test_a_bundle_that_was_exported_again_is_signed_again(bundle, key, capsys):
    sign(bundle, "--key", key)
    change(("metrics", "accuracy"), 0.5)(bundle)

    assert sign(bundle, "--key", key) == 0

    assert load_classifier(bundle, trust=read_trust(trusted(capsys)))


def test_what_is_no_whole_bundle_is_not_signed(bundle, key, capsys):
    (bundle / "model.onnx").write_bytes(b"changed")

    assert sign(bundle, "--key", key) == 1

    assert "The file was changed after the export" in capsys.readouterr().err
    assert not (bundle / SIGNATURE).exists()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"\0" * 100_000])
def test_a_file_without_a_key_is_named(content, bundle, tmp_path, capsys):
    path = tmp_path / "key.pem"
    path.write_bytes(content)

    assert sign(bundle, "--key", path) == 1

    assert str(path) in capsys.readouterr().err
    assert not (bundle / SIGNATURE).exists()


@pytest.mark.parametrize(
    "private", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP521R1())]
)
def test_a_key_of_another_kind_is_refused(private, bundle, tmp_path, capsys):
    assert sign(bundle, "--key", write_key(tmp_path / "key.pem", private)) == 1
    assert "a key of another kind than Ed25519, P-256 or P-384" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["--key", "a", "--kms", "b"], ["--key", "a", "--new-key", "b"]]
)
def test_one_key_is_wanted(arguments, bundle, capsys):
    assert sign(bundle, *arguments) == 1
    assert "wanted one of --key FILE, --kms KEY and --new-key FILE" in capsys.readouterr().err


def test_a_bundle_is_wanted(key, capsys):
    assert sign("--key", key) == 1
    assert "which bundle is to be signed?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384"])
def test_a_key_in_kms_signs(spec, bundle, capsys, aws):
    kms = aws("kms")
    created = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec=spec)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/release", TargetKeyId=created)

    assert sign(bundle, "--kms", "alias/release") == 0

    assert load_classifier(bundle, trust=read_trust(trusted(capsys)))


@pytest.mark.slow
def test_what_kms_cannot_do_is_said(bundle, capsys, aws):
    kms = aws("kms")
    created = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["KeyId"]

    assert sign(bundle, "--kms", created) == 1
    assert sign(bundle, "--kms", "alias/none") == 1

    errors = capsys.readouterr().err
    assert "as no key that signs by Ed25519, P-256 or P-384" in errors
    assert "alias/none: KMS gives no public key (NotFoundException)" in errors
    assert not (bundle / SIGNATURE).exists()
    with pytest.raises(ArtefactError):
        load_classifier(bundle, trust=read_trust({"MINNOW_BUNDLE_SHA256": "0" * 64}))
