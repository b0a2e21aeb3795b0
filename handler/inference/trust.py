"""Which bundles may serve: those of a known hash, those that a known key has signed, or any.

The hashes of a manifest show damage, not a forger, who would write a new manifest. A signature
shows who made it: `minnow sign` lays it beside the manifest, in

    signature.json     {"format_version": 1, "key": sha256 of the public key, "signature": base64}

It is made over `statement(sha256 of manifest.json)`; the manifest has the hashes of the other
files. The algorithm is that of the key and never the file's to choose: Ed25519 (RFC 8032), or
ECDSA with SHA-256 on P-256 and with SHA-384 on P-384 (FIPS 186-5), which AWS KMS has too.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from handler.errors import ArtefactError, SettingsError
from handler.inference.checks import is_sha256, parse_json, show

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

SIGNATURE = "signature.json"
MAX_SIGNATURE_BYTES = 4_096
FORMAT_VERSION = 1
PEM = re.compile(r"-----BEGIN PUBLIC KEY-----(.*)-----END PUBLIC KEY-----", re.DOTALL)
KINDS = "Ed25519, P-256 or P-384"


class PublicKey(NamedTuple):
    """A key that may have signed.

    Args:
        key_id: sha256 of `der` in hexadecimal.
        der: SubjectPublicKeyInfo (RFC 5280), as `openssl pkey -pubout -outform DER` writes it.
    """

    key_id: str
    der: bytes


class Trust(NamedTuple):
    """Which bundles may serve.

    Args:
        sha256: Hashes of `manifest.json`, one of which a bundle must have; none: any.
        keys: Of whoever may sign; none: signatures are not looked at.
        requires_signature: A bundle without a signature is refused too.
    """

    sha256: tuple[str, ...] = ()
    keys: tuple[PublicKey, ...] = ()
    requires_signature: bool = False


ANY = Trust()


def read_public_key(text: str) -> PublicKey:
    """Return the key of a line of base64 (SubjectPublicKeyInfo) or of a PEM text.

    Raises:
        SettingsError: It is none, or of another kind than KINDS.
    """
    found = PEM.search(text)
    try:
        der = base64.b64decode("".join((found[1] if found else text).split()), validate=True)
        key = PublicKey(hashlib.sha256(der).hexdigest(), der)
        load_key(key)
    except SettingsError:
        raise
    except ValueError as error:
        # Not repeated: it may be a private key that was pasted here.
        raise SettingsError(
            f"MINNOW_TRUSTED_KEYS holds what is no public key ({KINDS}); `minnow sign` prints the "
            "line that is wanted"
        ) from error
    return key


def load_key(key: PublicKey) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
    """Return the key as the library has it; ValueError unless it is one of KINDS."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import load_der_public_key
    except ModuleNotFoundError as error:
        raise SettingsError(
            "MINNOW_TRUSTED_KEYS is set, but what checks signatures is not installed: pip install "
            '"minnow-maas[signing]"; of a function or a container, build it with SIGNING=1'
        ) from error
    try:
        loaded = load_der_public_key(key.der)
    except UnsupportedAlgorithm as error:
        raise ValueError(f"a public key of another kind than {KINDS}") from error
    if isinstance(loaded, ed25519.Ed25519PublicKey):
        return loaded
    if isinstance(loaded, ec.EllipticCurvePublicKey) and loaded.curve.name in HASHES:
        return loaded
    raise ValueError(f"a public key of another kind than {KINDS}")


HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384"}  # curve -> hash, as AWS KMS pairs them


def statement(manifest_sha256: str) -> bytes:
    """Return the bytes that a signature is made over; what they are for stands in them."""
    return f"minnow bundle, sha256 of manifest.json: {manifest_sha256}".encode()


def is_signed_by(key: PublicKey, manifest_sha256: str, signature: bytes) -> bool:
    """Say whether `key` has signed the bundle whose manifest has that hash."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    loaded = load_key(key)
    signed = statement(manifest_sha256)
    try:
        if isinstance(loaded, ed25519.Ed25519PublicKey):
            loaded.verify(signature, signed)
        else:
            digest = getattr(hashes, HASHES[loaded.curve.name])()
            loaded.verify(signature, signed, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


class Signature(NamedTuple):
    """What `signature.json` holds.

    Args:
        key_id: sha256 of the public key that made it.
        value: 64 bytes of Ed25519; of ECDSA, ASN.1 in DER.
    """

    key_id: str
    value: bytes


def parse_signature(content: bytes) -> Signature:
    """Return the signature of the bytes of a `signature.json`; raises ArtefactError."""
    found: Any = parse_json(content)
    if not isinstance(found, dict) or set(found) != {"format_version", "key", "signature"}:
        raise ArtefactError("wanted an object of format_version, key and signature.")
    if found["format_version"] != FORMAT_VERSION:
        raise ArtefactError(
            f"format_version is {show(found['format_version'])}, wanted {FORMAT_VERSION}."
        )
    if not isinstance(found["key"], str) or not is_sha256(found["key"]):
        raise ArtefactError(f"key is {show(found['key'])}, wanted the sha256 of a public key.")
    try:
        value = base64.b64decode(found["signature"], validate=True)
    except (TypeError, ValueError) as error:
        raise ArtefactError("signature is no base64.") from error
    return Signature(found["key"], value)


def check_trust(manifest_sha256: str, signature: bytes | None, trust: Trust) -> None:
    """Raise ArtefactError unless a bundle may serve.

    Args:
        manifest_sha256: Of `manifest.json`, in hexadecimal.
        signature: The bytes of `signature.json`; None: there is none.
    """
    if trust.sha256 and manifest_sha256 not in trust.sha256:
        wanted = " or ".join(sorted(trust.sha256))
        raise ArtefactError(
            f"sha256 is {manifest_sha256}, MINNOW_BUNDLE_SHA256 wants {wanted}. Serve the bundle "
            "that was meant, or set the variable to the hash of this one."
        )
    if signature is None and trust.requires_signature:
        raise ArtefactError(
            "the bundle has no signature, and MINNOW_REQUIRE_SIGNATURE wants one. Sign it: "
            "minnow sign BUNDLE --key FILE"
        )
    if signature is None or not (trust.keys or trust.requires_signature):
        return
    found = parse_signature(signature)
    key = next((key for key in trust.keys if key.key_id == found.key_id), None)
    if key is None:
        raise ArtefactError(
            f"signed by the key {found.key_id[:16]}…, which MINNOW_TRUSTED_KEYS does not name."
        )
    if not is_signed_by(key, manifest_sha256, found.value):
        raise ArtefactError(
            "the signature is not of this bundle: it was changed, or exported again, after it was "
            "signed. Serve the bundle that was signed, or sign this one: minnow sign"
        )
