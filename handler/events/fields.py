"""Reading fields of an envelope."""

from __future__ import annotations

import re
from typing import Any

from handler.errors import InvalidInput
from handler.inference.requests import name_type

AWS_ID = re.compile(r"[A-Za-z0-9:._/+=@*-]{1,512}")


def drop_nulls(document: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are there: null in a field means that it is not."""
    return {name: value for name, value in document.items() if value is not None}


def read_string(parent: dict[str, Any], name: str, where: str) -> str:
    """Return a field that must be a string of one character or more; `where` is its parent."""
    value = parent.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(
            f"{where}.{name} is {name_type(value)}, wanted a string that is not empty",
            field=f"{where}.{name}",
        )
    return value


def read_id(parent: dict[str, Any], name: str, where: str) -> str:
    """Return an id or ARN: it goes into logs and replies, so a text must not pass for one."""
    value = read_string(parent, name, where)
    if not AWS_ID.fullmatch(value):
        raise InvalidInput(
            f"{where}.{name} is no id of AWS: wanted 1 to 512 letters, digits and :._/+=@*-",
            field=f"{where}.{name}",
        )
    return value


def read_object(parent: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """Return a field that must be an object; `where` is its parent."""
    value = parent.get(name)
    if not isinstance(value, dict):
        raise InvalidInput(
            f"{where}.{name} is {name_type(value)}, wanted an object", field=f"{where}.{name}"
        )
    return value
