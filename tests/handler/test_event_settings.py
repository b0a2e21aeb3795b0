"""What the environment may set for events, and what is refused: one line, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from handler.errors import SettingsError
from handler.event_settings import EventSettings, Target, read_event_settings
from tests.helpers.paths import ROOT

ANY_SINK = "wanted one of sqs://NAME, s3://NAME, eventbridge://NAME, dynamodb://NAME"
REFUSED = [
    ("MINNOW_RESULTS", "foo", f"MINNOW_RESULTS is 'foo', {ANY_SINK}"),
    ("MINNOW_RESULTS", "s3://", f"MINNOW_RESULTS is 's3://', {ANY_SINK}"),
    ("MINNOW_RESULTS", "https://a/b", f"MINNOW_RESULTS is 'https://a/b', {ANY_SINK}"),
    ("MINNOW_RESULTS", "s3://[a/", f"MINNOW_RESULTS is 's3://[a/' (Invalid IPv6 URL), {ANY_SINK}"),
    ("MINNOW_REVIEW", "foo", f"MINNOW_REVIEW is 'foo', {ANY_SINK}"),
    (
        "MINNOW_OBJECT_RESULTS",
        "sqs://a",
        "MINNOW_OBJECT_RESULTS is 'sqs://a', wanted one of s3://NAME",
    ),
    ("MINNOW_OBJECT_SOURCE", "a", "MINNOW_OBJECT_SOURCE is 'a', wanted one of s3://NAME"),
    (
        "MINNOW_CONTINUATION_QUEUE",
        "s3://a/",
        "MINNOW_CONTINUATION_QUEUE is 's3://a/', wanted one of sqs://NAME",
    ),
    *(
        (name, value, f"{name} is {value!r}, wanted a whole number of milliseconds")
        for name in ("MINNOW_RESERVE_MS", "MINNOW_TIMEOUT_MS")
        for value in ("soon", "-1", "1.5", "²", "9" * 5000)
    ),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSED)
def test_a_variable_that_cannot_be_meant_is_a_settings_error(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_event_settings({name: value})

    assert str(caught.value) == message


def test_results_that_would_come_back_as_objects_are_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="overlap, so a result would trigger the function"):
        read_event_settings({"MINNOW_RESULTS": "s3://b/", "MINNOW_OBJECT_SOURCE": "s3://b/in/"})


def test_texts_for_review_that_would_come_back_as_objects_are_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="MINNOW_REVIEW s3://b/in/r/ overlap, so a text for"):
        read_event_settings({"MINNOW_REVIEW": "s3://b/in/r", "MINNOW_OBJECT_SOURCE": "s3://b/in/"})


def test_an_empty_variable_is_none() -> None:
    names = {name for name, _, _ in REFUSED}

    assert read_event_settings(dict.fromkeys(names, "")) == EventSettings()


def test_a_target_is_read_from_its_url() -> None:
    settings = read_event_settings({"MINNOW_RESULTS": "dynamodb://results?key=id"})

    assert settings.results == Target("dynamodb", "results", "", {"key": "id"})


@pytest.mark.slow
def test_a_container_says_it_in_one_line_and_ends_with_1(tiny_bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "handler.hosts.server"],
        env={
            "MINNOW_RESULTS": "foo",
            "MINNOW_BUNDLE": str(tiny_bundle),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr) == {
        "level": "error",
        "message": f"MINNOW_RESULTS is 'foo', {ANY_SINK}",
    }
