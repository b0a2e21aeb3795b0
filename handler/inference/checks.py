"""What a field of a bundle may be: small checks, put together into the shape of a document.

A check takes a parsed value and its field's name, and returns the value or raises an ArtefactError
that says what came, made short and safe to print, and what was wanted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from handler.errors import ArtefactError

Check = Callable[[Any, str], Any]
SHOWN = 60  # characters of a value in an error
# Objects and arrays in one document: each takes 30 times its two bytes once it is parsed. A
# manifest has some hundred; a vocabulary has words with a bracket in them.
MAX_CONTAINERS = 10_000
MAX_DEPTH = 16  # of what a bundle tells freely (metrics, provenance): Minnow writes 5
FLOAT32_MAX = 3.4e38  # outputs are float32
JOINERS = "\u200c\u200d"  # join letters of Persian and Hindi, and emoji


def show(value: object) -> str:
    """Return a value in ASCII, without control characters: 'a\\u202eb', an array of 3."""
    names: dict[object, str] = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return names[value]
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} fields"
    shown = ascii(value[:SHOWN] if isinstance(value, str) else value)
    is_cut = len(shown) > SHOWN or (isinstance(value, str) and len(value) > SHOWN)
    return f"{shown[:SHOWN]}…" if is_cut else shown


def is_sha256(value: str) -> bool:
    """Say whether `value` is a sha256 in hexadecimal."""
    return len(value) == 64 and set(value) <= set("0123456789abcdef")


def refuse(field: str, value: object, wanted: str) -> NoReturn:
    """Raise the error of a field that holds what it must not."""
    raise ArtefactError(f"{field} is {show(value)}, wanted {wanted}.")


def find_hidden(text: str, allowed: str = "") -> str:
    """Return the first character that does not show or that reorders others, "" if there is none.

    Control and format characters, line and paragraph separators, half a surrogate pair, and what
    Unicode keeps free for more of them.
    """
    if text.isprintable():  # nearly always
        return ""
    import unicodedata

    for character in text:
        category = unicodedata.category(character)
        is_kept_free = category == "Cn" and (
            "\u2060" <= character <= "\u206f" or "\ufff0" <= character <= "\ufffb"
        )
        is_tag = "\U000e0000" <= character <= "\U000e0fff" and category[0] == "C"
        is_hidden = category in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in JOINERS
        if (is_hidden or is_kept_free or is_tag) and character not in allowed:
            return character
    return ""


def whole(least: int, most: int) -> Check:
    """Return the check of a whole number."""

    def check(value: Any, field: str) -> int:
        if type(value) is not int or not least <= value <= most:
            refuse(field, value, f"a whole number from {least} to {most}")
        return value

    return check


def number(value: Any, field: str) -> float:
    """Return a finite number that fits float32."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -FLOAT32_MAX <= value <= FLOAT32_MAX:  # nor NaN
        refuse(field, value, "a finite number")
    return float(value)


def flag(value: Any, field: str) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        refuse(field, value, "true or false")
    return value


def text(most: int, least: int = 0, allowed: str = "") -> Check:
    """Return the check of a text that shows as it is; characters `allowed` need not show."""

    def check(value: Any, field: str) -> str:
        if not isinstance(value, str):
            refuse(field, value, "a text")
        if not least <= len(value) <= most:
            raise ArtefactError(
                f"{field} has {len(value)} characters, wanted {least} to {most}: {show(value)}."
            )
        if hidden := find_hidden(value, allowed):
            raise ArtefactError(
                f"{field} holds the character {show(hidden)}, which does not show or reorders "
                f"others: {show(value)}."
            )
        return value

    return check


def one_of(*known: object) -> Check:
    """Return the check of a value out of a few."""

    def check(value: Any, field: str) -> Any:
        if not any(type(value) is type(one) and value == one for one in known):
            refuse(field, value, " or ".join(map(show, known)))
        return value

    return check


def array(item: Check, most: int, least: int = 0) -> Check:
    """Return the check of an array, each of whose items passes `item`."""

    def check(value: Any, field: str) -> list[Any]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            refuse(field, value, f"an array of {least} to {most}")
        return [item(one, f"{field}[{index}]") for index, one in enumerate(value)]

    return check


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Return the check of an object with these fields and no others."""
    known = {**required, **(optional or {})}

    def check(value: Any, field: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            refuse(field or "it", value, f"an object of {', '.join(known)}")
        place = f"{field}." if field else ""
        for name in required:
            if name not in value:
                raise ArtefactError(f"{place}{name} is missing.")
        for name in value:
            if name not in known:
                where = f"{field} has" if field else "it has"
                raise ArtefactError(f"{where} the field {show(name)}, wanted {', '.join(known)}.")
        return {name: known[name](item, f"{place}{name}") for name, item in value.items()}

    return check


def told(value: Any, field: str) -> Mapping[str, Any]:
    """Return an object that is kept as it is: nothing depends on what it holds."""
    if not isinstance(value, dict):
        refuse(field, value, "an object")
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise ArtefactError(f"{field} is nested over {MAX_DEPTH} levels deep.")


def parse_json(content: bytes) -> Any:
    """Return a JSON document as the standard has it.

    Raises:
        ArtefactError: Not JSON in UTF-8; NaN, Infinity, a field that stands twice, half a surrogate
            pair; or more objects and arrays than any bundle has.
    """
    containers = content.count(b"{") + content.count(b"[")
    if containers > MAX_CONTAINERS:
        raise ArtefactError(f"has {containers} opening brackets, at most {MAX_CONTAINERS}.")
    try:
        decoded = content.decode()
        document = json.loads(
            decoded,
            object_pairs_hook=_keep_unique,
            parse_constant=_refuse_constant,
            parse_float=_read_float,
        )
    except RecursionError as error:
        raise ArtefactError("is nested too deep to be read.") from error
    except ValueError as error:
        raise ArtefactError("not JSON.") from error
    # Halves of surrogate pairs come by escapes alone, and cannot be written out again.
    if "\\ud" in decoded or "\\uD" in decoded:
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ArtefactError("holds half a surrogate pair, wanted Unicode text.") from error
    return document


def _keep_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ArtefactError(f"the field {show(name)} stands twice.")
            seen.add(name)
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ArtefactError(f"holds {name}, wanted finite numbers.")


def _read_float(digits: str) -> float:
    found = float(digits)
    if found in (float("inf"), float("-inf")):
        raise ArtefactError(f"holds {show(digits)}, wanted finite numbers.")
    return found
