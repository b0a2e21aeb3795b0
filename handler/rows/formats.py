"""File formats by name, `reviews.csv.gz`, and their compression.

Every block of output is compressed on its own: gzip members and zstd frames one after the other
are one valid file, so an output can be cut between blocks and carried on by another process.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from handler.errors import InvalidInput

KINDS = {
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "txt": "lines",
    "parquet": "parquet",
}
COMPRESSIONS = {"gz": "gzip", "zst": "zstd", "zstd": "zstd"}
# Level 1 is four times as quick as gzip's own 9 for a tenth more bytes.
GZIP_LEVEL = 1
ZSTD_LEVEL = 3


@dataclass(frozen=True)
class Format:
    """`kind` is a value of KINDS, `compression` one of COMPRESSIONS or empty."""

    kind: str
    compression: str = ""


def detect_format(name: str) -> Format:
    """Return the format that a file's name says: `a/b.csv.gz` -> csv, gzip.

    Raises:
        InvalidInput: The ending is none that can be read.
    """
    endings = name.rsplit("/", 1)[-1].lower().split(".")[1:]
    compression = COMPRESSIONS.get(endings[-1], "") if endings else ""
    if compression:
        endings = endings[:-1]
    kind = KINDS.get(endings[-1], "") if endings else ""
    if not kind or (kind == "parquet" and compression):
        known = ", ".join(f".{ending}" for ending in KINDS)
        raise InvalidInput(
            f"the file's name does not end in one of {known}, "
            "the texts among them also with .gz or .zst"
        )
    return Format(kind, compression)


def decompress(stream: BinaryIO, compression: str) -> BinaryIO:
    """Return a buffered stream of the plain bytes; several members or frames are read as one."""
    if compression == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))
    if compression == "zstd":
        return io.BufferedReader(ZstdStream(stream), 1 << 17)
    return stream


def compress(content: bytes, compression: str) -> bytes:
    """Return one whole gzip member or zstd frame; the same bytes for the same content."""
    if compression == "gzip":
        return gzip.compress(content, GZIP_LEVEL, mtime=0)
    if compression == "zstd":
        import zstandard

        packed: bytes = zstandard.ZstdCompressor(ZSTD_LEVEL).compress(content)
        return packed
    return content


class ZstdStream(io.RawIOBase):
    """The plain bytes of zstd frames; raises EOFError at a frame that is cut off, which
    zstandard's own reader takes for the end."""

    # At most 32,768 plain bytes come of one: a hostile file fills 64 MiB, not the memory.
    CHUNK_BYTES = 2048

    def __init__(self, stream: BinaryIO) -> None:
        import zstandard

        self._decompressor = zstandard.ZstdDecompressor()
        self._stream = stream
        self._frame: Any = None
        self._packed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            self._packed = self._packed or self._stream.read(self.CHUNK_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("a zstd frame is cut off")
                return 0
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            self._plain = memoryview(self._frame.decompress(self._packed))
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size


def is_broken_stream(error: Exception) -> bool:
    """Say whether `error` means that compressed bytes are broken or cut off."""
    return (
        isinstance(error, EOFError | zlib.error | gzip.BadGzipFile)
        or type(error).__name__ == "ZstdError"
    )
