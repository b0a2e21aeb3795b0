"""A file of word vectors as a stream of blocks: plain, packed by gzip or zstd, or in a zip."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from handler.errors import InvalidInput
from handler.rows.formats import decompress, is_broken_stream
from training.errors import DataError
from training.rows.folders import HIDDEN_FOLDER

HEAD_BYTES = 64 << 10  # what the format is told by
BLOCK_BYTES = 1 << 20
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
ZIP = b"PK\x03\x04"
FETCH_AGAIN = "Fetch or make the file again."


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file as it lies on the disk.

    Raises:
        DataError: It is no file, or empty.
    """
    if path.exists() and not path.is_file():  # a pipe could not be read from its beginning again
        raise DataError(f"{path}: is no file of a disk. Write the word vectors to one first.")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise DataError(f"{path}: the file is empty, wanted word vectors. {FETCH_AGAIN}")
    return head


@contextmanager
def open_blocks(path: Path, head: bytes) -> Iterator[Iterator[bytes]]:
    """Yield the blocks of a file, unpacked; the first has `HEAD_BYTES` where there are so many.

    Of a zip they are those of its largest file: of glove.6B.zip the vectors of 300 dimensions.

    Args:
        head: What `read_head` returned.

    Raises:
        DataError: What is packed is broken or cut off, or needs a password; also later, by the
            blocks.
    """
    with path.open("rb") as file:
        if head.startswith(ZIP):
            with _open_zip(path, file) as member:
                yield _read_blocks(path, member)
        else:
            compression = next((PACKED[first] for first in PACKED if head.startswith(first)), "")
            try:
                stream = decompress(file, compression)
            except InvalidInput as error:
                raise DataError(f"{path}: {error}.") from None
            yield _read_blocks(path, stream)


def _open_zip(path: Path, file: BinaryIO) -> BinaryIO:
    """Return the largest file of a zip."""
    try:
        archive = zipfile.ZipFile(file)
        members = [
            member
            for member in archive.infolist()
            if not member.filename.endswith("/")
            and not member.filename.startswith(f"{HIDDEN_FOLDER}/")
        ]
        if members:
            largest = max(members, key=lambda member: member.file_size)
            return cast(BinaryIO, archive.open(largest))
    # A place that cannot be is an OSError: the file is sought there.
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError) as error:
        raise DataError(
            f"{path}: the zip is broken, cut off, or packed in a way that is not known. "
            f"{FETCH_AGAIN}"
        ) from error
    except RuntimeError:  # so zipfile says that a password is wanted
        raise DataError(f"{path}: the zip has a password. Unpack it first.") from None
    raise DataError(f"{path}: the zip holds no file, wanted word vectors. {FETCH_AGAIN}")


def _read_blocks(path: Path, stream: BinaryIO) -> Iterator[bytes]:
    size = HEAD_BYTES
    position = 0
    while True:
        try:
            block = stream.read(size)
        except Exception as error:
            if not isinstance(error, zipfile.BadZipFile) and not is_broken_stream(error):
                raise
            raise DataError(
                f"{path}: the packed file is broken or cut off behind byte {position:,} of what "
                f"is unpacked. {FETCH_AGAIN}"
            ) from None
        if not block:
            return
        position += len(block)
        yield block
        size = BLOCK_BYTES
