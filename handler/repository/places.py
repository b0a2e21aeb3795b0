"""Where a repository can lie, told by its address."""

from __future__ import annotations

from pathlib import Path

from handler.event_settings import parse_target
from handler.repository.folder import FolderStore
from handler.repository.store import Store


def open_store(place: str) -> Store:
    """Return the repository at `place`, a folder or `s3://BUCKET/PREFIX/`.

    Raises:
        SettingsError: It is another address.
    """
    if "://" in place:  # a folder needs no boto3
        from handler.repository.bucket import BucketStore

        return BucketStore(parse_target(place, ("s3",), "the repository of models"))
    return FolderStore(Path(place))
