"""Downloads that go on where they were cut, and are in place only with the right hash."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests
from tqdm import tqdm

from handler.files import PARTIAL, check_room, holding, naming
from training.errors import DataError

CHUNK_BYTES = 64 << 10  # what is lost at most where a connection is cut
TIMEOUT_S = (30, 60)  # for the connection, and for the next bytes
# A connection that is cut is taken up again so often before the command ends; each attempt that
# brought something counts anew.
MAX_FAILURES = 3
PAUSE_S = 2.0
RETRY = "Run the command again to retry"
NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Remote:
    """A file that somebody publishes.

    Args:
        url: Its name is the last part.
        algorithm: Of the hash, as hashlib calls it.
        digest: The file's hash, hexadecimal.
        size_bytes: Its length.
    """

    url: str
    algorithm: str
    digest: str
    size_bytes: int

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.url.rsplit("/", 1)[-1]


def download(remote: Remote, out: Path, pause_s: float = PAUSE_S) -> Path:
    """Return the path of the file in the folder `out`, downloaded unless it stands there.

    What came is kept in a folder of its own, `.partial-NAME`, until it is whole; the next call goes
    on behind it.

    Args:
        pause_s: Between a cut and the next attempt.

    Raises:
        DataError: The server does not give the file, or another one; a file of that name which is
            another one stands there.
        OSError: Another process downloads it, or the disk is full.
    """
    path = out / remote.name
    with holding(out / (PARTIAL + remote.name), path) as folder:
        if path.exists():
            if _hash_file(path, remote.algorithm) != remote.digest:
                raise DataError(
                    f"{path}: is not the file of {remote.url}, its {remote.algorithm} is another. "
                    "Move it away, or give another --out"
                )
            return path
        partial = folder / remote.name
        _fetch(remote, partial, pause_s)
        if _hash_file(partial, remote.algorithm) != remote.digest:
            partial.unlink()
            raise DataError(
                f"{remote.url}: came with another {remote.algorithm} than {remote.digest}: damaged "
                f"on its way, or another file stands there now. {RETRY}"
            )
        partial.replace(path)
    return path


def _fetch(remote: Remote, partial: Path, pause_s: float) -> None:
    """Download until `partial` has all bytes."""
    failures = 0
    most = have = _count_bytes(partial)
    while have < remote.size_bytes:
        check_room(partial, remote.size_bytes - have)
        problem = _fetch_rest(remote, partial)
        have = _count_bytes(partial)
        if have >= remote.size_bytes:
            break
        failures = 1 if have > most else failures + 1
        most = max(most, have)
        if failures >= MAX_FAILURES or problem.is_final:
            kept = f". {have:,} of {remote.size_bytes:,} bytes are kept" if have else ""
            raise DataError(f"{remote.url}: {problem.text}{kept}. {RETRY}")
        time.sleep(pause_s)


@dataclass(frozen=True)
class _Problem:
    text: str
    is_final: bool = False


def _fetch_rest(remote: Remote, partial: Path) -> _Problem:
    """Add to `partial` what the server gives of what is missing; return why that was not all."""
    have = _count_bytes(partial)
    # Without "identity" a server may pack the file once more, and ranges count packed bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == NOT_SATISFIABLE:  # a shorter file stands there now
                partial.unlink()
                return _Problem("the server has a shorter file")
            if not response.ok:
                is_theirs = response.status_code >= 500
                reason = f"{response.status_code} {response.reason}".strip()
                return _Problem(f"the server answered {reason}", is_final=not is_theirs)
            goes_on = response.status_code == 206 and _begins_at(response, have)
            if response.status_code == 206 and not goes_on:
                return _Problem("the server answered with another range than asked", is_final=True)
            with partial.open("ab" if goes_on else "wb") as file:
                _write(response, file, remote, have if goes_on else 0)
    except requests.RequestException as error:
        # The text of requests' errors names pools and objects.
        return _Problem(f"the connection failed or was cut ({type(error).__name__})")
    return _Problem("the server closed the connection")


def _begins_at(response: requests.Response, have: int) -> bool:
    """Say whether an answer's range begins where `partial` ends: "bytes 12-99/100"."""
    content_range: str = response.headers.get("Content-Range", "")
    return content_range.startswith(f"bytes {have}-")


def _write(response: requests.Response, file: BinaryIO, remote: Remote, have: int) -> None:
    """Write what comes, with a bar on the terminal that tells how much is there."""
    with tqdm(
        total=remote.size_bytes, initial=have, unit="B", unit_scale=True, desc=remote.name
    ) as bar:
        for chunk in response.iter_content(CHUNK_BYTES):
            have += len(chunk)
            if have > remote.size_bytes:
                file.truncate(0)
                raise DataError(
                    f"{remote.url}: the server sends more than the {remote.size_bytes:,} bytes "
                    f"that the file has: another one stands there now. {RETRY}"
                )
            with naming(Path(file.name)):
                file.write(chunk)
                file.flush()
            bar.update(len(chunk))
    os.fsync(file.fileno())  # or a power cut could leave the name without content


def _count_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _hash_file(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
