"""A repository in a folder. No link below its root is followed: what it holds lies within it."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from handler.errors import ArtefactError, DeliveryError
from handler.files import empty_folder, holding, replacing
from handler.inference.bundle import MissingArtefactError, read_regular
from handler.repository.aliases import ALIASES, MAX_BYTES, is_version
from handler.repository.store import Found, can_be_model

PUSHING = ".push-"  # begins the folder of a version that is not whole yet
TRIES = 100  # to take a number, or the aliases, that others take at the same time
PAUSE_S = 0.05
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)
Done = TypeVar("Done")


class FolderStore:
    """The repository in a folder, which need not be there before the first push."""

    def __init__(self, root: Path) -> None:
        self.place = str(root)
        self._root = root

    def list_models(self) -> list[str]:
        try:
            return sorted(name for name in _list_folders(self._root) if can_be_model(name))
        except (FileNotFoundError, NotADirectoryError):
            raise MissingArtefactError(
                f"{self._root}: no such folder. `minnow push BUNDLE {self._root}` makes a "
                "repository there."
            ) from None
        except OSError as error:
            raise DeliveryError(f"{self._root}: cannot be read ({error.strerror})") from error

    def list_versions(self, name: str) -> list[int]:
        try:
            folders = list(_list_folders(self._root / name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DeliveryError(
                f"{self._root / name}: cannot be read ({error.strerror})"
            ) from error
        return sorted(int(folder) for folder in folders if is_version(folder))

    def read_file(self, name: str, version: int, file: str, most: int) -> bytes:
        return self._read(self.locate(name, version) / file, most)

    def read_aliases(self, name: str, etag: str = "") -> Found | None:
        path = self._root / name / ALIASES
        try:
            found = os.stat(path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return Found(b"", "")
        except OSError as error:
            raise DeliveryError(f"{path}: cannot be read ({error.strerror})") from error
        if found.st_size > MAX_BYTES:
            raise ArtefactError(f"{path}: has {found.st_size} bytes, wanted {MAX_BYTES} at most.")
        # A file that is replaced is another one, though it may be as long and as old.
        now = f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"
        return None if now == etag else Found(self._read(path, MAX_BYTES), now)

    def add_version(self, name: str, files: Mapping[str, bytes]) -> int:
        self._refuse_links(self._root / name)
        return _retry_busy(lambda: self._add_version(name, files))

    def _add_version(self, name: str, files: Mapping[str, bytes]) -> int:
        model = self._root / name
        with holding(model / f"{PUSHING}{secrets.token_hex(4)}", model) as work:
            _remove_killed(model, work)
            whole = work / "version"
            try:
                whole.mkdir()
                for file, content in files.items():
                    _write(whole / file, content)
                return self._put_in_place(whole, name)
            finally:
                empty_folder(work)

    def _put_in_place(self, whole: Path, name: str) -> int:
        for _ in range(TRIES):
            number = max(self.list_versions(name), default=0) + 1
            try:
                os.rename(whole, self._root / name / str(number))
                return number
            except OSError as error:
                if error.errno not in (*TAKEN, errno.ENOTDIR):
                    raise
        raise DeliveryError(f"{self.place}: others push without end; try again later")

    def change_aliases(self, name: str, change: Callable[[bytes], bytes]) -> None:
        path = self._root / name / ALIASES
        self._refuse_links(path)

        def replace() -> None:
            with replacing(path) as temporary:
                found = self.read_aliases(name)
                temporary.write_bytes(change(found.content if found else b""))

        _retry_busy(replace)

    def locate(self, name: str, version: int) -> Path:
        return self._root / name / str(version)

    def forget_connections(self) -> None:
        """There are none."""

    def _read(self, path: Path, most: int) -> bytes:
        self._refuse_links(path)
        if not os.path.lexists(path):
            raise MissingArtefactError(
                f"{path}: no such file. `minnow models` lists what there is."
            )
        return read_regular(path, most)

    def _refuse_links(self, path: Path) -> None:
        below = path.relative_to(self._root)
        for part in (*reversed(below.parents), below):
            if part.parts and (self._root / part).is_symlink():
                raise ArtefactError(
                    f"{self._root / part}: is a link, which is not followed in a repository. Put "
                    "a folder or a file there."
                )


def _retry_busy(work: Callable[[], Done]) -> Done:
    """Do what another process, which pushes or promotes, may hold up at this moment."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        time.sleep(PAUSE_S)
    return work()


def _list_folders(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove_killed(model: Path, own: Path) -> None:
    """Remove what pushes left that were killed; one that is at work holds its folder."""
    for folder in model.glob(f"{PUSHING}*"):
        if folder != own:
            with suppress(OSError), holding(folder, model):
                empty_folder(folder)
