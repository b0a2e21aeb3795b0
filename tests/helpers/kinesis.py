"""Kinesis data as the producer library (KPL) aggregates them, and records that hold them."""

import base64
import hashlib

SEQUENCE = "4959033827149025660855969253836157109592157598913658889"


def make_field(number, content):
    """Return one field of Protocol Buffers: bytes, or a small whole number."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    size = b""
    length = len(content)
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def make_aggregate(parts):
    """Return the data of one Kinesis record that holds `parts`, each with its keys' places."""
    message = make_field(1, b"a key") + make_field(2, b"12345")
    for part in parts:
        record = make_field(1, 0) + make_field(2, 0) + make_field(3, part)
        message += make_field(3, record)
    return b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()


def make_kinesis_event(*data):
    """Return an event of one record for each of `data`; sequence numbers end in 0, 1, ..."""
    return {
        "Records": [
            {
                "eventSource": "aws:kinesis",
                "eventID": f"shardId-000000000006:{SEQUENCE}{number}",
                "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/texts",
                "kinesis": {
                    "sequenceNumber": f"{SEQUENCE}{number}",
                    "data": base64.b64encode(content).decode(),
                },
            }
            for number, content in enumerate(data)
        ]
    }
