"""Any envelope is processed or refused: never another error, never a text in a log."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import logging
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handler.errors import HandlerError
from handler.event_settings import EventSettings
from handler.events.aggregates import is_aggregate, split_aggregate
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.http.lambda_events import is_http_event
from handler.inference.classifier import Classifier
from handler.inference.models import Model, Models
from handler.sinks.sink import Result
from tests.helpers.aws import load_event
from tests.helpers.kinesis import make_aggregate
from tests.helpers.paths import TESTS

SECRET = "my neighbour's secret"
NAMES = sorted(path.stem for path in (TESTS / "events").glob("*.json"))
# An object's event would go on to S3, which test_objects.py has; here there is no place for
# results, and it is refused before that.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just(SECRET),
    st.just("{" + SECRET),
    st.just(json.dumps({"text": SECRET * 2000})),
    st.just("\ud800" + SECRET),
    st.just([]),
    st.just([SECRET]),
    st.just({}),
    st.just({"S": SECRET}),
    st.just({"text": SECRET}),
    st.just({"minnow_continue": {"bucket": SECRET}}),
    st.just(json.dumps([SECRET])),
    st.just('["' + SECRET),
    st.just(json.dumps(json.dumps({"text": SECRET}))),
    st.just("\ufeff" + json.dumps({"text": SECRET})),
    st.just(json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3Key": SECRET}])),
    st.just({"eventSource": SECRET}),
    st.just(gzip.compress(SECRET.encode(), mtime=0)),
    st.text(),
)


class MemorySink:
    """Takes everything; the real ones have tests of their own."""

    overwrites = True

    def send(self, results: list[Result], deadline: object) -> dict[str, str]:
        json.dumps([result.document for result in results])
        return {}

    def feeds(self, source_arn: str) -> bool:
        return False


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every field and entry below `value`."""
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    found = []
    for name, entry in entries:
        found += [(*path, name), *paths(entry, (*path, name))]
    return found


def unpack(value: Any) -> Any:
    """Return `value` with what is packed in its strings opened: `{"json": ...}` and so on."""
    if isinstance(value, dict):
        return {name: unpack(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [unpack(entry) for entry in value]
    if isinstance(value, str) and value.startswith("\ufeff"):
        return {"bom": unpack(value[1:])}
    if isinstance(value, str) and value.startswith(("{", "[", '"')):
        with suppress(ValueError):
            return {"json": unpack(json.loads(value))}
    if isinstance(value, str) and value:
        with suppress(ValueError):
            return {"base64": unpack_bytes(base64.b64decode(value, validate=True))}
    return value


def unpack_bytes(data: bytes) -> Any:
    """Return the text in bytes, or what they are packed with."""
    if data.startswith(b"\x1f\x8b"):
        return {"gzip": unpack_bytes(gzip.decompress(data))}
    if is_aggregate(data):
        return {"aggregate": [unpack_bytes(part) for part in split_aggregate(data)]}
    return unpack(data.decode())


def pack(value: Any) -> Any:
    """Undo `unpack`; what a mutation has put in place of a text cannot be packed, and stays."""
    if isinstance(value, list):
        return [pack(entry) for entry in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if not isinstance(value, dict):
        return value
    if set(value) == {"base64"}:
        data = pack_bytes(value["base64"])
        return pack(value["base64"]) if data is None else base64.b64encode(data).decode()
    packed = {name: pack(entry) for name, entry in value.items()}
    if set(packed) == {"json"}:
        return json.dumps(packed["json"])
    if set(packed) == {"bom"} and isinstance(packed["bom"], str):
        return "\ufeff" + packed["bom"]
    return packed


def pack_bytes(value: Any) -> bytes | None:
    """Undo `unpack_bytes`; None for what can be no bytes."""
    if isinstance(value, dict) and set(value) == {"gzip"}:
        data = pack_bytes(value["gzip"])
        return None if data is None else gzip.compress(data, mtime=0)
    if isinstance(value, dict) and set(value) == {"aggregate"}:
        if not isinstance(value["aggregate"], list):
            return None
        parts = [pack_bytes(part) for part in value["aggregate"]]
        return make_aggregate([part for part in parts if part is not None])
    packed = value if isinstance(value, bytes) else pack(value)
    if isinstance(packed, str):
        return packed.encode("utf-8", "surrogatepass")
    return packed if isinstance(packed, bytes) else None


@pytest.mark.parametrize("name", NAMES)
def test_packing_is_undone(name: str) -> None:
    event = load_event(name)

    packed = pack(unpack(event))

    assert unpack(packed) == unpack(event)


def test_what_is_packed_in_bytes_is_opened() -> None:
    opened = unpack([load_event(name) for name in ("kinesis_aggregated", "kinesis_gzip")])

    found = {path[5:] for path in paths(opened) if "data" in path and path[-1] == "text"}
    assert ("base64", "aggregate", 0, "json", "text") in found
    assert ("base64", "gzip", "json", "text") in found


def test_envelopes_within_envelopes_are_opened() -> None:
    opened = unpack(load_event("sqs_sns_s3_notification"))

    assert ("Records", 0, "body", "json", "Message", "json", "Records", 0, "s3", "object") in paths(
        opened
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_mutated_envelope_is_processed_or_refused(
    name: str, data: Any, tiny_classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    resources = Resources(Models([Model(tiny_classifier)]), EventSettings())
    resources.__dict__["sink"] = MemorySink()
    event = unpack(load_event(name))
    for _ in range(data.draw(st.integers(1, 3))):
        if not paths(event):
            break
        *parents, last = data.draw(st.sampled_from(paths(event)))
        place = event
        for step in parents:
            place = place[step]
        if isinstance(place, dict) and data.draw(st.booleans()):
            del place[last]
        else:
            place[last] = copy.deepcopy(data.draw(VALUES))  # the strategy keeps its own
    event = pack(event)
    caplog.clear()
    if isinstance(event, dict):
        is_http_event(event)  # looks at any event, and raises at none

    try:
        json.dumps(answer_event(event, None, resources))
        refusal = ""
    except HandlerError as error:
        refusal = str(error)

    assert SECRET not in refusal
    assert not [number for number, line in enumerate(caplog.messages) if SECRET in line]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
