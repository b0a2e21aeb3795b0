"""Where a repository can lie, told by its address."""

from __future__ import annotations

from pathlib import Path

from handler.event_settings import parse_target
from handler.repository.folder import FolderStore
from handler.repository.store import Store


def open_store(place: str, is_serving: bool = False) -> Store:
    """Return the repository at `place`, a folder or `s3://BUCKET/PREFIX/`.

    Args:
        is_serving: Others wait for it: a bucket that does not answer is given up soon.

    Raises:
        SettingsError: It is another address.
    """
    if "://" in place:  # a folder needs no boto3
        from handler.repository.bucket import PUBLISHING, SERVING, BucketStore

        target = parse_target(place, ("s3",), "the repository of models")
        return BucketStore(target, SERVING if is_serving else PUBLISHING)
    return FolderStore(Path(place))
