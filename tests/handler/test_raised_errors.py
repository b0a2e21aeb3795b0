"""What leaves the handler stands in Lambda's log, as its runtime client writes it: no user text.

The client logs the error's text and type and the lines of its traceback; other programs that catch
it write the errors that hang on it too.
"""

from __future__ import annotations

import copy
import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handler.errors import HandlerError, InternalError
from tests.helpers.aws import load_event
from tests.helpers.paths import TESTS

TEXT = "Ada's review, which nobody else may read"
EVENTS = sorted(path.stem for path in (TESTS / "events").glob("*.json"))


@pytest.fixture
def function(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the entry point, over the tiny bundle, without a sink."""
    monkeypatch.setenv("MINNOW_BUNDLE", str(tiny_bundle))
    monkeypatch.delitem(sys.modules, "handler.function", raising=False)
    import handler.function

    yield handler.function
    sys.modules.pop("handler.function", None)


def write_as_runtime(error: BaseException) -> str:
    """Return what Lambda's runtime client, or a program around the handler, logs of an error."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    chained = traceback.format_exception(error)
    shown = [type(error).__name__, str(error), repr(error), *lines, *chained]
    return "\n".join([*shown, repr(error.__cause__), repr(error.__context__)])


def raise_with_text(*_: object) -> None:
    try:
        raise KeyError(TEXT)
    except KeyError as error:
        raise ValueError(f"cannot use {TEXT}") from error


def test_an_error_that_nobody_foresaw_is_named_without_its_text(
    function: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(function.MODELS.default, "predict", raise_with_text)

    with pytest.raises(InternalError, match="ValueError at raise_with_text:") as raised:
        function.handler({"text": TEXT}, None)

    assert TEXT not in write_as_runtime(raised.value)
    assert TEXT not in "".join(capsys.readouterr())


def test_an_error_of_ours_keeps_its_text_and_loses_what_hangs_on_it(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        try:
            raise_with_text()
        except ValueError as error:
            raise HandlerError("the table is not there") from error

    monkeypatch.setattr(function.MODELS.default, "predict", fail)

    with pytest.raises(HandlerError, match="^the table is not there$") as raised:
        function.handler({"text": TEXT}, None)

    assert TEXT not in write_as_runtime(raised.value)


def test_an_error_of_the_app_is_named_without_its_text(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function, "_answer_http", raise_with_text)
    event = {"requestContext": {"http": {"method": "GET"}}, "rawPath": "/", "version": "2.0"}

    with pytest.raises(InternalError, match="ValueError at raise_with_text:") as raised:
        function.handler(event, None)

    assert TEXT not in write_as_runtime(raised.value)


def spoil_each_string(event: Any) -> Iterator[Any]:
    """Yield the event once for each string in it, TEXT in its place or after it."""
    places: list[tuple[Any, ...]] = []

    def walk(node: Any, place: tuple[Any, ...]) -> None:
        if isinstance(node, str):
            places.append(place)
        elif isinstance(node, dict | list):
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                walk(value, (*place, key))

    walk(event, ())
    for *road, last in places:
        for is_added in (False, True):
            spoiled = copy.deepcopy(event)
            node = spoiled
            for key in road:
                node = node[key]
            node[last] = node[last] + TEXT if is_added else TEXT
            yield spoiled


def find_raised(function: Any, event: Any) -> Exception | None:
    try:
        function.handler(event, None)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("name", EVENTS)
def test_no_text_in_any_place_of_an_event_is_in_what_is_raised(name: str, function: Any) -> None:
    for event in spoil_each_string(load_event(name)):
        error = find_raised(function, event)
        if error is not None:
            assert isinstance(error, HandlerError), json.dumps(event)
            assert TEXT not in write_as_runtime(error), json.dumps(event)
