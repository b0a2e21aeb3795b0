"""Text in any encoding as a stream of UTF-8, and which encoding the first bytes are in.

Behind it rows are cut from UTF-8 alone. Positions count its bytes, so they are exact whatever the
encoding is.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.rows.options import UTF_8

BOMS = {
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
WESTERN = "windows-1252"
CHUNK_BYTES = 64 << 10
SET_ENCODING = "Name the encoding with --encoding, or convert the file to UTF-8"
# A character of UTF-8 above ASCII; of other encodings such bytes stand in a row by chance only.
MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
HIGH_RUN = re.compile(rb"[\x80-\xff]+")
# Unused, and the y with two dots, which hardly any word has, and which many broken bytes are.
UNLIKELY_IN_WESTERN = re.compile(rb"[\x81\x8d\x8f\x90\x9d\xff]")
# In Windows-1252 accents and curly quotes stand alone among ASCII letters. Three such bytes in a
# row are rare, as are more of them than ASCII letters: other alphabets have both.
MAX_LONG_RUN_SHARE = 0.1
MAX_HIGH_SHARE = 0.25
# Of ASCII in UTF-16 every second byte is zero; a text holds next to none.
MAX_ZERO_SHARE = 0.05


# What begins so is no text, however it is called.
FOREIGN = {
    b"\x1f\x8b": "compressed by gzip (.gz)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd (.zst)",
    b"PK\x03\x04": "a zip archive, as .xlsx is",
    b"PAR1": "Parquet (.parquet)",
    b"\xd0\xcf\x11\xe0": "a document of an old Office (.xls): save it as CSV",
    b"%PDF-": "a PDF",
}


def find_encoding(sample: bytes, guesses: bool) -> tuple[str, bytes]:
    """Return the encoding of a file that begins with `sample`, and its byte order mark.

    UTF-8 where nothing speaks against it, also where rows are broken: those are refused one by one.
    With `guesses` it is Windows-1252 where the bytes can hardly be anything else.

    Raises:
        InvalidInput: It is no text but a file of another kind, or UTF-16 without a byte order mark,
            by all that can be seen.
    """
    for first, kind in FOREIGN.items():
        if sample.startswith(first):
            raise InvalidInput(f"it is {kind}, whatever its name says: rename the file")
    for bom, encoding in BOMS.items():
        if sample.startswith(bom):
            return encoding, bom
    if sample.count(0) > max(MAX_ZERO_SHARE * len(sample), 1):
        raise InvalidInput(
            "it has as many zero bytes as UTF-16 without a byte order mark. Name the encoding with "
            "--encoding, such as utf-16-le"
        )
    return (WESTERN if guesses and _is_western(sample) else UTF_8), b""


def find_bom(sample: bytes, encoding: str) -> tuple[str, bytes]:
    """Return the encoding that was named, with its byte order told, and the mark at the start."""
    for bom, found in BOMS.items():
        if sample.startswith(bom) and (found == encoding or found.startswith(f"{encoding}-")):
            return found, bom
    return (f"{encoding}-le" if encoding in ("utf-16", "utf-32") else encoding), b""


def _is_western(sample: bytes) -> bool:
    try:
        # A character that the end of the sample cuts is none.
        codecs.getincrementaldecoder(UTF_8)().decode(sample)
    except UnicodeDecodeError:
        pass
    else:
        return False
    runs = HIGH_RUN.findall(sample)
    num_high = sum(map(len, runs))
    num_letters = sum(map(sample.count, (bytes([letter]) for letter in _ASCII_LETTERS)))
    num_long = sum(len(run) for run in runs if len(run) > 2)
    return (
        not UNLIKELY_IN_WESTERN.search(sample)
        and sum(map(len, MULTIBYTE.findall(sample))) < num_high / 2
        and num_long <= MAX_LONG_RUN_SHARE * num_high
        and num_high <= MAX_HIGH_SHARE * (num_letters + num_high)
    )


_ASCII_LETTERS = [*range(65, 91), *range(97, 123)]


class Transcoded(io.RawIOBase):
    """The bytes of `stream`, in another encoding, as UTF-8.

    What is broken becomes lone surrogates, three bytes of what `surrogatepass` writes: a reader
    of UTF-8 refuses them, and `encode_back` returns the bytes that they were.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder: Any = codecs.getincrementaldecoder(encoding)(_errors_of(encoding))
        self._plain = memoryview(b"")
        self._has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain and not self._has_ended:
            packed = self._stream.read(CHUNK_BYTES)
            self._has_ended = not packed
            try:
                text = self._decoder.decode(packed, self._has_ended)
            except UnicodeDecodeError:
                raise InvalidInput(
                    f"it is not {self._decoder.__class__.__module__.rpartition('.')[2]} somewhere "
                    f"in it, or is cut off. {SET_ENCODING}"
                ) from None
            self._plain = memoryview(text.encode(UTF_8, "surrogatepass"))
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size


def encode_back(content: bytes, encoding: str) -> bytes:
    """Return UTF-8 in the encoding that it was read from.

    Raises:
        InvalidInput: The encoding lacks a character of a new cell.
    """
    if encoding == UTF_8:
        return content
    try:
        text = content.decode(UTF_8, "surrogatepass")
        return text.encode(encoding, _errors_of(encoding))
    except UnicodeError:
        raise InvalidInput(
            f"a label has a character that {encoding} lacks: convert the file to UTF-8"
        ) from None


def _errors_of(encoding: str) -> str:
    # The bytes of a broken character in UTF-16 may be ASCII, which surrogateescape does not take.
    return "surrogatepass" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"


class Chained(io.RawIOBase):
    """`head`, which was looked at, then what is left of `stream`, which cannot seek."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = memoryview(head)
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            content = self._stream.read1(len(buffer))  # type: ignore[attr-defined]
            buffer[: len(content)] = content
            return len(content)
        size = min(len(buffer), len(self._head))
        buffer[:size] = self._head[:size]
        self._head = self._head[size:]
        return size
