"""Where a repository lies: a folder or a bucket, of the same layout.

    ROOT/NAME/aliases.json       `aliases.py`
    ROOT/NAME/VERSION/           a bundle; its manifest is written last, and nothing ever changes

What is in a repository was put there by whoever may write there: names that no model can have are
passed over, everything else is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from handler.errors import ArtefactError
from handler.inference.manifest import check_name


class Found(NamedTuple):
    """The content of a file, and what tells whether it is still the same one."""

    content: bytes
    etag: str


class Store(Protocol):
    """A repository's files.

    Every method raises DeliveryError for what may pass, such as a bucket that does not answer.

    Args:
        place: As messages call it.
    """

    place: str

    def list_models(self) -> list[str]:
        """Return the names of all models, sorted."""

    def list_versions(self, name: str) -> list[int]:
        """Return the numbers that are taken, ascending; a push that was killed leaves one."""

    def read_file(self, name: str, version: int, file: str, most: int) -> bytes:
        """Return a file of a bundle, of `most` bytes at most.

        Raises:
            MissingArtefactError: It is not there.
            ArtefactError: It is larger, or empty.
        """

    def read_aliases(self, name: str, etag: str = "") -> Found | None:
        """Return a model's aliases.json, empty where there is none; None: it has `etag` still."""

    def add_version(self, name: str, files: Mapping[str, bytes]) -> int:
        """Write a bundle, the manifest last, and return the number that it got."""

    def change_aliases(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Replace a model's aliases.json by what `change` makes of it, as if nobody else did."""

    def locate(self, name: str, version: int) -> Path:
        """Return what errors call the folder of a bundle."""

    def forget_connections(self) -> None:
        """Leave nothing open, as before a snapshot of the process."""


def can_be_model(name: str) -> bool:
    """Say whether a folder of this name can be a model's."""
    try:
        check_name("name", name)
    except ArtefactError:
        return False
    return True
