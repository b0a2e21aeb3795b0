"""Signing a bundle: a file beside its manifest that shows who made it.

The key is a file, or stays inside AWS KMS, which signs on request. What checks it, and what is
signed, stand in `handler/inference/trust.py`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from export.errors import ExportError
from handler.errors import ArtefactError, SettingsError
from handler.inference.bundle import read_bundle, read_regular
from handler.inference.trust import (
    FORMAT_VERSION,
    HASHES,
    KINDS,
    MAX_SIGNATURE_BYTES,
    SIGNATURE,
    PublicKey,
    is_signed_by,
    parse_signature,
    read_public_key,
    statement,
)

PASSWORD = "MINNOW_KEY_PASSWORD"
MAX_KEY_BYTES = 65_536
# Of AWS KMS, with keys of KINDS: each key has one of them.
KMS_ALGORITHMS = ("ECDSA_SHA_256", "ECDSA_SHA_384", "ED25519_SHA_512")
Signer = Callable[[bytes], bytes]


def sign_bundle(folder: Path, key: PublicKey, sign: Signer, force: bool = False) -> bool:
    """Write `signature.json` into a bundle whose files are as its manifest says.

    Args:
        key: What belongs to the key that signs.
        sign: Returns the signature of some bytes.
        force: Replace the signature of another key.

    Returns:
        False where this key has signed this bundle already.

    Raises:
        ArtefactError: The folder holds no whole bundle.
        ExportError: Another key has signed it, or the signature is not one of `key`.
    """
    bundle = read_bundle(folder)
    path = folder / SIGNATURE
    if os.path.lexists(path) and not force and _is_signed(path, key, bundle.sha256):
        return False
    signature = sign(statement(bundle.sha256))
    if not is_signed_by(key, bundle.sha256, signature):
        raise ExportError("the signature does not fit the public key: nothing was written")
    content = {
        "format_version": FORMAT_VERSION,
        "key": key.key_id,
        "signature": base64.b64encode(signature).decode(),
    }
    part = path.with_name(f".{SIGNATURE}.partial")
    try:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return True


def _is_signed(path: Path, key: PublicKey, sha256: str) -> bool:
    """Say whether a signature of `key` is that of the bundle; raise ExportError for another's."""
    try:
        found = parse_signature(read_regular(path, MAX_SIGNATURE_BYTES))
    except ArtefactError as error:
        raise ExportError(f"{path}: {error} --force replaces it.") from error
    if found.key_id != key.key_id:
        raise ExportError(
            f"{path}: signed already, by the key {found.key_id[:16]}…; --force replaces it"
        )
    return is_signed_by(key, sha256, found.value)


def format_public_key(key: PublicKey) -> str:
    """Return the key as `MINNOW_TRUSTED_KEYS` wants it: base64 of SubjectPublicKeyInfo."""
    return base64.b64encode(key.der).decode()


def make_key(path: Path, password: str = "") -> PublicKey:
    """Write a new Ed25519 key as PKCS 8 in PEM, readable by its owner alone; return its public key.

    Args:
        password: What encrypts it; "": it is not encrypted.

    Raises:
        ExportError: The file stands already; a key is never replaced.
    """
    private = ed25519.Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = NoEncryption()
    if password:
        encryption = BestAvailableEncryption(password.encode())
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ExportError(
            f"{path}: stands already, and a key that signed bundles is never replaced; name another"
        ) from error
    with open(descriptor, "wb") as file:
        file.write(content)
    return _public_key(private)


def open_key(path: Path, password: str = "") -> tuple[PublicKey, Signer]:
    """Return the public key of a private key in PEM, and what signs with it.

    Args:
        password: Of an encrypted key.

    Raises:
        ExportError: It is none, needs another password, or is of another kind than KINDS.
    """
    content = read_regular(path, MAX_KEY_BYTES)
    try:
        private = load_pem_private_key(content, password.encode() or None)
    except TypeError as error:
        wanted = "is encrypted: set" if not password else "is not encrypted: do not set"
        raise ExportError(f"{path}: the key {wanted} {PASSWORD}") from error
    except ValueError as error:
        cure = f"another password than {PASSWORD}, or no" if password else "no"
        raise ExportError(
            f"{path}: {cure} private key in PEM ({KINDS}); a new one: minnow sign --new-key FILE"
        ) from error
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return _public_key(private), private.sign
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in HASHES:
        algorithm = ec.ECDSA(getattr(hashes, HASHES[private.curve.name])())
        curve_key = private
        return _public_key(private), lambda content: curve_key.sign(content, algorithm)
    raise ExportError(f"{path}: a key of another kind than {KINDS}")


def open_kms_key(key: str, client: Any = None) -> tuple[PublicKey, Signer]:
    """Return the public key of an asymmetric key in AWS KMS, and what signs with it there.

    Args:
        key: Its id, ARN or alias; it needs `kms:GetPublicKey` and `kms:Sign`.
        client: Of boto3; None: one is made.

    Raises:
        ExportError: KMS has no such key, denies it, or it does not sign or is of another kind.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = client or boto3.client("kms")
    try:
        found = client.get_public_key(KeyId=key)
        known = [name for name in found.get("SigningAlgorithms", []) if name in KMS_ALGORITHMS]
        if not known:
            raise ExportError(f"{key}: KMS has it, but as no key that signs by {KINDS}")
        public = read_public_key(base64.b64encode(found["PublicKey"]).decode())
    except (BotoCoreError, ClientError, SettingsError) as error:
        raise ExportError(f"{key}: KMS gives no public key ({_describe(error)})") from error

    def sign(content: bytes) -> bytes:
        try:
            answer = client.sign(
                KeyId=key, Message=content, MessageType="RAW", SigningAlgorithm=known[0]
            )
        except (BotoCoreError, ClientError) as error:
            raise ExportError(f"{key}: KMS does not sign ({_describe(error)})") from error
        return bytes(answer["Signature"])

    return public, sign


def _describe(error: Exception) -> str:
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def _public_key(private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> PublicKey:
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return read_public_key(base64.b64encode(der).decode())
