"""Reading fields of an envelope."""

from __future__ import annotations

from typing import Any

from handler.errors import InvalidInput


def read_string(parent: dict[str, Any], name: str, where: str) -> str:
    """Return a field that must be a string of one character or more; `where` is its parent."""
    value = parent.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(
            f"{where}.{name} is {type(value).__name__}, wanted a string that is not empty",
            field=f"{where}.{name}",
        )
    return value


def read_object(parent: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """Return a field that must be an object; `where` is its parent."""
    value = parent.get(name)
    if not isinstance(value, dict):
        raise InvalidInput(
            f"{where}.{name} is {type(value).__name__}, wanted an object", field=f"{where}.{name}"
        )
    return value
