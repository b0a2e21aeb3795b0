"""Kinesis records that the producer library (KPL) has aggregated: several in one.

    F3 89 9A C2, a message of Protocol Buffers, 16 bytes of MD5 over the message

The message's fields: 1 partition keys, 2 explicit hash keys, 3 records, each of these with its
data in field 3. Whoever aggregates without the library writes the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from handler.errors import InvalidInput

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES = 16
RECORDS = 3  # of the whole
DATA = 3  # of a record
FIXED_BYTES = {1: 8, 5: 4}  # by wire type
VARINT, DELIMITED = 0, 2


def is_aggregate(data: bytes) -> bool:
    """Say whether a Kinesis record's data hold several records of a producer."""
    return data.startswith(MAGIC)


def split_aggregate(data: bytes) -> list[bytes]:
    """Return the data of each record in an aggregated one, in order.

    Raises:
        InvalidInput: The checksum is wrong, the message is broken, or it holds no record.
    """
    message, digest = data[len(MAGIC) : -DIGEST_BYTES], data[-DIGEST_BYTES:]
    if hashlib.md5(message, usedforsecurity=False).digest() != digest:
        raise InvalidInput(
            "kinesis.data begins as a record aggregated by the producer library (KPL), and its "
            "checksum is wrong",
            field="data",
        )
    found = []
    for number, record in _read_fields(message):
        if number == RECORDS:
            # A record without data is one of zero bytes.
            found.append(next((part for name, part in _read_fields(record) if name == DATA), b""))
    if not found:
        raise InvalidInput("kinesis.data is aggregated and holds no record", field="data")
    return found


def _read_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each field; a number's bytes are empty, none is needed here."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        size = 0
        if wire_type == VARINT:
            _, position = _read_varint(message, position)
        elif wire_type == DELIMITED:
            size, position = _read_varint(message, position)
        elif wire_type in FIXED_BYTES:
            size = FIXED_BYTES[wire_type]
        else:
            raise _broken()
        if position + size > len(message):
            raise _broken()
        yield number, message[position : position + size]
        position += size


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 64:  # 64 bits at most
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _broken()


def _broken() -> InvalidInput:
    return InvalidInput("kinesis.data is aggregated, and its message is broken", field="data")
