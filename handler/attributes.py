"""DynamoDB's attribute values, `{"S": "good"}`, to plain values and back; boto3's own reader costs
a whole import of boto3 at a stream's cold start."""

from __future__ import annotations

from typing import Any

from handler.errors import InvalidInput


def to_attribute(value: Any) -> dict[str, Any]:
    """Return a JSON value as an attribute: `0.5 -> {"N": "0.5"}`."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, dict):
        return {"M": {str(name): to_attribute(entry) for name, entry in value.items()}}
    return {"L": [to_attribute(entry) for entry in value]}


def from_attribute(attribute: object) -> Any:
    """Return the plain value: `{"L": [{"S": "good"}]} -> ["good"]`; numbers stay text, and
    of binary ones only the type is kept.

    Raises:
        InvalidInput: Not an attribute value.
    """
    if not isinstance(attribute, dict) or len(attribute) != 1:
        raise InvalidInput("an attribute is not an object of one type and its value")
    ((kind, value),) = attribute.items()
    if kind == "NULL":
        return None
    if kind == "B":  # in base64; whoever wants a text must not take that for one
        return b""
    if kind == "L" and isinstance(value, list):
        return [from_attribute(entry) for entry in value]
    if kind == "M" and isinstance(value, dict):
        return {name: from_attribute(entry) for name, entry in value.items()}
    return value
