"""Reading the native request, whichever way it came, and checking what came.

`{"text": ...}` or `{"texts": [...]}`, with the options `top_k`, `threshold`, `explain` and
`coverage`. Pure and stateless: a model answers what was read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from handler.errors import InvalidInput
from handler.inference.tasks import DEFAULT_OPTIONS, SELECTIVE_KINDS, Options, Selective, Task
from handler.settings import Limits

MAX_EXPANSION = 18  # letters that NFKC makes of one character (U+FDFA), in Unicode 16
# NFKC in pieces of so many characters: Python sorts combining marks in quadratic time.
PIECE_CHARACTERS = 256
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,39}")  # of a field that a refusal may show
OPTION_FIELDS = ("top_k", "threshold", "explain", "coverage")
MODEL_FIELDS = ("model", "version")
REQUEST_FIELDS = ("text", "texts", *OPTION_FIELDS, *MODEL_FIELDS)


class Source(NamedTuple):
    """What the sender of texts calls them: a refusal names no field that was not sent.

    Args:
        field: All of them: "texts", "instances", "the body".
        place: The one at an index: "texts[3]", "instances[3].text", "row 4".
    """

    field: str
    place: Callable[[int], str]


def name_list(field: str) -> Source:
    """Return the source of a list: "inputs" -> "inputs[0]", "inputs[1]"."""
    return Source(field, lambda index: f"{field}[{index}]")


def name_one(field: str) -> Source:
    """Return the source of the only text."""
    return Source(field, lambda index: field)


TEXTS = name_list("texts")
TEXT = name_one("text")


def name_source(field: str) -> Source:
    """Return the source of the list `texts`, or of the only text, which is called otherwise."""
    return TEXTS if field == "texts" else name_one(field)


def check_text(text: object, field: str, limits: Limits) -> str:
    """Return `text` if it can be scored; `field` is its path in the request, for the error."""
    if not isinstance(text, str):
        raise InvalidInput(f"{field} is {name_type(text)}, wanted a string", field=field)
    if len(text) > limits.max_characters:
        raise InvalidInput(
            f"{field} has {len(text)} characters, the limit is {limits.max_characters}",
            field=field,
            limit=limits.max_characters,
            received=len(text),
            status=413,
        )
    if MAX_EXPANSION * len(text) > limits.max_characters and not text.isascii():
        check_normalized(text, field, limits)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{field} holds a lone surrogate at character {error.start}, wanted Unicode text",
            field=field,
        ) from None  # the cause holds the text itself
    return text


def check_normalized(text: str, field: str, limits: Limits) -> None:
    """Raise InvalidInput where `text` is too long once each character is written out, as the model
    reads it: that is what it costs. The sum of the pieces is as good as the whole's length."""
    import unicodedata  # rare, so not at start

    num_characters = sum(
        len(unicodedata.normalize("NFKC", text[start : start + PIECE_CHARACTERS]))
        for start in range(0, len(text), PIECE_CHARACTERS)
    )
    if num_characters > limits.max_characters:
        raise InvalidInput(
            f"{field} has {num_characters} characters once it is normalized (NFKC), the limit is "
            f"{limits.max_characters}",
            field=field,
            limit=limits.max_characters,
            received=num_characters,
            status=413,
        )


def read_request(request: object) -> tuple[list[str], Options]:
    """Return the texts, unchecked, and the options of a native request.

    Raises:
        InvalidInput: Not an object, an unknown field, no texts, or an option of a wrong value.
    """
    if not isinstance(request, dict):
        raise InvalidInput(f"the request is {name_type(request)}, wanted a JSON object")
    if not request.keys() <= set(REQUEST_FIELDS):
        raise InvalidInput(f"unknown field; the fields are: {', '.join(REQUEST_FIELDS)}")
    texts = read_texts(request)
    return texts, read_options(request) if len(request) > 1 else DEFAULT_OPTIONS


def read_texts(request: Mapping[str, Any]) -> list[str]:
    """Return the list under `texts`, or the one text under `text`; exactly one must be there.

    null is as good as absent: clients write out every field that they know.
    """
    is_one, are_many = request.get("text") is not None, request.get("texts") is not None
    if is_one and are_many:
        raise InvalidInput('wanted one of the fields "text" and "texts"', field="texts")
    if not is_one and not are_many:
        for field, wanted in (("text", "a string"), ("texts", "an array")):
            if field in request:
                raise InvalidInput(f"{field} is null, wanted {wanted}", field=field)
        raise InvalidInput('wanted one of the fields "text" and "texts"')
    if is_one:
        return [request["text"]]
    texts = request["texts"]
    if not isinstance(texts, list):
        raise InvalidInput(f"texts is {name_type(texts)}, wanted an array", field="texts")
    return texts


