"""`minnow sign`: a signature that shows who made a bundle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from minnow.errors import CommandError
from minnow.options import Json, flag, option

PANEL = "Model"
EXAMPLES = (
    "minnow sign --new-key release.pem",
    "minnow sign bundles/reviews --key release.pem",
    "minnow sign bundles/reviews --kms alias/minnow-release",
)


Bundle = Annotated[
    Path | None,
    typer.Argument(metavar="BUNDLE", help="Folder of the bundle to sign.", show_default="none"),
]
Key = Annotated[
    Path | None,
    option("--key", "FILE", "Private key in PEM that signs (Ed25519, P-256, P-384).", "none"),
]
Kms = Annotated[
    str | None, option("--kms", "KEY", "Key in AWS KMS that signs: id, ARN or alias.", "none")
]
NewKey = Annotated[
    Path | None,
    option("--new-key", "FILE", "Make a private key (Ed25519) in this file.", "none"),
]
Force = Annotated[bool, flag("--force", "Replace the signature of another key.")]


def sign(
    bundle: Bundle = None,
    key: Key = None,
    kms: Kms = None,
    new_key: NewKey = None,
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Sign a bundle, so that whoever serves it knows who made it.

    MINNOW_TRUSTED_KEYS tells the one who serves which keys may have signed; MINNOW_KEY_PASSWORD is
    the password of an encrypted key.
    """
    if [key, kms, new_key].count(None) != 2:
        raise CommandError("wanted one of --key FILE, --kms KEY and --new-key FILE")
    from export import sign as signing

    password = os.environ.get(signing.PASSWORD, "")
    lines: list[str] = []
    if new_key:
        public = signing.make_key(new_key, password)
        lines.append(f"{new_key}: a new key; keep it where only those are who may sign")
    elif bundle is None:
        raise CommandError("which bundle is to be signed? minnow sign BUNDLE --key FILE")
    if bundle:
        private = new_key or key
        opened = signing.open_key(private, password) if private else signing.open_kms_key(str(kms))
        public = opened[0]
        is_new = signing.sign_bundle(bundle, *opened, force)
        lines.append(f"{bundle}: signed" if is_new else f"{bundle}: this key has signed it already")
    told = signing.format_public_key(public)
    if json_output:
        print(json.dumps({"key": public.key_id, "trusted_keys": told}))
    else:
        print(*lines, f"MINNOW_TRUSTED_KEYS={told}", sep="\n")
