"""Trace context: the ids by which a caller's trace goes on in the log and in what is sent.

    traceparent      00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01   (W3C)
    AWSTraceHeader   Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1

None is made up here, and one that is not valid is as good as none.
"""

from __future__ import annotations

from typing import Any

LENGTH = 55  # of version 00; later ones may go on behind it
MAX_CHARACTERS = 512
HEX = frozenset("0123456789abcdef")
NAME = "traceparent"
SAMPLED = 1


def read_traceparent(value: object) -> str:
    """Return a W3C traceparent if it is valid, as it may be sent on; else ""."""
    if not isinstance(value, str) or not LENGTH <= len(value) <= MAX_CHARACTERS:
        return ""
    version, trace_id, parent_id, flags = (
        value[a:b] for a, b in ((0, 2), (3, 35), (36, 52), (53, 55))
    )
    is_cut = value[2] == value[35] == value[52] == "-" and value[LENGTH : LENGTH + 1] in ("", "-")
    if not is_cut or not set(version + trace_id + parent_id + flags) <= HEX:
        return ""
    is_none = not trace_id.strip("0") or not parent_id.strip("0")
    if is_none or version == "ff" or (version == "00" and len(value) > LENGTH):
        return ""
    return f"00-{trace_id}-{parent_id}-{flags}"


def read_xray(value: object) -> str:
    """Return the traceparent that says what an X-Ray header says; "" where it says none."""
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        return ""
    fields = dict(field.strip().partition("=")[::2] for field in value.split(";"))
    version, _, rest = fields.get("Root", "").partition("-")
    begun, _, unique = rest.partition("-")
    if version != "1" or len(begun) != 8:
        return ""
    flags = "01" if fields.get("Sampled") == "1" else "00"
    return read_traceparent(f"00-{begun}{unique}-{fields.get('Parent', '')}-{flags}")


def write_xray(traceparent: str) -> str:
    """Return the X-Ray header that says what a valid traceparent says."""
    _, trace_id, parent_id, flags = traceparent.split("-")
    sampled = int(flags, 16) & SAMPLED
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={parent_id};Sampled={sampled}"


def find_trace_id(traceparent: str) -> str:
    """Return the 32 digits of the trace; "" of ""."""
    return traceparent[3:35]


def read_sqs_trace(record: dict[str, Any]) -> str:
    """Return the traceparent of an SQS record: of its attribute, or else of X-Ray's; "" of none."""
    given = _read_attribute(record.get("messageAttributes"), "stringValue")
    system = record.get("attributes")
    return given or read_xray(system.get("AWSTraceHeader") if isinstance(system, dict) else None)


def read_sns_trace(message: dict[str, Any]) -> str:
    """Return the traceparent of an SNS message's attribute; "" of none."""
    return _read_attribute(message.get("MessageAttributes"), "Value")


def _read_attribute(attributes: object, field: str) -> str:
    attribute = attributes.get(NAME) if isinstance(attributes, dict) else None
    return read_traceparent(attribute.get(field)) if isinstance(attribute, dict) else ""