def read_model_name(request: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the model's name and its version that a request names; None where it names none.

    A version may be written as a number, or be an alias, such as `candidate`.
    """
    name: Any = request.get("model")
    version: Any = request.get("version")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    for field, value in (("model", name), ("version", version)):
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"{field} is {name_type(value)}, wanted a string", field=field)
        if value == "":
            raise InvalidInput(f"{field} is empty, wanted a name", field=field)
    return name, version


def name_texts(request: Mapping[str, Any]) -> Source:
    """Return what the sender of a native request calls its texts."""
    return TEXT if request.get("texts") is None else TEXTS


def read_options(request: Mapping[str, Any], path: str = "") -> Options:
    """Return the options among `request`'s fields; `path` stands before their names in errors.

    An option that is null is as good as absent.
    """
    top_k = request.get("top_k")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise InvalidInput(f"{path}top_k: wanted a whole number of 1 or more", field=f"{path}top_k")
    threshold = request.get("threshold")
    threshold = 0.0 if threshold is None else threshold
    if not is_number(threshold) or not 0 <= threshold <= 1:
        raise InvalidInput(f"{path}threshold: wanted a number, 0 to 1", field=f"{path}threshold")
    explain = request.get("explain")
    explain = False if explain is None else explain
    if not isinstance(explain, bool):
        raise InvalidInput(
            f"{path}explain is {name_type(explain)}, wanted true or false", field=f"{path}explain"
        )
    coverage = request.get("coverage")
    if coverage is not None and (not is_number(coverage) or not 0 < coverage < 1):
        raise InvalidInput(
            f"{path}coverage: wanted a number between 0 and 1", field=f"{path}coverage"
        )
    coverage = None if coverage is None else float(coverage)
    return Options(
        *(top_k, float(threshold), explain, f"{path}explain", coverage, f"{path}coverage")
    )


def check_coverage(task: Task, coverage: float, field: str) -> None:
    """Raise InvalidInput where a model has no label sets of that coverage."""
    sets = task.label_sets if isinstance(task, Selective) else None
    if sets is None:
        cure = f"the task {task.kind} has none"
        if task.kind in SELECTIVE_KINDS:
            cure = "export it again: minnow export RUN --out BUNDLE --label-sets"
        raise InvalidInput(f"{field}: this model has no label sets; {cure}", field=field)
    lowest, highest = sets.ends
    if not lowest <= coverage <= highest:
        raise InvalidInput(
            f"{field} is {coverage:g}, this model has label sets from {lowest:g} to {highest:g}",
            field=field,
        )


def read_parameters(
    holder: Mapping[str, Any], known: Collection[str], path: str = "parameters"
) -> Mapping[str, Any]:
    """Return the object under `parameters`, empty where there is none; `path` is for the error.

    Raises:
        InvalidInput: It is none, or has a field that is not known.
    """
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f"{path} is {name_type(parameters)}, wanted an object", field=path)
    check_known(parameters, known, path)
    return parameters


def check_known(fields: Mapping[str, Any], known: Collection[str], path: str = "") -> None:
    """Raise InvalidInput for a field that is not known: what it asks for would not be done.

    A field that is null is as good as absent. `path` is what the fields stand in.
    """
    for name, value in fields.items():
        if value is None or name in known:
            continue
        shown = f" {name}" if NAME.fullmatch(name) else ""  # anything else may be a text
        where = f"{path}: " if path else ""
        raise InvalidInput(
            f"{where}unknown field{shown}; the fields are: {', '.join(known)}",
            field=".".join(part for part in (path, shown.strip()) if part),
            status=400,
        )


def read_flag(fields: Mapping[str, Any], name: str, path: str) -> bool | None:
    """Return a field that is true or false, None where it is absent or null."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        field = f"{path}.{name}"
        raise InvalidInput(f"{field} is {name_type(value)}, wanted true or false", field=field)
    return value


def is_number(value: object) -> bool:
    """Say whether `value` is a finite JSON number; true and false are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def name_type(value: object) -> str:
    """Return the JSON name of a parsed value's type: what the sender of the value calls it."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}
    names |= {str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), type(value).__name__)
