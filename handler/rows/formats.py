"""File formats by name, `reviews.csv.gz`, and their compression.

Every block of output is compressed on its own: gzip members and zstd frames one after the other
are one valid file, so an output can be cut between blocks and carried on by another process.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from handler.errors import InvalidInput

KINDS = {
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "txt": "lines",
    "parquet": "parquet",
    "xlsx": "xlsx",
}
# Kinds that are read, and not written: training and evaluation take them, scoring does not.
READ_ONLY_KINDS = {"xlsx"}
COMPRESSIONS = {"gz": "gzip", "zst": "zstd", "zstd": "zstd"}
# Level 1 is four times as quick as gzip's own 9 for a tenth more bytes.
GZIP_LEVEL = 1
ZSTD_LEVEL = 3
# Of one packed byte come at most 1,032 plain ones by gzip and 32,768 by zstd: a hostile file fills
# 64 MiB, not the memory.
GZIP_CHUNK_BYTES = 32 << 10
ZSTD_CHUNK_BYTES = 2 << 10
PLAIN_BUFFER_BYTES = 128 << 10
GZIP_HEADER = 16 + zlib.MAX_WBITS  # what zlib takes for "with gzip's header and checksum"


@dataclass(frozen=True)
class Format:
    """`kind` is a value of KINDS, `compression` one of COMPRESSIONS or empty."""

    kind: str
    compression: str = ""


def detect_format(name: str, read_only: bool = False) -> Format:
    """Return the format that a file's name says: `a/b.csv.gz` -> csv, gzip.

    Args:
        name: A file's name, path or key.
        read_only: Allow spreadsheets, and Parquet compressed once more, which nobody should write.

    Raises:
        InvalidInput: The ending is none that can be read.
    """
    endings = name.rsplit("/", 1)[-1].lower().split(".")[1:]
    compression = COMPRESSIONS.get(endings[-1], "") if endings else ""
    if compression:
        endings = endings[:-1]
    kind = KINDS.get(endings[-1], "") if endings else ""
    if kind in READ_ONLY_KINDS and not read_only:
        raise InvalidInput(
            f"a result cannot be written as .{kind}: save the sheet as CSV UTF-8 to score it"
        )
    if not kind or (kind == "parquet" and compression and not read_only):
        known = ", ".join(
            f".{ending}" for ending, kind in KINDS.items() if kind not in READ_ONLY_KINDS
        )
        raise InvalidInput(
            f"the file's name does not end in one of {known}, "
            "the texts among them also with .gz or .zst"
        )
    return Format(kind, compression)


def decompress(stream: BinaryIO, compression: str) -> BinaryIO:
    """Return a buffered stream of the plain bytes; several members or frames are read as one.

    Raises:
        InvalidInput: zstandard is not there to read it.
    """
    if compression == "gzip":
        packed = PackedStream(stream, lambda: zlib.decompressobj(GZIP_HEADER), GZIP_CHUNK_BYTES)
    elif compression == "zstd":
        try:
            import zstandard
        except ModuleNotFoundError:
            raise InvalidInput(
                "zstd needs the package zstandard, which is not installed here: install it, or "
                "compress the file with gzip"
            ) from None
        make_decompressor = zstandard.ZstdDecompressor().decompressobj
        packed = PackedStream(stream, make_decompressor, ZSTD_CHUNK_BYTES)
    else:
        return stream
    return io.BufferedReader(packed, PLAIN_BUFFER_BYTES)


def read_whole(plain: BinaryIO) -> bytes:
    """Return all bytes of a stream that `decompress` gave.

    Raises:
        InvalidInput: The compressed bytes are broken or cut off.
    """
    try:
        return plain.read()
    except Exception as error:
        if not is_broken_stream(error):
            raise
        raise InvalidInput("the compressed file is broken or cut off") from None


def compress(content: bytes, compression: str) -> bytes:
    """Return one whole gzip member or zstd frame; the same bytes for the same content."""
    if compression == "gzip":
        return gzip.compress(content, GZIP_LEVEL, mtime=0)
    if compression == "zstd":
        import zstandard

        packed: bytes = zstandard.ZstdCompressor(ZSTD_LEVEL).compress(content)
        return packed
    return content


class PackedStream(io.RawIOBase):
    """The plain bytes of gzip members or zstd frames, one after the other.

    Raises EOFError at one that is cut off, which zstandard's own reader takes for the end. Short
    lines of gzip come a fifth sooner than from `gzip.GzipFile`, whose `readline` is Python.

    Args:
        stream: The packed bytes.
        make_decompressor: Returns what unpacks one member or frame.
        chunk_bytes: Packed bytes that are unpacked at once.
    """

    def __init__(
        self, stream: BinaryIO, make_decompressor: Callable[[], Any], chunk_bytes: int
    ) -> None:
        self._make_decompressor = make_decompressor
        self._chunk_bytes = chunk_bytes
        self._stream = stream
        self._frame: Any = None
        self._has_ended = False  # at least one member or frame
        self._packed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            self._packed = self._packed or self._stream.read(self._chunk_bytes)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("a member or frame is cut off")
                return 0
            if self._frame is None:
                if self._has_ended:  # tapes are filled up with zeros
                    self._packed = self._packed.lstrip(b"\0")
                    if not self._packed:
                        continue
                self._frame = self._make_decompressor()
            self._plain = memoryview(self._frame.decompress(self._packed))
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame, self._has_ended = self._frame.unused_data, None, True
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size


def is_broken_stream(error: Exception) -> bool:
    """Say whether `error` means that compressed bytes are broken or cut off."""
    return isinstance(error, EOFError | zlib.error) or type(error).__name__ == "ZstdError"
