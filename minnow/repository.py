"""Which repository of models a command works on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from minnow.errors import CommandError

if TYPE_CHECKING:
    from handler.repository.store import Store

REPOSITORY = "Folder or s3://BUCKET/PREFIX/ of the repository."
FROM_VARIABLE = "MINNOW_MODELS"


def open_repository(place: str | None) -> Store:
    """Return the repository at `place`, or else the one that `MINNOW_MODELS` names.

    Raises:
        CommandError: Neither says where it is.
    """
    from handler.repository.places import open_store

    place = place or os.environ.get(FROM_VARIABLE, "")
    if not place:
        raise CommandError(
            f"which repository? Name a folder or s3://BUCKET/PREFIX/, or set {FROM_VARIABLE}"
        )
    return open_store(place)
